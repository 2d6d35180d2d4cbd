"""CycleGAN: unpaired translation with cycle consistency.

@inproceedings{zhu2017unpaired, title={Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks},
  author={Zhu, Jun-Yan and Park, Taesung and Isola, Phillip and Efros, Alexei A}, booktitle={ICCV}, year={2017}}
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from img2img.batch import Batch
from img2img.losses.adversarial import AdversarialName, adversarial_loss
from img2img.losses.gradient_penalty import gradient_penalty
from img2img.methods.base import TranslationModule
from img2img.methods.critic import check_critic, penalty_weight
from img2img.methods.optimization import Optimization
from img2img.methods.pool import ImagePool
from img2img.methods.turns import Direction, Player, Step, Turn
from img2img.networks.base import Discriminator, DiscriminatorFactory, Generator, GeneratorFactory
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.generators.resnet import ResNetGenerator


class Images(NamedTuple):
    """Translations and reconstructions of the batch, with the generators' graph."""

    fake_a: Tensor
    fake_b: Tensor
    reconstruction_a: Tensor
    reconstruction_b: Tensor


class CycleGAN(TranslationModule):
    """L(G, F, D_A, D_B) = L_GAN(G, D_B) + L_GAN(F, D_A) + lambda L_cyc(G, F) (equation 3), plus identity (section 5.2).

    Both generators move together first, then each discriminator on fakes from the pool that were made before the
    generators moved, as in the PyTorch port (the Lua code alternates four optimizers).

    Args:
        generator: class or ``functools.partial`` of both generators, called with (channels in, channels out).
        discriminator: class or ``functools.partial`` of both discriminators, called with the domain's channels.
        channels_a: channels of images of domain a.
        channels_b: channels of images of domain b.
        adversarial: adversarial loss; the paper's is lsgan.
        adversarial_weight: weight of the adversarial loss of each generator.
        cycle_weight: weight of the cycle's mean absolute error in both directions (10 in the paper).
        identity_weight: weight of |G(b) - b| and |F(a) - a| (5 in the port: 0.5 times the cycle's); 0 switches it off.
        pool_size: past fakes per domain that the discriminators are shown (50 in the paper).
        gradient_penalty_weight: weight of the gradient penalty; by default 10 with wgan-gp, else 0.
        critic_turns: turns of the discriminators per turn of the generators.
        optimization: learning rate, schedule, initialisation, averaging.
        seed: decides the method's own random draws.

    Raises:
        ValueError: for an identity weight with different channel counts: |G(b) - b| needs a generator that takes b.
    """

    paired = False

    def __init__(
        self,
        generator: GeneratorFactory = ResNetGenerator,
        discriminator: DiscriminatorFactory = PatchDiscriminator,
        channels_a: int = 3,
        channels_b: int = 3,
        adversarial: AdversarialName = "lsgan",
        adversarial_weight: float = 1.0,
        cycle_weight: float = 10.0,
        identity_weight: float = 5.0,
        pool_size: int = 50,
        gradient_penalty_weight: float | None = None,
        critic_turns: int = 1,
        optimization: Optimization = Optimization(),  # noqa: B008 (frozen)
        seed: int = 0,
    ) -> None:
        super().__init__(optimization, seed)
        if identity_weight and channels_a != channels_b:
            raise ValueError(
                f"identity_weight {identity_weight:g} needs equal channel counts, got channels_a {channels_a} and "
                f"channels_b {channels_b}: set identity_weight to 0 or read both domains with the same channels"
            )
        self.channels_a, self.channels_b = channels_a, channels_b
        self.generator_ab, self.generator_ba = generator(channels_a, channels_b), generator(channels_b, channels_a)
        self.discriminator_a, self.discriminator_b = discriminator(channels_a), discriminator(channels_b)
        check_critic(adversarial, critic_turns, self.discriminator_a)
        self.initialise(self.generator_ab, self.generator_ba, self.discriminator_a, self.discriminator_b)
        self.pool_a, self.pool_b = ImagePool(pool_size), ImagePool(pool_size)
        self.adversarial = adversarial_loss(adversarial)
        self.adversarial_weight, self.cycle_weight, self.identity_weight = (
            adversarial_weight,
            cycle_weight,
            identity_weight,
        )
        self.gradient_penalty_weight = penalty_weight(adversarial, gradient_penalty_weight)
        self.critic_turns = critic_turns

    def generators(self) -> dict[Direction, Generator]:
        """Return both generators by direction."""
        return {"ab": self.generator_ab, "ba": self.generator_ba}

    def players(self) -> tuple[Player, ...]:
        """Return both generators as one player with one optimizer, then each discriminator."""
        return (
            Player("generator", (self.generator_ab, self.generator_ba)),
            Player("discriminator_a", (self.discriminator_a,)),
            Player("discriminator_b", (self.discriminator_b,)),
        )

    def generate(self, batch: Batch, step: Step) -> Images:
        """Translate both ways, and back when the generators move."""
        moves = self.moves(step, self.critic_turns)
        with torch.set_grad_enabled(moves):
            fake_b, fake_a = self.generator_ab(batch.a), self.generator_ba(batch.b)
            back = (self.generator_ba(fake_b), self.generator_ab(fake_a)) if moves else (batch.a, batch.b)
        return Images(fake_a, fake_b, *back)

    def turn(self, player: Player, batch: Batch, images: Images, step: Step) -> Turn:
        """Return the losses of equation 3 for the player."""
        if player.name == "discriminator_a":
            return self._judge(
                "discriminator_a", self.discriminator_a, batch.a, self.pool_a(images.fake_a, step.generator), step
            )
        if player.name == "discriminator_b":
            return self._judge(
                "discriminator_b", self.discriminator_b, batch.b, self.pool_b(images.fake_b, step.generator), step
            )
        if not self.moves(step, self.critic_turns):
            return Turn({}, {})
        fool_b = self.adversarial.generator(self.discriminator_b(images.fake_b))
        fool_a = self.adversarial.generator(self.discriminator_a(images.fake_a))
        losses = {
            "generator/adversarial_ab": self.adversarial_weight * fool_b,
            "generator/adversarial_ba": self.adversarial_weight * fool_a,
            "generator/cycle_a": self.cycle_weight * F.l1_loss(images.reconstruction_a.float(), batch.a),
            "generator/cycle_b": self.cycle_weight * F.l1_loss(images.reconstruction_b.float(), batch.b),
        }
        if self.identity_weight:
            # the generator *into* b is asked to leave b alone (two published re-implementations have it the wrong way)
            losses["generator/identity_b"] = self.identity_weight * F.l1_loss(
                self.generator_ab(batch.b).float(), batch.b
            )
            losses["generator/identity_a"] = self.identity_weight * F.l1_loss(
                self.generator_ba(batch.a).float(), batch.a
            )
        return Turn(losses, {"fake_a": images.fake_a.detach(), "fake_b": images.fake_b.detach()})

    def _judge(self, name: str, discriminator: Discriminator, real: Tensor, fake: Tensor, step: Step) -> Turn:
        real_logits, fake_logits = discriminator(real), discriminator(fake)
        losses = {f"{name}/adversarial": self.adversarial.discriminator(real_logits, fake_logits)}
        if self.gradient_penalty_weight:
            penalty = gradient_penalty(discriminator, real, fake, step.generator)
            losses[f"{name}/gradient_penalty"] = self.gradient_penalty_weight * penalty
        return Turn(losses, {"real_logits": real_logits[0].detach(), "fake_logits": fake_logits[0].detach()})
