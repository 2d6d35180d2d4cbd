"""From a file to pictures: upright, in sRGB, alpha apart, with everything that is to travel along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from img2img.errors import DataError
from img2img.image import colour, deep, metadata, ranged
from img2img.image.levels import Pixels, Plane, to_8_bits
from img2img.image.opening import MAX_FRAMES, MAX_PIXELS, binary, check_frames, named, opened
from img2img.image.picture import FIRST_ONLY, Picture, Pictures, ValueRange, join

Frames = Literal["all", "first"]

_FRAMED = {"GIF", "PNG", "WEBP", "TIFF"}
"""Formats whose further frames are pictures of their own; those of MPO are other views of the first."""

_REDUCED_RESOLUTION = 254
_DEEP = "16 bits reduced to 8"
_CMYK = "CMYK without a profile becomes RGB"

Deeper = Callable[[Image.Image], tuple[NDArray[np.uint16], NDArray[np.uint16] | None] | None]


def read_picture(
    source: Path | BinaryIO,
    name: str | None = None,
    *,
    keep_16_bits: bool = False,
    max_pixels: int | None = None,
    value_range: ValueRange | None = None,
) -> Picture:
    """Read the first frame of an image file; see :func:`read_pictures`.

    Args:
        source: path or open binary file.
        name: what messages call it; the path by default.
        keep_16_bits: give uint16 pixels where the file has them; by default they are scaled to 8 (and said in
            ``reduced``), which is what training takes.
        max_pixels: larger images are refused; 89 megapixels by default.
        value_range: what the values of a float file mean.

    Raises:
        DataError: if the file cannot be read whole, naming it and the reason.
    """
    pictures = read_pictures(
        source, name, frames="first", keep_16_bits=keep_16_bits, max_pixels=max_pixels, value_range=value_range
    )
    return pictures.frames[0]


def read_pictures(
    source: Path | BinaryIO,
    name: str | None = None,
    *,
    frames: Frames = "all",
    keep_16_bits: bool = True,
    max_pixels: int | None = None,
    value_range: ValueRange | None = None,
) -> Pictures:
    """Read an image file whole: the frames of GIF, PNG, WebP and TIFF, the one picture of other formats.

    Each frame comes upright by its EXIF orientation, in sRGB by its colour profile, palettes resolved, alpha apart,
    CMYK, Lab and others as RGB, composited as a viewer would show it. At most 5000 frames, and four times the pixels
    that one image may hold, are read.

    Args:
        source: path or open binary file.
        name: what messages call it; the path by default.
        frames: ``all``, or the ``first`` with a note.
        keep_16_bits: give uint16 pixels where PNG and TIFF have them.
        max_pixels: larger images are refused before they are decoded; 89 megapixels by default.
        value_range: (low, high) of a float TIFF or NPY file; both are refused without it.

    Raises:
        DataError: if the file cannot be read whole, naming it and the reason.
    """
    name = name if name is not None else str(source)
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    with named(name, limit), binary(source, name) as file:
        start = file.read(8)
        file.seek(0)
        if not start:
            raise DataError(f"{name}: an empty file; copy or save it again")
        if start.startswith(ranged.NPY_MAGIC):
            return Pictures((ranged.read_npy(file, name, value_range, limit),))
        if value_range is not None and ranged.is_tiff(start):
            pictures = ranged.read_ranged_tiff(file, name, value_range, limit, first_only=frames == "first")
            if pictures is not None:
                return pictures
            file.seek(0)
        try:
            with opened(file, name, max_pixels=limit) as image:
                return _pictures(image, file, name, limit, frames, keep_16_bits=keep_16_bits)
        except DataError as error:
            # floats of several channels are unknown to Pillow: say what would help
            if ranged.is_tiff(start) and isinstance(error.__cause__, UnidentifiedImageError):
                file.seek(0)
                ranged.read_ranged_tiff(file, name, value_range, limit, first_only=True)
            raise


def picture_of(image: Image.Image, name: str, *, described: bool = True) -> Picture:
    """Take an opened image apart, with 8 bits: the frame at which it stands; see :func:`read_pictures`.

    Args:
        image: opened.
        name: for messages.
        described: whether EXIF is to travel along; without it a picture is there sooner.

    Raises:
        DataError: for 32-bit values, which have no known range.
    """
    return _picture(image, name, None, described=described)


def _pictures(
    image: Image.Image, file: BinaryIO, name: str, limit: int, frames: Frames, *, keep_16_bits: bool
) -> Pictures:
    animated = bool(getattr(image, "is_animated", False))
    if not animated or frames == "first" or image.format not in _FRAMED:
        return Pictures((_picture(image, name, _decoder(file, 0) if keep_16_bits else None),))
    count = count_frames(image)
    paged = image.format == "TIFF"
    check_frames(count, 0 if paged else count * image.width * image.height, name, limit)
    loop = image.info.get("loop")
    found: list[Picture] = []
    durations: list[float] = []
    total = 0
    # the first frame of a PNG may be a still for viewers that do not animate
    for index in range(1 if getattr(image, "default_image", False) else 0, count):
        image.seek(index)
        if index and paged and int(getattr(image, "tag_v2", {}).get(_REDUCED_RESOLUTION, 0)) & 1:
            continue  # a smaller copy of a page
        total += image.width * image.height
        check_frames(count, total, name, limit)
        found.append(_picture(image, name, _decoder(file, index) if keep_16_bits and paged else None, all_frames=True))
        durations.append(float(image.info.get("duration", 0)))
    if not paged and len({picture.pixels.shape[:2] for picture in found}) > 1:
        raise DataError(f"{name}: damaged (its frames differ in size); save it again")
    timed = len(found) > 1 and not paged
    return Pictures(tuple(found), tuple(durations) if timed else (), loop if timed else None)


def count_frames(image: Image.Image) -> int:
    """Count the frames of an opened file, or as many as are read and one more."""
    if image.format != "TIFF":
        return int(getattr(image, "n_frames", 1))
    for index in range(1, MAX_FRAMES + 1):  # a chain of directories; Pillow's own count of a long one takes minutes
        try:
            image.seek(index)
        except EOFError:
            image.seek(0)
            return index
    return MAX_FRAMES + 1


def _decoder(file: BinaryIO, page: int) -> Deeper:
    def decode(image: Image.Image) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None] | None:
        at = file.tell()
        file.seek(0)
        data = file.read()
        file.seek(at)
        return deep.decode_deep(image, data, page)

    return decode


def _picture(
    image: Image.Image, name: str, deeper: Deeper | None, *, all_frames: bool = False, described: bool = True
) -> Picture:
    """Take one frame apart.

    Args:
        image: at that frame, loaded or not.
        name: for messages.
        deeper: decodes 16-bit colour; None to have 8.
        all_frames: whether the other frames are read as well.
        described: whether EXIF is kept.
    """
    was_deep = deep.is_deep(image)
    animated = bool(getattr(image, "is_animated", False))
    image.load()
    if image.mode in {"F", "I"}:
        raise DataError(f"{name}: {ranged.NO_RANGE.format(kind=f'mode {image.mode} (32 bits a value)')}")
    exif, orientation, exif_note = metadata.descriptive_exif(image, keep=described)
    icc, xmp = _bytes(image.info.get("icc_profile")), _bytes(image.info.get("xmp"))
    pixels: Pixels | None = None
    alpha: Plane | None = None
    colour_note = ""
    decoded = deeper(image) if was_deep and deeper is not None else None
    if decoded is not None:
        pixels, alpha = decoded
        if icc is not None:
            pixels, icc, colour_note = colour.deep_to_srgb(pixels, icc)
    if pixels is None:
        if was_deep and isinstance(clear := image.info.get("transparency"), tuple):
            image.info["transparency"] = tuple(value >> 8 for value in clear)  # as the colours that Pillow decoded
        pixels, alpha, icc, colour_note = _shallow(image, icc)
    reduced = join(
        FIRST_ONLY if animated and not all_frames else "",
        _DEEP if was_deep and pixels.dtype == np.uint8 else "",
        colour_note,
        exif_note,
    )
    if alpha is not None:
        alpha = metadata.upright(alpha, orientation)
    return Picture(
        metadata.upright(pixels, orientation),
        alpha,
        image.format or "",
        icc,
        exif,
        reduced,
        metadata.resolution(image),
        xmp,
    )


def _shallow(image: Image.Image, icc: bytes | None) -> tuple[Pixels, Plane | None, bytes | None, str]:
    """Split 8-bit pixels: sRGB, alpha, the profile if it could be used, and a note."""
    alpha = None
    if image.mode.startswith("I;16"):
        decoded = deep.decode_deep(image, b"", 0)
        assert decoded is not None
        grey, clear = decoded
        alpha = None if clear is None else to_8_bits(clear)
        image = Image.fromarray(to_8_bits(grey[..., 0]))
    elif image.has_transparency_data:
        image = image.convert("LA" if image.mode in {"1", "L", "LA", "La"} else "RGBA")
        alpha = np.asarray(image.getchannel("A"))
        image = image.convert("L" if image.mode == "LA" else "RGB")
    note = ""
    if image.mode == "LAB":
        image, icc = colour.lab_to_srgb(image), None  # its profile describes what is converted away
    elif image.mode == "CMYK":
        note = "" if icc else _CMYK
    else:
        image = image.convert("L" if image.mode in {"1", "L"} else "RGB")
    if icc is not None:
        image, icc, note = colour.to_srgb(image, icc)
    image = image if image.mode in {"L", "RGB"} else image.convert("RGB")
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None], alpha, icc, note  # noqa: PLR2004 (height, width, channels)


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) and value else None
