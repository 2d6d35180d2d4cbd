"""The pencil drawing of the darkroom."""

from __future__ import annotations

from typing import final

from img2img.data.derive.base import Derivation, blurred, luma, on_paper, unit
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.image import Pixels

_LEAST = 1 / 255


@final
class Dodge(Derivation):
    """Colour dodge of the photo with its blurred negative: I / (1 - G_sigma(1 - I)), the usual "pencil sketch".

    Shades next to their surroundings remain, plain areas become paper.

    Args:
        sigma_px: of the Gaussian, in pixels of a 256 px image; wider keeps more shading.
        gamma: exponent of the result; above 1 makes it darker.

    Raises:
        ValueError: for a range that is upside down or out of these.
    """

    source = "sketch"
    drawing = True

    def __init__(self, sigma_px: Range = (2.0, 8.0), gamma: Range = (1.0, 3.0)) -> None:
        check_range("sigma_px", sigma_px, 0.1)
        check_range("gamma", gamma, 0.1)
        self.sigma_px, self.gamma = sigma_px, gamma

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Draw with a pencil; see :class:`Derivation`."""
        draw = Draw(seed)
        light = luma(photo)
        around = blurred(light, draw.uniform(self.sigma_px) * unit(photo))
        return on_paper((light / around.clip(_LEAST, 1)).clip(0, 1) ** draw.uniform(self.gamma))
