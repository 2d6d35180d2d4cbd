"""The perceptual loss: features of a frozen network instead of pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def perceptual(real: Sequence[Tensor], fake: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Ask that a frozen network sees in a fake what it sees in the real image.

    sum over features i of share_i * mean |F_i(y) - F_i(G(x))| (Johnson et al. 2016, arXiv 1603.08155, with the L1
    distance and the shares of pix2pixHD, Wang et al. 2018, arXiv 1711.11585).

    Args:
        real: features of the real images, detached by this function.
        fake: those of the fakes, of the same shapes.
        shares: one for each feature.

    Returns:
        A float32 scalar.
    """
    wide = torch.promote_types(fake[0].dtype, torch.float32)
    terms = [share * F.l1_loss(f.to(wide), r.detach().to(wide)) for r, f, share in zip(real, fake, shares, strict=True)]
    return torch.stack(terms).sum()
