"""Black and white, with dots of colour where wanted."""

from __future__ import annotations

from typing import final

import cv2
import numpy as np

from img2img.data.derive.base import Derivation, unit
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.image import Pixels

_NEUTRAL = 128
"""a* and b* of grey in OpenCV's 8-bit L*a*b*."""


@final
class Grey(Derivation):
    """The photo's CIE lightness L* as grey, for colourisation; the target is RGB, so that any method can learn it.

    pix2pix (Isola et al. 2017, section 4) translates L into ab; with RGB as target no network needs to know of colour
    spaces. Hints (Zhang et al. 2017, arXiv 1705.02999, section 3.2) are dots of the photo's mean colour there, painted
    over the grey; draw some of them over a grey photo with any paint program to say what is to be which colour.

    Args:
        hints: dots of colour, drawn from this range; 0 and 0 for none.
        radius_px: of the dots, in pixels of a 256 px image.

    Raises:
        ValueError: for a range that is upside down or out of these.
    """

    source = "grey"

    def __init__(self, hints: tuple[int, int] = (0, 0), radius_px: Range = (2.0, 5.0)) -> None:
        check_range("hints", hints)
        check_range("radius_px", radius_px, 0.5)
        self.hints, self.radius_px = hints, radius_px

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Take the colours away; see :class:`Derivation`."""
        lab = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB)
        lab[..., 1:] = _NEUTRAL
        grey = np.ascontiguousarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))
        draw = Draw(seed)
        height, width = photo.shape[:2]
        for _ in range(draw.integer(*self.hints)):
            y, x = draw.integer(0, height - 1), draw.integer(0, width - 1)
            radius = max(round(draw.uniform(self.radius_px) * unit(photo)), 1)
            around = photo[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
            colour = tuple(float(round(level)) for level in around.reshape(-1, 3).mean(0))
            cv2.circle(grey, (x, y), radius, colour, cv2.FILLED)
        return grey
