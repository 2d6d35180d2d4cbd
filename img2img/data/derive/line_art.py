"""Clean lines as of a technical pen."""

from __future__ import annotations

from typing import final

import cv2
import numpy as np

from img2img.data.derive.base import Derivation, unit
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.image import Pixels

_SIGMA_LEVELS, _SIGMA_PX, _DIAMETER_PX = 40.0, 3.0, 7
"""Of the bilateral filter (Tomasi and Manduchi 1998), which smooths within shapes and not across their edges."""


@final
class LineArt(Derivation):
    """Ink where a pixel is darker than its surroundings: bilateral filter, adaptive threshold, specks removed.

    Args:
        window_px: side of the surroundings, in pixels of a 256 px image; wider draws thicker lines.
        offset: levels (of 255) below the mean of the surroundings from which on there is ink.
        smallest_px: ink of fewer connected pixels is removed, in pixels of a 256 px image.

    Raises:
        ValueError: for a range that is upside down or out of these.
    """

    source = "sketch"
    drawing = True

    def __init__(self, window_px: Range = (7.0, 15.0), offset: Range = (5.0, 12.0), smallest_px: float = 12.0) -> None:
        check_range("window_px", window_px, 3)
        check_range("offset", offset, 0, 255)
        check_range("smallest_px", (0, smallest_px))
        self.window_px, self.offset, self.smallest_px = window_px, offset, smallest_px

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Draw lines; see :class:`Derivation`."""
        draw, scale = Draw(seed), unit(photo)
        window = 2 * max(round(draw.uniform(self.window_px) * scale / 2), 1) + 1
        light = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        light = cv2.bilateralFilter(light, _DIAMETER_PX, _SIGMA_LEVELS, _SIGMA_PX * scale)
        ink = cv2.adaptiveThreshold(
            light, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY_INV, window, draw.uniform(self.offset)
        )
        ink = without_specks(ink, self.smallest_px * scale**2)
        return np.repeat((255 - ink)[..., None], 3, axis=2)


def without_specks(ink: Pixels, smallest_px: float) -> Pixels:
    """Remove what is smaller, as pix2pix did with its edges (section 6.2: components below a size).

    Args:
        ink: uint8 [H, W], 0 where there is none.
        smallest_px: pixels that a connected stroke must have to stay.
    """
    _, labels, facts, _ = cv2.connectedComponentsWithStats((ink > 0).astype(np.uint8), connectivity=8)
    kept = facts[:, cv2.CC_STAT_AREA] >= smallest_px
    return np.where(kept[labels], ink, 0).astype(np.uint8)
