"""Files of floats (TIFF, NPY), whose values mean something only with the range that somebody states."""

from __future__ import annotations

import io
import logging
import tokenize
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from img2img.errors import DataError
from img2img.image.levels import Pixels
from img2img.image.opening import check_frames, check_size
from img2img.image.picture import FIRST_ONLY, Picture, Pictures, ValueRange, join
from img2img.image.tiff_reading import opened_tiff, refuse_cut

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # its remarks on damaged files become our errors

NPY_MAGIC = b"\x93NUMPY"
_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WIDE_INTEGER_BYTES = 4

NO_RANGE = "values of {kind} have no known range; state it with --value-range LOW HIGH, or save it with 8 or 16 bits"


def is_tiff(start: bytes) -> bool:
    """Return whether a file that begins so is a TIFF, classic or big."""
    return start.startswith(_TIFF_MAGICS)


def check_range(value_range: ValueRange, name: str) -> None:
    """Refuse a range that is none.

    Raises:
        DataError: naming it.
    """
    low, high = value_range
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise DataError(f"{name}: expected a value range LOW HIGH with LOW below HIGH, got {low:g} {high:g}")


def read_npy(file: BinaryIO, name: str, value_range: ValueRange | None, limit: int) -> Picture:
    """Read an array [H, W] or [H, W, C], C 1 or 3, of real numbers; its size is looked at before its data is read.

    Raises:
        DataError: for any other array, and without a range.
    """
    version = np.lib.format.read_magic(file)
    if version not in {(1, 0), (2, 0)}:
        raise DataError(f"{name}: expected an array of numbers, got NPY version {version[0]}.{version[1]}")
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, _, dtype = reader(file)
    except (tokenize.TokenError, ValueError) as error:  # NumPy's ways to a header that is not Python
        raise DataError(f"{name}: damaged or truncated (its header cannot be read); copy or save it again") from error
    _check_kind(dtype, name)
    if value_range is None:
        raise DataError(f"{name}: {NO_RANGE.format(kind=f'NPY ({dtype})')}")
    if len(shape) not in {2, 3} or (len(shape) == 3 and shape[2] not in {1, 3}):  # noqa: PLR2004 (height, width, channels)
        raise DataError(f"{name}: expected an array [H, W] or [H, W, C] with C 1 or 3, got {list(shape)}")
    check_size((shape[1], shape[0]), name, limit)
    file.seek(0)
    values = np.load(file, allow_pickle=False)
    return _picture(values, name, "NPY", value_range)


def read_ranged_tiff(
    file: BinaryIO, name: str, value_range: ValueRange | None, limit: int, *, first_only: bool
) -> Pictures | None:
    """Read a TIFF of floats or 32-bit integers.

    Args:
        file: open at its beginning.
        name: what messages call it.
        value_range: what its values mean.
        limit: pixels of a page.
        first_only: leave further pages out, and say so.

    Returns:
        Its pages; None if it holds something else, which has a range of its own.

    Raises:
        DataError: without a range, and for pages that are no images.
    """
    with opened_tiff(file, name, "floats") as tiff:
        kind = tiff.pages.first.dtype
        if kind is None or not (kind.kind == "f" or (kind.kind in "iu" and kind.itemsize >= _WIDE_INTEGER_BYTES)):
            return None
        if value_range is None:
            raise DataError(f"{name}: {NO_RANGE.format(kind=f'TIFF ({kind})')}")
        pages: list[Picture] = []
        total = 0
        for page in tiff.pages:
            if pages and first_only:
                return Pictures((replace(pages[0], reduced=join(pages[0].reduced, FIRST_ONLY)),))
            shape = page.shape
            if len(shape) not in {2, 3} or (len(shape) == 3 and shape[2] not in {1, 3}):  # noqa: PLR2004 (height, width, channels)
                raise DataError(f"{name}: expected pages [H, W] or [H, W, C] with C 1 or 3, got {list(shape)}")
            check_size((shape[1], shape[0]), name, limit)
            refuse_cut(page, name)
            total += shape[0] * shape[1]
            check_frames(len(pages) + 1, total, name, limit)
            pages.append(_picture(page.asarray(), name, "TIFF", value_range))
        return Pictures(tuple(pages))


def _check_kind(dtype: np.dtype[np.generic], name: str) -> None:
    if dtype.kind not in "fiu":
        raise DataError(f"{name}: expected an array of real numbers, got {dtype}")


def _picture(values: NDArray[np.generic], name: str, file_format: str, value_range: ValueRange) -> Picture:
    check_range(value_range, name)
    wide = np.asarray(values, np.float64)
    if not np.isfinite(wide).all():
        raise DataError(f"{name}: it holds NaN or infinity; give every pixel a value in the range")
    low, high = value_range
    unit = (wide - low) * (2 / (high - low)) - 1
    outside = bool(wide.min() < low or wide.max() > high)
    pixels = unit.clip(-1, 1).astype(np.float32)
    notes = [f"values outside {low:g} to {high:g} were clipped"] if outside else []
    if values.dtype.itemsize > _WIDE_INTEGER_BYTES:
        notes.append("64 bits reduced to 32")
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]  # noqa: PLR2004 (height, width, channels)
    return Picture(pixels, None, file_format, None, None, join(*notes), value_range=value_range)


def from_unit(pixels: Pixels, value_range: ValueRange) -> NDArray[np.float32]:
    """Map pixels in [-1, 1] to values of a file: -1 to the low end, 1 to the high one."""
    low, high = value_range
    values = (pixels.astype(np.float64) + 1) * ((high - low) / 2) + low
    return values.astype(np.float32)


def npy_bytes(pixels: Pixels, value_range: ValueRange) -> bytes:
    """Encode an array [H, W] for grey, [H, W, 3] for colour."""
    values = from_unit(pixels, value_range)
    buffer = io.BytesIO()
    np.save(buffer, values[..., 0] if values.shape[2] == 1 else values, allow_pickle=False)
    return buffer.getvalue()
