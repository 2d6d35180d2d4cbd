"""Holes to fill in."""

from __future__ import annotations

from typing import final

import cv2
import numpy as np

from img2img.data.derive.base import Derivation
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.image import Pixels

_CORNERS, _STROKES = (4, 12), 40


@final
class Masked(Derivation):
    """The photo with brush strokes painted over it in one colour, for inpainting.

    Free-form masks (Yu et al. 2019, arXiv 1806.03589, section 3.5 and algorithm 1): strokes of random corners, turns
    and widths, until enough is covered. Networks here take RGB, so the mask is a colour instead of a channel: paint
    over what is to be replaced in that colour.

    Args:
        covered: least share of the photo that is painted over.
        width: of the brush, in shares of the shorter side.
        colour: red, green and blue, 0 to 255, one that photos seldom have.

    Raises:
        ValueError: for a range that is upside down or out of these, or a colour that is none.
    """

    source = "masked"

    def __init__(
        self,
        covered: Range = (0.05, 0.3),
        width: Range = (0.04, 0.12),
        colour: tuple[int, int, int] = (255, 0, 255),
    ) -> None:
        check_range("covered", covered, 0, 0.9)
        check_range("width", width, 0.001, 1)
        if not all(0 <= level <= 255 for level in colour):  # noqa: PLR2004 (8 bits)
            raise ValueError(f"colour: expected levels from 0 to 255, got {list(colour)}")
        self.covered, self.width, self.colour = covered, width, colour

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Paint over; see :class:`Derivation`."""
        draw = Draw(seed)
        wanted = draw.uniform(self.covered)
        height, width = photo.shape[:2]
        mask = np.zeros((height, width), np.uint8)
        for _ in range(_STROKES):
            brush = max(round(draw.uniform(self.width) * min(height, width)), 1)
            x, y = draw.uniform((0, width)), draw.uniform((0, height))
            angle = draw.uniform((0, 2 * np.pi))
            for _ in range(draw.integer(*_CORNERS)):
                angle += draw.uniform((np.pi / 2, np.pi))
                length = draw.uniform((0.05, 0.25)) * min(height, width)
                end = x + length * np.cos(angle), y + length * np.sin(angle)
                cv2.line(mask, (round(x), round(y)), (round(end[0]), round(end[1])), 255, brush)
                x, y = end
            if mask.mean() / 255 >= wanted:
                break
        return np.where(mask[..., None] > 0, np.array(self.colour, np.uint8), photo)
