"""Distances between two sets of features: FID, KID, precision and recall, density and coverage, MIND."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from img2img.errors import DataError
from img2img.evaluate.extractors import EXTRA, Extractor
from img2img.evaluate.number import Number
from img2img.evaluate.spread import (
    around,
    bootstrap_error,
    frechet_jackknife,
    jackknife_error,
    kernel_distances,
    mind_distances,
)
from img2img.evaluate.subject import Found
from img2img.metrics.frechet import frechet_distance
from img2img.metrics.mind import mind, projected
from img2img.metrics.neighbours import density_and_coverage
from img2img.metrics.random_features import kernel_distance

PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS = 3, 5
KID_DRAWS, MIND_DRAWS, KID_SUBSETS, KID_SUBSET = 1000, 200, 100, 1000
LARGEST_WHOLE, LARGEST_SPREAD, SMALLEST_SPREAD = 5000, 600, 6
"""Images up to which KID is of all pairs, up to which FID and MIND get an interval (beyond, it takes minutes), and
from which on anything gets one."""


@dataclass(frozen=True)
class Two:
    """Features of outputs and references.

    Attributes:
        fake: float32 [m, d].
        real: float32 [n, d].
        seed: of what is drawn.
        kid_subset: images of each of 100 random subsets, None for all pairs.
        spread: whether numbers get intervals, which take longer than they do.
    """

    fake: Tensor
    real: Tensor
    seed: int = 0
    kid_subset: int | None = None
    spread: bool = True

    @property
    def smaller(self) -> int:
        """Images of the smaller set."""
        return min(len(self.fake), len(self.real))

    @property
    def larger(self) -> int:
        """Images of the larger set."""
        return max(len(self.fake), len(self.real))

    def has_interval(self, largest: float = math.inf) -> bool:
        """Tell whether a number of sets of up to so many images gets an interval."""
        return self.spread and self.smaller >= SMALLEST_SPREAD and self.larger <= largest


def fid(two: Two) -> list[Number]:
    """Fréchet distance; the interval is a jackknife's, an indication only: the bias of small sets is not in it."""
    value = float(frechet_distance(two.fake, two.real))
    words = "|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of unbiased covariances (arXiv 1706.08500, eq. 6)"
    number = Number("fid", value, "lower", len(two.fake), words)
    if not two.has_interval(LARGEST_SPREAD):
        return [number]
    values = frechet_jackknife(two.fake, two.real)
    settings = (("interval", f"jackknife of {len(values) // 2} groups of each set, an indication only"),)
    interval = around(value, jackknife_error(values))
    return [replace(number, interval=interval, settings=settings, draws=tuple(values.tolist()))]


def kid(two: Two) -> list[Number]:
    """Kernel distance, raw: neither x 100 nor x 1000."""
    words = "raw (times 100 in clean-fid's tables, 1000 in StyleGAN's), unbiased, may be negative, kernel (x.y/d + 1)^3"
    subset = two.kid_subset or (KID_SUBSET if two.larger > LARGEST_WHOLE else None)
    if subset is not None:
        return [_kid_of_subsets(two, subset, words)]
    value = float(kernel_distance(two.fake, two.real))
    about = f"{words} (arXiv 1801.01401, eq. 4), of all pairs"
    number = Number("kid", value, "lower", len(two.fake), about, settings=(("subset", "all pairs"), ("seed", two.seed)))
    if not two.has_interval():
        return [number]
    draws = kernel_distances(two.fake, two.real, KID_DRAWS, two.seed)
    settings = (*number.settings, ("interval", f"bootstrap of {KID_DRAWS} draws"))
    interval = around(value, bootstrap_error(draws))
    return [replace(number, interval=interval, settings=settings, draws=tuple(draws.tolist()))]


def _kid_of_subsets(two: Two, subset: int, words: str) -> Number:
    """As torch-fidelity draws and averages them, with its numbers for one seed."""
    if subset > two.smaller:
        raise DataError(f"--kid-subset {subset}: the smaller set has {two.smaller} images; expected that many or fewer")
    try:
        from torch_fidelity.metric_kid import (  # noqa: PLC0415 (an extra)
            KEY_METRIC_KID_MEAN,
            KEY_METRIC_KID_STD,
            kid_features_to_metric,
        )
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"KID of random subsets is torch-fidelity's: {EXTRA}", name=error.name) from error
    found = kid_features_to_metric(
        two.fake, two.real, kid_subsets=KID_SUBSETS, kid_subset_size=subset, rng_seed=two.seed, verbose=False
    )
    about = f"{words}, mean of {KID_SUBSETS} random subsets of {subset} (torch-fidelity)"
    settings = (("subset", subset), ("subsets_std", found[KEY_METRIC_KID_STD]), ("seed", two.seed))
    return Number("kid", found[KEY_METRIC_KID_MEAN], "lower", len(two.fake), about, settings=settings)


