"""Night to turn into day."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from img2img.data.derive.base import Derivation
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.data.derive.faults import rounded, with_noise
from img2img.image import Pixels


@final
class Dark(Derivation):
    """The photo as a camera would have taken it with too little light.

    In linear light (IEC 61966-2-1): I^gamma, a colour cast, then back to sRGB and a sensor's noise.

    Args:
        gamma: exponent of linear light; the higher, the darker.
        cast: greatest factor by which one colour outweighs another.
        read: standard deviation of the noise in black, in levels of 255.
        shot: root of the variance that white adds, in levels of 255.

    Raises:
        ValueError: for a range that is upside down or out of these.
    """

    source = "dark"

    def __init__(
        self,
        gamma: Range = (2.0, 5.0),
        cast: float = 1.25,
        read: Range = (1.0, 6.0),
        shot: Range = (2.0, 15.0),
    ) -> None:
        check_range("gamma", gamma, 1)
        check_range("cast", (1, cast), 1)
        check_range("read", read)
        check_range("shot", shot)
        self.gamma, self.cast, self.read, self.shot = gamma, cast, read, shot

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Turn the light down; see :class:`Derivation`."""
        draw = Draw(seed)
        light = linear(photo) ** draw.uniform(self.gamma)
        gains = np.array([draw.uniform((1 / self.cast, 1)) for _ in range(3)], np.float32)
        read, shot = draw.uniform(self.read), draw.uniform(self.shot)
        return with_noise(_encoded(light * gains), draw, read, shot)


def linear(photo: Pixels) -> NDArray[np.float32]:
    """Return light in [0, 1] of sRGB levels."""
    levels = np.arange(256, dtype=np.float32) / 255
    table = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004
    light: NDArray[np.float32] = table.astype(np.float32)[photo]
    return light


def _encoded(light: NDArray[np.float32]) -> Pixels:
    low = light <= 0.0031308  # noqa: PLR2004 (IEC 61966-2-1)
    return rounded(255 * np.where(low, 12.92 * light, 1.055 * light.clip(1e-6, 1) ** (1 / 2.4) - 0.055))
