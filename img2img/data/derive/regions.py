"""Flat areas of colour."""

from __future__ import annotations

from typing import final

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.derive.base import Derivation, unit
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.image import Pixels

Numbers = NDArray[np.int32]

_THUMBNAIL_PX, _ROUNDS = 48, 10


@final
class Regions(Derivation):
    """The photo in a few colours: k-means in CIE L*a*b* (Lloyd 1982), small areas merged by median filters.

    Args:
        colours: how many, drawn from this range.
        smooth_px: side of the median filters, in pixels of a 256 px image; areas narrower than half of it vanish.

    Raises:
        ValueError: for a range that is upside down or out of these.
    """

    source = "regions"

    def __init__(self, colours: tuple[int, int] = (4, 12), smooth_px: Range = (5.0, 13.0)) -> None:
        check_range("colours", colours, 2, 255)
        check_range("smooth_px", smooth_px, 1)
        self.colours, self.smooth_px = colours, smooth_px

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Fill regions; see :class:`Derivation`."""
        draw = Draw(seed)
        count = draw.integer(*self.colours)
        side = 2 * max(round(draw.uniform(self.smooth_px) * unit(photo) / 2), 1) + 1
        lab = cv2.cvtColor(cv2.medianBlur(photo, side), cv2.COLOR_RGB2LAB)
        small = cv2.resize(lab, (_THUMBNAIL_PX, _THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
        samples = small.reshape(-1, 3).astype(np.float32)
        first = samples[[draw.integer(0, len(samples) - 1) for _ in range(count)]]
        stop = (cv2.TERM_CRITERIA_MAX_ITER, _ROUNDS, 0.0)
        # with first labels given, OpenCV draws nothing from its own random state, which all of a process share
        _, _, centres = cv2.kmeans(samples, count, _nearest(samples, first), stop, 1, cv2.KMEANS_USE_INITIAL_LABELS)
        centres = centres[np.argsort(centres[:, 0])]  # by lightness, so that the median of labels is a colour between
        labels = _nearest(lab.reshape(-1, 3).astype(np.float32), centres).reshape(lab.shape[:2])
        labels = cv2.medianBlur(labels.astype(np.uint8), side)
        palette = cv2.cvtColor(np.rint(centres)[None].clip(0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)[0]
        filled: Pixels = palette[labels]
        return filled


def _nearest(points: NDArray[np.float32], centres: NDArray[np.float32]) -> Numbers:
    """Return for each [N, 3] the number of the nearest of [K, 3], int32 [N, 1]."""
    distance = (centres**2).sum(1) - 2 * points @ centres.T
    numbers: Numbers = distance.argmin(1).astype(np.int32)[:, None]
    return numbers
