"""Augmentation of a batch on the device, by kornia: what workers would do to each image, when they only decode.

Workers draw the numbers, each sample's from its own seed, and send them along: kornia's own augmentations draw from
torch's global generator, where a draw would depend on what was drawn before, so only their operations are used. Crop
and mirror are those of :class:`img2img.data.transforms.Transforms`, bit for bit. Light and colour have its strengths,
in a fixed order (brightness, contrast, saturation, hue) and on floats, where workers' order is random and on 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from img2img.batch import Draw

_STRENGTH, _HUE_STRENGTH = 0.4, 0.1


def drawn_light(seed: int, strength: float) -> tuple[float, float, float, float]:
    """Draw factors of brightness, contrast and saturation in 1 +- 0.4 strength, and turns of hue in +- 0.1 strength.

    Args:
        seed: of the sample.
        strength: in [0, 1].
    """
    spread = (2 * torch.rand(4, generator=torch.Generator().manual_seed(seed)) - 1).tolist()
    brightness, contrast, saturation = (1 + _STRENGTH * strength * value for value in spread[:3])
    return brightness, contrast, saturation, _HUE_STRENGTH * strength * spread[3]


def placed(images: Tensor, draws: Sequence[Draw], size: tuple[int, int]) -> Tensor:
    """Crop and mirror.

    Args:
        images: [B, P, H, W] of any type and device.
        draws: one an image.
        size: (height, width) of the crops.

    Returns:
        [B, P, height, width].
    """
    from kornia.geometry.transform import hflip  # noqa: PLC0415 (half a second to import)

    height, width = size
    cuts = []
    for image, draw in zip(images, draws, strict=True):
        cut = image[:, draw.top : draw.top + height, draw.left : draw.left + width]
        cuts.append(hflip(cut) if draw.mirrored else cut)
    return torch.stack(cuts)


def lit(images: Tensor, draws: Sequence[Draw]) -> Tensor:
    """Change light and colour.

    Args:
        images: float [B, C, H, W] in [-1, 1], C 1 or 3.
        draws: one an image, with light.
    """
    from kornia import enhance  # noqa: PLC0415 (half a second to import)

    factors = torch.tensor([draw.light for draw in draws], dtype=images.dtype).to(images.device, non_blocking=True)
    brightness, contrast, saturation, hue = factors.unbind(1)
    made = (images + 1) / 2
    made = enhance.adjust_brightness_accumulative(made, brightness)
    made = enhance.adjust_contrast_with_mean_subtraction(made, contrast)
    if images.shape[1] > 1:  # grey has no colour
        made = enhance.adjust_saturation_with_gray_subtraction(made, saturation)
        made = enhance.adjust_hue(made, hue * (2 * torch.pi))
    finished: Tensor = made.clamp(0, 1) * 2 - 1
    return finished
