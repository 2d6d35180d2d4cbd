"""The list of measurements: what each is called, what it needs, and the function that makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from img2img.configured import nearest
from img2img.data.folder import Source
from img2img.errors import ConfigError
from img2img.evaluate.distribution import DISTANCES, Found, distances
from img2img.evaluate.extractors import Extractor
from img2img.evaluate.features import Features
from img2img.evaluate.images import Images
from img2img.evaluate.resizing import Resize

Needs = Literal["unpaired", "paired", "model"]
"""Two sets; two sets whose names belong together; a translator and its inputs."""


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Attributes:
        metrics: names of numbers, ``fid`` also for ``fid_clean``; None for all that apply.
        resizes: ways of resizing, the first for the numbers that are measured once.
        weights: folder or file of weights, looked into first.
        own: TorchScript files of a user's own networks.
        seed: of what is drawn.
        kid_subset: images of the random subsets of KID; None for all pairs.
        batch: images that go through a network together.
        threads: that read; None for what suits.
        device: where the networks run.
        download: whether missing weights are fetched.
    """

    metrics: tuple[str, ...] | None = None
    resizes: tuple[Resize, ...] = ("pytorch", "clean")
    weights: Path | None = None
    own: tuple[Path, ...] = ()
    seed: int = 0
    kid_subset: int | None = None
    batch: int = 16
    threads: int | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    download: bool = True

    def wants(self, name: str) -> bool:
        """Tell whether a number is asked for."""
        return self.metrics is None or any(name == one or name.startswith(f"{one}_") for one in self.metrics)

    def names(self, name: str) -> bool:
        """Tell whether a number is asked for by its name, and not because all are."""
        return self.metrics is not None and self.wants(name)


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        outputs: images that were made.
        references: real ones.
        pairs: outputs and references of one name; empty where names do not belong together.
        extractors: networks that saw both sets.
        fake: features of the outputs.
        real: of the references.
        asked: see there.
        say: told what a measurement leaves out.
        translator: that made the outputs, where it is there.
        inputs: that it made them of.
    """

    outputs: Images
    references: Images
    pairs: Sequence[tuple[Source, Source]]
    extractors: Sequence[Extractor]
    fake: Features
    real: Features
    asked: Asked
    say: Callable[[str], None]
    translator: Any = None
    inputs: Images | None = None


@dataclass(frozen=True)
class Measurement:
    """A function that makes numbers.

    Attributes:
        names: of its numbers, as ``--metrics`` takes them.
        needs: see :data:`Needs`; where that is not there it is left out, and said so.
        measure: it.
    """

    names: tuple[str, ...]
    needs: Needs
    measure: Callable[[Subject], Found]


def _distribution(subject: Subject) -> Found:
    asked, fake, real = subject.asked, subject.fake.rows, subject.real.rows
    return distances(subject.extractors, fake, real, asked.wants, seed=asked.seed, kid_subset=asked.kid_subset)


_DISTANCES = tuple(name for distance in DISTANCES for name in distance.names)
RANDOM = tuple(f"r{name}" for name in _DISTANCES)

MEASUREMENTS: tuple[Measurement, ...] = (Measurement((*_DISTANCES, *RANDOM), "unpaired", _distribution),)


def check_names(metrics: Sequence[str], measurements: Sequence[Measurement] = MEASUREMENTS) -> None:
    """Refuse names of numbers that nothing makes.

    Raises:
        ConfigError: naming the nearest, and all.
    """
    known = [name for measurement in measurements for name in measurement.names]
    for name in metrics:
        if not any(name == one or name.startswith(f"{one}_") for one in known):
            raise ConfigError(f"--metrics {name}: expected some of {', '.join(known)}{nearest(name, known)}")


def measure(subject: Subject, measurements: Sequence[Measurement] = MEASUREMENTS) -> Found:
    """Make every number that is asked for and possible, and say why others are missing."""
    reasons: Mapping[Needs, str] = {
        "paired": "" if subject.pairs else "no output has a reference of its name",
        "model": ""
        if subject.translator is not None
        else "needs a translator and its inputs (--data), not two folders",
        "unpaired": "",
    }
    found = Found()
    for measurement in measurements:
        wanted = [name for name in measurement.names if subject.asked.wants(name)]
        if subject.asked.metrics is not None and not _concerns(measurement, subject.asked.metrics):
            continue
        if reason := reasons[measurement.needs]:
            if subject.asked.metrics is not None:
                found.missing |= dict.fromkeys(wanted, reason)
            continue
        made = measurement.measure(subject)
        found.numbers += made.numbers
        found.missing |= made.missing
    return found


def _concerns(measurement: Measurement, metrics: Sequence[str]) -> bool:
    return any(name == one or name.startswith(f"{one}_") for name in metrics for one in measurement.names)
