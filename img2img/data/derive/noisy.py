"""Noise to take away."""

from __future__ import annotations

from typing import final

from img2img.data.derive.base import Derivation
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.data.derive.faults import with_noise
from img2img.image import Pixels


@final
class Noisy(Derivation):
    """The photo with a sensor's noise: variance read^2 + shot^2 I (Foi et al. 2008, TIP 17(10), equation 2).

    Args:
        read: standard deviation in black, in levels of 255.
        shot: root of the variance that white adds, in levels of 255.

    Raises:
        ValueError: for a range that is upside down or negative.
    """

    source = "noisy"

    def __init__(self, read: Range = (2.0, 25.0), shot: Range = (0.0, 30.0)) -> None:
        check_range("read", read)
        check_range("shot", shot)
        self.read, self.shot = read, shot

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Add noise; see :class:`Derivation`."""
        draw = Draw(seed)
        read, shot = draw.uniform(self.read), draw.uniform(self.shot)
        return with_noise(photo, draw, read, shot)
