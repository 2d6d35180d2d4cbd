"""THE range, and the only place where pixels meet files.

Inside the package an image is a float32 tensor [C, H, W] in [-1, 1]; outside it is 8-bit integers. Reading and
writing use Pillow with an allowlist of formats, so that a hostile file meets few parsers.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from img2img.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000")
"""Formats that are opened; every other parser of Pillow (EPS, FITS, PSD, ...) stays shut."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".jp2"})
"""File name endings (in lower case) that are taken for images when a folder is listed."""

MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485
"""Larger images are refused before they are decoded (a few kilobytes can claim gigapixels)."""

Pixels = NDArray[np.uint8]
"""uint8 [H, W, C] with C 1 (grey) or 3 (RGB)."""


@dataclass(frozen=True)
class Picture:
    """A decoded file: its colour pixels and what travels along with them.

    Attributes:
        pixels: uint8 [H, W, C], upright, C 1 or 3.
        alpha: uint8 [H, W], or None.
        format: Pillow's name of the file format.
        icc_profile: embedded colour profile, or None.
        exif: EXIF block of what describes the picture, or None.
        reduced: what the file held and ``pixels`` does not ("16 bits reduced to 8"), or "".
        dpi: resolution for printing, or None.
    """

    pixels: Pixels
    alpha: NDArray[np.uint8] | None
    format: str
    icc_profile: bytes | None
    exif: bytes | None
    reduced: str
    dpi: tuple[float, float] | None = None


def to_tensor(pixels: Pixels) -> Tensor:
    """Turn uint8 [H, W, C] into float32 [C, H, W] in [-1, 1]: 0 becomes -1, 255 becomes 1."""
    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C")).float().div_(127.5).sub_(1)


def to_pixels(image: Tensor) -> Pixels:
    """Turn float [C, H, W] in [-1, 1] into uint8 [H, W, C], rounded to the nearest and clipped."""
    levels = image.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()


def round_to_8_bits(image: Tensor) -> Tensor:
    """Round values in [-1, 1] to what an 8-bit file would give back; metrics see what a user would save."""
    return image.float().add(1).mul(127.5).round().clamp(0, 255).div(127.5).sub(1)


@contextlib.contextmanager
def opened(source: Path | BinaryIO, name: str) -> Iterator[Image.Image]:
    """Open an image; every way in which that fails becomes a :class:`DataError` that names the file and the reason."""
    if isinstance(source, Path) and source.exists() and not source.is_file():
        raise DataError(f"{name}: expected an image file, got a folder, pipe, socket or device")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # remarks on metadata that does not concern the pixels
            # by file object: Pillow maps uncompressed TIFFs of a *path* into memory and then turns them wrongly
            with contextlib.ExitStack() as stack:
                file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
                yield stack.enter_context(Image.open(file, formats=FORMATS))
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file") from error
    except PermissionError as error:
        raise DataError(f"{name}: no permission to read it") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: not an image in one of the formats {', '.join(FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name}: more than the {MAX_PIXELS / 1e6:.0f} megapixels that are read") from error
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
        MemoryError,
    ) as error:
        # decoders of damaged files raise all of these; struct.error and zlib.error are ValueError and OSError kin
        raise DataError(f"{name}: {_reason(error)}") from error
    except Exception as error:
        if type(error).__module__ in {"struct", "zlib", "PIL.Image"}:
            raise DataError(f"{name}: {_reason(error)}") from error
        raise


def read_picture(source: Path | BinaryIO, name: str | None = None) -> Picture:
    """Read an image file whole; see :func:`picture_of` for what becomes of it.

    Args:
        source: path or open binary file.
        name: what messages call it; the path by default.

    Raises:
        DataError: if the file cannot be read whole, naming it and the reason.
    """
    name = name if name is not None else str(source)
    with opened(source, name) as image:
        return picture_of(image, name)


