"""The mean absolute error at several sizes of an image."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pyramid_l1(fake: Tensor, target: Tensor, num_scales: int) -> Tensor:
    """Average |G(x) - y| over an image and its halves, quarters ...: sum_k w_k L1(half^k G(x), half^k y) / sum_k w_k.

    w_k = 2^-k, and half takes the mean of 2x2 pixels. What an error of a few pixels in place costs at full size it
    does not at a half, while a wrong tone of a region costs as much at every size: so the loss asks for tones and large
    shapes and leaves fine texture to the discriminator. With one scale it is pix2pix's L1 (Isola et al. 2017, equation
    3). The weights are this package's, not a paper's. An image with a side of 1 px is halved no further.

    Args:
        fake: [B, C, H, W].
        target: [B, C, H, W].
        num_scales: from 1.

    Returns:
        A scalar.
    """
    total, weights = F.l1_loss(fake, target), 1.0
    for scale in range(1, num_scales):
        if min(fake.shape[-2:]) < 2:  # noqa: PLR2004 (nothing to halve)
            break
        fake, target = F.avg_pool2d(fake, 2), F.avg_pool2d(target, 2)
        total = total + 0.5**scale * F.l1_loss(fake, target)
        weights += 0.5**scale
    return total / weights
