"""DCLGAN: unpaired translation both ways, each held to its source by a contrast between two encoders.

@inproceedings{han2021dual, title={Dual Contrastive Learning for Unsupervised Image-to-Image Translation},
  author={Han, Junlin and Shoeiby, Mehrdad and Petersson, Lars and Armin, Mohammad Ali}, booktitle={CVPR Workshops},
  year={2021}}
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from img2img.batch import Batch
from img2img.losses.adversarial import AdversarialName
from img2img.losses.patch_nce import TEMPERATURE, patch_nce
from img2img.methods.base import TranslationModule
from img2img.methods.content import Features, chosen_stages
from img2img.methods.critic import Critic
from img2img.methods.identity import refuse_unequal_channels
from img2img.methods.judge import Judge
from img2img.methods.optimization import Optimization
from img2img.methods.pool import ImagePool
from img2img.methods.positions import draw_positions, shared_draws
from img2img.methods.turns import Direction, Player, Step, Turn
from img2img.networks.base import (
    TRANSLATION,
    DiscriminatorFactory,
    FeatureGenerator,
    FeatureGeneratorFactory,
    Generator,
    shows_features,
)
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.generators.resnet import ResNetGenerator
from img2img.networks.heads import ContrastHeads


class Images(NamedTuple):
    """What the generators make of a batch, with their graph; empty where they do not move, or have no identity term."""

    fake_a: Tensor
    fake_b: Tensor
    identity_a: Tensor
    identity_b: Tensor
    features_a: Features
    features_b: Features


class DCLGAN(TranslationModule):
    """The mean over both directions of lambda_GAN L_GAN + lambda_NCE L_PatchNCE + lambda_idt L_idt (equation 6).

    The encoder of the generator a to b and its heads embed images of domain a, those of b to a images of domain b: the
    queries of G(a) come from the one, the keys of a from the other. Two encoders have their own idea of each domain,
    where CUT's one has to fit both; with no cycle nothing has to come back to the pixel. The discriminators move first,
    on fakes from the pool, as published.

    Args:
        generator: class or ``functools.partial`` of both generators, which show their features, called with (channels
            in, channels out).
        discriminator: class or ``functools.partial`` of both discriminators, called with the domain's channels.
        channels_a: channels of images of domain a.
        channels_b: channels of images of domain b.
        adversarial: adversarial loss; the paper's is lsgan.
        adversarial_weight: weight of the adversarial losses.
        contrast_weight: weight of the contrasts (2 in the paper).
        identity_weight: weight of |G(b) - b| and |F(a) - a| (1 in the paper); 0 switches it off.
        stages: names of the generators' stages that are compared; by default their own choice but the source itself,
            with which the paper's FID is worse (table 4).
        num_positions: positions compared in each stage.
        temperature: tau of the contrast.
        pool_size: past fakes per domain that the discriminators are shown (50 in the paper).
        critic: how the discriminators judge: turns, penalties, noise, augmentation.
        optimization: learning rate, schedule, initialisation, averaging.
        seed: decides the method's own random draws.

    Raises:
        ValueError: for an identity weight with different channel counts, and for stages that there are none of.
    """

    paired = False

    def __init__(
        self,
        generator: FeatureGeneratorFactory = ResNetGenerator,
        discriminator: DiscriminatorFactory = PatchDiscriminator,
        channels_a: int = 3,
        channels_b: int = 3,
        adversarial: AdversarialName = "lsgan",
        adversarial_weight: float = 1.0,
        contrast_weight: float = 2.0,
        identity_weight: float = 1.0,
        stages: list[str] | None = None,
        num_positions: int = 256,
        temperature: float = TEMPERATURE,
        pool_size: int = 50,
        critic: Critic = Critic(),  # noqa: B008 (frozen)
        optimization: Optimization = Optimization(),  # noqa: B008 (frozen)
        seed: int = 0,
    ) -> None:
        super().__init__(optimization, seed)
        refuse_unequal_channels(identity_weight, channels_a, channels_b)
        if not temperature > 0:
            raise ValueError(f"temperature: expected more than 0, got {temperature}")
        self.channels_a, self.channels_b = channels_a, channels_b
        self.generator_ab = shows_features(generator(channels_a, channels_b))
        self.generator_ba = shows_features(generator(channels_b, channels_a))
        self.discriminator_a, self.discriminator_b = discriminator(channels_a), discriminator(channels_b)
        known = self.generator_ab.stages
        self.stages = chosen_stages(stages or self.generator_ab.content_stages[1:], known)
        self.heads_a, self.heads_b = (
            ContrastHeads({stage: encoder.stages[stage] for stage in self.stages})
            for encoder in (self.generator_ab, self.generator_ba)
        )
        self.initialise(self.discriminator_a, self.discriminator_b, self.generator_ab, self.generator_ba)
        self.initialise(self.heads_a, self.heads_b)
        self.pool_a, self.pool_b = ImagePool(pool_size), ImagePool(pool_size)
        self.judge_a = Judge("discriminator_a", critic, adversarial, self.discriminator_a)
        self.judge_b = Judge("discriminator_b", critic, adversarial, self.discriminator_b)
        self.adversarial_weight, self.contrast_weight = adversarial_weight, contrast_weight
        self.identity_weight = identity_weight
        self.num_positions, self.temperature = num_positions, temperature
        self.critic = critic

    def generators(self) -> dict[Direction, Generator]:
        """Return both generators by direction."""
        return {"ab": self.generator_ab, "ba": self.generator_ba}

    def players(self) -> tuple[Player, ...]:
        """Return each discriminator, then both generators with the heads as one player with one optimizer."""
        return (
            Player("discriminator_a", (self.discriminator_a, *self.judge_a.networks)),
            Player("discriminator_b", (self.discriminator_b, *self.judge_b.networks)),
            Player("generator", (self.generator_ab, self.generator_ba, self.heads_a, self.heads_b)),
        )

    def generate(self, batch: Batch, step: Step) -> Images:
        """Translate both ways; when the generators move also keep the features, and translate what is there already."""
        ab, ba = self.generator_ab, self.generator_ba
        nothing = batch.a.new_empty(0)
        if not self.moves(step, self.critic.turns) or not torch.is_grad_enabled():
            with torch.no_grad():
                return Images(ba(batch.b), ab(batch.a), nothing, nothing, {}, {})
        names = (*self.stages, TRANSLATION)
        of_a, of_b = ab.features(batch.a, names), ba.features(batch.b, names)
        identity_a, identity_b = (ba(batch.a), ab(batch.b)) if self.identity_weight else (nothing, nothing)
        return Images(of_b.pop(TRANSLATION), of_a.pop(TRANSLATION), identity_a, identity_b, of_a, of_b)

    def turn(self, player: Player, batch: Batch, images: Images, step: Step) -> Turn:
        """Return the losses of equation 6 for the player."""
        if player.name == "discriminator_a":
            fake = self.pool_a(images.fake_a, step.generator)
            return self.judge_a.turn(self.discriminator_a, batch.a, fake, step)
        if player.name == "discriminator_b":
            fake = self.pool_b(images.fake_b, step.generator)
            return self.judge_b.turn(self.discriminator_b, batch.b, fake, step)
        if not self.moves(step, self.critic.turns):
            return Turn({}, {})
        draws = shared_draws(self.seed, step)
        ab, ba, heads_a, heads_b = self.generator_ab, self.generator_ba, self.heads_a, self.heads_b
        contrast_ab = self._contrast(ba, heads_b, images.fake_b, heads_a, images.features_a, draws)
        contrast_ba = self._contrast(ab, heads_a, images.fake_a, heads_b, images.features_b, draws)
        fool_b = self.judge_b.fool(self.discriminator_b, batch.b, images.fake_b, step)["adversarial"]
        fool_a = self.judge_a.fool(self.discriminator_a, batch.a, images.fake_a, step)["adversarial"]
        losses = {
            "generator/adversarial_ab": self.adversarial_weight * fool_b,
            "generator/adversarial_ba": self.adversarial_weight * fool_a,
            "generator/contrast_ab": self.contrast_weight * contrast_ab,
            "generator/contrast_ba": self.contrast_weight * contrast_ba,
        }
        if self.identity_weight:
            losses["generator/identity_b"] = self.identity_weight * F.l1_loss(images.identity_b, batch.b)
            losses["generator/identity_a"] = self.identity_weight * F.l1_loss(images.identity_a, batch.a)
        halves = {key: 0.5 * loss for key, loss in losses.items()}
        return Turn(halves, {"fake_a": images.fake_a.detach(), "fake_b": images.fake_b.detach()})

    def _contrast(
        self,
        encoder: FeatureGenerator,
        heads: ContrastHeads,
        fake: Tensor,
        other_heads: ContrastHeads,
        features: Features,
        draws: torch.Generator,
    ) -> Tensor:
        """Return the mean PatchNCE of a fake, embedded as its domain is, with how its source was embedded."""
        queries = encoder.features(fake, self.stages)
        positions = draw_positions(queries, self.num_positions, draws)
        with torch.no_grad():
            keys = other_heads(features, positions)
        vectors = heads(queries, positions)
        return torch.stack([patch_nce(vectors[stage], keys[stage], self.temperature) for stage in self.stages]).mean()
