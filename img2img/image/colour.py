"""Colour profiles: to sRGB for the network, and back where the source's profile is to be kept.

littlecms does it for 8 bits, with relative colorimetric intent and black point compensation; what it does not do
through Pillow is 16 bits, see :mod:`img2img.image.shaper`.
"""

from __future__ import annotations

import io
import struct
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from img2img.image.levels import Pixels
from img2img.image.shaper import Tables, convert, shaper_of, tables_of

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_DAMAGED = "its colour profile is damaged and was ignored"
_CREATION_DATE = slice(24, 36)
_SAME_LEVELS = 1
"""A profile that moves no colour by more levels (of 255) than this is sRGB under another name."""


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return an sRGB profile (littlecms' own), the same bytes at any time of the day."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_CREATION_DATE] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


@lru_cache(maxsize=64)
def mode_of(icc: bytes) -> str | None:
    """Return Pillow's mode of the colours that a profile is for (L, RGB or CMYK), None if it cannot be used."""
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space
        mode = _MODES.get(space.strip())
        if mode is not None:
            _transform(icc, mode)
    except (OSError, ImageCms.PyCMSError):
        return None
    return mode


@lru_cache(maxsize=64)
def is_srgb(icc: bytes) -> bool:
    """Return whether a profile means sRGB: then pixels are passed on untouched."""
    mode = mode_of(icc)
    if mode not in {"L", "RGB"}:
        return False
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    probe = Image.fromarray(cube if mode == "RGB" else np.arange(256, dtype=np.uint8).reshape(16, 16))
    before = np.asarray(probe.convert("RGB")).astype(int)
    after = np.asarray(ImageCms.applyTransform(probe, _transform(icc, mode)))
    return bool(np.abs(after - before).max() <= _SAME_LEVELS)


def to_srgb(image: Image.Image, icc: bytes) -> tuple[Image.Image, bytes | None, str]:
    """Convert colours to sRGB.

    Args:
        image: mode L, RGB or CMYK.
        icc: the file's profile.

    Returns:
        The image, L or RGB; the profile, or None if it could not be used; and a note, or "".
    """
    grey = image.mode == "L"
    if note := _unusable(icc, image.mode):
        return image.convert("L" if grey else "RGB"), None, note
    if is_srgb(icc):
        return image, icc, ""
    mode = mode_of(icc)
    assert mode is not None
    converted = ImageCms.applyTransform(image if image.mode == mode else image.convert(mode), _transform(icc, mode))
    assert converted is not None
    return converted.getchannel("G") if grey else converted, icc, ""


def deep_to_srgb(pixels: Pixels, icc: bytes) -> tuple[Pixels | None, bytes | None, str]:
    """Convert 16-bit pixels to sRGB; see :func:`to_srgb`.

    The pixels are None where the profile is a table, which only littlecms reads, with 8 bits.
    """
    if note := _unusable(icc, "L" if pixels.shape[2] == 1 else "RGB"):
        return pixels, None, note
    if is_srgb(icc):
        return pixels, icc, ""
    source, target = shaper_of(icc), shaper_of(srgb_profile())
    assert target is not None
    return None if source is None else convert(pixels, source, target), icc, ""


def _unusable(icc: bytes, mode: str) -> str:
    """Say why a profile is not for an image of this mode; "" if it is. Grey may have a profile for RGB."""
    expected = mode_of(icc)
    if expected is None:
        return _DAMAGED
    return (
        ""
        if expected == mode or (mode, expected) == ("L", "RGB")
        else f"its colour profile is for {expected} and was ignored"
    )


@lru_cache(maxsize=64)
def quick_tables(icc: bytes) -> Tables | None:
    """Return what converts 8-bit RGB of a profile to sRGB sooner than littlecms; None where only that can do it."""
    source, target = shaper_of(icc), shaper_of(srgb_profile())
    assert target is not None
    return None if source is None or mode_of(icc) != "RGB" else tables_of(source, target)


def from_srgb(pixels: Pixels, icc: bytes) -> Pixels | None:
    """Convert sRGB pixels [H, W, C] to the colours of a profile (four for CMYK); None if it is not for them."""
    mode, grey = mode_of(icc), pixels.shape[2] == 1
    if mode is None or grey != (mode == "L"):
        return None
    if is_srgb(icc):
        return pixels
    if pixels.dtype == np.uint16:
        source, target = shaper_of(srgb_profile()), shaper_of(icc)
        assert source is not None
        return None if target is None or mode == "CMYK" else convert(pixels, source, target)
    image = Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy() if grey else pixels)
    try:
        converted = np.asarray(ImageCms.applyTransform(image, _transform(icc, mode, back=True)))
    except ImageCms.PyCMSError:  # a scanner's profile, which has no way back
        return None
    return converted[..., None] if grey else converted


@lru_cache(maxsize=64)
def _transform(icc: bytes, mode: str, *, back: bool = False) -> ImageCms.ImageCmsTransform:
    theirs, ours = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
    relative = ImageCms.Intent.RELATIVE_COLORIMETRIC
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    if back:
        return ImageCms.buildTransform(ours, theirs, "RGB", mode, relative, flags)
    return ImageCms.buildTransform(theirs, ours, mode, "RGB", relative, flags)


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """Convert CIE L*a*b* (D50) to sRGB."""
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image.convert("RGB")
