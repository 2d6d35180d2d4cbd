"""pix2pix: paired translation with a conditional GAN and L1.

@inproceedings{isola2017image, title={Image-to-Image Translation with Conditional Adversarial Networks},
  author={Isola, Phillip and Zhu, Jun-Yan and Zhou, Tinghui and Efros, Alexei A}, booktitle={CVPR}, year={2017}}
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
from img2img.methods.turns import Direction, Player, Step, Turn
from img2img.networks.base import DiscriminatorFactory, Generator, GeneratorFactory
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.generators.unet import UNetGenerator


class Images(NamedTuple):
    """The translation of the batch, with the generator's graph."""

    fake: Tensor


class Pix2Pix(TranslationModule):
    """G* = arg min_G max_D L_cGAN(G, D) + lambda L_L1(G) (equation 4).

    The discriminator moves first, on the detached fake; the generator's adversarial term then uses the discriminator
    that has just moved, as in the PyTorch port (the Lua code re-uses the older one). Defaults are the published
    weights; ``configs/pix2pix.yaml`` is the whole published recipe.

    Args:
        generator: class or ``functools.partial`` of the generator, called with (channels_a, channels_b).
        discriminator: class or ``functools.partial`` of the discriminator, called with its number of channels.
        channels_a: channels of source images.
        channels_b: channels of target images.
        adversarial: adversarial loss; the paper's is bce.
        adversarial_weight: weight of the adversarial loss of the generator.
        l1_weight: weight of the mean absolute error (100 in the paper).
        conditional: the discriminator sees the source beside the target; False is the paper's ablation.
        gradient_penalty_weight: weight of the gradient penalty; by default 10 with wgan-gp, else 0.
        critic_turns: turns of the discriminator per turn of the generator (5 is usual with wgan-gp).
        optimization: learning rate, schedule, initialisation, averaging.
        seed: decides the method's own random draws.
    """

    paired = True

    def __init__(
        self,
        generator: GeneratorFactory = UNetGenerator,
        discriminator: DiscriminatorFactory = PatchDiscriminator,
        channels_a: int = 3,
        channels_b: int = 3,
        adversarial: AdversarialName = "bce",
        adversarial_weight: float = 1.0,
        l1_weight: float = 100.0,
        conditional: bool = True,
        gradient_penalty_weight: float | None = None,
        critic_turns: int = 1,
        optimization: Optimization = Optimization(),  # noqa: B008 (frozen)
        seed: int = 0,
    ) -> None:
        super().__init__(optimization, seed)
        self.channels_a, self.channels_b = channels_a, channels_b
        self.generator = generator(channels_a, channels_b)
        self.discriminator = discriminator(channels_a + channels_b if conditional else channels_b)
        check_critic(adversarial, critic_turns, self.discriminator)
        self.initialise(self.generator, self.discriminator)
        self.adversarial = adversarial_loss(adversarial)
        self.adversarial_weight, self.l1_weight = adversarial_weight, l1_weight
        self.conditional = conditional
        self.gradient_penalty_weight = penalty_weight(adversarial, gradient_penalty_weight)
        self.critic_turns = critic_turns

    def generators(self) -> dict[Direction, Generator]:
        """Return the one generator, a to b."""
        return {"ab": self.generator}

    def players(self) -> tuple[Player, ...]:
        """Return discriminator, then generator."""
        return Player("discriminator", (self.discriminator,)), Player("generator", (self.generator,))

    def generate(self, batch: Batch, step: Step) -> Images:
        """Translate the sources once; no graph is kept when the generator passes."""
        with torch.set_grad_enabled(self.moves(step, self.critic_turns)):
            return Images(self.generator(batch.a))

    def turn(self, player: Player, batch: Batch, images: Images, step: Step) -> Turn:
        """Return the losses of equation 1 (discriminator) or 4 (generator)."""
        if player.name == "discriminator":
            return self._discriminator_turn(batch, images.fake.detach(), step)
        if not self.moves(step, self.critic_turns):
            return Turn({}, {})
        logits = self._judge(batch.a, images.fake)
        losses = {
            "generator/adversarial": self.adversarial_weight * self.adversarial.generator(logits),
            "generator/l1": self.l1_weight * F.l1_loss(images.fake.float(), batch.b),
        }
        return Turn(losses, {"fake": images.fake.detach()})

    def _discriminator_turn(self, batch: Batch, fake: Tensor, step: Step) -> Turn:
        real_logits, fake_logits = self._judge(batch.a, batch.b), self._judge(batch.a, fake)
        losses = {"discriminator/adversarial": self.adversarial.discriminator(real_logits, fake_logits)}
        if self.gradient_penalty_weight:
            penalty = gradient_penalty(lambda b: self._judge(batch.a, b), batch.b, fake, step.generator)
            losses["discriminator/gradient_penalty"] = self.gradient_penalty_weight * penalty
        return Turn(losses, {"real_logits": real_logits[0].detach(), "fake_logits": fake_logits[0].detach()})

    def _judge(self, source: Tensor, target: Tensor) -> list[Tensor]:
        pair = torch.cat([source, target.to(source.dtype)], dim=1) if self.conditional else target
        logits: list[Tensor] = self.discriminator(pair)
        return logits
