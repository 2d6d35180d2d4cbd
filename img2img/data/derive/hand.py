"""What a hand does that an edge filter does not: uneven lines, gaps, wobble, paper, ink."""

from __future__ import annotations

import cv2
import numpy as np

from img2img.data.derive.base import unit
from img2img.data.derive.draw import Draw
from img2img.data.derive.faults import rounded
from img2img.image import Pixels

_WHITE = (255.0, 255.0, 255.0)
_WOBBLE_PX, _GRAIN_PX = 48, 3
"""Length over which a line wanders, and size of the paper's grain, at a shorter side of 256 px."""


def widened(drawing: Pixels, by_px: float) -> Pixels:
    """Make dark lines wider, or narrower where negative, by so many pixels of a 256 px image."""
    side = round(abs(by_px) * unit(drawing)) + 1
    if side < 2:  # noqa: PLR2004 (nothing to do)
        return drawing
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    change = cv2.erode if by_px > 0 else cv2.dilate  # of light: to erode it makes dark lines grow
    changed: Pixels = change(drawing, brush)
    return changed


def with_gaps(drawing: Pixels, share: float, draw: Draw) -> Pixels:
    """Rub out about a share of the drawing, in soft patches, as if strokes had been left out."""
    height, width = drawing.shape[:2]
    coarse = draw.normal(8, 8)
    field = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    edge = np.quantile(field, 1 - share) if share > 0 else np.inf
    rubbed = (1 / (1 + np.exp(-12 * (field - edge).clip(-4, 4))))[..., None]
    return rounded(drawing + (255.0 - drawing) * rubbed)


def wobbled(drawing: Pixels, most_px: float, draw: Draw) -> Pixels:
    """Move every place smoothly by at most so many pixels of a 256 px image."""
    height, width = drawing.shape[:2]
    cells = max(round(min(height, width) / (_WOBBLE_PX * unit(drawing))), 2)
    coarse = np.tanh(draw.normal(2, cells, cells)) * (most_px * unit(drawing))
    shift_x, shift_y = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in coarse)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    moved: Pixels = cv2.remap(drawing, x + shift_x, y + shift_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return moved


def inked(drawing: Pixels, colour: tuple[float, float, float]) -> Pixels:
    """Draw in another colour than black; white stays white."""
    ink = np.array(colour, np.float32)
    return rounded(ink + drawing.astype(np.float32) * (255 - ink) / 255)


def on_grain(drawing: Pixels, tint: tuple[float, float, float], grain: float, draw: Draw) -> Pixels:
    """Lay the drawing on paper.

    Args:
        drawing: uint8 [H, W, 3] on white.
        tint: levels of the paper.
        grain: standard deviation of the paper's grain, in levels of 255.
        draw: source of the grain.
    """
    height, width = drawing.shape[:2]
    size = max(round(_GRAIN_PX * unit(drawing)), 1)
    coarse = draw.normal(-(-height // size), -(-width // size))
    texture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    paper = np.array(tint, np.float32) + grain * texture[..., None]
    return rounded(drawing.astype(np.float32) * paper / 255)


def softened(drawing: Pixels, contrast: float) -> Pixels:
    """Bring black nearer to white: a contrast of 0.6 leaves black at 40 % of white."""
    return rounded(255 - (255.0 - drawing) * contrast)
