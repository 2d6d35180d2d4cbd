"""JPEGs for training: decoded by OpenCV, whose bundled libjpeg-turbo gives Pillow's pixels in less time."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from img2img.image import colour, metadata
from img2img.image.levels import Pixels

_END = bytes([0xFF, 0xD9])
_REDUCED = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def plain_jpeg(image: Image.Image, data: bytes, shrink: int = 1) -> Pixels | None:
    """Decode a JPEG whose colours are sRGB already, which nearly all are.

    OpenCV fills up a truncated file without a word, so that a file which does not end as JPEGs do is left to Pillow.

    Args:
        image: opened by Pillow and not loaded: says what the file is.
        data: the whole file.
        shrink: 1, or decode at a half (2), a quarter (4) or an eighth (8); the sides must divide.

    Returns:
        uint8 [H, W, C], upright, C 1 or 3; None where it takes more than that, or does not work: Pillow knows why.
    """
    icc = image.info.get("icc_profile")
    if image.format != "JPEG" or image.mode not in {"L", "RGB"} or not data.endswith(_END):
        return None
    if icc and not colour.is_srgb(icc):
        return None
    grey = image.mode == "L"
    if grey and shrink > 1:
        return None
    flags = (cv2.IMREAD_GRAYSCALE if grey else _REDUCED[shrink]) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    if found is None or found.shape[:2] != (image.height // shrink, image.width // shrink):
        return None
    pixels = np.asarray(found, np.uint8)
    pixels = pixels[..., None] if grey else pixels if shrink == 1 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return metadata.upright(pixels, metadata.descriptive_exif(image, keep=False)[1])