def picture_of(image: Image.Image, name: str) -> Picture:
    """Take an opened image apart.

    Upright by its EXIF orientation; palettes resolved; alpha apart; CMYK, Lab and others as RGB; 16 bits scaled to 8
    (and said in ``reduced``). The first frame of an animation or a multi-page file.

    Raises:
        DataError: for 32-bit values, which have no known range.
    """
    reduced = "first frame only" if getattr(image, "n_frames", 1) > 1 else ""
    if any(";16" in str(tile) for tile in getattr(image, "tile", ())):
        reduced = _DEEP  # Pillow itself decodes 16-bit colour to 8 bits
    file_format, icc_profile, dpi = image.format or "", image.info.get("icc_profile"), image.info.get("dpi")
    image.load()
    exif = _descriptive(image.getexif())
    upright = ImageOps.exif_transpose(image)
    if upright.mode in {"F", "I"}:
        raise DataError(
            f"{name}: {upright.mode} images (32 bits a value) have no known range; save it with 8 or 16 bits"
        )
    if upright.mode.startswith("I;16"):
        grey = np.asarray(upright).astype(np.uint32)
        pixels = ((grey + 128) // 257).astype(np.uint8)[..., None]
        return Picture(pixels, None, file_format, None, exif, _DEEP, dpi)
    alpha = None
    if upright.has_transparency_data:
        upright = upright.convert("RGBA" if upright.mode not in {"LA", "La"} else "LA")
        alpha = np.asarray(upright.getchannel("A"))
    if upright.mode in {"CMYK", "YCCK", "LAB"}:
        icc_profile = None  # the profile describes the colours that are converted away
    if upright.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        upright = ImageCms.profileToProfile(upright, lab, srgb, outputMode="RGB") or upright
    mode = "L" if upright.mode in {"1", "L", "LA"} else "RGB"
    pixels = np.asarray(upright.convert(mode))
    pixels = pixels[..., None] if mode == "L" else pixels
    return Picture(pixels, alpha, file_format, icc_profile, exif, reduced, dpi)


_DEEP = "16 bits reduced to 8"

_DESCRIPTIVE_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
"""Description, make, model, software, date, artist, copyright. Everything else in the first directory says how the
pixels of *that* file are stored (a TIFF's own layout stands there too) and would spoil another file."""

_SUB_DIRECTORIES = (0x8769, 0x8825)
"""Of the exposure and of the place."""


def _descriptive(exif: Image.Exif) -> bytes | None:
    """Keep what describes the picture: not its orientation, its thumbnail, or the layout of the file it was in."""
    kept = Image.Exif()
    for tag in _DESCRIPTIVE_TAGS:
        if tag in exif:
            kept[tag] = exif[tag]
    for directory in _SUB_DIRECTORIES:
        if found := exif.get_ifd(directory):
            kept.get_ifd(directory).update(found)
    return kept.tobytes() if len(kept) or any(kept.get_ifd(d) for d in _SUB_DIRECTORIES) else None


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """Turn grey into RGB or RGB into grey (ITU-R 601 luma) where the network asks for it."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3 and pixels.shape[2] == 1:  # noqa: PLR2004 (RGB)
        return np.repeat(pixels, 3, axis=2)
    if channels == 1 and pixels.shape[2] == 3:  # noqa: PLR2004 (RGB)
        return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    raise DataError(f"expected an image with {channels} channels, got {pixels.shape[2]}; 1 and 3 are understood")


def to_image(picture: Picture) -> Image.Image:
    """Put colour pixels and alpha together again: mode L, LA, RGB or RGBA."""
    pixels = picture.pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    return image


_ALPHA_FORMATS = {"PNG", "WEBP", "TIFF", "AVIF", "GIF", "JPEG2000"}
_SAVE_OPTIONS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 90},
    "TIFF": {"compression": "tiff_deflate"},
    "PNG": {"compress_level": 4},
}
_SIDE_LIMITS = {"WEBP": 16383, "JPEG": 65500}


def write_picture(path: Path, picture: Picture) -> None:
    """Write an image so that the file is whole or not there: into a temporary name beside it, then renamed.

    The format is that of the suffix. Alpha is kept where the format has it, else composited on white.

    Raises:
        DataError: if the format does not exist or cannot hold the image.
        OSError: if the folder cannot be written or the disk is full; nothing is left behind then.
    """
    suffixes = Image.registered_extensions()
    file_format = suffixes.get(path.suffix.lower(), "")
    if file_format not in FORMATS:
        raise DataError(f"{path.name}: expected a name that ends in one of {', '.join(sorted(SUFFIXES))}")
    limit = _SIDE_LIMITS.get(file_format)
    if limit and max(picture.pixels.shape[:2]) > limit:
        raise DataError(
            f"{path.name}: {file_format} holds at most {limit} px a side, the image has {picture.pixels.shape}"
        )
    grey = picture.pixels.shape[2] == 1
    image = to_image(picture)
    if picture.alpha is not None:
        if file_format in {"WEBP", "AVIF", "GIF"}:
            image = image.convert("RGBA")
        elif file_format not in _ALPHA_FORMATS:
            white = Image.new(image.mode, image.size, "white")
            image = Image.composite(image, white, image.getchannel("A")).convert("L" if grey else "RGB")
    options = dict(_SAVE_OPTIONS.get(file_format, {}))
    if picture.icc_profile and not grey:
        options["icc_profile"] = picture.icc_profile
    if picture.dpi and file_format in {"PNG", "JPEG", "TIFF"}:
        options["dpi"] = picture.dpi
    if picture.exif and file_format in {"PNG", "JPEG", "WEBP", "AVIF", "TIFF"}:
        options["exif"] = picture.exif
    with atomically(path) as file:
        image.save(file, format=file_format, **options)


TEMPORARY_PREFIX = ".img2img-"
"""How the names of files begin that are being written; a killed process leaves them behind."""


@contextlib.contextmanager
def atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file in the folder of ``path``; on success flush it to the disk and rename it to ``path``.

    The folder is flushed too, so that after a power cut the name holds either the old file or the new one.
    """
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)  # mkstemp makes files for the owner alone; give what open() would have given
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
        _flush_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _flush_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"damaged or truncated ({text})" if text else f"damaged or truncated ({type(error).__name__})"
