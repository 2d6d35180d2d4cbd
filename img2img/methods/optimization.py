"""How every method's networks are moved: one group of options, shared by all methods."""

from __future__ import annotations

from dataclasses import dataclass

from img2img.networks.layers.init import InitName
from img2img.schedule import DecayName


@dataclass(frozen=True)
class Optimization:
    """Options of the optimisation.

    Args:
        learning_rate: of Adam, for every player (2e-4 in both papers).
        beta1: decay of Adam's mean (0.5 in both papers).
        beta2: decay of Adam's squared mean.
        decay: shape of the learning rate's decay: epochs (as published), linear, cosine or constant.
        decay_from: share of the training after which the decay begins.
        warmup_images: images over which the learning rate rises from 0.
        init: distribution of fresh weights.
        init_gain: standard deviation (normal) or factor (xavier) of fresh weights.
        average: keep a moving average of the generators' weights, which is then validated and exported.

    Raises:
        ValueError: for a rate, beta or share out of its range.
    """

    learning_rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    decay: DecayName = "linear"
    decay_from: float = 0.5
    warmup_images: int = 0
    init: InitName = "normal"
    init_gain: float = 0.02
    average: bool = True

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name, low, high in (("learning_rate", 0, 1), ("beta1", 0, 1), ("beta2", 0, 1), ("decay_from", 0, 1)):
            value = getattr(self, name)
            if not low <= value < high:
                raise ValueError(f"optimization.{name}: expected a number from {low} to below {high}, got {value}")
        if self.warmup_images < 0:
            raise ValueError(f"optimization.warmup_images: expected 0 or more, got {self.warmup_images}")
