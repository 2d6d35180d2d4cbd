"""What a Wasserstein critic asks of its options."""

from __future__ import annotations

from torch import nn

from img2img.losses.adversarial import AdversarialName
from img2img.networks.layers.norm import Norm2d

WGAN_GP_WEIGHT = 10.0
"""Weight of the gradient penalty in Gulrajani et al. 2017."""


def penalty_weight(adversarial: AdversarialName, given: float | None) -> float:
    """Return the weight of the gradient penalty: the given one, else the paper's 10 with wgan-gp, else 0.

    Raises:
        ValueError: for wgan-gp with a weight of 0, which is a critic without any Lipschitz control, or below 0.
    """
    weight = (WGAN_GP_WEIGHT if adversarial == "wgan-gp" else 0.0) if given is None else given
    if weight < 0 or (adversarial == "wgan-gp" and not weight):
        raise ValueError(
            f"gradient_penalty_weight: expected more than 0 with {adversarial}, got {weight}; "
            "leave it out for the default"
        )
    return weight


def check_critic(adversarial: AdversarialName, critic_turns: int, discriminator: nn.Module) -> None:
    """Refuse a critic that couples images through batch norm, and a number of turns below 1.

    Raises:
        ValueError: Gulrajani et al. 2017, section 4: the penalty is per image, so wgan-gp takes no batch norm.
    """
    if critic_turns < 1:
        raise ValueError(f"critic_turns: expected 1 or more, got {critic_turns}")
    norms = {layer.kind for layer in discriminator.modules() if isinstance(layer, Norm2d)}
    batch_norms = norms & {"batch", "batch-running"}
    if adversarial == "wgan-gp" and batch_norms:
        raise ValueError(
            f"adversarial wgan-gp and a discriminator with norm {min(batch_norms)} contradict each other: "
            "set the discriminator's norm to instance or none"
        )
