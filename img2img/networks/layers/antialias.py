"""Halving and doubling by fixed filters, as the generator of CUT does it.

Zhang: Making Convolutional Networks Shift-Invariant Again, ICML 2019 (arXiv 1904.11486), as used by Park et al.:
Contrastive Learning for Unpaired Image-to-Image Translation, ECCV 2020 (arXiv 2007.15651). The filters are made from
their binomial rows when they run: a file holds no copy of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FilterHalf(nn.Module):
    """Filters each channel with [1, 2, 1] x [1, 2, 1] / 16, mirrored at the border, and keeps every other pixel.

    CUT puts it behind the activation of a convolution of stride 1.
    """

    row = (1.0, 2.0, 1.0)

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, H / 2, W / 2], rounded up; H and W from 2."""
        kernel = filter_of(self.row, 1.0, features)
        padded = F.pad(features, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, kernel, stride=2, groups=features.shape[1])


class FilterDouble(nn.Module):
    """Puts a zero behind every pixel and filters with [1, 3, 3, 1] x [1, 3, 3, 1] / 16; the border is replicated.

    CUT puts it before a convolution of stride 1.
    """

    row = (1.0, 3.0, 3.0, 1.0)

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, 2H, 2W]."""
        kernel = filter_of(self.row, 4.0, features)  # a pixel of four is not zero, so that the mean stays
        padded = F.pad(features, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(padded, kernel, stride=2, padding=3, groups=features.shape[1])


def filter_of(row: tuple[float, ...], total: float, features: Tensor) -> Tensor:
    """Return row x row scaled to a sum, once per channel: [C, 1, k, k] of the features' type and device."""
    line = torch.tensor(row, dtype=features.dtype, device=features.device)
    kernel = torch.outer(line, line) * (total / sum(row) ** 2)
    return kernel.expand(features.shape[1], 1, -1, -1).contiguous()
