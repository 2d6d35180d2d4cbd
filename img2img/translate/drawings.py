"""Drawings made by hand, brought nearer to those that a translator was trained on; and what is unlike them, said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.image import Pixels, with_channels
from img2img.image.levels import highest_level

_PAPER_PERCENT, _PAPER_WITHIN, _LEAST_PAPER = 95.0, 0.2, 0.3
"""Paper is what lies within a fifth of the 95th percentile; a drawing leaves at least three tenths of it free."""

_LIGHT = 0.35
"""Paper is at least this light."""

_INK_BELOW = 0.75
"""Ink is what is darker than three quarters of the paper."""

_WHITE_ENOUGH = 0.96
"""Paper from here on is left as it is."""

_SMALLEST_INK_PX = 8
_FEWEST = 8
_NAMES = {"ink": "share of ink", "line_width_px": "line width", "grey": "share of grey"}


class Prepared(NamedTuple):
    """A drawing as the network should see it, and what was done or is unusual, in words."""

    pixels: Pixels
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Measures:
    """What drawings are compared by.

    Attributes:
        ink: share of pixels darker than three quarters of the paper, in [0, 1].
        line_width_px: median width of strokes, to a pixel; 0 without ink.
        grey: share of the ink that is neither black nor nearly paper: pencil has much, a pen little.
    """

    ink: float
    line_width_px: float
    grey: float


@dataclass(frozen=True)
class Drawings:
    """What the drawings of a training were like, and what to do with others.

    Args:
        lowest: least of each measure, but for one drawing in fifty.
        highest: greatest, likewise.
    """

    lowest: Measures
    highest: Measures

    @classmethod
    def of(cls, pictures: Iterable[Pixels]) -> Drawings | None:
        """Measure the drawings of a training.

        Args:
            pictures: uint8 [H, W, C] each; those that are not lines on paper, such as flat colours, are passed over.

        Returns:
            Their ranges, or None where hardly any were lines on paper.
        """
        found = [measure(picture) for picture in pictures if is_drawing(picture)]
        if len(found) < _FEWEST:
            return None
        table = np.array([list(asdict(one).values()) for one in found])
        low, high = np.quantile(table, (0.02, 0.98), axis=0).round(4).tolist()
        return cls(Measures(*low), Measures(*high))

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> Drawings | None:
        """Read what :meth:`plain` wrote into a translator's header; None for translators of other things."""
        found = (header.get("preprocessing") or {}).get("drawings")
        return None if found is None else cls(Measures(**found["lowest"]), Measures(**found["highest"]))

    def plain(self) -> dict[str, dict[str, float]]:
        """Return plain data for a translator's header."""
        return asdict(self)

    def normalise(self, pixels: Pixels) -> Prepared:
        """Make a drawing dark lines on white: light lines on dark are inverted, paper becomes white.

        What is not lines on paper either way (a photo, flat colours) is left as it is.

        Args:
            pixels: [H, W, C], uint8, uint16 or float32 in [-1, 1].

        Returns:
            The same kind, and notes: what was done, and what lies outside the training's range.
        """
        notes = []
        if self._is_inverted(pixels):
            pixels = -pixels if pixels.dtype == np.float32 else highest_level(pixels.dtype) - pixels
            notes.append("light lines on dark, inverted")
        if not is_drawing(pixels):
            return Prepared(pixels, (*notes, "not lines on paper: left as it is"))
        levels = _levels(pixels)
        paper = _paper(levels)
        if paper.min() < _WHITE_ENOUGH:
            white = (levels / paper).clip(0, 1)
            pixels = _as(white, pixels)
            notes.append("paper made white")
        return Prepared(pixels, (*notes, *self.unlike(measure(pixels))))

    def unlike(self, found: Measures) -> tuple[str, ...]:
        """Say which measures lie outside the range of the training, and what would help."""
        said = []
        for field in fields(Measures):
            value, low, high = (getattr(one, field.name) for one in (found, self.lowest, self.highest))
            if low <= value <= high or (field.name == "grey" and value < low):
                continue  # a clean drawing without any grey is an easy one
            name, side = _NAMES[field.name], "below" if value < low else "above"
            help_ = " (--size scales lines along)" if field.name == "line_width_px" else ""
            said.append(f"{name} {side} that of the training's drawings{help_}")
        return tuple(said)

    def _is_inverted(self, pixels: Pixels) -> bool:
        """Return whether the negative is a drawing like the training's, and the picture itself is none."""
        negative = 255 - _as_8_bits(pixels)
        if not is_drawing(negative) or measure(negative).ink > self.highest.ink:
            return False
        return not is_drawing(pixels) or measure(pixels).ink > self.highest.ink


def is_drawing(pixels: Pixels) -> bool:
    """Return whether much of a picture is paper: of one light colour."""
    levels = _levels(pixels)
    return bool(np.percentile(levels, _PAPER_PERCENT) >= _LIGHT and _is_paper(levels).mean() >= _LEAST_PAPER)


def measure(pixels: Pixels) -> Measures:
    """Measure a drawing, [H, W, C] of any kind, dark on light.

    Its width is the median over the ridges of the distance to the nearest paper: 2 d - 1.
    """
    levels = _levels(pixels)
    light = (levels / _paper(levels)).mean(2)
    ink = light < _INK_BELOW
    count = int(ink.sum())
    if count < _SMALLEST_INK_PX:
        return Measures(count / ink.size, 0.0, 0.0)
    # beyond the border there is paper: a picture all of ink would else have no distance
    padded = np.pad(ink.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ridge = (distance > 0) & (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8)))
    darkest = float(np.quantile(light[ink], 0.05))
    grey = (light[ink] > darkest + 0.25 * (1 - darkest)).mean()
    return Measures(
        round(count / ink.size, 4), round(float(np.median(2 * distance[ridge] - 1)), 2), round(float(grey), 4)
    )


def _as_8_bits(pixels: Pixels) -> NDArray[np.uint8]:
    return np.rint(_levels(pixels) * 255).astype(np.uint8)


def _levels(pixels: Pixels) -> NDArray[np.float32]:
    """Return [H, W, 3] in [0, 1]."""
    values = with_channels(pixels, 3).astype(np.float32)
    levels = (values + 1) / 2 if pixels.dtype == np.float32 else values / highest_level(pixels.dtype)
    return levels.astype(np.float32)


def _as(levels: NDArray[np.float32], like: Pixels) -> Pixels:
    """Return levels in [0, 1] as pixels of the kind and channels of ``like``."""
    if like.dtype == np.float32:
        return with_channels(levels * 2 - 1, like.shape[2])
    whole = np.rint(levels * highest_level(like.dtype)).astype(like.dtype)
    return with_channels(whole, like.shape[2])


def _is_paper(levels: NDArray[np.float32]) -> NDArray[np.bool_]:
    brightest = np.percentile(levels, _PAPER_PERCENT, axis=(0, 1))
    near: NDArray[np.bool_] = np.all(abs(levels - brightest) <= _PAPER_WITHIN * brightest, axis=2)
    return near


def _paper(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return red, green and blue of the paper: the median of what is near the brightest."""
    near = _is_paper(levels)
    colour = np.median(levels[near], axis=0) if near.any() else levels.max((0, 1))
    paper: NDArray[np.float32] = np.maximum(colour, 1 / 255).astype(np.float32)
    return paper
