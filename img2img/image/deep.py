"""16 bits a colour: Pillow has no such RGB, so OpenCV decodes it, and encodes PNG.

OpenCV reads half a file without a word. Its pixels are believed only where Pillow has read the file whole, and their
high bytes are what Pillow found.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from img2img.image.levels import Pixels, Plane

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # its remarks on damaged files become our errors

Deep = NDArray[np.uint16]
_GREY, _GREY_TAGS = "I;16", {"bits": 258, "photometric": 262}
_WHITE_IS_ZERO = 0


def is_deep(image: Image.Image) -> bool:
    """Return whether an opened image that is not loaded yet holds 16 bits a colour; Pillow would decode RGB to 8."""
    return image.mode.startswith(_GREY) or any(";16" in str(tile) for tile in getattr(image, "tile", ()))


def decode_deep(image: Image.Image, data: bytes, page: int) -> tuple[Deep, Deep | None] | None:
    """Decode 16-bit colour, as stored (not turned).

    Args:
        image: the same image as Pillow loaded it.
        data: the file.
        page: of a TIFF.

    Returns:
        uint16 [H, W, C] with C 1 or 3, and alpha [H, W] or None; None if the two decoders do not agree.
    """
    if image.mode.startswith(_GREY):
        grey = _grey(image)
        clear = image.info.get("transparency")
        return grey[..., None], None if clear is None else np.where(grey == clear, 0, 65535).astype(np.uint16)
    if image.mode not in {"RGB", "RGBA"} or image.format not in {"PNG", "TIFF"}:
        return None
    whole = np.frombuffer(data, np.uint8)
    try:
        if page:
            _, found = cv2.imdecodemulti(whole, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
            decoded = found[0] if found else None
        else:
            decoded = cv2.imdecode(whole, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    shallow = np.asarray(image)
    channels = shallow.shape[2]
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3 or decoded.shape[2] < channels:  # noqa: PLR2004 (height, width, channels)
        return None
    stored: Deep = np.ascontiguousarray(decoded[..., [2, 1, 0, 3][:channels]])
    if stored.shape != shallow.shape or not np.array_equal(stored >> 8, shallow):
        return None
    colours, alpha = stored[..., :3], stored[..., 3] if channels == 4 else None  # noqa: PLR2004 (RGBA)
    clear = image.info.get("transparency")
    if clear is not None:
        alpha = np.where((colours == np.asarray(clear)).all(axis=2), 0, 65535).astype(np.uint16)
    return colours, alpha


def _grey(image: Image.Image) -> Deep:
    values = np.asarray(image).astype(np.uint16)
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_GREY_TAGS["bits"], (16,))[0]
    if bits < 16:  # noqa: PLR2004 (a scanner's 12 bits, which Pillow leaves at 0 to 4095)
        values = np.rint(values * (65535 / (2**bits - 1))).clip(0, 65535).astype(np.uint16)
    return 65535 - values if tags.get(_GREY_TAGS["photometric"]) == _WHITE_IS_ZERO else values


def png_16(pixels: Pixels, alpha: Plane | None, options: dict[str, Any]) -> bytes:
    """Encode a PNG of 16 bits: OpenCV's pixels with the metadata that Pillow writes for the same options."""
    body = (
        pixels[..., ::-1]
        if alpha is None
        else np.dstack([np.broadcast_to(pixels, (*alpha.shape, 3))[..., ::-1], alpha])
    )
    encoded, data = cv2.imencode(".png", np.ascontiguousarray(body), [cv2.IMWRITE_PNG_COMPRESSION, 4])
    assert encoded
    model = io.BytesIO()
    Image.new("L" if body.shape[2] == 1 else "RGB", (1, 1)).save(model, "PNG", **options)
    start, *pictured = [chunk for chunk in _chunks(data.tobytes()) if chunk[4:5].isupper()]
    described = [chunk for chunk in _chunks(model.getvalue()) if chunk[4:5].islower()]
    return b"".join([b"\x89PNG\r\n\x1a\n", start, *described, *pictured])


def _chunks(data: bytes) -> list[bytes]:
    """Cut a PNG at its chunks: length, name, data, checksum (PNG specification, clause 5.3)."""
    found, at = [], 8
    while at < len(data):
        end = at + 12 + struct.unpack_from(">I", data, at)[0]
        found.append(data[at:end])
        at = end
    return found
