"""pix2pix: paired translation with a conditional GAN and L1.

@inproceedings{isola2017image, title={Image-to-Image Translation with Conditional Adversarial Networks},
  author={Isola, Phillip and Zhu, Jun-Yan and Zhou, Tinghui and Efros, Alexei A}, booktitle={CVPR}, year={2017}}
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor

from img2img.batch import Batch
from img2img.losses.adversarial import AdversarialName
from img2img.losses.diversity import sameness
from img2img.losses.perceptual import perceptual as perceptual_loss
from img2img.losses.pyramid import pyramid_l1
from img2img.methods.base import TranslationModule
from img2img.methods.critic import Critic
from img2img.methods.frozen import load_frozen
from img2img.methods.judge import Judge
from img2img.methods.optimization import Optimization
from img2img.methods.still import held_still
from img2img.methods.turns import Direction, Player, Step, Turn
from img2img.networks.base import DiscriminatorFactory, Generator, GeneratorFactory
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.frozen.base import FeatureNetwork, FeatureNetworkFactory
from img2img.networks.frozen.vgg import VGG19
from img2img.networks.generators.unet import UNetGenerator
from img2img.networks.latent import LatentGenerator
from img2img.schedule import faded

_DISCRIMINATOR_FROM = 0.8
"""Of the share in which the generator has the error alone: from then on the discriminator learns."""


class Images(NamedTuple):
    """The translation of the batch, with the generator's graph, and the latents it was made with, if any."""

    fake: Tensor
    latent: Tensor


