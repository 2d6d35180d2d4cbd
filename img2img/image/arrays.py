"""Arrays of any number of channels, in TIFF and NPY: numbers as they are, without colour."""

from __future__ import annotations

import io
import tokenize
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from img2img.errors import DataError
from img2img.image.opening import check_size
from img2img.image.ranged import NPY_MAGIC, is_tiff
from img2img.image.tiff_reading import opened_tiff, refuse_cut

_XMP, _BYTE = 700, 1
_PLANE, _STACK = 2, 3


def read_array(file: BinaryIO, name: str, limit: int) -> NDArray[Any]:
    """Read an array [H, W] or [H, W, C]; its size is looked at before its data is read.

    The pages of a TIFF that are alike are its channels, as its separate planes are.

    Args:
        file: open at its beginning.
        name: what messages call it.
        limit: pixels that it may have.

    Returns:
        [H, W, C] of the type that it has.

    Raises:
        DataError: for other files, other shapes, and what is not numbers.
    """
    start = file.read(8)
    file.seek(0)
    if start.startswith(NPY_MAGIC):
        return _read_npy(file, name, limit)
    if is_tiff(start):
        return _read_tiff(file, name, limit)
    raise DataError(f"{name}: expected an array in TIFF or NPY")


def _read_npy(file: BinaryIO, name: str, limit: int) -> NDArray[Any]:
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, _, dtype = reader(file)
    except (tokenize.TokenError, ValueError) as error:  # NumPy's ways to a header that is not Python
        raise DataError(f"{name}: damaged or truncated (its header cannot be read); copy or save it again") from error
    _check(shape, dtype, name, limit)
    file.seek(0)
    return _three(np.load(file, allow_pickle=False))


def _read_tiff(file: BinaryIO, name: str, limit: int) -> NDArray[Any]:
    with opened_tiff(file, name, "an array") as tiff:
        series = tiff.series[0]
        used = [(a, n) for a, n in zip(series.axes, series.shape, strict=True) if n > 1 or a in "YX"]
        axes, shape = [axis for axis, _ in used], tuple(size for _, size in used)
        if series.dtype is None or len(axes) not in {_PLANE, _STACK} or not {"Y", "X"} <= set(axes):
            raise DataError(f"{name}: expected an image of channels, got axes {series.axes} {list(series.shape)}")
        order = [axes.index("Y"), axes.index("X"), *(i for i, axis in enumerate(axes) if axis not in "YX")]
        _check(tuple(shape[i] for i in order), series.dtype, name, limit)
        for page in series.pages:
            if page is not None:
                refuse_cut(page, name)
        return _three(np.transpose(series.asarray().reshape(shape), order))


def _check(shape: tuple[int, ...], dtype: np.dtype[Any] | type, name: str, limit: int) -> None:
    if np.dtype(dtype).kind not in "fiu":
        raise DataError(f"{name}: expected an array of real numbers, got {np.dtype(dtype)}")
    if len(shape) not in {_PLANE, _STACK}:
        raise DataError(f"{name}: expected an array [H, W] or [H, W, C], got {list(shape)}")
    check_size((shape[1], shape[0]), name, limit)


def _three(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values if values.ndim == _STACK else values[..., None])


def array_bytes(values: NDArray[Any], file_format: str, xmp: bytes | None = None) -> bytes:
    """Encode an array [H, W, C]: one channel as [H, W]; TIFF with its channels side by side, deflated.

    Args:
        values: uint8, uint16 or float32.
        file_format: NPY or TIFF.
        xmp: a packet to write beside it, in TIFF.
    """
    buffer = io.BytesIO()
    values = np.ascontiguousarray(values[..., 0] if values.shape[2] == 1 else values)
    if file_format == "NPY":
        np.save(buffer, values, allow_pickle=False)
        return buffer.getvalue()
    tifffile.imwrite(
        buffer,
        values,
        photometric="minisblack",
        planarconfig=None if values.ndim == _PLANE else "contig",
        compression="zlib",
        predictor=values.dtype.kind == "u",
        metadata=None,
        software=False,
        extratags=[] if xmp is None else [(_XMP, _BYTE, len(xmp), xmp, True)],
    )
    return buffer.getvalue()
