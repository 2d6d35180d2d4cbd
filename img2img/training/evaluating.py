"""Numbers of ``img2img evaluate`` in a training: held-out images through the averaged weights, at intervals."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from img2img.batch import Batch
from img2img.configured import nearest
from img2img.data.module import ImageData
from img2img.errors import ConfigError, DataError
from img2img.evaluate.distribution import DISTANCES, distances
from img2img.evaluate.extractors import EXTRA, Extractor, inception_extractors, suffix_of
from img2img.evaluate.features import features_of
from img2img.evaluate.record import shown
from img2img.evaluate.resizing import RESIZES
from img2img.evaluate.warnings import few_images
from img2img.evaluate.weights import find_inception
from img2img.image import Side, round_to_8_bits, seen_of, to_pixels, with_channels
from img2img.methods.base import TranslationModule
from img2img.methods.scoring import evaluating
from img2img.methods.turns import Direction

KNOWN = tuple(
    f"{name}{suffix_of(resize)}"
    for distance in DISTANCES
    for name in distance.names
    for resize in (RESIZES if distance.everywhere else RESIZES[:1])
)
_TRIED = 16
"""Images on which the numbers are tried before the training: more than any of them asks for."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Which numbers of ``img2img evaluate`` are measured on held-out images at the size of the training.

    Args:
        every: so many validations; the last one always. Without it nothing is measured.
        metrics: fid, kid, mind, precision, recall, density, coverage; fid_clean and the like for other resizing.
        best_by: the one, lower being better, that decides which weights are best, in place of L1 and R-KID.
        images: at most so many of a domain, evenly spaced.
        weights: folder or file of the Inception's weights, looked into first.

    Raises:
        ValueError: for names of numbers that nothing makes, empty counts, and options without ``every``.
    """

    every: int | None = None
    metrics: tuple[str, ...] = ("fid", "kid")
    best_by: str | None = None
    images: int = 1000
    weights: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        given = [one.name for one in fields(self) if getattr(self, one.name) != one.default]
        if self.every is None and given:
            raise ValueError(f"training.evaluate.{given[0]} is of no use alone: add --training.evaluate.every 1")
        for name, least in (("every", 1), ("images", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"training.evaluate.{name}: expected {least} or more, got {value}")
        for name in self.metrics or ("nothing",):
            if name not in KNOWN:
                raise ValueError(
                    f"training.evaluate.metrics: expected some of {', '.join(KNOWN)}, got {name}{nearest(name, KNOWN)}"
                )
        if self.best_by is not None and self.best_by not in self.metrics:
            raise ValueError(
                f"training.evaluate.best_by {self.best_by}: expected one that is measured: {', '.join(self.metrics)}"
            )


def networks_of(options: EvaluateOptions, device: torch.device, say: Callable[[str], None]) -> list[Extractor]:
    """Find the weights, and load the network that sees; before anything of a run is written.

    Raises:
        WeightsMissingError: naming the file and where to put it.
        ModelFileError: if weights that are found are not what their name says.
        ModuleNotFoundError: naming what to install.
    """
    if {"precision", "recall"} & set(options.metrics) and importlib.util.find_spec("torch_fidelity") is None:
        raise ModuleNotFoundError(f"training.evaluate.metrics: precision and recall are torch-fidelity's: {EXTRA}")
    given = None if options.weights is None else Path(options.weights)
    weights = find_inception(given, say, option="--training.evaluate.weights")
    say(f"evaluate: Inception {weights.path} ({weights.origin}), sha256 {weights.sha256[:16]}...")
    suffixed = [resize for resize in RESIZES[1:] if any(name.endswith(suffix_of(resize)) for name in options.metrics)]
    plain = any("_" not in name for name in options.metrics)
    return inception_extractors(weights, [*RESIZES[:1] * plain, *suffixed], device)


class Evaluating:
    """Measures translations of held-out images against real ones, whose features are seen once.

    Images are prepared and translated as validation does: held out, brought to the size of the training, by the
    averaged weights, rounded to the 256 values of a file. ``img2img evaluate`` makes the same numbers of such files.

    Args:
        options: see there.
        networks: that see.
        data: after its ``setup``.
        console: where to say numbers and what they cost.
    """

    def __init__(
        self, options: EvaluateOptions, networks: Sequence[Extractor], data: ImageData, console: Console
    ) -> None:
        self.options, self.networks, self.data, self.console = options, list(networks), data, console
        self.spent_s = 0.0
        self._real: dict[str, dict[str, Tensor]] = {}

    def begin(self, module: TranslationModule) -> None:
        """See the references and try every number on them, so that what cannot be measured is said before a training.

        Raises:
            ConfigError: if a number cannot be measured, or weights cannot be the best by it.
        """
        began = time.perf_counter()
        for _, domain in module.generators():
            self._real[domain] = self._seen(domain, self._held_out(domain))
        counts = {domain: len(next(iter(rows.values()))) for domain, rows in self._real.items()}
        rows = next(iter(self._real.values()))
        some = {network: seen[: min(_TRIED, *counts.values())] for network, seen in rows.items()}
        tried = distances(self.networks, some, some, self.options.metrics.__contains__, spread=False)
        for missing, reason in tried.missing.items():
            raise ConfigError(f"training.evaluate.metrics: {missing} cannot be measured here: {reason}")
        for number in tried.numbers:
            if number.name == self.options.best_by and number.better != "lower":
                raise ConfigError(
                    f"training.evaluate.best_by {number.name}: expected one where lower is better, such as fid"
                )
        held_out = " and ".join(f"{count:,} of {self._called(domain)}" for domain, count in counts.items())
        often = "every validation" if self.options.every == 1 else f"every {self.options.every} validations"
        self._say(
            f"evaluate: {', '.join(self.options.metrics)} at {often} against held-out images: {held_out}, seen in "
            f"{time.perf_counter() - began:.1f} s"
        )
        lengths = {one.called("fid"): rows[one.name].shape[1] for one in self.networks}
        lengths = {name: length for name, length in lengths.items() if name in self.options.metrics}
        for words in few_images(min(counts.values()), min(counts.values()), lengths):
            self.console.print(f"warning: {words}", style="yellow", highlight=False, soft_wrap=True, markup=False)

    def due(self, validation: int) -> bool:
        """Tell whether a validation, counted from 1, measures."""
        return self.options.every is not None and validation % self.options.every == 0

    def measure(self, module: TranslationModule, training_s: float) -> dict[str, float]:
        """Translate the held-out images and measure them.

        Args:
            module: whose averaged weights translate.
            training_s: seconds since the training began, of which the cost is said as a share.

        Returns:
            By name, such as ``validation/fid``; of unpaired domains their mean, which decides, and each as
            ``validation/fid_b``.
        """
        began = time.perf_counter()
        found: dict[str, dict[str, float]] = {}
        for direction, domain in ((direction, direction[1]) for direction in module.generators()):
            fake = self._seen(domain, self._translated(module, direction))
            made = distances(self.networks, fake, self._real[domain], self.options.metrics.__contains__, spread=False)
            for number in made.numbers:
                found.setdefault(number.name, {})[domain] = number.value
        cost = time.perf_counter() - began
        self.spent_s += cost
        numbers = {name: sum(each.values()) / len(each) for name, each in found.items()}
        said = ", ".join(f"{name} {shown(value)}" for name, value in numbers.items())
        spent = f"{cost:.1f} s, all so far {100 * self.spent_s / (training_s + cost):.1f} % of the training's time"
        self._say(f"evaluate at {module.images:,} images: {said} ({spent})")
        if not module.paired:
            numbers |= {f"{name}_{domain}": value for name, each in found.items() for domain, value in each.items()}
        return {f"validation/{name}": value for name, value in numbers.items()}

    @torch.no_grad()
    def _translated(self, module: TranslationModule, direction: Direction) -> Iterator[Tensor]:
        network = module.best_generators()[direction]
        with evaluating(network):
            for image in self._held_out(direction[0]):
                yield round_to_8_bits(network(image.to(module.device)))

    def _held_out(self, domain: str) -> Iterator[Tensor]:
        """Yield held-out images of a domain [1, C, H, W], each once; what cannot be read validation names."""
        assert self.data.layout is not None
        split = self.data.layout.validation
        assert split is not None
        total = len(split.a if domain == "a" else split.b)
        count = min(total, self.options.images)
        for index in (number * total // count for number in range(count)):
            try:
                a, b = self.data.transforms.fixed_pair(split, index)
            except DataError:
                continue
            batch = self.data.finished(Batch(a[None], b[None], [""], [""], []))
            yield batch.a if domain == "a" else batch.b

    def _seen(self, domain: str, images: Iterable[Tensor]) -> dict[str, Tensor]:
        side: Side = self.data.sides["ab".index(domain)]
        pixels = (np.asarray(with_channels(to_pixels(seen_of(side, image)[0]), 3), np.uint8) for image in images)
        found = features_of(pixels, self.networks)
        count = min((len(rows) for rows in found.values()), default=0)
        if count < 2:  # noqa: PLR2004 (a spread)
            raise DataError(
                f"training.evaluate: expected two or more held-out images of {self._called(domain)}, got {count}"
            )
        return found

    def _called(self, domain: str) -> str:
        return self.data.domains["ab".index(domain)]

    def _say(self, words: str) -> None:
        self.console.print(words, highlight=False, soft_wrap=True, markup=False)
