"""Changing what a discriminator is shown, so that few images last longer: DiffAugment, and ADA's probability.

Zhao et al. 2020 (arXiv 2006.10738) change real images and fakes alike, differentiably, so that the discriminator
cannot learn the few real ones by heart and the generator does not learn to make changed images. Karras et al. 2020
(arXiv 2006.06676) change each image with a probability only, and raise it as the discriminator overfits.
"""

from __future__ import annotations

from typing import Literal

import torch
from kornia.geometry.transform import translate
from torch import Tensor, distributed, nn

AugmentName = Literal["none", "fixed", "adaptive"]
"""``none``; ``fixed``: each change with one probability (DiffAugment at 1); ``adaptive``: a probability that follows
the discriminator's overfitting (ADA)."""

ChangeName = Literal["translation", "cutout", "color"]

SHIFT = 1 / 8
"""Largest translation as a share of each side (DiffAugment)."""

CUTOUT = 1 / 2
"""Sides of the rectangle that is cut out, as a share of the image's (DiffAugment)."""

TARGET = 0.6
"""Mean sign of the discriminator on real images that is aimed at (ADA, section 3.1 and appendix D)."""

EVERY = 4
"""Batches between two changes of the probability (ADA)."""

CAP = 0.8
"""Largest probability: above it changed images begin to leak into what the generator makes (ADA, section 2)."""

ADAPTATION_IMAGES = 100_000
"""Images in which the probability can go from 0 to 1: ADA's setting for fine-tuning, since a training of image
translation is as short (500,000 from scratch in the paper)."""


def changed(
    images: Tensor, policy: tuple[ChangeName, ...], probability: Tensor | float, judged: int, generator: torch.Generator
) -> Tensor:
    """Change images at random, each image and each change of the policy by itself with a probability.

    Translation and cutout move all channels of an image alike, so a source stays on its target; colour changes the
    judged channels only. As in DiffAugment, in units of [-1, 1]: brightness + U(-1/2, 1/2), saturation * U(0, 2) and
    contrast * U(1/2, 3/2); translation by whole pixels, up to 1/8 of a side, grey (0) coming in; a grey rectangle of
    half of each side around a centre anywhere. Cutout and colour are plain torch: kornia's RandomErasing cuts a share
    of the area and always within the image, and its colours are for 3 channels and clamp, which stops gradients.

    Args:
        images: [B, C, H, W] in [-1, 1]; gradients flow through.
        policy: which changes, made in the order color, translation, cutout.
        probability: in [0, 1]; a tensor stays on its device, nothing waits for it.
        judged: how many of the last channels are judged; those before are the condition.
        generator: source of the draws, on the CPU; they depend on the shape alone.
    """
    for change, apply in (("color", _coloured), ("translation", _translated), ("cutout", _cut)):
        if change in policy:
            drawn = torch.rand(5, len(images), 1, 1, 1, generator=generator).to(images)
            chosen = drawn[0] < probability
            images = torch.where(chosen, apply(images, drawn[1:], judged), images)
    return images


def _translated(images: Tensor, drawn: Tensor, judged: int) -> Tensor:
    del judged
    height, width = images.shape[-2:]
    most = [int(side * SHIFT + 0.5) for side in (width, height)]
    shift = torch.cat([(share.flatten(1) * (2 * m + 1)).floor() - m for share, m in zip(drawn, most, strict=False)], 1)
    moved: Tensor = translate(images, shift, mode="nearest")  # whole pixels: bilinear would only blur by rounding
    return moved


def _cut(images: Tensor, drawn: Tensor, judged: int) -> Tensor:
    del judged
    inside = []
    for share, side, shape in zip(drawn, images.shape[-2:], ((-1, 1), (1, -1)), strict=False):
        size = int(side * CUTOUT + 0.5)
        start = (share * (side + 1 - size % 2)).floor() - size // 2
        position = torch.arange(side, device=images.device).reshape(shape)
        inside.append((position >= start) & (position < start + size))
    return images.masked_fill(inside[0] & inside[1], 0.0)


def _coloured(images: Tensor, drawn: Tensor, judged: int) -> Tensor:
    condition, image = images[:, :-judged], images[:, -judged:]
    brightness, saturation, contrast = drawn[0] - 0.5, drawn[1] * 2, drawn[2] + 0.5
    image = image + brightness
    image = torch.lerp(image.mean(1, keepdim=True), image, saturation)
    image = torch.lerp(image.mean((1, 2, 3), keepdim=True), image, contrast)
    return torch.cat([condition, image], dim=1)


class AdaptiveProbability(nn.Module):
    """Raises the probability while the discriminator is too sure of real images, and lowers it else (ADA, section 3).

    r_t = E[sign(c)] with c = D(real) - midpoint, or D(real) - D(fake) of a relativistic loss; every 4 batches the
    probability goes up where r_t > 0.6, down where it is below, by as much as takes it from 0 to 1 in
    ``ADAPTATION_IMAGES`` images. State of the training: it is in the ``state_dict``. Stays on the device; several
    processes agree on one r_t.
    """

    probability: Tensor
    signs: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("probability", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(2))  # sum of signs, and images counted

    @torch.no_grad()
    def watch(self, certainty: list[Tensor], batches: int) -> None:
        """Take a batch into account.

        Args:
            certainty: c, maps [B, 1, h, w] of images as they were shown.
            batches: batches before this one.
        """
        images = float(len(certainty[0]))
        sign = torch.stack([sure.sign().mean() for sure in certainty]).mean()
        sound = torch.stack([sure.isfinite().all() for sure in certainty]).all()
        counted = torch.stack([sign * images, torch.full_like(sign, images)])
        counted = torch.where(sound, counted, 0.0)  # a batch that will be skipped has no say
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(counted)  # every batch: what differs between processes would be overwritten by DDP
        self.signs += counted
        if (batches + 1) % EVERY:
            return
        total, count = self.signs
        direction = torch.where(count > 0, (total - TARGET * count).sign(), 0.0)
        self.probability.add_(direction * count / ADAPTATION_IMAGES).clamp_(0.0, CAP)
        self.signs.zero_()
