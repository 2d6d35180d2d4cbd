"""Adversarial losses on lists of logit maps, one map per scale of the discriminator."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

AdversarialName = Literal["bce", "lsgan", "hinge", "wgan-gp"]


class AdversarialLoss(ABC):
    """What the discriminator and the generator minimise; logits in, float32 scalar out.

    Means run over patches and images of a scale, then over scales.

    Attributes:
        midpoint: the logit of an undecided discriminator, from which its sign is read.
    """

    midpoint: float = 0.0

    @abstractmethod
    def discriminator(self, real: list[Tensor], fake: list[Tensor]) -> Tensor:
        """Return the discriminator's loss of maps [B, 1, h, w] of real images and of fakes."""

    @abstractmethod
    def generator(self, fake: list[Tensor], real: list[Tensor]) -> Tensor:
        """Return the generator's loss of the maps of its fakes; only a relativistic one reads those of real images."""

    @abstractmethod
    def certainty(self, real: list[Tensor], fake: list[Tensor]) -> list[Tensor]:
        """Return maps that are positive where the discriminator takes real images for real."""


class Absolute(AdversarialLoss):
    """A loss that judges real images and fakes by themselves."""

    @abstractmethod
    def real(self, logits: Tensor) -> Tensor:
        """Discriminator's loss of one map [B, 1, h, w] of real images."""

    @abstractmethod
    def fake(self, logits: Tensor) -> Tensor:
        """Discriminator's loss of one map [B, 1, h, w] of fakes."""

    @abstractmethod
    def fool(self, logits: Tensor) -> Tensor:
        """Generator's loss of one map [B, 1, h, w] of its fakes."""

    def discriminator(self, real: list[Tensor], fake: list[Tensor]) -> Tensor:
        """Return half the sum of both losses, as both papers halve the discriminator's objective."""
        pairs = list(zip(real, fake, strict=True))
        return sum((self.real(r) + self.fake(f) for r, f in pairs), start=real[0].new_zeros(())) * 0.5 / len(pairs)

    def generator(self, fake: list[Tensor], real: list[Tensor]) -> Tensor:
        """Return the generator's loss."""
        del real
        return sum((self.fool(f) for f in fake), start=fake[0].new_zeros(())) / len(fake)

    def certainty(self, real: list[Tensor], fake: list[Tensor]) -> list[Tensor]:
        """D(x) - midpoint."""
        del fake
        return [logits - self.midpoint for logits in real]


class BCE(Absolute):
    """Cross-entropy with labels 1 and 0; the generator's is the non-saturating form (Goodfellow et al. 2014).

    Args:
        smoothing: s of one-sided label smoothing (Salimans et al. 2016, section 3.4, arXiv 1606.03498): the
            discriminator's label of real images is 1 - s; those of fakes stay 0, and the generator's stays 1.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        self.smoothing = smoothing
        self.midpoint = math.log((1 - smoothing) / (1 + smoothing))

    def real(self, logits: Tensor) -> Tensor:
        """-(1 - s) log sigmoid(D(x)) - s log(1 - sigmoid(D(x))) = softplus(-D(x)) + s D(x)."""
        loss = F.softplus(-logits).mean()
        return loss + self.smoothing * logits.mean() if self.smoothing else loss

    def fake(self, logits: Tensor) -> Tensor:
        """-log(1 - sigmoid(D(G))) = softplus(D(G))."""
        return F.softplus(logits).mean()

    def fool(self, logits: Tensor) -> Tensor:
        """-log sigmoid(D(G))."""
        return F.softplus(-logits).mean()


class LSGAN(Absolute):
    """Squared distance to 1 and 0 (Mao et al. 2017), CycleGAN's choice.

    Args:
        smoothing: s of one-sided label smoothing, see :class:`BCE`.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        self.label = 1 - smoothing
        self.midpoint = self.label / 2

    def real(self, logits: Tensor) -> Tensor:
        """(D(x) - (1 - s))^2."""
        return (logits - self.label).square().mean()

    def fake(self, logits: Tensor) -> Tensor:
        """D(G)^2."""
        return logits.square().mean()

    def fool(self, logits: Tensor) -> Tensor:
        """(D(G) - 1)^2."""
        return (logits - 1).square().mean()


