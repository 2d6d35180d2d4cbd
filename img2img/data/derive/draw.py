"""Random numbers of a sample: torch's, from the sample's own seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

Range = tuple[float, float]
"""Lowest and highest value to draw from, both included; equal ones fix it."""


class Draw:
    """A stream of draws that follows from its seed alone, whatever process and order.

    Args:
        seed: of the sample.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def uniform(self, between: Range) -> float:
        """Draw from a range."""
        low, high = between
        return low + (high - low) * float(torch.rand((), generator=self._generator))

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return float(torch.rand((), generator=self._generator)) < probability

    def integer(self, low: int, high: int) -> int:
        """Draw a whole number from low to high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self._generator))

    def index(self, weights: Sequence[float]) -> int:
        """Draw a position with a probability in proportion to its weight."""
        return int(torch.multinomial(torch.tensor(weights, dtype=torch.float64), 1, generator=self._generator))

    def normal(self, *shape: int) -> NDArray[np.float32]:
        """Draw from the standard normal distribution."""
        values: NDArray[np.float32] = torch.randn(shape, generator=self._generator).numpy()
        return values

    def seed(self) -> int:
        """Draw a seed for a part of the sample."""
        return self.integer(0, 2**31 - 1)


def check_range(name: str, between: Range, least: float = 0.0, most: float = float("inf")) -> None:
    """Refuse a range that is upside down or reaches beyond what is possible.

    Raises:
        ValueError: saying what is possible.
    """
    low, high = between
    if not least <= low <= high <= most:
        above = f"from {least:g} to {most:g}" if most < float("inf") else f"of {least:g} or more"
        raise ValueError(f"{name}: expected lowest and highest {above}, got {low:g} and {high:g}")
