"""CUT: one-sided unpaired translation, held to its source by the generator's own features.

@inproceedings{park2020contrastive, title={Contrastive Learning for Unpaired Image-to-Image Translation},
  author={Park, Taesung and Efros, Alexei A and Zhang, Richard and Zhu, Jun-Yan}, booktitle={ECCV}, year={2020}}
@inproceedings{cai2024rethinking, title={Rethinking the Paradigm of Content Constraints in Unpaired Image-to-Image
  Translation}, author={Cai, Xiuding and Zhu, Yaoyao and Miao, Dong and Fu, Linjie and Yao, Yu}, booktitle={AAAI},
  year={2024}}
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from img2img.batch import Batch
from img2img.losses.adversarial import AdversarialName
from img2img.losses.patch_nce import TEMPERATURE
from img2img.methods.base import TranslationModule
from img2img.methods.content import Consistency, Contrast, Features, Passed
from img2img.methods.critic import Critic
from img2img.methods.judge import Judge
from img2img.methods.optimization import Optimization
from img2img.methods.positions import SamplingName, draw_positions, shared_draws
from img2img.methods.turns import Direction, Player, Step, Turn
from img2img.networks.base import (
    TRANSLATION,
    DiscriminatorFactory,
    FeatureGeneratorFactory,
    Generator,
    shows_features,
)
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.generators.resnet import ResNetGenerator


class Images(NamedTuple):
    """What the generator makes of a batch, with its graph; empty where it does not move, or has no identity term."""

    fake: Tensor
    identity: Tensor
    features: Features
    identity_features: Features


class CUT(TranslationModule):
    """L_GAN(G, D) + lambda_X L_content(G, X) + lambda_Y L_content(G, Y) (equation 5), with one generator, a to b.

    The discriminator moves first, as published. The heads that prepare features for comparison are the generator's
    player's: saved with it, exported never. FastCUT and EnCo are recipes: see ``configs/``.

    Args:
        generator: class or ``functools.partial`` of a generator that shows its features, called with (channels_a,
            channels_b).
        discriminator: class or ``functools.partial`` of the discriminator, called with channels_b.
        channels_a: channels of images of domain a.
        channels_b: channels of images of domain b.
        adversarial: adversarial loss; the paper's is lsgan.
        adversarial_weight: weight of the adversarial loss of the generator.
        content: what holds a translation to its source: contrast (PatchNCE, CUT) or consistency (EnCo), which costs
            half as much. Either may make one picture of all sources where the targets are label maps.
        content_weight: its weight (1 in CUT, 10 in FastCUT, 2 in EnCo).
        stages: names of the generator's stages that are compared; by default the generator's own choice.
        num_positions: positions compared in each stage (256 in both papers).
        sampling: how they are drawn: random, or discriminator: half of them where it is least convinced (EnCo).
        temperature: tau of the contrast.
        flip_equivariance: with a contrast: every other batch is translated mirrored and compared unmirrored (FastCUT).
        identity: what holds G(b) to b: content (as above, CUT) or pixels (mean absolute error, EnCo).
        identity_weight: its weight (1 in CUT, 10 in EnCo); 0 switches it off (FastCUT). While it is on, this term and
            the content's are halved, as published.
        identity_until: share of the training after which the identity term is off (0.5 in EnCo).
        critic: how the discriminator judges: turns, penalties, noise, augmentation.
        optimization: learning rate, schedule, initialisation, averaging.
        seed: decides the method's own random draws.

    Raises:
        ValueError: for options that contradict each other, and for different channel counts where the generator has to
            take images of domain b.
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
        content: Literal["contrast", "consistency"] = "contrast",
        content_weight: float = 1.0,
        stages: list[str] | None = None,
        num_positions: int = 256,
        sampling: SamplingName = "random",
        temperature: float = TEMPERATURE,
        flip_equivariance: bool = False,
        identity: Literal["content", "pixels"] = "content",
        identity_weight: float = 1.0,
        identity_until: float = 1.0,
        critic: Critic = Critic(),  # noqa: B008 (frozen)
        optimization: Optimization = Optimization(),  # noqa: B008 (frozen)
        seed: int = 0,
    ) -> None:
        super().__init__(optimization, seed)
        if content == "consistency":
            _refuse_without_contrast(temperature=temperature, flip_equivariance=flip_equivariance)
        if channels_a != channels_b and (content == "contrast" or identity_weight):
            why = "content contrast" if content == "contrast" else f"identity_weight {identity_weight:g}"
            raise ValueError(
                f"{why} shows the generator images of both domains, got channels_a {channels_a} and channels_b "
                f"{channels_b}: set content to consistency and identity_weight to 0, or read both with as many channels"
            )
        if not temperature > 0:
            raise ValueError(f"temperature: expected more than 0, got {temperature}")
        if not 0 < identity_until <= 1:
            raise ValueError(
                f"identity_until: expected a share above 0 up to 1, got {identity_until}; identity_weight 0 is off"
            )
        self.channels_a, self.channels_b = channels_a, channels_b
        self.generator = shows_features(generator(channels_a, channels_b))
        self.discriminator = discriminator(channels_b)
        self.content: Contrast | Consistency = (
            Contrast(self.generator, stages, temperature)
            if content == "contrast"
            else Consistency(self.generator, stages)
        )
        self.initialise(self.generator, self.discriminator, self.content)
        self.judge = Judge("discriminator", critic, adversarial, self.discriminator)
        self.adversarial_weight, self.content_weight = adversarial_weight, content_weight
        self.num_positions, self.sampling = num_positions, sampling
        self.flip_equivariance = flip_equivariance
        self.identity, self.identity_weight, self.identity_until = identity, identity_weight, identity_until
        self.critic = critic

    def generators(self) -> dict[Direction, Generator]:
        """Return the one generator, a to b."""
        return {"ab": self.generator}

    def players(self) -> tuple[Player, ...]:
        """Return discriminator, then generator with the heads."""
        judging = (self.discriminator, *self.judge.networks)
        return Player("discriminator", judging), Player("generator", (self.generator, self.content))

    def generate(self, batch: Batch, step: Step) -> Images:
        """Translate once; when the generator moves also keep the features of that pass, and translate b where asked."""
        mirrored = self._draws(step)[1]
        a, b = (image.flip(3) if mirrored else image for image in (batch.a, batch.b))
        nothing = batch.a.new_empty(0)
        if not self.moves(step, self.critic.turns) or not torch.is_grad_enabled():
            with torch.no_grad():
                return Images(self.generator(a), nothing, {}, {})
        names = (*self.content.inside, TRANSLATION)
        if not self._has_identity(step):
            features = self.generator.features(a, names)
            return Images(features.pop(TRANSLATION), nothing, features, {})
        if a.shape == b.shape:  # in one pass, as published
            both = self.generator.features(torch.cat([a, b]), names)
            features, of_b = ({name: tensor.chunk(2)[i] for name, tensor in both.items()} for i in (0, 1))
        else:
            features, of_b = self.generator.features(a, names), self.generator.features(b, names)
        return Images(features.pop(TRANSLATION), of_b.pop(TRANSLATION), features, of_b)

    def turn(self, player: Player, batch: Batch, images: Images, step: Step) -> Turn:
        """Return the losses of equation 5 for the player."""
        if player.name == "discriminator":
            return self.judge.turn(self.discriminator, batch.b, images.fake.detach(), step)
        if not self.moves(step, self.critic.turns):
            return Turn({}, {})
        draws, mirrored = self._draws(step)
        opinion = self.judge.fool(self.discriminator, batch.b, images.fake, step)
        passed = Passed(batch.a, mirrored, images.fake, images.features)
        losses = {
            "generator/adversarial": self.adversarial_weight * opinion["adversarial"],
            "generator/content": self.content_weight * self._held(passed, draws),
        }
        if self._has_identity(step):
            target = batch.b.flip(3) if mirrored else batch.b
            term = (
                F.l1_loss(images.identity, target)
                if self.identity == "pixels"
                else self._held(Passed(batch.b, mirrored, images.identity, images.identity_features), draws)
            )
            losses["generator/content"] = 0.5 * losses["generator/content"]
            losses["generator/identity"] = 0.5 * self.identity_weight * term
        return Turn(losses, {"fake": images.fake.detach()})

    def _held(self, passed: Passed, draws: torch.Generator) -> Tensor:
        """Return the content loss of a pass."""
        scores = None
        if self.sampling == "discriminator":
            with torch.no_grad():  # on the image as it is: what the discriminator was shown may have been moved
                scores = self.discriminator(passed.translation)[0]
            scores = scores.flip(3) if passed.mirrored else scores
        draw = partial(draw_positions, count=self.num_positions, draws=draws, scores=scores)
        loss: Tensor = self.content(self.generator, passed, draw)
        return loss

    def _has_identity(self, step: Step) -> bool:
        return self.identity_weight > 0 and step.progress < self.identity_until

    def _draws(self, step: Step) -> tuple[torch.Generator, bool]:
        """Return the random numbers of positions, and whether this batch is mirrored."""
        draws = shared_draws(self.seed, step)
        mirrored = self.flip_equivariance and bool(torch.rand((), generator=draws) < 0.5)  # noqa: PLR2004 (a coin)
        return draws, mirrored


def _refuse_without_contrast(*, temperature: float, flip_equivariance: bool) -> None:
    """Refuse options of the contrast with another content loss."""
    given = {"temperature": temperature != TEMPERATURE, "flip_equivariance": flip_equivariance}
    if names := [name for name, there in given.items() if there]:
        raise ValueError(
            f"{' and '.join(names)} and content consistency contradict each other, for they are of content contrast: "
            "leave one out"
        )