def precision_recall(two: Two) -> list[Number]:
    """Shares of outputs among the references, and of references among the outputs."""
    if two.smaller <= PRECISION_NEIGHBOURS:
        raise DataError(f"precision and recall need more than {PRECISION_NEIGHBOURS} images a side, got {two.smaller}")
    try:
        from torch_fidelity.metric_prc import calculate_precision_recall_full  # noqa: PLC0415 (an extra)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"precision and recall are torch-fidelity's: {EXTRA}", name=error.name) from error
    found = calculate_precision_recall_full(two.fake.double(), two.real.double(), PRECISION_NEIGHBOURS)
    words = f"k = {PRECISION_NEIGHBOURS} nearest neighbours (arXiv 1904.06991, eq. 2), meaningful from 1000 images on"
    wanted = ("precision", "share of outputs among references"), ("recall", "share of references among outputs")
    return [
        Number(name, value, "higher", len(two.fake), f"{what}, {words}")
        for (name, what), value in zip(wanted, found, strict=True)
    ]


def density_coverage(two: Two) -> list[Number]:
    """Density and coverage."""
    if len(two.real) <= DENSITY_NEIGHBOURS:
        raise DataError(f"density and coverage need more than {DENSITY_NEIGHBOURS} references, got {len(two.real)}")
    density, coverage = density_and_coverage(two.fake, two.real, DENSITY_NEIGHBOURS)
    words = f"k = {DENSITY_NEIGHBOURS} nearest neighbours (arXiv 2002.09797, eq. 5 and 6)"
    return [
        Number("density", float(density), "higher", len(two.fake), f"how densely references surround outputs, {words}"),
        Number("coverage", float(coverage), "higher", len(two.fake), f"share of references with an output, {words}"),
    ]


def sliced(two: Two) -> list[Number]:
    """MIND."""
    x, y = projected(two.fake, seed=two.seed), projected(two.real, seed=two.seed)
    scale = 3 * two.fake.shape[1]
    value = scale * float(mind(x, y))
    words = (
        "3 d times the mean squared 2-Wasserstein distance along 1000 random directions, quantiles of the smaller set"
    )
    number = Number("mind", value, "lower", len(two.fake), words, settings=(("seed", two.seed),))
    if not two.has_interval(LARGEST_SPREAD):
        return [number]
    draws = scale * mind_distances(x, y, MIND_DRAWS, two.seed)
    settings = (*number.settings, ("interval", f"bootstrap of {MIND_DRAWS} draws, without the bias of small sets"))
    interval = around(value, bootstrap_error(draws))
    return [replace(number, interval=interval, settings=settings, draws=tuple(draws.tolist()))]


@dataclass(frozen=True)
class Distance:
    """A function of two sets of features.

    Attributes:
        names: of the numbers that it returns.
        measure: it.
        everywhere: measured after every way of resizing, not the first alone.
    """

    names: tuple[str, ...]
    measure: Callable[[Two], list[Number]]
    everywhere: bool = False


DISTANCES = (
    Distance(("fid",), fid, everywhere=True),
    Distance(("kid",), kid, everywhere=True),
    Distance(("precision", "recall"), precision_recall),
    Distance(("density", "coverage"), density_coverage),
    Distance(("mind",), sliced),
)


def distances(
    extractors: Sequence[Extractor],
    fake: Mapping[str, Tensor],
    real: Mapping[str, Tensor],
    wanted: Callable[[str], bool],
    *,
    seed: int = 0,
    kid_subset: int | None = None,
    spread: bool = True,
) -> Found:
    """Measure every distance that is wanted, on the features of every extractor.

    Args:
        extractors: whose features there are.
        fake: features of the outputs by extractor.
        real: of the references.
        wanted: asked for each name, such as ``fid_clean``.
        seed: of what is drawn.
        kid_subset: see :class:`Two`.
        spread: likewise.
    """
    found = Found()
    for extractor in extractors:
        two = Two(fake[extractor.name], real[extractor.name], seed, kid_subset, spread)
        for distance in DISTANCES:
            names = [extractor.called(name) for name in distance.names]
            if not (extractor.everything or distance.everywhere) or not any(map(wanted, names)):
                continue
            try:
                with torch.no_grad():
                    numbers = distance.measure(two)
            except (DataError, ModuleNotFoundError) as error:
                found.missing |= dict.fromkeys(names, str(error))
                continue
            for number in numbers:
                name = extractor.called(number.name)
                if wanted(name):
                    found.numbers.append(
                        replace(number, name=name, definition=f"{number.definition}; features: {extractor.about}")
                    )
    return found
