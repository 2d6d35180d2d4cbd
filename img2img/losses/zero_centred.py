"""Zero-centred gradient penalties (R1 and R2) in units of one patch.

R1 is the penalty of real images (Mescheder et al. 2018, equation 9, arXiv 1801.04406), R2 that of fakes; R3GAN (Huang
et al. 2024, arXiv 2501.05441) uses both. Their papers' discriminators give one number per image; a PatchGAN gives a
map of P logits, and the squared slope of the sum over a 30x30 map is some 900 times that of one patch, of the mean
some 900 times less. Both functions here are the mean over patches of the squared slope of a patch, so that gamma does
not depend on the size of the image; both return Q / 2 of the loss gamma / 2 * Q.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SIGMA = 0.01
"""Standard deviation of the differences' noise, in [-1, 1] units. Below it bfloat16's own rounding shows: the value
rises by 10 % at 0.01 and by 36 % at 0.003."""


def exact_penalty(judge: Callable[[Tensor], list[Tensor]], images: Tensor) -> Tensor:
    """Half the mean over images of ||d sum_p D_p(x) / dx||^2 / P, averaged over scales, each with its own P.

    Equal to the mean over patches of ||d D_p / dx||^2 where gradients of different patches are uncorrelated. Computed
    in float32 whatever the precision around it, and differentiated twice: a discriminator's turn takes about twice
    as long with it, so it is taken every few steps (Karras et al. 2020, arXiv 1912.04958, appendix B).

    Args:
        judge: the discriminator of an image, not compiled; a conditional one closes over its condition, so only the
            judged image is differentiated. Its norms are part of it: with an instance norm this is the penalty of a
            discriminator that does not see an image's contrast.
        images: [B, C, H, W], detached by this function.

    Returns:
        A scalar that carries a graph to the discriminator's parameters.
    """
    with torch.autocast(images.device.type, enabled=False):
        at = images.detach().to(torch.promote_types(images.dtype, torch.float32)).requires_grad_()
        maps = judge(at)
        total = at.new_zeros(())
        for logits in maps:
            (slope,) = torch.autograd.grad(logits.sum(), at, create_graph=True)
            total = total + slope.square().sum() / logits.numel()  # numel = B P
        return 0.5 * total / len(maps)


def difference_penalty(
    judge: Callable[[Tensor], list[Tensor]], images: Tensor, generator: torch.Generator, sigma: float = SIGMA
) -> Tensor:
    """Half the mean of ((D_p(x) - D_p(x + sigma n)) / sigma)^2 with n ~ N(0, 1): the same penalty by differences.

    By first order in sigma E[(D_p(x) - D_p(x + sigma n))^2] = sigma^2 ||d D_p / dx||^2, so gamma / 2 of the exact form
    is a weight lambda = gamma / (2 sigma^2) of the plain difference (sigma 0.01 and lambda 100 in Seaweed-APT, Lin et
    al. 2025, arXiv 2501.08316). No double backward, so it takes any precision and a compiled discriminator; one pass
    over twice the images.

    Args:
        judge: the discriminator of an image, see :func:`exact_penalty`. It must judge each image by itself.
        images: [B, C, H, W], detached by this function.
        generator: source of n, on the CPU.
        sigma: standard deviation of the noise in [-1, 1] units.

    Returns:
        A scalar that carries a graph to the discriminator's parameters.
    """
    images = images.detach()
    noise = torch.randn(images.shape, generator=generator).to(images)
    maps = judge(torch.cat([images, images + sigma * noise]))
    total = maps[0].new_zeros(())
    for logits in maps:
        here, there = logits.chunk(2)
        total = total + ((here - there) / sigma).square().mean()
    return 0.5 * total / len(maps)
