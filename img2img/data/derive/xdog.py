"""Ink by extended differences of Gaussians."""

from __future__ import annotations

from typing import final

import numpy as np

from img2img.data.derive.base import Derivation, Plane, blurred, luma, on_paper, unit
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.image import Pixels

_LOCAL_PX = 12.0
_PAPER = 0.85


@final
class XDoG(Derivation):
    """XDoG (Winnemoeller, Kyprianidis and Olsen 2012, Computers & Graphics 36(6), equations 7 and 8).

    u = (1 + p) G_sigma(I) - p G_(k sigma)(I); white where u >= epsilon, else 1 + tanh(phi (u - epsilon)). As published
    the dark parts of a photo are filled with ink; ``tone`` takes that back: the photo is first mixed with itself
    divided by its local mean, of which nothing but lines remains.

    Args:
        sigma_px: width of the finer Gaussian, in pixels of a 256 px image.
        ratio: k, width of the coarser Gaussian in widths of the finer.
        sharpness: p, weight of the difference; 0 is a threshold of the blurred photo.
        epsilon: level from which on the paper stays white, in [0, 1].
        phi: how fast ink darkens below it.
        tone: share of the photo's own light and dark, in [0, 1]; 1 is as published, 0 lines alone.

    Raises:
        ValueError: for a range that is upside down or out of these.
    """

    source = "sketch"
    drawing = True

    def __init__(
        self,
        sigma_px: Range = (0.8, 1.4),
        ratio: float = 1.6,
        sharpness: Range = (16.0, 24.0),
        epsilon: Range = (0.6, 0.75),
        phi: Range = (6.0, 14.0),
        tone: Range = (0.0, 0.8),
    ) -> None:
        check_range("sigma_px", sigma_px, 0.1)
        check_range("sharpness", sharpness)
        check_range("epsilon", epsilon, 0, 1)
        check_range("phi", phi)
        check_range("tone", tone, 0, 1)
        if ratio <= 1:
            raise ValueError(f"ratio: expected more than 1, got {ratio:g}")
        self.sigma_px, self.ratio, self.sharpness = sigma_px, ratio, sharpness
        self.epsilon, self.phi, self.tone = epsilon, phi, tone

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Draw with ink; see :class:`Derivation`."""
        draw = Draw(seed)
        sigma = draw.uniform(self.sigma_px) * unit(photo)
        p, epsilon, phi = draw.uniform(self.sharpness), draw.uniform(self.epsilon), draw.uniform(self.phi)
        tone = draw.uniform(self.tone)
        light = luma(photo)
        local = (_PAPER * light / (blurred(light, _LOCAL_PX * unit(photo)) + 0.02)).clip(0, 1)
        mixed = (tone * light + (1 - tone) * local).astype(np.float32)
        u: Plane = (1 + p) * blurred(mixed, sigma) - p * blurred(mixed, self.ratio * sigma)
        return on_paper(np.where(u >= epsilon, np.float32(1), 1 + np.tanh(phi * (u - epsilon))))
