"""EXIF: what describes the picture is kept; what says how the old file was stored is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_DESCRIPTIVE_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
"""Description, make, model, software, date, artist, copyright. Everything else in the first directory says how the
pixels of *that* file are stored (a TIFF's own layout stands there too) and would spoil another file."""

_SUB_DIRECTORIES = (0x8769, 0x8825)
"""Of the exposure and of the place."""

_ORIENTATION, _INTEROPERABILITY, _MAKER_NOTE = 0x0112, 0xA005, 0x927C

_JPEG_SEGMENT = 65533 - 6
"""Bytes of a JPEG segment, less the word Exif and two zeros."""

_MAX_DPI = 65535

_Level = TypeVar("_Level", bound=np.generic)


def descriptive_exif(image: Image.Image, *, keep: bool = True) -> tuple[bytes | None, int, str]:
    """Read what EXIF says of a loaded image.

    Args:
        image: loaded.
        keep: put the block together; else the orientation alone is read.

    Returns:
        The block to keep, without orientation, thumbnail and layout (None if nothing is left); the orientation, 1 to
        8; and a note, or "".
    """
    try:
        exif = image.getexif()
        turn = exif.get(_ORIENTATION, 1)
        orientation = turn if isinstance(turn, int) and 1 <= turn <= 8 else 1  # noqa: PLR2004 (the eight of EXIF)
    except Exception:  # noqa: BLE001 (Pillow's reader raises of every kind on damaged EXIF; the pixels are whole)
        return None, 1, _DAMAGED
    if not keep:
        return None, orientation, ""
    for directories in (_SUB_DIRECTORIES, ()):
        try:
            return _kept(exif, directories), orientation, "" if directories else _DAMAGED
        except Exception:  # noqa: BLE001, S112 (as above; then without the directories)
            continue
    return None, orientation, _DAMAGED


_DAMAGED = "EXIF is damaged and was left out"


def _kept(exif: Image.Exif, directories: tuple[int, ...]) -> bytes | None:
    kept = Image.Exif()
    for tag in _DESCRIPTIVE_TAGS:
        if tag in exif:
            kept[tag] = as_stored(exif[tag])
    for directory in directories:
        # interoperability is an offset into the old file
        found = {tag: as_stored(value) for tag, value in exif.get_ifd(directory).items() if tag != _INTEROPERABILITY}
        if found:
            kept.get_ifd(directory).update(found)
    return kept.tobytes() if len(kept) or any(kept.get_ifd(d) for d in directories) else None


class _Stored(str):
    """Text that is written byte for byte as Pillow read it (as Latin-1), instead of as ASCII with question marks."""

    __slots__ = ()

    def encode(self, encoding: str = "latin-1", errors: str = "replace") -> bytes:
        """Encode as Latin-1, whatever Pillow's writer asks for."""
        del encoding, errors
        return super().encode("latin-1", "replace")


def as_stored(value: object) -> object:
    """Prepare a value that Pillow read for being written by it."""
    return _Stored(value) if isinstance(value, str) else value


def exif_for_jpeg(exif: bytes) -> tuple[bytes | None, str]:
    """Make a block fit into the one segment that JPEG has for it, first without the camera maker's own notes."""
    if len(exif) <= _JPEG_SEGMENT:
        return exif, ""
    read = Image.Exif()
    read.load(exif)
    smaller = Image.Exif()
    for tag in read:
        if tag not in _SUB_DIRECTORIES:
            smaller[tag] = as_stored(read[tag])
    for directory in _SUB_DIRECTORIES:
        smaller.get_ifd(directory).update(
            {t: as_stored(v) for t, v in read.get_ifd(directory).items() if t != _MAKER_NOTE}
        )
    shrunk = smaller.tobytes()
    if len(shrunk) <= _JPEG_SEGMENT:
        return shrunk, "EXIF without the maker's notes (JPEG holds 64 kB)"
    return None, "EXIF is left out (JPEG holds 64 kB)"


def upright(values: NDArray[_Level], orientation: int) -> NDArray[_Level]:
    """Turn stored pixels [H, W, ...] as EXIF says: the row and column that are first are those of the scene.

    Source: Exif 2.32, tag 274.
    """
    turned: dict[int, Callable[[NDArray[_Level]], NDArray[_Level]]] = {
        2: lambda v: v[:, ::-1],
        3: lambda v: v[::-1, ::-1],
        4: lambda v: v[::-1],
        5: lambda v: v.swapaxes(0, 1),
        6: lambda v: np.rot90(v, -1),
        7: lambda v: v[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90,
    }
    return np.ascontiguousarray(turned[orientation](values)) if orientation in turned else values


def resolution(image: Image.Image) -> tuple[float, float] | None:
    """Return dots per inch, if what the file says is a resolution."""
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    good = all(math.isfinite(value) and 0 < value <= _MAX_DPI for value in (across, down))
    return (across, down) if good else None
