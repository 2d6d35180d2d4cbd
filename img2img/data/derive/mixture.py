"""One of several derivations at random."""

from __future__ import annotations

from typing import final

from img2img.data.derive.base import Derivation
from img2img.data.derive.draw import Draw
from img2img.image import Pixels


@final
class Mixture(Derivation):
    """For each sample one of several derivations, and ``steps`` of them after one another where asked for.

    Args:
        parts: the derivations.
        weights: how often each is drawn, in proportion; by default all alike.
        steps: how many are applied in turn, each drawn anew.

    Raises:
        ValueError: for no parts, other than one weight a part, negative weights, or no steps.
    """

    source = "worn"

    def __init__(self, parts: list[Derivation], weights: list[float] | None = None, steps: int = 1) -> None:
        weights = [1.0] * len(parts) if weights is None else weights
        if not parts or len(weights) != len(parts):
            raise ValueError(f"expected one weight for each of one or more parts, got {len(parts)} and {len(weights)}")
        if min(weights) < 0 or not sum(weights) > 0:
            raise ValueError(f"weights: expected numbers of 0 or more, not all 0, got {weights}")
        if steps < 1:
            raise ValueError(f"steps: expected 1 or more, got {steps}")
        self.parts, self.weights, self.steps = parts, weights, steps
        self.foreign = any(part.foreign for part in parts)

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Draw one, and apply it; see :class:`Derivation`."""
        draw = Draw(seed)
        for _ in range(self.steps):
            photo = self.parts[draw.index(self.weights)](photo, draw.seed())
        return photo
