"""How long a training is and what its learning rate does meanwhile. Pure: no clock is read here."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import Literal

DecayName = Literal["epochs", "linear", "cosine", "constant"]
"""``epochs``: the published linear decay, once an epoch, off by one as in the PyTorch ports
(see :meth:`Schedule.factor`). ``linear``: the same line without steps, reaching 0 at the very end. ``cosine``: half a
cosine to 0. ``constant``: none."""


_FEWEST_EPOCHS = 4


@dataclass(frozen=True)
class Length:
    """How long to train: a number of images, or a number of seconds for a training that must end in time.

    Args:
        images: total images of the source domain to see, over all epochs and ranks.
        seconds: total seconds of training.
        images_per_epoch: images in one epoch; the published schedule moves in epochs.

    Raises:
        ValueError: unless exactly one of images and seconds is given and positive.
    """

    images: int | None
    seconds: float | None
    images_per_epoch: int

    def __post_init__(self) -> None:
        """Refuse a length with two owners, none, or nothing in it."""
        given = [value for value in (self.images, self.seconds) if value is not None]
        if len(given) != 1 or given[0] <= 0:
            raise ValueError(
                f"expected one positive length, images or seconds; got {self.images} images, {self.seconds} s"
            )

    def progress(self, images: int, seconds: float) -> float:
        """Return the share done, from 0 to 1."""
        done = images / self.images if self.images else seconds / (self.seconds or 1.0)
        return min(done, 1.0)

    def epochs(self) -> float:
        """Return the length in epochs; only a length in images has one."""
        if self.images is None:
            raise ValueError("a length in seconds has no number of epochs: use the decay linear, cosine or constant")
        return self.images / self.images_per_epoch


@dataclass(frozen=True)
class Schedule:
    """The learning-rate factor over a training.

    Args:
        length: how long it is.
        decay: shape of the decay.
        decay_from: share of the training after which the decay begins (0.5 in both papers' ports).
        warmup_images: images over which the factor rises linearly from 0.
        decay_to: factor at the end of the decay linear or cosine.
        warmup_share: the warm-up as a share of the training.

    Raises:
        ValueError: for the published decay over fewer than 4 epochs, which hardly learns: its last epoch runs at a
            rate of 0, so a single one would learn nothing at all.
    """

    length: Length
    decay: DecayName = "linear"
    decay_from: float = 0.5
    warmup_images: int = 0
    decay_to: float = 0.0
    warmup_share: float = 0.0

    def __post_init__(self) -> None:
        """Refuse the published decay where it degenerates."""
        if self.decay == "epochs" and self.length.epochs() < _FEWEST_EPOCHS:
            raise ValueError(
                f"the published decay moves once an epoch and ends an epoch early, so {self.length.epochs():.3g} epochs"
                f" would hardly learn: train for {_FEWEST_EPOCHS} or more, or set --model.optimization.decay linear"
            )

    def factor(self, images: int, seconds: float = 0.0) -> float:
        """Return what the learning rate is multiplied by, after ``images`` images.

        ``epochs`` reproduces the ports: in epoch k = 1, 2, ... of n + n_decay the factor is
        1 - max(0, k + 1 - n) / (n_decay + 1). They step the schedule at the *start* of each epoch, so with 100 + 100
        epochs the decay already shows in epoch 100 (100/101) and the whole of epoch 200 runs at a rate of 0.
        """
        warm = min(1.0, (images + 1) / self.warmup_images) if self.warmup_images else 1.0
        if self.warmup_share:
            warm = min(1.0, self.length.progress(images + 1, seconds) / self.warmup_share)
        return warm * self._decayed(images, seconds)

    def _decayed(self, images: int, seconds: float) -> float:
        if self.decay == "constant":
            return 1.0
        if self.decay == "epochs":
            epochs = max(round(self.length.epochs()), 1)
            constant = round(epochs * self.decay_from)
            k = min(images // self.length.images_per_epoch + 1, epochs)
            return 1 - max(0, k + 1 - constant) / (epochs - constant + 1)
        progress = self.length.progress(images, seconds)
        left = 1.0 if progress < self.decay_from else (1 - progress) / (1 - self.decay_from)
        return self.decay_to + (1 - self.decay_to) * (_half_cosine(left) if self.decay == "cosine" else left)


def faded(start: float, end: float, progress: float) -> float:
    """Return what lies between two values after a share of the training: half a cosine from start to end.

    >>> faded(1.0, 0.0, 0.0), faded(1.0, 0.0, 0.5), faded(1.0, 0.0, 1.0)
    (1.0, 0.5, 0.0)
    """
    return end + (start - end) * _half_cosine(1 - progress)


def _half_cosine(left: float) -> float:
    return 0.5 - 0.5 * cos(pi * left)
