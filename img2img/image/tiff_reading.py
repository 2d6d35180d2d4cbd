"""Opening TIFF files that Pillow does not read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import tifffile

from img2img.errors import DataError


@contextmanager
def opened_tiff(file: BinaryIO, name: str, what: str) -> Iterator[Any]:
    """Open a TIFF with tifffile; what is wrong with it, here and while it is read, ends in one line.

    Args:
        file: seekable.
        name: what messages call it.
        what: it holds, in a word, such as ``floats``.

    Raises:
        DataError: if it is damaged, or in a compression that needs a package which is not there.
    """
    try:
        with tifffile.TiffFile(file) as tiff:
            yield tiff
    except tifffile.TiffFileError as error:
        raise DataError(f"{name}: damaged or truncated ({error}); copy or save it again") from error
    except ValueError as error:
        if "imagecodecs" in str(error):
            raise DataError(
                f"{name}: {what} in a compression that is not read; save it with deflate or none"
            ) from error
        raise


def refuse_cut(page: Any, name: str) -> None:
    """Refuse a page without all its strips, of which tifffile would fill what is missing with zeros.

    Raises:
        DataError: if some are missing.
    """
    if len(page.dataoffsets) < math.prod(page.chunked):
        raise DataError(f"{name}: damaged or truncated (it has not all its strips); copy or save it again")
