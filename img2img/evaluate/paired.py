"""Outputs against their targets, one pair at a time: ten thousand pairs take the memory of one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from img2img.data.folder import pair_folders
from img2img.errors import ConfigError, DataError
from img2img.evaluate.noise import mean_interval
from img2img.evaluate.number import Better, Number
from img2img.evaluate.seen import Image, both
from img2img.metrics import paired as scores


@dataclass(frozen=True)
class PairMetric:
    """A score of one image against another.

    Attributes:
        name: the field's term.
        better: which way is better.
        definition: what is computed, in one line.
        measure: float32 [B, C, H, W] in [-1, 1] twice to [B].
        unit: of the values.
        smallest_px: the shorter side from which images are measured.
        channels: that images are brought to; None leaves grey images grey.
        settings: what it depends on besides the images.
    """

    name: str
    better: Better
    definition: str
    measure: Callable[[Tensor, Tensor], Tensor]
    unit: str = ""
    smallest_px: int = 1
    channels: int | None = None
    settings: tuple[tuple[str, Any], ...] = ()

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Measure float32 [B, C, H, W] in [-1, 1] against the same; [B].

        Raises:
            DataError: if they are too small.
        """
        height, width = outputs.shape[-2:]
        if min(height, width) < self.smallest_px:
            raise DataError(f"{self.name}: takes images of {self.smallest_px} px a side or more, got {width}x{height}")
        return self.measure(*(images.expand(-1, self.channels or -1, -1, -1) for images in (outputs, targets)))


_OF_FILES = "of the values a file holds"
L1 = PairMetric("l1", "lower", f"mean absolute difference {_OF_FILES} in [0, 1], all channels", scores.l1)
PSNR = PairMetric(
    "psnr",
    "higher",
    f"10 log10(1 / MSE) {_OF_FILES} in [0, 1] (data range 1), MSE over all channels, at most 100 dB, mean over images",
    scores.psnr,
    unit="dB",
)
SSIM = PairMetric(
    "ssim",
    "higher",
    "Wang et al. 2004: Gaussian window 11 px, deviation 1.5, k 0.01 and 0.03, data range 1, mean over channels and the "
    "whole image (mirrored borders); torchmetrics",
    scores.ssim,
    smallest_px=scores.SSIM_WINDOW_PX,
)
MS_SSIM = PairMetric(
    "ms_ssim",
    "higher",
    "Wang et al. 2003: five scales by 2x2 means, windows as for SSIM, exponents 0.0448, 0.2856, 0.3001, 0.2363, "
    "0.1333, negative terms count as 0; torchmetrics",
    scores.ms_ssim,
    smallest_px=scores.MS_SSIM_PX,
)
EDGE_F1 = PairMetric(
    "edge_f1",
    "higher",
    f"F1 of edge pixels (Sobel gradient of BT.601 luma above that of a step of {scores.EDGE} of the range), "
    "found again within 1 px",
    scores.edge_f1,
)
PAIRED = (L1, PSNR, SSIM, MS_SSIM, EDGE_F1)
"""What needs no weights."""


def psnr_y(border_px: int = 4) -> PairMetric:
    """Return the PSNR that super-resolution papers print.

    Args:
        border_px: pixels that are left out at each side; papers take the scale, or 4.
    """
    if border_px < 0:
        raise ConfigError(f"expected a border of 0 px or more, got {border_px}")
    definition = (
        f"PSNR of the Y of YCbCr (ITU-R BT.601, 16 to 235, not rounded), range 255, {border_px} px at each side left "
        "out, at most 100 dB, mean over images"
    )
    measure = functools.partial(scores.psnr_y, border_px=border_px)
    return PairMetric("psnr_y", "higher", definition, measure, "dB", 2 * border_px + 1, channels=3)


