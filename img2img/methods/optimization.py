"""How every method's networks are moved: one group of options, shared by all methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from img2img.networks.base import Discriminator
from img2img.networks.layers.init import InitName
from img2img.schedule import DecayName


@dataclass(frozen=True)
class Optimization:
    """Options of the optimisation.

    Args:
        learning_rate: of Adam (2e-4 in both papers).
        rate_for_batch: the batch size that the learning rates are meant for: one of B images, over all devices, takes
            them times sqrt(B / rate_for_batch), which keeps Adam's noise the same (Malladi et al. 2022, arXiv
            2205.10287). None: as they are, whatever the batch.
        discriminator_learning_rate: of the discriminators where they should learn at another rate than the rest
            (two time-scale update rule, Heusel et al. 2017); the same rate by default.
        beta1: decay of Adam's mean (0.5 in both papers).
        beta2: decay of Adam's squared mean.
        decay: shape of the learning rate's decay: epochs (as published), linear, cosine or constant.
        decay_from: share of the training after which the decay begins.
        decay_to: factor that the decay linear or cosine ends at.
        warmup_images: images over which the learning rate rises from 0.
        warmup_epochs: the same in epochs; one of the three.
        warmup_share: the same as a share of the training.
        accumulate: parts that a batch is computed in, one after the other: the gradients of the whole batch in the
            memory of a part.
        clip_norm: largest global norm of a player's gradients; larger ones are scaled down to it. None: no limit.
        init: distribution of fresh weights.
        init_gain: standard deviation (normal) or factor (xavier) of fresh weights.
        average: keep a moving average of the generators' weights, which is then validated and exported.
        average_half_life_images: its half-life once the training is old; a young one forgets faster.

    Raises:
        ValueError: for a rate, beta, share or count out of its range.
    """

    learning_rate: float = 2e-4
    rate_for_batch: int | None = None
    discriminator_learning_rate: float | None = None
    beta1: float = 0.5
    beta2: float = 0.999
    decay: DecayName = "linear"
    decay_from: float = 0.5
    decay_to: float = 0.0
    warmup_images: int = 0
    warmup_epochs: float = 0.0
    warmup_share: float = 0.0
    accumulate: int = 1
    clip_norm: float | None = None
    init: InitName = "normal"
    init_gain: float = 0.02
    average: bool = True
    average_half_life_images: int = 10_000

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        shares = (
            "learning_rate",
            "discriminator_learning_rate",
            "beta1",
            "beta2",
            "decay_from",
            "decay_to",
            "warmup_share",
        )
        for name in shares:
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"optimization.{name}: expected a number from 0 to below 1, got {value}")
        if self.decay_to and self.decay not in {"linear", "cosine"}:
            raise ValueError(
                f"optimization.decay_to {self.decay_to} is for decay linear or cosine, got {self.decay}: leave it out"
            )
        warmups = [n for n in ("warmup_images", "warmup_epochs", "warmup_share") if getattr(self, n)]
        if len(warmups) > 1:
            given = " and ".join(f"{name} {getattr(self, name):g}" for name in warmups)
            raise ValueError(f"optimization: expected one warm-up, got {given}: leave one out")
        for name, least in (
            ("warmup_images", 0),
            ("warmup_epochs", 0),
            ("rate_for_batch", 1),
            ("accumulate", 1),
            ("average_half_life_images", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"optimization.{name}: expected {least} or more, got {value}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"optimization.clip_norm: expected more than 0, got {self.clip_norm}; none is no limit")

    def rate(self, networks: Sequence[nn.Module]) -> float:
        """Return the learning rate of a player's networks, before schedule and guard."""
        if self.discriminator_learning_rate is None or not all(isinstance(n, Discriminator) for n in networks):
            return self.learning_rate
        return self.discriminator_learning_rate

    def batch_factor(self, batch_images: int) -> float:
        """Return what a batch of that many images multiplies the learning rate by."""
        return 1.0 if self.rate_for_batch is None else math.sqrt(batch_images / self.rate_for_batch)

    def warmup(self, images_per_epoch: int) -> int:
        """Return the images over which the learning rate rises."""
        return self.warmup_images or round(self.warmup_epochs * images_per_epoch)
