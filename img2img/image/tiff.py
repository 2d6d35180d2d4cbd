"""Writing TIFF: of any depth, with directories of EXIF, which Pillow's own writer of compressed TIFF refuses."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from img2img.image.levels import Pixels, Plane, with_channels
from img2img.image.metadata import as_stored

_DIRECTORIES = (0x8769, 0x8825)
"""Of the exposure and of the place."""

_BYTE, _ASCII, _LONG, _XMP = 1, 2, 4, 700
_CLASSIC_BYTES = 2**32 - 2**26
"""Offsets of classic TIFF have 32 bits."""


class Extra(NamedTuple):
    """What stands in a file beside its pixels: profile, EXIF, XMP and dots per inch."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None


def write_tiff(file: BinaryIO, pages: Sequence[tuple[Pixels, Plane | None]], extra: Extra) -> None:
    """Write a TIFF.

    Args:
        file: where to.
        pages: pixels [H, W, C], C 1, 3 or (CMYK) 4, integers or floats, and alpha.
        extra: metadata; all but the profile stands on the first page alone.
    """
    buffer = io.BytesIO()
    described = Image.Exif()
    described.load(extra.exif or b"")
    big = sum(pixels.nbytes + (0 if alpha is None else alpha.nbytes) for pixels, alpha in pages) > _CLASSIC_BYTES
    with tifffile.TiffWriter(buffer, bigtiff=big, byteorder="<") as writer:
        for number, (pixels, alpha) in enumerate(pages):
            alike = pixels.shape[2] == pages[0][0].shape[2]
            if alpha is not None and pixels.dtype == np.uint16:
                pixels = with_channels(pixels, 3)  # noqa: PLW2901 (16-bit grey with alpha is known to few readers)
            body = pixels if alpha is None else np.dstack([pixels, alpha])
            writer.write(
                body[..., 0] if body.shape[2] == 1 else body,
                photometric={1: "minisblack", 3: "rgb", 4: "separated"}[pixels.shape[2]],
                planarconfig=None if body.shape[2] == 1 else "contig",
                extrasamples=None if alpha is None else ["unassalpha"],
                compression="zlib",
                predictor=body.dtype.kind == "u",
                iccprofile=extra.icc if alike else None,
                resolution=extra.dpi,
                resolutionunit=None if extra.dpi is None else "inch",
                metadata=None,
                software=False,
                extratags=[] if number else _extra_tags(described, extra.xmp),
            )
    if not big:
        _append_directories(buffer, described)
    file.write(buffer.getbuffer())


def _extra_tags(exif: Image.Exif, xmp: bytes | None) -> list[tuple[int, int, int, object, bool]]:
    tags: list[tuple[int, int, int, object, bool]] = []
    for tag, value in exif.items():
        if isinstance(value, str):
            text = value.encode("latin-1", "replace") + b"\0"  # as Pillow read it
            tags.append((tag, _ASCII, len(text), text, True))
    if xmp:
        tags.append((_XMP, _BYTE, len(xmp), xmp, True))
    return tags


def _append_directories(buffer: io.BytesIO, exif: Image.Exif) -> None:
    """Write the directories of exposure and place behind the file, and its first directory anew, naming them.

    Source: TIFF 6.0, section 2 (a header of 8 bytes; directories of a count, entries of 12 bytes and the next offset).
    """
    added = {}
    for tag in _DIRECTORIES:
        if found := exif.get_ifd(tag):
            offset = _end(buffer)
            directory = ImageFileDirectory_v2(prefix=b"II", group=tag)
            for name, value in found.items():
                directory[name] = as_stored(value)
            buffer.write(directory.tobytes(offset))
            added[tag] = struct.pack("<HHII", tag, _LONG, 1, offset)
    if not added:
        return
    data = buffer.getvalue()
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    entries = [data[at : at + 12] for at in range(first + 2, first + 2 + 12 * count, 12)]
    following = data[first + 2 + 12 * count :][:4]
    entries = sorted([*entries, *added.values()], key=lambda entry: struct.unpack_from("<H", entry)[0])
    offset = _end(buffer)
    buffer.write(struct.pack("<H", len(entries)) + b"".join(entries) + following)
    buffer.seek(4)
    buffer.write(struct.pack("<I", offset))


def _end(buffer: io.BytesIO) -> int:
    """Go to the end, at an even offset."""
    buffer.seek(0, io.SEEK_END)
    if buffer.tell() % 2:
        buffer.write(b"\0")
    return buffer.tell()