class Paired:
    """Gathers the scores of pairs as they come; keeps a few numbers an image.

    Args:
        metrics: what is measured.
        device: where.
    """

    def __init__(self, metrics: Sequence[PairMetric] = PAIRED, device: torch.device | None = None) -> None:
        names = [metric.name for metric in metrics]
        if len(set(names)) != len(names):
            raise ConfigError(f"expected metrics of different names, got {', '.join(names)}")
        self.metrics, self.device = tuple(metrics), device or torch.device("cpu")
        self._names: dict[str, int] = {}
        self._values: dict[str, list[float]] = {name: [] for name in names}

    def add(self, name: str, output: Image, target: Image) -> dict[str, float]:
        """Measure one pair and return its scores.

        Raises:
            DataError: if one cannot be read, the sizes differ, or the name came before.
        """
        return self.add_batch([name], *both(name, output, target))[0]

    @torch.no_grad()
    def add_batch(self, names: Sequence[str], outputs: Tensor, targets: Tensor) -> list[dict[str, float]]:
        """Measure pairs of one size, float32 [B, C, H, W] in [-1, 1] each, rounded as a file would hold them."""
        if outputs.shape != targets.shape or len(outputs) != len(names):
            shapes = f"{list(outputs.shape)} and {list(targets.shape)}"
            raise DataError(f"expected {len(names)} outputs and targets of one shape, got {shapes}")
        for name in names:
            if name in self._names:
                raise DataError(f"{name}: expected each name once; this one came before")
            self._names[name] = min(outputs.shape[-2:])
        outputs, targets = outputs.to(self.device), targets.to(self.device)
        found: list[dict[str, float]] = [{} for _ in names]
        for metric in self.metrics:
            if min(outputs.shape[-2:]) < metric.smallest_px:
                continue
            values = metric(outputs, targets).tolist()
            self._values[metric.name] += values
            for scored, value in zip(found, values, strict=True):
                scored[metric.name] = value
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """Metrics without a number, and why, in words."""
        return tuple(
            f"{metric.name}: takes images of {metric.smallest_px} px a side or more, and {len(small)} of "
            f"{len(self._names)} are smaller ({small[0]} and others): left out"
            for metric in self.metrics
            if (small := self._small(metric))
        )

    def _small(self, metric: PairMetric) -> list[str]:
        return [name for name, side in self._names.items() if side < metric.smallest_px]

    def numbers(self) -> list[Number]:
        """Return the mean of each metric that could measure every pair, with its 95 % interval.

        Raises:
            DataError: for fewer than two pairs.
        """
        count = len(self._names)
        if count < 2:  # noqa: PLR2004 (a mean of one says nothing of the next)
            raise DataError(f"expected two or more pairs to measure, got {count}")
        return [self._number(metric) for metric in self.metrics if not self._small(metric)]

    def _number(self, metric: PairMetric) -> Number:
        values = self._values[metric.name]
        return Number(
            metric.name,
            sum(values) / len(values),
            metric.better,
            len(values),
            metric.definition,
            unit=metric.unit,
            interval=mean_interval(values),
            each=tuple(zip(self._names, values, strict=True)),
            settings=metric.settings,
        )


def measure_paired(
    pairs: Iterable[tuple[str, Image, Image]],
    metrics: Sequence[PairMetric] = PAIRED,
    device: torch.device | None = None,
    say: Callable[[str], object] | None = None,
) -> list[Number]:
    """Measure outputs against their targets.

    Args:
        pairs: name, output and target each.
        metrics: what is measured; one that some image is too small for is left out.
        device: where.
        say: is told what is left out.

    Raises:
        DataError: naming a pair that cannot be read, whose sizes differ, or that came twice; for fewer than two pairs.
    """
    gathered = Paired(metrics, device)
    for name, output, target in pairs:
        gathered.add(name, output, target)
    numbers = gathered.numbers()
    if say is not None:
        for note in gathered.notes:
            say(note)
    return numbers


def pairs_of(outputs: Path, targets: Path) -> list[tuple[str, Path, Path]]:
    """Pair the images of two folders by name without ending, for :func:`measure_paired`.

    Raises:
        DataError: naming images that have no partner.
    """
    split, _ = pair_folders(outputs, targets, allow_orphans=False)
    return [(a.stem, a.path, b.path) for a, b in zip(split.a, split.b, strict=True)]


class Extremes(NamedTuple):
    """The images of a number that a person should look at, names and values; the most extreme first."""

    worst: tuple[tuple[str, float], ...]
    best: tuple[tuple[str, float], ...]


def extremes(number: Number, count: int = 8) -> Extremes:
    """Return the worst and the best images of a number, no image in both; lowest first where neither is better."""
    ordered = sorted(number.each, key=lambda one: (-one[1] if number.better == "lower" else one[1], one[0]))
    count = min(count, len(ordered) // 2)
    return Extremes(tuple(ordered[:count]), tuple(ordered[::-1][:count]))
