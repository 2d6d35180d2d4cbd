"""Drawings of many kinds, so that those made by hand work too."""

from __future__ import annotations

from typing import final

import numpy as np

from img2img.data.derive.base import Derivation
from img2img.data.derive.canny import Canny
from img2img.data.derive.dodge import Dodge
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.data.derive.faults import through_jpeg
from img2img.data.derive.hand import inked, on_grain, softened, widened, with_gaps, wobbled
from img2img.data.derive.line_art import LineArt
from img2img.data.derive.pencil import Pencil
from img2img.data.derive.regions import Regions
from img2img.data.derive.xdog import XDoG
from img2img.image import Pixels

_MIXED = 4
"""Position of the mixture among the weights."""


@final
class Sketch(Derivation):
    """A photo as somebody might have drawn it: another style, pen and paper for every sample.

    A network that has seen one edge filter alone knows its lines and fails on drawings (pix2pix's was, and did); one
    that has seen many does not take any of them for granted (domain randomisation, Tobin et al. 2017, arXiv
    1703.06907). Styles: XDoG ink, Canny edges, pencil (by Sobel), flat regions, and two styles of lines over one
    another. Pixels of the input move by at most ``wobble_px``, those of the target stay.

    Args:
        weights: how often each style is drawn: XDoG, Canny, pencil, regions, mixture.
        wider_px: how much lines become wider, or narrower where negative, in pixels of a 256 px image.
        gaps: share of a drawing that is rubbed out.
        wobble_px: greatest shift of a line, in pixels of a 256 px image; L1 tolerates up to 2.
        paper: probability of tinted, grained paper.
        colour: probability of blue, brown or grey instead of black.
        soft: probability of a weaker contrast.
        jpeg: probability of JPEG's traces.

    Raises:
        ValueError: for other than five weights, a range that is upside down, or no probability.
    """

    source = "sketch"
    drawing = True

    def __init__(
        self,
        weights: tuple[float, float, float, float, float] = (0.4, 0.2, 0.2, 0.1, 0.1),
        wider_px: Range = (-0.5, 2.0),
        gaps: Range = (0.0, 0.15),
        wobble_px: Range = (0.0, 1.5),
        paper: float = 0.3,
        colour: float = 0.2,
        soft: float = 0.3,
        jpeg: float = 0.3,
    ) -> None:
        if min(weights) < 0 or not sum(weights) > 0:
            raise ValueError(f"weights: expected numbers of 0 or more, not all 0, got {list(weights)}")
        check_range("wider_px", wider_px, -3, 6)
        check_range("gaps", gaps, 0, 0.9)
        check_range("wobble_px", wobble_px, 0, 8)
        for name, probability in (("paper", paper), ("colour", colour), ("soft", soft), ("jpeg", jpeg)):
            if not 0 <= probability <= 1:
                raise ValueError(f"{name}: expected a probability from 0 to 1, got {probability:g}")
        self.weights, self.wider_px, self.gaps, self.wobble_px = weights, wider_px, gaps, wobble_px
        self.paper, self.colour, self.soft, self.jpeg = paper, colour, soft, jpeg
        self.lines: tuple[Derivation, ...] = (XDoG(), Canny(), Pencil())
        self.regions = Regions()
        self.others: tuple[Derivation, ...] = (*self.lines, Dodge(), LineArt())

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Draw; see :class:`Derivation`."""
        draw = Draw(seed)
        style = draw.index(self.weights)
        if style < len(self.lines):
            drawing = self._by_hand(self.lines[style](photo, draw.seed()), draw)
        elif style < _MIXED:
            drawing = self.regions(photo, draw.seed())
        else:
            one, other = (self.others[draw.integer(0, len(self.others) - 1)](photo, draw.seed()) for _ in range(2))
            drawing = self._by_hand(np.minimum(one, other), draw)
        drawing = wobbled(drawing, draw.uniform(self.wobble_px), draw)
        if draw.chance(self.paper):
            grey, warm = draw.uniform((205, 255)), draw.uniform((0, 18))
            drawing = on_grain(drawing, (grey, grey - warm / 3, grey - warm), draw.uniform((0, 6)), draw)
        if draw.chance(self.jpeg):
            drawing = through_jpeg(drawing, draw.uniform((40, 95)))
        return drawing

    def _by_hand(self, lines: Pixels, draw: Draw) -> Pixels:
        lines = with_gaps(widened(lines, draw.uniform(self.wider_px)), draw.uniform(self.gaps), draw)
        if draw.chance(self.colour):
            red, blue = draw.uniform((10, 110)), draw.uniform((10, 140))
            lines = inked(lines, (red, (red + blue) / 2 * draw.uniform((0.5, 1)), blue))
        return softened(lines, draw.uniform((0.5, 1))) if draw.chance(self.soft) else lines
