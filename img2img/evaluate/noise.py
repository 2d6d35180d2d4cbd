"""How much of a number, or of a difference between two, is chance of which images were looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from img2img.data.folder import few
from img2img.errors import DataError
from img2img.evaluate.number import Number

RESAMPLES = 2000
FLIPS = 10_000
SIGNIFICANT = 0.05

_LEVEL = (2.5, 97.5)
_FEWEST = 6
"""Pairs from which a sign-flip test can come to less than 0.05: the least it gives is 2 / 2^n."""
_BLOCK = 2**22
"""Draws held at once."""

Indices = NDArray[np.intp]


def interval_of(
    statistic: Callable[[Indices], float], count: int, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile bootstrap's 95 % interval of a number of a whole set (Efron 1979).

    Args:
        statistic: the number of the images with these indices [count], which repeat. What counts pairs of images (as
            the unbiased KID does) has to leave out those of an image with itself, or repeats push it up.
        count: images.
        resamples: how many sets are drawn.
        seed: of the draws.

    Raises:
        DataError: for fewer than two images, which have no spread.
    """
    if count < 2:  # noqa: PLR2004 (a spread)
        raise DataError(f"expected two images or more for an interval, got {count}")
    rng = np.random.default_rng(seed)
    found = [statistic(rng.integers(0, count, count)) for _ in range(resamples)]
    low, high = np.percentile(found, _LEVEL)
    return float(low), float(high)


def mean_interval(
    values: Sequence[float] | NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Return the percentile bootstrap's 95 % interval of the mean of single images' values; None for fewer than two."""
    array = np.asarray(values, np.float64)
    if len(array) < 2:  # noqa: PLR2004 (a spread)
        return None
    rng, count = np.random.default_rng(seed), len(array)
    means = [array[rng.integers(0, count, (rows, count))].mean(1) for rows in _blocks(resamples, count)]
    low, high = np.percentile(np.concatenate(means), _LEVEL)
    return float(low), float(high)


def sign_flip(differences: NDArray[np.float64], *, flips: int = FLIPS, seed: int = 0) -> float:
    """Return the two-sided p of a mean of paired differences, under the null that each might as well be negated.

    Fisher's randomisation test (1935, "The design of experiments", section 21): all 2^n signs where these are fewer
    than ``flips``, else drawn ones, the one that was seen counted among them, so that p is never 0.
    """
    count = len(differences)
    scaled = differences / max(float(np.abs(differences).max()), np.finfo(float).tiny)
    seen = abs(scaled.sum()) - 1e-9 * count  # sums of the same numbers differ in their last bits
    if 2**count <= flips:
        bits = np.arange(2**count)[:, None] >> np.arange(count) & 1
        return float((np.abs((2.0 * bits - 1) @ scaled) >= seen).mean())
    rng, extreme = np.random.default_rng(seed), 0
    for rows in _blocks(flips, count):
        signs = rng.integers(0, 2, (rows, count), np.int8).astype(np.float32) * 2 - 1
        extreme += int((np.abs(signs @ scaled) >= seen).sum())
    return (extreme + 1) / (flips + 1)


def _blocks(rows: int, columns: int) -> list[int]:
    step = max(_BLOCK // columns, 1)
    return [min(step, rows - start) for start in range(0, rows, step)]


@dataclass(frozen=True)
class Comparison:
    """What two runs over the same images say of one another.

    Attributes:
        name: of the number.
        difference: mean of mine less the other's, in the number's unit.
        interval: its 95 % interval.
        p: how often chance alone makes such a difference or a larger one, by :func:`sign_flip`.
        count: images that both were measured on.
        more_than_noise: whether p is below 0.05, which fewer than 6 images cannot show.
        words: all of it in one line, for people.
    """

    name: str
    difference: float
    interval: tuple[float, float]
    p: float
    count: int
    more_than_noise: bool
    words: str


def compare(mine: Number, other: Number, *, seed: int = 0) -> Comparison:
    """Say whether the difference of two numbers is more than chance of the images; nothing of another seed of training.

    Args:
        mine: with the values of single images.
        other: of the same definition on images of the same names, in any order.
        seed: of the draws.

    Raises:
        DataError: if they are not the same measurement of the same images.
    """
    ours, theirs = dict(mine.each), dict(other.each)
    _check_comparable(mine, other, ours, theirs)
    differences = np.array([value - theirs[name] for name, value in ours.items()], np.float64)
    difference, bounds = float(differences.mean()), mean_interval(differences, seed=seed)
    assert bounds is not None
    p, count = sign_flip(differences, seed=seed), len(differences)
    more = count >= _FEWEST and p < SIGNIFICANT
    unit = f" {mine.unit}" * bool(mine.unit)
    sense = _sense(mine, difference)
    words = (
        f"{mine.name} {mine.value:.4g}{unit} against {other.value:.4g}{unit}: {sense} by {abs(difference):.3g}{unit}"
    )
    words += f" (95 % interval of the difference {bounds[0]:+.3g} to {bounds[1]:+.3g}, p = {p:.2g}, {count} images), "
    words += "more than noise" if more else "no more than noise"
    if count < _FEWEST:
        words += f": fewer than {_FEWEST} images cannot show more"
    return Comparison(mine.name, difference, bounds, p, count, more, words)


def _check_comparable(mine: Number, other: Number, ours: dict[str, float], theirs: dict[str, float]) -> None:
    if (mine.name, mine.definition) != (other.name, other.definition):
        raise DataError(
            f"expected two numbers of one definition, got {mine.name} ({mine.definition}) and "
            f"{other.name} ({other.definition}); measure both with the same options"
        )
    if min(len(ours), len(theirs)) < 2:  # noqa: PLR2004 (a spread)
        counts = f"{len(ours)} and {len(theirs)}"
        raise DataError(f"{mine.name}: expected values of two or more single images on both sides, got {counts}")
    if ours.keys() != theirs.keys():
        alone = sorted(ours.keys() ^ theirs.keys())
        raise DataError(
            f"{mine.name}: {len(alone)} of the images were measured on one side only ({few(alone)}); "
            "a paired test needs the same names on both"
        )


def _sense(number: Number, difference: float) -> str:
    if difference == 0:
        return "apart"
    higher = difference > 0
    if number.better == "neither":
        return "higher" if higher else "lower"
    return "better" if higher == (number.better == "higher") else "worse"
