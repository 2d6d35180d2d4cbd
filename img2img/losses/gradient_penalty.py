"""The gradient penalty of WGAN-GP (Gulrajani et al. 2017, equation 3, arXiv 1704.00028)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_penalty(
    judge: Callable[[Tensor], list[Tensor]], real: Tensor, fake: Tensor, generator: torch.Generator
) -> Tensor:
    """Pull the critic's slope between real and fake images towards 1.

    mean over images of (||d mean_patches D(x_hat) / d x_hat||_2 - 1)^2 with x_hat = u x + (1 - u) G, one u ~ U(0, 1)
    per image. For a PatchGAN the critic's value of an image is the mean over its patches (and scales); computed in
    float32 whatever the precision around it, because it is differentiated twice.

    Args:
        judge: the critic of an image; a conditional critic closes over the real condition, so only the judged image
            is interpolated and differentiated.
        real: [B, C, H, W].
        fake: [B, C, H, W], detached by this function.
        generator: source of u, on the CPU.

    Returns:
        A scalar that carries a graph to the critic's parameters.
    """
    weight = torch.rand(len(real), 1, 1, 1, generator=generator).to(real.device)
    wide = torch.promote_types(real.dtype, torch.float32)
    with torch.autocast(real.device.type, enabled=False):
        between = torch.lerp(fake.detach().to(wide), real.detach().to(wide), weight.to(wide)).requires_grad_()
        maps = judge(between)
        value = sum((logits.flatten(1).mean(1) for logits in maps), start=between.new_zeros(len(real))) / len(maps)
        (slope,) = torch.autograd.grad(value.sum(), between, create_graph=True)
        norms: Tensor = slope.flatten(1).norm(dim=1)
        return (norms - 1).square().mean()
