"""Brightness and its edges."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)


def luma(images: Tensor) -> Tensor:
    """Return the ITU-R 601 luma [N, 1, H, W] of grey or RGB images."""
    if images.shape[1] == 1:
        return images.float()
    weights = torch.tensor(_LUMA, device=images.device).view(1, 3, 1, 1)
    return (images.float() * weights).sum(1, keepdim=True)


def gradient(images: Tensor) -> Tensor:
    """Return the length of the Sobel gradient of the luma, [N, 1, H, W]; 4 times a step along rows or columns."""
    x = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=images.device)
    kernels = torch.stack([x, x.T])[:, None]
    both = F.conv2d(F.pad(luma(images), (1, 1, 1, 1), mode="replicate"), kernels)
    return both.square().sum(1, keepdim=True).sqrt()
