"""From one discriminator's judgements to the losses of both sides."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from img2img.losses.adversarial import AdversarialName, Hinge, adversarial_loss
from img2img.losses.feature_matching import feature_matching
from img2img.losses.gradient_penalty import gradient_penalty
from img2img.losses.zero_centred import difference_penalty, exact_penalty
from img2img.methods.augment import AdaptiveProbability, changed
from img2img.methods.critic import Critic, check_critic, penalty_weight
from img2img.methods.turns import Step, Turn
from img2img.networks.base import Discriminator
from img2img.networks.discriminators.projected import ProjectedDiscriminator
from img2img.networks.frozen.efficientnet import EfficientNetLite0
from img2img.schedule import faded


class Judge(nn.Module):
    """Turns one discriminator's judgements into the losses of its own turn and of its generator's.

    The discriminator is handed to each call and not kept: it belongs to the method. Real images and fakes of a turn
    are shown with the same noise and the same changes, so that what is compared stays comparable.

    Args:
        name: the discriminator's player, first part of the log keys.
        options: see :class:`Critic`.
        adversarial: the adversarial loss.
        discriminator: looked at once, to refuse one that the options cannot take.
        channels: of the images that are judged, without those of a condition; by default all.

    Raises:
        ValueError: for options that contradict the loss or the discriminator.
    """

    def __init__(
        self,
        name: str,
        options: Critic,
        adversarial: AdversarialName,
        discriminator: Discriminator,
        channels: int | None = None,
    ) -> None:
        super().__init__()
        self.name, self.options = name, options
        check_critic(options, adversarial, discriminator)
        self.loss = adversarial_loss(
            adversarial, relativistic=options.relativistic, label_smoothing=options.label_smoothing
        )
        self.gradient_penalty_weight = penalty_weight(options, adversarial)
        self.adaptive = AdaptiveProbability() if options.augment == "adaptive" else None
        self.projected: ProjectedDiscriminator | None = None
        if options.projected_weight:
            backbone = partial(EfficientNetLite0, weights=options.projected_file)
            self.projected = ProjectedDiscriminator(channels or discriminator.in_channels, backbone)

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """What moves in the discriminator's turn beside the discriminator."""
        return () if self.projected is None else (self.projected,)

    def turn(
        self, discriminator: Discriminator, real: Tensor, fake: Tensor, step: Step, condition: Tensor | None = None
    ) -> Turn:
        """Return the discriminator's losses.

        Args:
            discriminator: whose turn it is.
            real: [B, C, H, W].
            fake: [B, C, H, W], detached.
            step: where the training is.
            condition: [B, Cc, H, W], judged together with both.
        """
        show = self._show(step, condition)
        shown_real, shown_fake = show(real), show(fake)
        real_logits, fake_logits = discriminator(shown_real), discriminator(shown_fake)
        losses = {"adversarial": self.loss.discriminator(real_logits, fake_logits)}
        split = 0 if condition is None else condition.shape[1]
        if self.gradient_penalty_weight:
            judge = partial(_judge, discriminator.forward, shown_real[:, :split])
            penalty = gradient_penalty(judge, shown_real[:, split:], shown_fake[:, split:], step.generator)
            losses["gradient_penalty"] = self.gradient_penalty_weight * penalty
        if step.batches % self.options.penalty_every == 0:
            for key, gamma, shown in (
                ("r1", self.options.r1_gamma, shown_real),
                ("r2", self.options.r2_gamma, shown_fake),
            ):
                if gamma:
                    penalty = self._zero_centred(discriminator, shown, split, step)
                    gamma = faded(gamma, gamma * self.options.gamma_end, step.progress)  # noqa: PLW2901
                    losses[key] = self.options.penalty_every * gamma * penalty
        if (second := self._second(step)) is not None:
            images = second(shown_real[:, split:]), second(shown_fake[:, split:])
            losses["projected"] = Hinge().discriminator(*images)
        if self.adaptive is not None:
            self.adaptive.watch(self.loss.certainty(real_logits, fake_logits), step.batches)
        observed = {"real_logits": real_logits[0].detach(), "fake_logits": fake_logits[0].detach()}
        return Turn({f"{self.name}/{key}": loss for key, loss in losses.items()}, observed)

    def fool(
        self,
        discriminator: Discriminator,
        real: Tensor,
        fake: Tensor,
        step: Step,
        condition: Tensor | None = None,
        *,
        match: bool = False,
    ) -> dict[str, Tensor]:
        """Return the generator's losses without weights: ``adversarial``, and ``feature_matching`` where asked for.

        The projected discriminator's opinion, with its own weight, is part of ``adversarial``.

        Fakes pass the discriminator once for both. Real images pass it, without a graph, only where they are compared
        with: what the discriminator's own turn saw came from its weights before it moved.

        Args:
            discriminator: whom to fool.
            real: [B, C, H, W].
            fake: [B, C, H, W], with the generator's graph.
            step: where the training is.
            condition: [B, Cc, H, W], judged together with both.
            match: also match features.
        """
        show = self._show(step, condition)
        shown = show(fake)
        of_fake = _opinion(discriminator, shown, match)
        of_real: list[list[Tensor]] = []
        if match or self.options.relativistic:
            with torch.no_grad():
                of_real = _opinion(discriminator, show(real), match)
        losses = {"adversarial": self.loss.generator(*([stages[-1] for stages in o] for o in (of_fake, of_real)))}
        if (second := self._second(step)) is not None:
            fooled = Hinge().generator(second(shown[:, shown.shape[1] - fake.shape[1] :]), [])
            losses["adversarial"] = losses["adversarial"] + self.options.projected_weight * fooled
        if match:
            losses["feature_matching"] = feature_matching(of_real, of_fake)
        return losses

    def _show(self, step: Step, condition: Tensor | None) -> Callable[[Tensor], Tensor]:
        """Return how images are shown in this turn: changed, with noise, beside the condition."""
        noise = max(self.options.instance_noise, step.levers.get("instance_noise", 0.0)) * (1 - step.progress)
        probability = self._probability(step.levers.get("augment", 0.0))
        changes = probability is not None
        seed = int(torch.randint(2**63 - 1, (), generator=step.generator)) if noise or changes else 0

        def show(images: Tensor) -> Tensor:
            generator = torch.Generator().manual_seed(seed)
            judged = images.shape[1]
            if condition is not None:
                images = torch.cat([condition, images.to(condition.dtype)], dim=1)
            if probability is not None:
                images = changed(images, self.options.augment_policy, probability, judged, generator)
            if noise:
                image = images[:, -judged:]
                image = image + noise * torch.randn(image.shape, generator=generator).to(image)
                images = torch.cat([images[:, :-judged], image], dim=1)
            return images

        return show

    def _second(self, step: Step) -> ProjectedDiscriminator | None:
        """Return the projected discriminator once it plays."""
        return self.projected if step.progress >= self.options.projected_from else None

    def _probability(self, lever: float) -> Tensor | float | None:
        """Return the probability of the changes, the larger of option and lever; None where there are none."""
        if self.adaptive is not None:
            return self.adaptive.probability.clamp_min(lever)
        fixed = 0.0
        if self.options.augment == "fixed":
            fixed = 1.0 if self.options.augment_probability is None else self.options.augment_probability
        return max(fixed, lever) or None

    def _zero_centred(self, discriminator: Discriminator, shown: Tensor, split: int, step: Step) -> Tensor:
        condition, image = shown[:, :split], shown[:, split:]
        if self.options.penalty_form == "differences":
            return difference_penalty(partial(_judge, discriminator, condition), image, step.generator)
        return exact_penalty(partial(_judge, discriminator.forward, condition), image)


def _judge(discriminator: Callable[[Tensor], list[Tensor]], condition: Tensor, image: Tensor) -> list[Tensor]:
    """Judge images beside their condition, repeated where there are more images than conditions."""
    times = len(image) // len(condition)
    return discriminator(torch.cat([condition.to(image.dtype).repeat(times, 1, 1, 1), image], dim=1))


def _opinion(discriminator: Discriminator, shown: Tensor, match: bool) -> list[list[Tensor]]:
    """Return per scale all features, the logits last, or the logits alone."""
    return discriminator.features(shown) if match else [[logits] for logits in discriminator(shown)]
