"""Small, blurred and compressed: what enlarging must undo."""

from __future__ import annotations

from typing import final

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.derive.base import Derivation
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.data.derive.faults import ellipse_kernel, filtered, sinc_kernel, through_jpeg, with_noise
from img2img.image import Pixels, resized

_FILTERS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
_ISOTROPIC, _SINC, _SECOND_BLUR = 0.6, 0.1, 0.8
_FIRST, _SECOND = (0.3, 1.5), (0.6, 1.2)
"""Sides after the random resizings: of the whole in the first round, of the small size in the second."""


@final
class LowResolution(Derivation):
    """The photo made smaller and back to its size: what a small file looks like when it is enlarged.

    With ``blind``, in the order of Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833, section 3): blur, resize, noise,
    JPEG, all of it twice with weaker strengths the second time, and ringing (a sinc filter) before or after the last
    JPEG. Else one antialiased resizing. Source and target have one size, as networks here keep it: enlarge a small
    image by the factor before it is translated.

    Args:
        factor: how many times smaller.
        blind: random faults on the way, for files whose history is unknown.
        sigma_px: of the first blur; the second has half of it.
        noise: standard deviation of the first noise in levels of 255; the second has half of it.
        quality: of JPEG, both times.

    Raises:
        ValueError: for a factor below 2 or a range that is upside down.
    """

    source = "small"

    def __init__(
        self,
        factor: int = 4,
        blind: bool = True,
        sigma_px: Range = (0.2, 2.5),
        noise: Range = (1.0, 15.0),
        quality: Range = (30.0, 95.0),
    ) -> None:
        if factor < 2:  # noqa: PLR2004 (smaller)
            raise ValueError(f"factor: expected 2 or more, got {factor}")
        check_range("sigma_px", sigma_px, 0.1)
        check_range("noise", noise)
        check_range("quality", quality, 1, 100)
        self.factor, self.blind = factor, blind
        self.sigma_px, self.noise, self.quality = sigma_px, noise, quality

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Make it small; see :class:`Derivation`."""
        height, width = photo.shape[:2]
        small = max(height // self.factor, 1), max(width // self.factor, 1)
        if not self.blind:
            return resized(resized(photo, *small), height, width)
        draw = Draw(seed)
        scale = draw.uniform(_FIRST)
        first = max(round(height * scale), small[0]), max(round(width * scale), small[1])
        pixels = self._round(photo, draw, first, 1.0)
        pixels = through_jpeg(pixels, draw.uniform(self.quality))
        scale = draw.uniform(_SECOND)
        second = max(round(small[0] * scale), 1), max(round(small[1] * scale), 1)
        pixels = self._round(pixels, draw, second, 0.5, blur=draw.chance(_SECOND_BLUR))
        ringing = sinc_kernel(draw.uniform((np.pi / 3, np.pi)))
        ring_first, quality = draw.chance(0.5), draw.uniform(self.quality)
        if ring_first:
            pixels = through_jpeg(filtered(_to(pixels, small, draw), ringing), quality)
        else:
            pixels = filtered(_to(through_jpeg(pixels, quality), small, draw), ringing)
        return resized(pixels, height, width)

    def _round(
        self, pixels: Pixels, draw: Draw, size: tuple[int, int], strength: float, *, blur: bool = True
    ) -> Pixels:
        if blur:
            pixels = filtered(pixels, self._kernel(draw, strength))
        return with_noise(_to(pixels, size, draw), draw, strength * draw.uniform(self.noise), 0)

    def _kernel(self, draw: Draw, strength: float) -> NDArray[np.float32]:
        if draw.chance(_SINC):
            return sinc_kernel(draw.uniform((np.pi / 3, np.pi)))
        first = draw.uniform(self.sigma_px) * strength
        second = first if draw.chance(_ISOTROPIC) else draw.uniform(self.sigma_px) * strength
        return ellipse_kernel((max(first, 0.1), max(second, 0.1)), draw.uniform((0, np.pi)))


def _to(pixels: Pixels, size: tuple[int, int], draw: Draw) -> Pixels:
    """Resize with a filter drawn at random, as files are by programs of all kinds."""
    height, width = size
    smaller: Pixels = cv2.resize(pixels, (width, height), interpolation=_FILTERS[draw.integer(0, len(_FILTERS) - 1)])
    return smaller
