"""Distillation: a small generator learns to translate as a trained one does.

@inproceedings{li2020gan, title={GAN Compression: Efficient Architectures for Interactive Conditional GANs},
  author={Li, Muyang and Lin, Ji and Ding, Yaoyao and Liu, Zhijian and Zhu, Jun-Yan and Han, Song}, booktitle={CVPR},
  year={2020}}, arXiv 2003.08936
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from img2img.batch import Batch
from img2img.checkpoint import load_translator
from img2img.configured import describe, nearest
from img2img.errors import ConfigError
from img2img.losses.adversarial import AdversarialName
from img2img.losses.distillation import feature_distillation
from img2img.methods.base import TranslationModule
from img2img.methods.critic import Critic
from img2img.methods.judge import Judge
from img2img.methods.optimization import Optimization
from img2img.methods.turns import Direction, Player, Step, Turn
from img2img.networks.base import DiscriminatorFactory, Generator, GeneratorFactory
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.generators.separable import SeparableGenerator
from img2img.networks.generators.unet import UNetGenerator
from img2img.networks.places import places_of, watched


class Images(NamedTuple):
    """What both networks made of the sources, and their features by place; the student's with its graph."""

    fake: Tensor
    taught: Tensor
    features: dict[str, Tensor]
    taught_features: dict[str, Tensor]


