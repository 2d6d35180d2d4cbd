"""Pictures in rows on one sheet, with a line of text below each: pixels in, pixels out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from img2img.errors import DataError
from img2img.image.levels import Pixels, resized, to_8_bits, to_pixels, to_tensor, with_channels
from img2img.image.opening import MAX_PIXELS

_TEXT_PX, _LINE_PX = 11, 16
_INK = (60, 60, 60)


def grid(
    rows: Sequence[Sequence[Pixels]], captions: Sequence[Sequence[str]] | None = None, *, gap_px: int = 8
) -> NDArray[np.uint8]:
    """Lay pictures out row by row on white.

    A column is as wide as its widest picture and a row as high as its highest; smaller pictures stand in the middle.

    Args:
        rows: [H, W, C] each, C 1 or 3, of any sizes and any depth; rows may differ in length.
        captions: a line below each picture, in the same order; too long ones lose their middle. None for no text.
        gap_px: white between pictures.

    Returns:
        uint8 [H, W, 3].

    Raises:
        DataError: if there are no pictures, or the sheet would have more pixels than an image may.
    """
    if not any(rows):
        raise DataError("expected at least one picture for a sheet, got none")
    columns = max(len(row) for row in rows)
    widths = [max(row[x].shape[1] for row in rows if x < len(row)) for x in range(columns)]
    heights = [max((pixels.shape[0] for pixels in row), default=0) for row in rows]
    line = 0 if captions is None else _LINE_PX
    width, height = sum(widths) + gap_px * (columns - 1), sum(heights) + gap_px * (len(rows) - 1) + line * len(rows)
    if width * height > MAX_PIXELS:
        raise DataError(
            f"a sheet of {width}x{height} px is more than the {MAX_PIXELS / 1e6:.4g} megapixels of an image; "
            "show fewer or smaller pictures"
        )
    canvas = np.full((height, width, 3), 255, np.uint8)
    places = []
    top = 0
    for y, row in enumerate(rows):
        left = 0
        for x, pixels in enumerate(row):
            down, across = top + (heights[y] - pixels.shape[0]) // 2, left + (widths[x] - pixels.shape[1]) // 2
            canvas[down : down + pixels.shape[0], across : across + pixels.shape[1]] = _rgb_8(pixels)
            places.append((left, top + heights[y], widths[x]))
            left += widths[x] + gap_px
        top += heights[y] + line + gap_px
    return canvas if captions is None else _written(canvas, places, [text for row in captions for text in row])


def fitted(pixels: Pixels, side_px: int) -> Pixels:
    """Shrink a picture so that no side is longer than ``side_px``; smaller ones stay as they are."""
    height, width = pixels.shape[:2]
    scale = side_px / max(height, width)
    return pixels if scale >= 1 else resized(pixels, max(round(height * scale), 1), max(round(width * scale), 1))


def _rgb_8(pixels: Pixels) -> Pixels:
    if pixels.dtype == np.uint16:
        return with_channels(to_8_bits(pixels), 3)
    return with_channels(to_pixels(to_tensor(pixels)) if pixels.dtype == np.float32 else pixels, 3)


def _written(
    canvas: NDArray[np.uint8], places: Sequence[tuple[int, int, int]], texts: Sequence[str]
) -> NDArray[np.uint8]:
    """Write a text at each place (left, top, width), in the middle."""
    image = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(_TEXT_PX)
    for (left, top, width), text in zip(places, texts, strict=True):
        plain = "".join(letter if letter.isprintable() else "?" for letter in text)
        draw.text((left + width / 2, top + _LINE_PX / 2), _shortened(plain, width, font), _INK, font, anchor="mm")
    return np.asarray(image)


def _shortened(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Take letters out of the middle until the rest fits."""
    for keep in range(len(text), 1, -1):
        shown = text if keep == len(text) else f"{text[: keep // 2]}...{text[len(text) - (keep - keep // 2) :]}"
        if font.getlength(shown) <= width:
            return shown
    return ""
