"""How much of the feature network's own speed is left when files are read, resized and measured beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
import torch

from img2img.evaluate.evaluation import evaluate, extractors_for
from img2img.evaluate.features import see
from img2img.evaluate.images import Images, look_at
from img2img.evaluate.subject import Asked

_BARE_BATCHES = 4


@dataclass(frozen=True)
class Speeds:
    """Images a second, every network's pass over an image counted.

    Attributes:
        bare: the networks alone, on batches that are ready in memory.
        seeing: files to features.
        whole: files to numbers: the features of both sets, and all distances.
        images: of both sets together.
    """

    bare: float
    seeing: float
    whole: float
    images: int


def measure(outputs: Images, references: Images, asked: Asked, rounds: int = 3) -> list[Speeds]:
    """Time the networks alone, files to features, and files to numbers, by turns.

    Args:
        outputs: one set.
        references: the other.
        asked: with which networks, and how.
        rounds: of each.
    """
    extractors, _ = extractors_for(asked, lambda _: None)
    sources = list(islice(outputs.sources, asked.batch))
    pixels = [look_at(source)[1] for source in sources]
    batches = [torch.from_numpy(np.stack([one.prepare(image) for image in pixels])) for one in extractors]

    def bare() -> float:
        return _timed(lambda: [one.features(batch) for one, batch in zip(extractors, batches, strict=True)])

    bare()
    found = []
    images = len(outputs.sources) + len(references.sources)
    for _ in range(rounds):
        before = [bare() for _ in range(_BARE_BATCHES)]
        seeing = _timed(lambda: [see(s, extractors, batch=asked.batch) for s in (outputs, references)])
        whole = _timed(lambda: evaluate(outputs, references, asked))
        after = [bare() for _ in range(_BARE_BATCHES)]
        each = sorted(before + after)[_BARE_BATCHES] / len(sources)
        found.append(Speeds(1 / each, images / seeing, images / whole, images))
    return found


def _timed(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def repeated(images: Images, count: int) -> Images:
    """Return so many images of a set, from its beginning again where it has fewer."""
    return Images(images.where, tuple(islice(cycle(images.sources), count)))
