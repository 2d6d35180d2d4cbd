"""How far an exported graph is from the network it was made of, at several sizes and batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from img2img.exchange.graph import Range
from img2img.image import to_pixels, to_tensor
from img2img.networks.base import Generator

LARGEST_LEVELS = 1.0
"""Most that any value may differ by, in 8-bit levels: an error of a millionth can turn a rounding."""

MEAN_LEVELS = 1e-4 * 127.5
"""Most that values may differ by on average, in 8-bit levels: 1e-4 of the range [-1, 1]."""

Run = Callable[[NDArray[Any]], NDArray[Any]]
"""A graph: one array in, one out."""


class Difference(NamedTuple):
    """What a comparison gave.

    Attributes:
        batch: images at once.
        height: in pixels.
        width: in pixels.
        largest: in 8-bit levels.
        mean: in 8-bit levels.
    """

    batch: int
    height: int
    width: int
    largest: float
    mean: float

    @property
    def within(self) -> bool:
        """Whether both stay within what is allowed; NaN does not."""
        return self.largest <= LARGEST_LEVELS and self.mean <= MEAN_LEVELS


@torch.inference_mode()
def differences(run: Run, generator: Generator, values: Range) -> list[Difference]:
    """Compare a graph with eager execution on noise: a size that fits, one that does not, a small one; batch 1 and 3.

    Args:
        run: the graph.
        generator: what it was made of.
        values: what goes in and comes out of the graph.
    """
    fits = generator.fit(96)
    found = []
    random = np.random.default_rng(0)
    for height, width in ((fits, fits), (fits + 1, fits // 2 + 3), (37, 50)):
        for batch in (1, 3):
            pixels = random.integers(0, 256, (batch, height, width, generator.in_channels), np.uint8)
            source = torch.stack([to_tensor(picture) for picture in pixels])
            eager = generator(source)
            if values == "uint8":
                expected = np.stack([to_pixels(image) for image in eager]).astype(np.float64)
                error = np.abs(run(pixels) - expected)
            else:
                error = np.abs(run(source.numpy()) - eager.numpy().astype(np.float64)) * 127.5
            found.append(Difference(batch, height, width, float(error.max()), float(error.mean())))
    return found
