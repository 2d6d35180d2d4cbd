"""How much numbers of whole sets move when other images are drawn: bootstrap where it is sound, jackknife elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from img2img.metrics.frechet import frechet_distance
from img2img.metrics.mind import mind_of_sorted
from img2img.metrics.random_features import polynomial_kernel

GROUPS = 20
_NORMAL_95 = 1.96


def counts(size: int, draws: int, seed: int, side: int) -> Tensor:
    """Draw sets anew with replacement: how often each image is in each, int64 [draws, size].

    They depend on size, seed and side alone: two evaluations against one set of references draw the same ones.
    """
    generator = torch.Generator().manual_seed(2 * seed + side)
    drawn = torch.randint(size, (draws, size), generator=generator)
    found = torch.zeros(draws, size, dtype=torch.int64).scatter_add_(1, drawn, torch.ones_like(drawn))
    found[(found > 0).sum(1) == 1] = 1  # of one image alone, which has no distance within: the whole set instead
    return found


def kernel_distances(x: Tensor, y: Tensor, draws: int, seed: int) -> Tensor:
    """Return the kernel distance of sets drawn anew, float64 [draws].

    Only pairs of different images count, in the weights that the draw gives them: an image that is drawn twice is not
    its own neighbour, which would move every value up.
    """
    weights_x, weights_y = (counts(len(s), draws, seed, side).double() for side, s in enumerate((x, y)))
    x, y = x.double(), y.double()
    cross = (weights_x @ polynomial_kernel(x, y) * weights_y).sum(1) / (len(x) * len(y))
    return _within(x, weights_x) + _within(y, weights_y) - 2 * cross


def _within(x: Tensor, weights: Tensor) -> Tensor:
    kernel = polynomial_kernel(x, x).fill_diagonal_(0)
    pairs = weights.sum(1).square() - weights.square().sum(1)
    return (weights @ kernel * weights).sum(1) / pairs


def mind_distances(x: Tensor, y: Tensor, draws: int, seed: int) -> Tensor:
    """Return :func:`img2img.metrics.mind.mind` of projected sets drawn anew, float64 [draws]."""
    generator_x, generator_y = counts(len(x), draws, seed, 0), counts(len(y), draws, seed, 1)
    order_x, order_y = x.argsort(0), y.argsort(0)
    return torch.stack(
        [
            mind_of_sorted(_drawn(x, order_x, a), _drawn(y, order_y, b))
            for a, b in zip(generator_x, generator_y, strict=True)
        ]
    )


def _drawn(values: Tensor, order: Tensor, count: Tensor) -> Tensor:
    """Return each column's sorted values as often as its images were drawn."""
    ordered = values.gather(0, order).T.reshape(-1)
    return ordered.repeat_interleave(count[order].T.reshape(-1)).reshape(values.shape[1], -1).T


def frechet_jackknife(x: Tensor, y: Tensor) -> Tensor:
    """Return FID without each of 20 groups of the one set, and then of the other, float64 [40]."""
    groups = min(GROUPS, len(x), len(y))
    without_x = [frechet_distance(_without(x, g, groups), y) for g in range(groups)]
    without_y = [frechet_distance(x, _without(y, g, groups)) for g in range(groups)]
    return torch.stack(without_x + without_y)


def _without(x: Tensor, group: int, groups: int) -> Tensor:
    return x[torch.arange(len(x)) % groups != group]


def bootstrap_error(draws: Tensor) -> float:
    """Return the standard error that values of sets drawn anew show."""
    return float(draws.std())


def jackknife_error(values: Tensor) -> float:
    """Return the standard error of two samples from values without each group of either (Efron and Stein 1981)."""
    groups = len(values) // 2
    sides = values.reshape(2, groups)
    return float(((groups - 1) / groups * (sides - sides.mean(1, keepdim=True)).square().sum()).sqrt())


def around(value: float, error: float) -> tuple[float, float]:
    """Return a 95 % interval of a normal distribution."""
    return value - _NORMAL_95 * error, value + _NORMAL_95 * error
