"""CycleGAN: unpaired translation with cycle consistency.

@inproceedings{zhu2017unpaired, title={Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks},
  author={Zhu, Jun-Yan and Park, Taesung and Isola, Phillip and Efros, Alexei A}, booktitle={ICCV}, year={2017}}
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from img2img.batch import Batch
from img2img.losses.adversarial import AdversarialName
from img2img.methods.base import TranslationModule
from img2img.methods.critic import Critic
from img2img.methods.identity import refuse_unequal_channels
from img2img.methods.judge import Judge
from img2img.methods.optimization import Optimization
from img2img.methods.pool import ImagePool
from img2img.methods.turns import Direction, Player, Step, Turn
from img2img.networks.base import DiscriminatorFactory, Generator, GeneratorFactory
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.generators.resnet import ResNetGenerator
from img2img.networks.layers.norm import couples_images


class Images(NamedTuple):
    """What the generators make of a batch, with their graph; empty tensors where a turn without them needs none."""

    fake_a: Tensor
    fake_b: Tensor
    reconstruction_a: Tensor
    reconstruction_b: Tensor
    identity_a: Tensor
    identity_b: Tensor


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
        cycle_noise: standard deviation, in [-1, 1] units, of the noise on a fake before it goes back, so that it cannot
            hide in invisible detail what it came from (Chu et al. 2017, arXiv 1712.02950); 3/255 is a start.
        critic: how the discriminators judge: turns, penalties, noise, augmentation.
        optimization: learning rate, schedule, initialisation, averaging.
        seed: decides the method's own random draws.

    Raises:
        ValueError: for an identity weight with different channel counts: |G(b) - b| needs a generator that takes b; for
            a negative cycle_noise.
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
        cycle_noise: float = 0.0,
        critic: Critic = Critic(),  # noqa: B008 (frozen)
        optimization: Optimization = Optimization(),  # noqa: B008 (frozen)
        seed: int = 0,
    ) -> None:
        super().__init__(optimization, seed)
        refuse_unequal_channels(identity_weight, channels_a, channels_b)
        if cycle_noise < 0:
            raise ValueError(f"cycle_noise: expected 0 or more, got {cycle_noise}")
        self.channels_a, self.channels_b = channels_a, channels_b
        self.generator_ab, self.generator_ba = generator(channels_a, channels_b), generator(channels_b, channels_a)
        self.discriminator_a, self.discriminator_b = discriminator(channels_a), discriminator(channels_b)
        self.initialise(self.generator_ab, self.generator_ba, self.discriminator_a, self.discriminator_b)
        self.pool_a, self.pool_b = ImagePool(pool_size), ImagePool(pool_size)
        self.judge_a = Judge("discriminator_a", critic, adversarial, self.discriminator_a)
        self.judge_b = Judge("discriminator_b", critic, adversarial, self.discriminator_b)
        self.adversarial_weight, self.cycle_weight, self.identity_weight = (
            adversarial_weight,
            cycle_weight,
            identity_weight,
        )
        self.cycle_noise = cycle_noise
        self.critic = critic
        self._per_image = _treats_images_alone(self.generator_ab) and _treats_images_alone(self.generator_ba)

    def generators(self) -> dict[Direction, Generator]:
        """Return both generators by direction."""
        return {"ab": self.generator_ab, "ba": self.generator_ba}

    def players(self) -> tuple[Player, ...]:
        """Return both generators as one player with one optimizer, then each discriminator."""
        return (
            Player("generator", (self.generator_ab, self.generator_ba)),
            Player("discriminator_a", (self.discriminator_a, *self.judge_a.networks)),
            Player("discriminator_b", (self.discriminator_b, *self.judge_b.networks)),
        )

    def generate(self, batch: Batch, step: Step) -> Images:
        """Translate both ways; when the generators move also back, and into the domain that an image is in already."""
        ab, ba = self.generator_ab, self.generator_ba
        nothing = batch.a.new_empty(0)
        if not self.moves(step, self.critic.turns):
            with torch.no_grad():
                fake_b, fake_a = ab(batch.a), ba(batch.b)
            return Images(fake_a, fake_b, nothing, nothing, nothing, nothing)
        merged = self.identity_weight > 0 and self._per_image and batch.a.shape == batch.b.shape
        if merged:  # one call on both domains is exact where every image is treated by itself, and six become four
            fake_b, identity_b = ab(torch.cat([batch.a, batch.b])).chunk(2)
            fake_a, identity_a = ba(torch.cat([batch.b, batch.a])).chunk(2)
        else:
            fake_b, fake_a = ab(batch.a), ba(batch.b)
        back_a, back_b = ba(self._on_the_way_back(fake_b, step)), ab(self._on_the_way_back(fake_a, step))
        if not merged:
            # the generator *into* b is asked to leave b alone (two published re-implementations have it the wrong way)
            identity_b, identity_a = (ab(batch.b), ba(batch.a)) if self.identity_weight else (nothing, nothing)
        return Images(fake_a, fake_b, back_a, back_b, identity_a, identity_b)

    def turn(self, player: Player, batch: Batch, images: Images, step: Step) -> Turn:
        """Return the losses of equation 3 for the player."""
        if player.name == "discriminator_a":
            fake = self.pool_a(images.fake_a, step.generator)
            return self.judge_a.turn(self.discriminator_a, batch.a, fake, step)
        if player.name == "discriminator_b":
            fake = self.pool_b(images.fake_b, step.generator)
            return self.judge_b.turn(self.discriminator_b, batch.b, fake, step)
        if not self.moves(step, self.critic.turns):
            return Turn({}, {})
        fool_b = self.judge_b.fool(self.discriminator_b, batch.b, images.fake_b, step)["adversarial"]
        fool_a = self.judge_a.fool(self.discriminator_a, batch.a, images.fake_a, step)["adversarial"]
        losses = {
            "generator/adversarial_ab": self.adversarial_weight * fool_b,
            "generator/adversarial_ba": self.adversarial_weight * fool_a,
            "generator/cycle_a": self.cycle_weight * F.l1_loss(images.reconstruction_a, batch.a),
            "generator/cycle_b": self.cycle_weight * F.l1_loss(images.reconstruction_b, batch.b),
        }
        if self.identity_weight:
            losses["generator/identity_b"] = self.identity_weight * F.l1_loss(images.identity_b, batch.b)
            losses["generator/identity_a"] = self.identity_weight * F.l1_loss(images.identity_a, batch.a)
        return Turn(losses, {"fake_a": images.fake_a.detach(), "fake_b": images.fake_b.detach()})

    def _on_the_way_back(self, fake: Tensor, step: Step) -> Tensor:
        noise = max(self.cycle_noise, step.levers.get("cycle_noise", 0.0))
        return fake + noise * torch.randn(fake.shape, generator=step.generator).to(fake) if noise else fake


def _treats_images_alone(generator: nn.Module) -> bool:
    """Tell whether a batch is translated as its images one by one: no statistics over it, nothing drawn for it."""
    drawn = any(isinstance(layer, _DropoutNd) and layer.p > 0 for layer in generator.modules())
    return not drawn and not couples_images(generator)
