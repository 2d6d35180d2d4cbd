"""The moving average of a generator's weights, which is what is validated and exported."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

RAMP = 0.05
"""Half-life of a young training, as a share of the images seen (EDM2 and StyleGAN2 ramp alike)."""


class Average:
    """Exponential moving average of the parameters of one network, counted in images, kept in float32.

    After B images, beta = 0.5^(B / h) with h = min(half-life, 0.05 * images seen): beta is 0 for the first images, so
    the average never remembers the random start. Buffers (running norm statistics) are copied, not averaged.
    Yazici et al. 2019 (arXiv 1806.04498) on why.

    Args:
        network: whose weights are followed; its copy is :attr:`network`, always in evaluation mode.
        half_life_images: of a long training.
    """

    def __init__(self, network: nn.Module, half_life_images: int) -> None:
        self.half_life_images = half_life_images
        self.network = copy.deepcopy(network).eval().requires_grad_(False)  # noqa: FBT003

    @torch.no_grad()
    def update(self, network: nn.Module, images_seen: int, batch_images: int) -> None:
        """Move towards the weights of ``network`` after a batch.

        Args:
            network: the trained network.
            images_seen: images seen in the whole training, this batch included.
            batch_images: images in this batch, over all ranks.
        """
        half_life = min(self.half_life_images, RAMP * (images_seen - batch_images))
        beta = 0.5 ** (batch_images / half_life) if half_life else 0.0
        mine: list[Tensor] = list(self.network.parameters())
        theirs: list[Tensor] = [parameter.detach() for parameter in network.parameters()]
        torch._foreach_lerp_(mine, theirs, 1 - beta)
        for kept, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            kept.copy_(buffer)