class Pix2Pix(TranslationModule):
    """G* = arg min_G max_D L_cGAN(G, D) + lambda L_L1(G) (equation 4).

    The discriminator moves first, on the detached fake; the generator's adversarial term then uses the discriminator
    that has just moved, as in the PyTorch port (the Lua code re-uses the older one). Defaults are the published
    weights; ``configs/pix2pix-faithful.yaml`` is the whole published recipe. pix2pixHD (``configs/pix2pixhd.yaml``)
    takes the same turns with other networks and losses.

    Args:
        generator: class or ``functools.partial`` of the generator, called with (channels_a, channels_b).
        discriminator: class or ``functools.partial`` of the discriminator, called with its number of channels.
        channels_a: channels of source images.
        channels_b: channels of target images.
        adversarial: adversarial loss; the paper's is bce.
        adversarial_weight: weight of the adversarial loss of the generator.
        l1_weight: weight of the mean absolute error (100 in the paper, 0 in pix2pixHD).
        l1_end: share of l1_weight that is left at the end of the training, falling by half a cosine; 1 keeps it. L1
            first, texture later, is this package's choice.
        num_l1_scales: sizes at which the error is taken, see :func:`img2img.losses.pyramid.pyramid_l1`; 1 in the paper.
        adversarial_from: share of the training up to which the generator has the error alone, so that the
            discriminator never sees noise (as SRGAN, Ledig et al. 2017, section 3.2, arXiv 1609.04802, begins from a
            network trained by its error); in the last fifth of it the discriminator already learns.
        conditional: the discriminator sees the source beside the target; False is the paper's ablation.
        feature_matching_weight: weight of feature matching (pix2pixHD, Wang et al. 2018, equation 4, arXiv 1711.11585);
            0 switches it off. With it the discriminator also looks at the real image in the generator's turn.
        perceptual_weight: weight of :mod:`img2img.losses.perceptual` (10 in pix2pixHD's code); 0 switches it off.
        perceptual: class or ``functools.partial`` of the frozen network whose features are compared.
        diversity_weight: weight of :mod:`img2img.losses.diversity`, so that latents decide something that shows; for a
            :class:`LatentGenerator`, which is run twice with it. 0 switches it off.
        diversity_bound: see there; more than 0.
        hold_until: share of the training until which the generator's :meth:`Generator.held` parts stay as they are,
            such as the global network of ``LocalEnhancer`` (``niter_fix_global`` in pix2pixHD's code).
        critic: how the discriminator judges: turns, penalties, noise, augmentation.
        optimization: learning rate, schedule, initialisation, averaging.
        seed: decides the method's own random draws.

    Raises:
        ValueError: for a share or a bound out of its range, for a ``hold_until`` with a generator that has nothing to
            hold, and for a ``diversity_weight`` with a generator without latents.
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
        l1_end: float = 1.0,
        num_l1_scales: int = 1,
        adversarial_from: float = 0.0,
        conditional: bool = True,
        feature_matching_weight: float = 0.0,
        perceptual_weight: float = 0.0,
        perceptual: FeatureNetworkFactory = VGG19,
        diversity_weight: float = 0.0,
        diversity_bound: float = 0.3,
        hold_until: float = 0.0,
        critic: Critic = Critic(),  # noqa: B008 (frozen)
        optimization: Optimization = Optimization(),  # noqa: B008 (frozen)
        seed: int = 0,
    ) -> None:
        super().__init__(optimization, seed)
        if not 0 <= l1_end < math.inf:
            raise ValueError(f"l1_end: expected 0 or more, got {l1_end}")
        if not 0 <= adversarial_from < 1:
            raise ValueError(f"adversarial_from: expected from 0 to below 1, got {adversarial_from}")
        self.channels_a, self.channels_b = channels_a, channels_b
        self.generator = generator(channels_a, channels_b)
        self.discriminator = discriminator(channels_a + channels_b if conditional else channels_b)
        self.initialise(self.generator, self.discriminator)
        self.judge = Judge("discriminator", critic, adversarial, self.discriminator, channels_b)
        self.adversarial_weight, self.adversarial_from = adversarial_weight, adversarial_from
        self.l1_weight, self.l1_end, self.num_l1_scales = l1_weight, l1_end, num_l1_scales
        self.feature_matching_weight = feature_matching_weight
        self.perceptual_weight, self.perceptual = perceptual_weight, perceptual
        self._frozen: list[FeatureNetwork] = []  # in a list: no submodule, so no part of checkpoints
        if not 0 <= hold_until <= 1:
            raise ValueError(f"hold_until: expected a share of the training from 0 to 1, got {hold_until}")
        if hold_until and not self.generator.held():
            raise ValueError(
                f"hold_until {hold_until:g}: {type(self.generator).__name__} has no part to hold still; leave it at 0"
            )
        self.hold_until = hold_until
        if diversity_weight and not isinstance(self.generator, LatentGenerator):
            raise ValueError(
                f"diversity_weight {diversity_weight:g}: {type(self.generator).__name__} has one translation for each "
                "source; take a generator with latents, such as StyledGenerator, or leave it at 0"
            )
        if not diversity_bound > 0:
            raise ValueError(f"diversity_bound: expected more than 0, got {diversity_bound}")
        self.diversity_weight, self.diversity_bound = diversity_weight, diversity_bound
        self.conditional = conditional
        self.critic = critic

    def generators(self) -> dict[Direction, Generator]:
        """Return the one generator, a to b."""
        return {"ab": self.generator}

    def setup(self, stage: str) -> None:
        """Load the frozen networks where there is a use for them."""
        super().setup(stage)
        if self.perceptual_weight and not self._frozen:
            self._frozen.append(load_frozen(self.perceptual(), "perceptual_weight"))

    def players(self) -> tuple[Player, ...]:
        """Return discriminator, then generator."""
        judging = (self.discriminator, *self.judge.networks)
        return Player("discriminator", judging), Player("generator", (self.generator,))

    def generate(self, batch: Batch, step: Step) -> Images:
        """Translate the sources once; no graph is kept when the generator passes."""
        with (
            torch.set_grad_enabled(self.moves(step, self.critic.turns) and torch.is_grad_enabled()),
            self._holding(step),
        ):
            if not isinstance(self.generator, LatentGenerator):
                return Images(self.generator(batch.a), batch.a.new_empty(0))
            latent = self.generator.draw(batch.a)
            return Images(self.generator(batch.a, latent), latent)

    def turn(self, player: Player, batch: Batch, images: Images, step: Step) -> Turn:
        """Return the losses of equation 1 (discriminator) or 4 (generator)."""
        condition = batch.a if self.conditional else None
        if player.name == "discriminator":
            if step.progress < _DISCRIMINATOR_FROM * self.adversarial_from:
                return Turn({}, {})
            return self.judge.turn(self.discriminator, batch.b, images.fake.detach(), step, condition)
        if not self.moves(step, self.critic.turns):
            return Turn({}, {})
        losses: dict[str, Tensor] = {}
        if self.l1_weight:
            l1_weight = faded(self.l1_weight, self.l1_weight * self.l1_end, step.progress)
            losses["generator/l1"] = l1_weight * pyramid_l1(images.fake, batch.b, self.num_l1_scales)
        if self.perceptual_weight:
            losses["generator/perceptual"] = self.perceptual_weight * self._unlike(batch.b, images.fake)
        if self.diversity_weight and isinstance(self.generator, LatentGenerator):
            latent = self.generator.draw(batch.a)
            other = self.generator(batch.a, latent)
            same = sameness(images.fake, other, (images.latent, latent), self.diversity_bound)
            losses["generator/sameness"] = self.diversity_weight * same
        if step.progress >= self.adversarial_from:
            match = self.feature_matching_weight > 0
            opinion = self.judge.fool(self.discriminator, batch.b, images.fake, step, condition, match=match)
            losses["generator/adversarial"] = self.adversarial_weight * opinion["adversarial"]
            if match:
                losses["generator/feature_matching"] = self.feature_matching_weight * opinion["feature_matching"]
        return Turn(losses, {"fake": images.fake.detach()})

    def _holding(self, step: Step) -> AbstractContextManager[None]:
        """Record what is made within as if the held parts had no weights to learn, while they are to stay still."""
        parts = self.generator.held() if step.progress < self.hold_until else ()
        return held_still(parameter for part in parts for parameter in part.parameters())

    def _unlike(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the perceptual distance."""
        network = self._frozen[0].to(fake.device)
        with torch.no_grad():
            of_real = network.features(real)
        return perceptual_loss(of_real, network.features(fake), network.shares)