class Hinge(Absolute):
    """Hinge loss (Lim and Ye 2017; Miyato et al. 2018)."""

    def real(self, logits: Tensor) -> Tensor:
        """max(0, 1 - D(x))."""
        return F.relu(1 - logits).mean()

    def fake(self, logits: Tensor) -> Tensor:
        """max(0, 1 + D(G))."""
        return F.relu(1 + logits).mean()

    def fool(self, logits: Tensor) -> Tensor:
        """-D(G)."""
        return -logits.mean()


class Wasserstein(Absolute):
    """The critic's difference of means (Arjovsky et al. 2017); meaningless without its gradient penalty.

    :meth:`discriminator` is not halved: the penalty's weight of 10 is relative to the whole difference.
    """

    def real(self, logits: Tensor) -> Tensor:
        """-D(x)."""
        return -logits.mean()

    def fake(self, logits: Tensor) -> Tensor:
        """D(G)."""
        return logits.mean()

    def fool(self, logits: Tensor) -> Tensor:
        """-D(G)."""
        return -logits.mean()

    def discriminator(self, real: list[Tensor], fake: list[Tensor]) -> Tensor:
        """Mean D(G) - mean D(x)."""
        return 2 * super().discriminator(real, fake)


class Relativistic(AdversarialLoss):
    """Judges how much more real a real image looks than a fake: f(D(x) - D(G)), and f(D(G) - D(x)) for the generator.

    The relativistic pairing loss (Jolicoeur-Martineau 2018, arXiv 1807.00734, RSGAN; R3GAN, Huang et al. 2024, arXiv
    2501.05441), patch by patch. f is what the other loss asks of a real image: softplus(-t) for bce,
    (t - 1)^2 for lsgan, max(0, 1 - t) for hinge. One term, so nothing is halved. Only differences count, so D's
    values mean nothing by themselves. The generator's turn costs one more pass of the discriminator, without graph.

    Args:
        of: the loss that gives f.
    """

    def __init__(self, of: Absolute) -> None:
        self.of = of

    def discriminator(self, real: list[Tensor], fake: list[Tensor]) -> Tensor:
        """F(D(x) - D(G))."""
        return self._mean(real, fake)

    def generator(self, fake: list[Tensor], real: list[Tensor]) -> Tensor:
        """F(D(G) - D(x))."""
        return self._mean(fake, real)

    def certainty(self, real: list[Tensor], fake: list[Tensor]) -> list[Tensor]:
        """D(x) - D(G)."""
        return [high - low for high, low in zip(real, fake, strict=True)]

    def _mean(self, higher: list[Tensor], lower: list[Tensor]) -> Tensor:
        pairs = list(zip(higher, lower, strict=True))
        for high, low in pairs:
            if high.shape != low.shape:
                raise ValueError(
                    f"a relativistic loss compares real images and fakes of one size, got logits {list(high.shape)} "
                    f"and {list(low.shape)}: give both domains one size, or set critic.relativistic to false"
                )
        return sum((self.of.real(h - w) for h, w in pairs), start=higher[0].new_zeros(())) / len(pairs)


def adversarial_loss(
    name: AdversarialName, *, relativistic: bool = False, label_smoothing: float = 0.0
) -> AdversarialLoss:
    """Return the loss of a name.

    Args:
        name: which one.
        relativistic: pair real images and fakes, see :class:`Relativistic`.
        label_smoothing: s in [0, 1): the discriminator's label of real images is 1 - s, see :class:`BCE`.

    Raises:
        ValueError: for wgan-gp made relativistic, which it is already; for smoothing where there is no label.
    """
    if relativistic and name == "wgan-gp":
        raise ValueError("relativistic and adversarial wgan-gp: that loss is a difference already; leave one out")
    if label_smoothing and (relativistic or name not in {"bce", "lsgan"}):
        other = "relativistic" if relativistic else f"adversarial {name}"
        raise ValueError(
            f"label_smoothing {label_smoothing:g} and {other} contradict each other: only bce and lsgan, not "
            "relativistic, have a label of real images to smooth"
        )
    if name == "bce":
        loss: Absolute = BCE(label_smoothing)
    elif name == "lsgan":
        loss = LSGAN(label_smoothing)
    else:
        loss = Hinge() if name == "hinge" else Wasserstein()
    return Relativistic(loss) if relativistic else loss
