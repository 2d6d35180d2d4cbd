"""MIND: the sliced Wasserstein distance of two sets of features. No covariance, so few images do."""

from __future__ import annotations

import torch
from torch import Tensor


def projected(features: Tensor, count: int = 1000, seed: int = 0) -> Tensor:
    """Project features onto random directions; a row is an image.

    Args:
        features: [m, d].
        count: directions, drawn uniformly from the unit sphere.
        seed: of the draw.

    Returns:
        float64 [m, count].
    """
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(features.shape[1], count, generator=generator, dtype=torch.float64)
    directions /= directions.norm(dim=0)
    return features.double().cpu() @ directions


def mind(x: Tensor, y: Tensor) -> Tensor:
    """Return 3 d times the mean over directions of the squared 2-Wasserstein distance along them.

    Along one direction the distance is the mean squared difference of the sorted values; sets of different sizes are
    compared at the quantiles (i + 1/2) / k of the smaller, those of the larger interpolated between its own.

    Args:
        x: [m, count] of :func:`projected`.
        y: [n, count], of the same directions.

    Returns:
        float64 scalar before the factor 3 d: multiply by it.
    """
    return mind_of_sorted(x.sort(0).values, y.sort(0).values)


def mind_of_sorted(x: Tensor, y: Tensor) -> Tensor:
    """Return :func:`mind`, float64 scalar, of projections [m, count] and [n, count] whose every column is sorted.

    Rows are ranks then and no images: draw images anew before sorting.
    """
    size = min(len(x), len(y))
    return (_quantiles(x, size) - _quantiles(y, size)).square().mean()


def _quantiles(ordered: Tensor, size: int) -> Tensor:
    if len(ordered) == size:
        return ordered
    place = ((torch.arange(size, dtype=torch.float64) + 0.5) / size * len(ordered) - 0.5).clamp(0, len(ordered) - 1)
    below = place.long()
    above = (below + 1).clamp(max=len(ordered) - 1)
    return torch.lerp(ordered[below], ordered[above], (place - below)[:, None])
