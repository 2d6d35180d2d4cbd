"""Where the tiles of an image lie, and how much each counts: whole-number geometry, one side at a time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

_BLENDED_PART = 4
"""Neighbours are blended over a quarter of the overlap to either side of their border: there both have seen at least
three quarters of it beyond."""


@dataclass(frozen=True)
class Span:
    """One side of a tile, in pixels of the image.

    Attributes:
        start: first pixel that the network sees.
        stop: the pixel after the last one that it sees.
        core: from and to of its own part; the cores of all spans lie side by side and cover the image.
        counts: from and to of the part that enters the result, blending included.
        settled: up to here the result is complete once this span has been added.
        weights: float32 [counts], of the result; over all spans they add up to 1 at every pixel.
    """

    start: int
    stop: int
    core: tuple[int, int]
    counts: tuple[int, int]
    settled: int
    weights: Tensor


def spans(side_px: int, tile_px: int, overlap_px: int, multiple: int) -> list[Span]:
    """Cover one side of an image with tiles of one size.

    Every start and every border between cores is a multiple of ``multiple``, so that strided layers sample the same
    grid as in the whole image, and features of every resolution divide into cores. The last tile is moved back into
    the image. At the border of two cores the weights cross over as sin^2 and cos^2 do.

    Args:
        side_px: of the image.
        tile_px: of the tiles; more than twice the overlap, unless one tile covers the side.
        overlap_px: how far a tile reaches beyond its core, at least, where the image goes on.
        multiple: that the network's sizes are multiples of; all sizes given here are.
    """
    assert side_px % multiple == tile_px % multiple == overlap_px % multiple == 0
    if side_px <= tile_px:
        return [Span(0, side_px, (0, side_px), (0, side_px), side_px, torch.ones(side_px))]
    stride = tile_px - 2 * overlap_px
    assert stride > 0
    starts = [*range(0, side_px - tile_px, stride), side_px - tile_px]
    borders = [(one + tile_px + other) // 2 // multiple * multiple for one, other in pairwise(starts)]
    half = min(overlap_px, stride) // _BLENDED_PART
    found = []
    for start, low, high in zip(starts, [None, *borders], [*borders, None], strict=True):
        first = 0 if low is None else low - half
        last = side_px if high is None else high + half
        position = torch.arange(first, last, dtype=torch.float64) + 0.5
        weights = torch.ones_like(position)
        if low is not None:
            weights *= _rise(position - low, half)
        if high is not None:
            weights *= 1 - _rise(position - high, half)
        core = (low or 0, side_px if high is None else high)
        settled = side_px if high is None else high - half
        found.append(Span(start, start + tile_px, core, (first, last), settled, weights.float()))
    return found


def _rise(beyond: Tensor, half: int) -> Tensor:
    """Go from 0 at -half to 1 at +half, as sin^2."""
    if half == 0:
        return (beyond > 0).to(beyond.dtype)
    return torch.sin((beyond / (2 * half) + 0.5).clamp(0, 1) * (torch.pi / 2)).square()