class Distill(TranslationModule):
    """min_S max_D L_cGAN(S, D) + lambda_o |S(x) - T(x)| + lambda_t |S(x) - y| + lambda_f L_features.

    The objective of section 3.1: S is the student, T the frozen teacher, y the target of x. What the discriminator
    takes for real is y of paired images and T(x) of others; it judges beside the source. Differences to the paper: one
    network, not searched for in a larger one; a discriminator that begins anew, since a translator file holds none; all
    resolutions that both networks have, not four chosen layers; with pairs too the teacher's translation is asked for.

    Args:
        generator: class or ``functools.partial`` of the student, called with (channels_a, channels_b).
        discriminator: class or ``functools.partial`` of the discriminator, called with its number of channels.
        teacher: class or ``functools.partial`` of the teacher, as its file describes it.
        weights: the teacher's translator file or run folder.
        direction: of it, such as ``horse:zebra``; by default its main one.
        sha256: beginning of the checksum that the teacher's file states, so that a run goes on with the teacher that
            it began with; None takes any.
        channels_a: channels of source images.
        channels_b: channels of target images.
        paired: whether the images come in pairs.
        adversarial: adversarial loss.
        adversarial_weight: weight of the adversarial loss of the student; with 0 nothing is judged.
        output_weight: weight of the mean absolute difference to the teacher's translation.
        target_weight: weight of the mean absolute difference to the target; for pairs.
        feature_weight: weight of :mod:`img2img.losses.distillation`.
        critic: how the discriminator judges: turns, penalties, noise, augmentation.
        optimization: learning rate, schedule, initialisation, averaging.
        seed: decides the method's own random draws.

    Raises:
        ValueError: for a ``target_weight`` without pairs, and a ``feature_weight`` where student and teacher share no
            resolution.
    """

    paired = True

    def __init__(
        self,
        generator: GeneratorFactory = SeparableGenerator,
        discriminator: DiscriminatorFactory = PatchDiscriminator,
        teacher: GeneratorFactory = UNetGenerator,
        weights: str | None = None,
        direction: str | None = None,
        sha256: str | None = None,
        channels_a: int = 3,
        channels_b: int = 3,
        paired: bool = True,
        adversarial: AdversarialName = "lsgan",
        adversarial_weight: float = 1.0,
        output_weight: float = 50.0,
        target_weight: float = 0.0,
        feature_weight: float = 10.0,
        critic: Critic = Critic(),  # noqa: B008 (frozen)
        optimization: Optimization = Optimization(),  # noqa: B008 (frozen)
        seed: int = 0,
    ) -> None:
        super().__init__(optimization, seed)
        if target_weight and not paired:
            raise ValueError(f"target_weight {target_weight:g}: images without pairs have no targets; leave it at 0")
        self.paired = paired
        self.channels_a, self.channels_b = channels_a, channels_b
        self.generator = generator(channels_a, channels_b)
        self.discriminator = discriminator(channels_a + channels_b)
        with torch.device("meta"):
            taught = teacher(channels_a, channels_b)
        self._teacher = [taught]  # in a list: no submodule, so no part of checkpoints
        self.weights, self.direction, self.sha256 = weights, direction, sha256
        own, other = places_of(self.generator), places_of(taught)
        shared = [name for name in own if name in other] if feature_weight else []
        if feature_weight and not shared:
            raise ValueError(
                f"feature_weight {feature_weight:g}: {type(self.generator).__name__} and {type(taught).__name__} have "
                "features at no common resolution; leave it at 0"
            )
        self._places = {name: own[name] for name in shared}, {name: other[name] for name in shared}
        self.adapters = nn.ModuleDict({name: nn.Conv2d(own[name].channels, other[name].channels, 1) for name in shared})
        self.initialise(self.generator, self.discriminator)
        self.judge = Judge("discriminator", critic, adversarial, self.discriminator, channels_b)
        self.critic = critic
        self.adversarial_weight, self.output_weight = adversarial_weight, output_weight
        self.target_weight, self.feature_weight = target_weight, feature_weight

    def generators(self) -> dict[Direction, Generator]:
        """Return the student, a to b."""
        return {"ab": self.generator}

    def setup(self, stage: str) -> None:
        """Load the teacher's weights; raises ConfigError if it is not the one that the config describes."""
        super().setup(stage)
        if not next(self._teacher[0].parameters()).is_meta:
            return
        if self.weights is None:
            raise ConfigError("--model.weights: expected the teacher's translator file; img2img distill names it")
        file = load_translator(Path(self.weights))
        found = str(file.header.get("sha256", ""))
        if self.sha256 is not None and not found.startswith(self.sha256):
            raise ConfigError(
                f"{self.weights}: its weights are not those this run was begun with ({self.sha256}, now {found[:8]}); "
                "put that teacher back, or begin another run"
            )
        direction = self.direction or file.directions[0]
        if direction not in file.directions:
            raise ConfigError(f"{self.weights}: it does not translate {direction}{nearest(direction, file.directions)}")
        network = file.generator(direction)
        if describe(network) != describe(self._teacher[0]):
            raise ConfigError(
                f"{self.weights}: its generator for {direction} is another than --model.teacher; img2img distill "
                "writes the one that it is"
            )
        self._teacher[0] = network

    def players(self) -> tuple[Player, ...]:
        """Return discriminator, then generator (with what maps its features to the teacher's)."""
        judging = (self.discriminator, *self.judge.networks)
        return Player("discriminator", judging), Player("generator", (self.generator, self.adapters))

    def generate(self, batch: Batch, step: Step) -> Images:
        """Translate the sources with both networks; no graph is kept when the generator passes."""
        teacher = self._teacher[0].to(batch.a)  # device and precision
        own, other = self._places
        with torch.no_grad(), watched(teacher, other) as taught_features:
            taught = teacher(batch.a)
        moves = self.moves(step, self.critic.turns) and torch.is_grad_enabled()
        with torch.set_grad_enabled(moves), watched(self.generator, own) as features:
            fake = self.generator(batch.a)
        return Images(fake, taught, features, taught_features)

    def turn(self, player: Player, batch: Batch, images: Images, step: Step) -> Turn:
        """Return a player's losses of the objective."""
        real = batch.b if self.paired else images.taught
        if player.name == "discriminator":
            if not self.adversarial_weight:
                return Turn({}, {})
            return self.judge.turn(self.discriminator, real, images.fake.detach(), step, batch.a)
        if not self.moves(step, self.critic.turns):
            return Turn({}, {})
        losses: dict[str, Tensor] = {}
        if self.output_weight:
            losses["generator/output"] = self.output_weight * _l1(images.fake, images.taught)
        if self.target_weight:
            losses["generator/l1"] = self.target_weight * _l1(images.fake, batch.b)
        if self.feature_weight:
            mapped = {name: adapt(images.features[name]) for name, adapt in self.adapters.items()}
            losses["generator/features"] = self.feature_weight * feature_distillation(images.taught_features, mapped)
        if self.adversarial_weight:
            opinion = self.judge.fool(self.discriminator, real, images.fake, step, batch.a)
            losses["generator/adversarial"] = self.adversarial_weight * opinion["adversarial"]
        return Turn(losses, {"fake": images.fake.detach()})


def _l1(fake: Tensor, wanted: Tensor) -> Tensor:
    return (fake - wanted).abs().mean()
