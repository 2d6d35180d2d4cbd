"""Adversarial losses on lists of logit maps, one map per scale of the discriminator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

AdversarialName = Literal["bce", "lsgan", "hinge", "wgan-gp"]


class AdversarialLoss(ABC):
    """What the discriminator and the generator minimise; logits in, float32 scalar out.

    Means run over patches and images of a scale, then over scales.
    """

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

    def generator(self, fake: list[Tensor]) -> Tensor:
        """Return the generator's loss."""
        return sum((self.fool(f) for f in fake), start=fake[0].new_zeros(())) / len(fake)


class BCE(AdversarialLoss):
    """Cross-entropy with labels 1 and 0; the generator's is the non-saturating form (Goodfellow et al. 2014)."""

    def real(self, logits: Tensor) -> Tensor:
        """-log sigmoid(D(x)) = softplus(-D(x))."""
        return F.softplus(-logits).mean()

    def fake(self, logits: Tensor) -> Tensor:
        """-log(1 - sigmoid(D(G))) = softplus(D(G))."""
        return F.softplus(logits).mean()

    def fool(self, logits: Tensor) -> Tensor:
        """-log sigmoid(D(G))."""
        return F.softplus(-logits).mean()


class LSGAN(AdversarialLoss):
    """Squared distance to 1 and 0 (Mao et al. 2017), CycleGAN's choice."""

    def real(self, logits: Tensor) -> Tensor:
        """(D(x) - 1)^2."""
        return (logits - 1).square().mean()

    def fake(self, logits: Tensor) -> Tensor:
        """D(G)^2."""
        return logits.square().mean()

    def fool(self, logits: Tensor) -> Tensor:
        """(D(G) - 1)^2."""
        return (logits - 1).square().mean()


class Hinge(AdversarialLoss):
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


class Wasserstein(AdversarialLoss):
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


def adversarial_loss(name: AdversarialName) -> AdversarialLoss:
    """Return the loss of a name."""
    losses: dict[AdversarialName, type[AdversarialLoss]] = {
        "bce": BCE,
        "lsgan": LSGAN,
        "hinge": Hinge,
        "wgan-gp": Wasserstein,
    }
    return losses[name]()
