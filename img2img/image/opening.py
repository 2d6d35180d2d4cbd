"""Opening image files of strangers: few parsers, bounded sizes, and every failure one line with the file's name."""

from __future__ import annotations

import contextlib
import io
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from img2img.errors import DataError
from img2img.image.picture import ValueRange

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000")
"""Formats that are opened; every other parser of Pillow (EPS, FITS, PSD, ...) stays shut."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".jp2"})
"""File name endings (in lower case) that are taken for images when a folder is listed."""

MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485
"""Larger images are refused before they are decoded (a few kilobytes can claim gigapixels)."""

MAX_FRAMES = 5000
"""Animations and multi-page files of more frames are refused."""

_FRAMES_LIMIT = 4
"""All frames of a file together may hold this many times the pixels that one image may."""

_UNPACKED = "Decompressed data too large"
"""How Pillow says that compressed text or a profile would fill the memory."""

_LARGE = threading.RLock()


def suffixes(value_range: ValueRange | None = None) -> frozenset[str]:
    """Return the file name endings that are taken for images: with a value range, arrays (.npy) are images too."""
    return SUFFIXES if value_range is None else SUFFIXES | {".npy"}


@contextlib.contextmanager
def opened(source: Path | BinaryIO, name: str, *, max_pixels: int | None = None) -> Iterator[Image.Image]:
    """Open an image; every way in which that fails becomes a :class:`DataError` that names the file and the reason.

    Args:
        source: path or open binary file.
        name: what messages call it.
        max_pixels: larger images are refused before they are decoded; :data:`MAX_PIXELS` by default.
    """
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    # by file object: Pillow maps uncompressed TIFFs of a *path* into memory and then turns them wrongly
    with (
        named(name, limit),
        _allowing(limit),
        binary(source, name) as file,
        Image.open(file, formats=FORMATS) as image,
    ):
        check_size(image.size, name, limit)
        yield image


def check_size(size: tuple[int, int], name: str, limit: int) -> None:
    """Refuse more pixels than the limit, and none.

    Raises:
        DataError: naming the file, its size and the way to allow more.
    """
    if size[0] * size[1] > limit:
        raise DataError(f"{name}: {size[0]}x{size[1]} px is {_too_large(limit)}")
    if not size[0] * size[1]:
        raise DataError(f"{name}: it has no pixels ({size[0]}x{size[1]})")


def check_frames(count: int, pixels: int, name: str, limit: int) -> None:
    """Refuse animations and multi-page files that would not fit into memory.

    Args:
        count: frames.
        pixels: of all frames together.
        name: of the file.
        limit: pixels that one image may hold.

    Raises:
        DataError: naming the file, the limit and what to do.
    """
    if count > MAX_FRAMES:
        raise DataError(f"{name}: more than the {MAX_FRAMES} frames that are read; take the first with --frames first")
    if pixels > _FRAMES_LIMIT * limit:
        raise DataError(
            f"{name}: its frames hold more than {_FRAMES_LIMIT * limit / 1e6:.4g} megapixels together; allow more with "
            "--max-pixels, or take the first with --frames first"
        )


@contextlib.contextmanager
def binary(source: Path | BinaryIO, name: str) -> Iterator[BinaryIO]:
    """Open a regular file for reading; a file that is open already only becomes one that can be read twice."""
    if not isinstance(source, Path):
        yield source if source.seekable() else io.BytesIO(source.read())
        return
    if not stat.S_ISREG(source.stat().st_mode):  # opening a pipe would wait for somebody to write
        raise DataError(f"{name}: expected an image file, got a folder, pipe, socket or device")
    with source.open("rb") as file:
        yield file


def whole_file(path: Path, name: str) -> bytes:
    """Read a regular file.

    Args:
        path: which.
        name: what messages call it.

    Raises:
        DataError: if it cannot be read, naming it and the reason.
    """
    with named(name), binary(path, name) as file:
        return file.read()


@contextlib.contextmanager
def named(name: str, limit: int = MAX_PIXELS) -> Iterator[None]:
    """Turn whatever a decoder raises into one line with the file's name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # remarks on metadata that does not concern the pixels
            yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file") from error
    except PermissionError as error:
        raise DataError(f"{name}: no permission to read it") from error
    except UnidentifiedImageError as error:
        formats = ", ".join(FORMATS)
        raise DataError(
            f"{name}: not an image in one of the formats {formats}, or damaged where it begins; save it again as one"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name}: {_too_large(limit)}") from error
    except MemoryError as error:
        raise DataError(f"{name}: it needs more memory than there is") from error
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        SyntaxError,
        TypeError,
        ValueError,
        struct.error,
        zlib.error,
    ) as error:  # decoders of damaged files raise all of these
        raise DataError(f"{name}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Say what is wrong with a file, in the words of the decoder where they are meant for people."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read ({error.strerror}); copy it again"
    text = " ".join(str(error).split()) if isinstance(error, OSError | SyntaxError | EOFError | ValueError) else ""
    if _UNPACKED in text:
        return "its text or colour profile unpacks to more than is read; save it without them"
    return f"damaged or truncated{f' ({text})' if text else ''}; copy or save it again"


@contextlib.contextmanager
def _allowing(limit: int) -> Iterator[None]:
    """Let Pillow open images up to the limit. Its own limit is one for the whole process: one large image at a time."""
    if limit <= MAX_PIXELS:
        yield
        return
    with _LARGE:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limit
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _too_large(limit: int) -> str:
    return f"more than the {limit / 1e6:.4g} megapixels that are read; allow more with --max-pixels"
