"""Self-attention over the pixels of a feature map."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.layers.norm import NormName, norm2d

_CHANNELS_PER_HEAD = 64


class Attention2d(nn.Module):
    """Every pixel of a feature map gathers from all others what it finds alike, added to what is there.

    (x + proj(softmax(q k^T / sqrt(d)) v)) / sqrt(2) with q, k and v of the normalised features (Vaswani et al. 2017,
    arXiv 1706.03762, equation 1; in a GAN's generator: Zhang et al. 2018, arXiv 1805.08318). The cost grows with the
    square of the number of pixels, so a map with a side beyond ``window`` is cut into equal windows, each of which
    attends within itself. An exported graph has no such windows: its maps have no size yet.

    Args:
        channels: channels in and out.
        norm: kind of norm before the projections.
        window: longest side that is attended to at once, in pixels of the map.
    """

    def __init__(self, channels: int, norm: NormName, window: int) -> None:
        super().__init__()
        self.num_heads = max(channels // _CHANNELS_PER_HEAD, 1)
        self.window = window
        self.norm = norm2d(channels, norm)
        self.project_in = nn.Conv2d(channels, 3 * channels, 1)
        self.project_out = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, H, W]."""
        queries_keys_values = self.project_in(self.norm(features))
        found = self.project_out(self._in_windows(queries_keys_values))
        return (features + found) * math.sqrt(0.5)  # type: ignore[no-any-return]

    def _in_windows(self, projected: Tensor) -> Tensor:
        height, width = projected.shape[-2:]
        if torch.compiler.is_exporting() or max(height, width) <= self.window:
            return self._attend(projected)
        down, across = (-(-side // self.window) for side in (height, width))
        rows = (row.tensor_split(across, dim=3) for row in projected.tensor_split(down, dim=2))
        return torch.cat([torch.cat([self._attend(window) for window in row], dim=3) for row in rows], dim=2)

    def _attend(self, projected: Tensor) -> Tensor:
        """Map [B, 3C, H, W] to [B, C, H, W]."""
        batch, channels, height, width = projected.shape
        heads = projected.reshape(batch, 3, self.num_heads, channels // (3 * self.num_heads), height * width)
        queries, keys, values = heads.transpose(3, 4).unbind(1)  # [B, heads, pixels, channels per head]
        found = F.scaled_dot_product_attention(queries, keys, values)
        return found.transpose(2, 3).reshape(batch, channels // 3, height, width)
