"""Thin lines at edges."""

from __future__ import annotations

from typing import final

import cv2
import numpy as np

from img2img.data.derive.base import Derivation, unit
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.image import Pixels

_GREATEST = 8 * 255
"""Sum of the Sobel filter's weights times the greatest level: what a threshold of 1 would be."""


@final
class Canny(Derivation):
    """Edges one pixel wide (Canny 1986, PAMI 8(6)): maxima of the gradient along it, joined by hysteresis.

    Adding light changes nothing, as long as nothing clips: only differences count.

    Args:
        sigma_px: of the Gaussian before, in pixels of a 256 px image.
        threshold: of gradients that start a line, as a share of the filter's range.
        low: of gradients that continue one, as a share of ``threshold``.

    Raises:
        ValueError: for a range that is upside down or out of these.
    """

    source = "sketch"
    drawing = True

    def __init__(self, sigma_px: Range = (0.8, 1.8), threshold: Range = (0.06, 0.16), low: Range = (0.3, 0.5)) -> None:
        check_range("sigma_px", sigma_px, 0.1)
        check_range("threshold", threshold, 0, 1)
        check_range("low", low, 0, 1)
        self.sigma_px, self.threshold, self.low = sigma_px, threshold, low

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Draw edges; see :class:`Derivation`."""
        draw = Draw(seed)
        sigma = draw.uniform(self.sigma_px) * unit(photo)
        high = draw.uniform(self.threshold) * _GREATEST
        low = high * draw.uniform(self.low)
        light = cv2.GaussianBlur(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), (0, 0), sigma)
        edges = cv2.Canny(light, low, high, L2gradient=True)
        width = round(unit(photo))
        if width > 1:  # a line is as wide in a larger image as it looks in a small one
            edges = cv2.dilate(edges, np.ones((width, width), np.uint8))
        return np.repeat((255 - edges)[..., None], 3, axis=2)
