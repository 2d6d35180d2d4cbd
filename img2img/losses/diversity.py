"""A penalty on translations that ignore their latents."""

from __future__ import annotations

import torch
from torch import Tensor


def sameness(first: Tensor, second: Tensor, latents: tuple[Tensor, Tensor], bound: float) -> Tensor:
    """Ask that two latents give two pictures of the same source.

    mean over images of -min(d(G(x, z1), G(x, z2)) / d(z1, z2), bound) with d the mean absolute difference (Yang et al.
    2019, Diversity-Sensitive Conditional GANs, arXiv 1901.09024, section 3; mode seeking, Mao et al. 2019, arXiv
    1903.05628, asks for the same ratio). It is 0, its highest, where all translations of a source are one.

    Args:
        first: [B, C, H, W] in [-1, 1].
        second: of the same sources with the other latents.
        latents: of both, [B, L] each.
        bound: ratio beyond which nothing more is asked, for the sake of what the pictures show.

    Returns:
        A float32 scalar from -bound to 0.
    """
    wide = torch.promote_types(first.dtype, torch.float32)
    apart = (first.to(wide) - second.to(wide)).abs().flatten(1).mean(1)
    ratio = apart / ((latents[0] - latents[1]).abs().mean(1).to(wide) + 1e-5)
    return -ratio.clamp(max=bound).mean()
