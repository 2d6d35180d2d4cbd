"""JPEGs for training: decoded by OpenCV, whose bundled libjpeg-turbo gives Pillow's pixels in less time.

Pillow's opening of a file takes a tenth of the time of decoding 256 px: what decides how a file is decoded is read
from its segments here (ITU-T T.81, annex B.1), and Pillow is asked for the rest.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from img2img.image import colour, metadata
from img2img.image.levels import Pixels
from img2img.image.opening import MAX_PIXELS
from img2img.image.shaper import Tables, convert_8_bits

_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_FRAMES = {0xC0, 0xC1, 0xC2}
"""Baseline, extended and progressive, all with Huffman codes."""
_EXIF, _ICC, _SCAN = 0xE1, 0xE2, 0xDA
_ODD = {0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0x01, *range(0xD0, 0xDA)}
"""Frames of other kinds, and markers that have no length."""
_PROFILE = b"ICC_PROFILE\0\1\1"  # the first part of one

_REDUCED = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


class JpegHead(NamedTuple):
    """What stands before the pixels of a JPEG that OpenCV decodes as Pillow does.

    Attributes:
        size: (width, height) as stored.
        grey: one channel instead of three.
        tables: convert its colours to sRGB; None where they are.
        described: it has EXIF or XMP, which may say that it lies on its side.
    """

    size: tuple[int, int]
    grey: bool
    tables: Tables | None
    described: bool


def jpeg_head(data: bytes) -> JpegHead | None:
    """Read the segments of a JPEG up to its pixels.

    OpenCV fills up a truncated file without a word, so that a file which does not end as JPEGs do is left to Pillow.

    Args:
        data: the whole file.

    Returns:
        None for whatever is out of the ordinary: Pillow knows what it is, or why it cannot be read.
    """
    segments = list(_segments(data))
    frames = [segment for marker, segment in segments if marker in _FRAMES]
    profiles = [segment for marker, segment in segments if marker == _ICC]
    if not data.endswith(_END) or not segments or segments[-1][0] != _SCAN or len(frames) != 1 or len(profiles) > 1:
        return None
    bits, height, width, channels = struct.unpack_from(">BHHB", frames[0].ljust(6, b"\0"))
    if bits != 8 or channels not in {1, 3} or not 0 < height * width <= MAX_PIXELS:  # noqa: PLR2004 (grey, YCbCr)
        return None
    tables = None
    for profile in profiles:
        icc = profile.removeprefix(_PROFILE)
        if icc == profile or (channels == 1 and not colour.is_srgb(icc)):
            return None
        if not colour.is_srgb(icc) and (tables := colour.quick_tables(icc)) is None:
            return None
    return JpegHead((width, height), channels == 1, tables, any(marker == _EXIF for marker, _ in segments))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give (marker, content) of what stands before the pixels; the last one is the scan's, else something is odd."""
    at = 2 if data.startswith(_START) else len(data)
    while at + 4 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004 (what every marker begins with)
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker in _ODD or length < 2:  # noqa: PLR2004 (bytes of the length itself)
            return
        yield marker, data[at + 4 : at + 2 + length]
        if marker == _SCAN:
            return
        at += 2 + length


def plain_jpeg(head: JpegHead, data: bytes, shrink: int = 1) -> Pixels | None:
    """Decode a JPEG.

    Args:
        head: see :func:`jpeg_head`.
        data: the whole file.
        shrink: 1, or decode at a half (2), a quarter (4) or an eighth (8); the sides must divide.

    Returns:
        uint8 [H, W, C], upright, C 1 or 3; None where that does not work: Pillow knows why.
    """
    if head.grey and shrink > 1:
        return None
    flags = (cv2.IMREAD_GRAYSCALE if head.grey else _REDUCED[shrink]) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    if found is None or found.shape[:2] != (head.size[1] // shrink, head.size[0] // shrink):
        return None
    pixels = np.asarray(found, np.uint8)
    pixels = pixels[..., None] if head.grey else pixels if shrink == 1 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    if head.tables is not None:
        pixels = convert_8_bits(pixels, head.tables)
    if not head.described:
        return pixels
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return metadata.upright(pixels, metadata.descriptive_exif(image, keep=False)[1])
