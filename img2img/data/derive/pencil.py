"""Soft pencil from the strength of edges."""

from __future__ import annotations

from typing import final

import cv2
import numpy as np

from img2img.data.derive.base import Derivation, blurred, luma, on_paper, unit
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.image import Pixels

_BRIGHTEST_PERCENT = 99.0


@final
class Pencil(Derivation):
    """1 - (|Sobel| / its 99th percentile)^gamma: the stronger an edge, the darker the line.

    Args:
        sigma_px: of the Gaussian before, in pixels of a 256 px image.
        gamma: exponent; above 1 weak edges vanish, below 1 they show.

    Raises:
        ValueError: for a range that is upside down or out of these.
    """

    source = "sketch"
    drawing = True

    def __init__(self, sigma_px: Range = (0.7, 1.6), gamma: Range = (0.7, 1.4)) -> None:
        check_range("sigma_px", sigma_px, 0.1)
        check_range("gamma", gamma, 0.1)
        self.sigma_px, self.gamma = sigma_px, gamma

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Draw with a pencil; see :class:`Derivation`."""
        draw = Draw(seed)
        light = blurred(luma(photo), draw.uniform(self.sigma_px) * unit(photo))
        edges = np.hypot(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1))
        strongest = max(float(np.percentile(edges, _BRIGHTEST_PERCENT)), 1 / 255)
        return on_paper(1 - (edges / strongest).clip(0, 1) ** draw.uniform(self.gamma))
