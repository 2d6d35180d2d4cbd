"""Spatially-adaptive normalisation and the residual block that is made of it.

Park, Liu, Wang, Zhu: Semantic Image Synthesis with Spatially-Adaptive Normalization, CVPR 2019 (arXiv 1903.07291).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.layers.norm import NormName, norm2d, without_weights
from img2img.networks.layers.spectral import normalise_spectrum


class Spade(nn.Module):
    """norm(x) * (1 + gamma(m)) + beta(m): scale and shift by the label map m, pixel by pixel (equation 1).

    The equation's gamma is 1 + gamma here, so that weights of zero change nothing.
    gamma and beta are 3x3 convolutions of ReLU(Conv3(m)) (section A, figure 11).

    Args:
        channels: of the features.
        label_channels: of the map m.
        norm: of the features, whose own weights are left out.
        hidden_channels: between the map and gamma and beta.
    """

    def __init__(self, channels: int, label_channels: int, norm: NormName, hidden_channels: int) -> None:
        super().__init__()
        self.norm = without_weights(norm2d(channels, norm))
        self.look = nn.Sequential(nn.Conv2d(label_channels, hidden_channels, 3, padding=1), nn.ReLU(inplace=True))
        self.scale = nn.Conv2d(hidden_channels, channels, 3, padding=1)
        self.shift = nn.Conv2d(hidden_channels, channels, 3, padding=1)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Map [B, C, H, W] with labels [B, L, H, W] to [B, C, H, W]."""
        seen = self.look(labels)
        changed: Tensor = self.norm(features) * (1 + self.scale(seen)) + self.shift(seen)
        return changed


class SpadeBlock(nn.Module):
    """x + f(x), with f twice: SPADE, LeakyReLU(0.2), 3x3 convolution (section A, figure 12).

    Where the numbers of channels differ x goes through a SPADE and a 1x1 convolution without bias.

    Args:
        in_channels: of the features that come.
        out_channels: of those that leave; the layer between has the smaller number.
        label_channels: of the map.
        norm: see :class:`Spade`.
        hidden_channels: see :class:`Spade`.
        spectral_norm: on this block's convolutions; those that look at the map go without, as in the published code.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        label_channels: int,
        norm: NormName,
        hidden_channels: int,
        spectral_norm: bool,
    ) -> None:
        super().__init__()
        middle = min(in_channels, out_channels)
        convolutions = [
            nn.Conv2d(in_channels, middle, 3, padding=1),
            nn.Conv2d(middle, out_channels, 3, padding=1),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
        ]
        count = 2 if in_channels == out_channels else 3
        self.convolutions = nn.ModuleList(convolutions[:count])
        if spectral_norm:
            normalise_spectrum(self.convolutions)
        self.norms = nn.ModuleList(
            Spade(channels, label_channels, norm, hidden_channels)
            for channels in (in_channels, middle, in_channels)[:count]
        )

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Map [B, in, H, W] with labels [B, L, H, W] to [B, out, H, W]."""
        change = features
        for norm, convolution in zip(self.norms[:2], self.convolutions[:2], strict=True):
            change = convolution(F.leaky_relu(norm(change, labels), 0.2))
        for norm, convolution in zip(self.norms[2:], self.convolutions[2:], strict=True):
            features = convolution(norm(features, labels))
        return features + change
