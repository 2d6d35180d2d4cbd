"""What a measurement is given: two sets, what networks saw in them, and what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from img2img.data.source import Source
from img2img.evaluate.extractors import Extractor
from img2img.evaluate.features import Features
from img2img.evaluate.images import Images
from img2img.evaluate.number import Number
from img2img.evaluate.resizing import Resize


@dataclass
class Found:
    """Numbers, and why others are missing.

    Attributes:
        numbers: in the order of the list.
        missing: name to reason.
    """

    numbers: list[Number] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Segmented:
    """What outputs are to be recognised by.

    Attributes:
        model: segmentation model.
        labels: folder of label maps.
        classes: names in the order of ids.
        palette: their colours, where label maps are pictures.
    """

    model: str
    labels: Path
    classes: tuple[str, ...]
    palette: Sequence[tuple[int, int, int]] | None


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
        segmented: by which model translations of label maps are scored.
        paired: whether outputs and references of one name belong together.
        draws: outputs of one input whose differences are measured, of translators that draw; None for none.
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
    segmented: Segmented | None = None
    paired: bool = False
    draws: int | None = None

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
        pairs: outputs and references of one name.
        paired: whether these belong together.
        extractors: networks that saw both sets.
        fake: features of the outputs.
        real: of the references.
        asked: see there.
        say: told what a measurement leaves out.
        translator: that made the outputs, where it is there.
        inputs: that it made them of.
        to: domain that it translated into.
        draw: makes so many outputs of each input, where it can.
    """

    outputs: Images
    references: Images
    pairs: Sequence[tuple[Source, Source]]
    paired: bool
    extractors: Sequence[Extractor]
    fake: Features
    real: Features
    asked: Asked
    say: Callable[[str], None]
    translator: Any = None
    inputs: Images | None = None
    to: str | None = None
    draw: Callable[[int], Sequence[tuple[str, Sequence[Path]]]] | None = None
