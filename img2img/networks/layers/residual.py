"""The residual block of the CycleGAN generator."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from img2img.networks.layers.convolutions import PaddedConv2d
from img2img.networks.layers.norm import NormName, needs_bias, norm2d

PaddingName = Literal["reflect", "replicate", "zeros"]


class ResidualBlock(nn.Module):
    """x + Norm(Conv3(ReLU(Norm(Conv3(x))))), with no ReLU after the sum (CycleGAN, appendix 7.2).

    Args:
        channels: channels in and out.
        norm: kind of norm.
        padding: how the 3x3 convolutions see beyond the border.
        dropout: probability of dropout between the two convolutions.
        bias: whether the convolutions have one; by default as the norm asks.
    """

    def __init__(
        self, channels: int, norm: NormName, padding: PaddingName, dropout: float, bias: bool | None = None
    ) -> None:
        super().__init__()
        bias = needs_bias(norm) if bias is None else bias
        self.layers = nn.Sequential(
            PaddedConv2d(channels, channels, 3, padding=1, padding_mode=padding, bias=bias),
            norm2d(channels, norm),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout) if dropout else nn.Identity(),
            PaddedConv2d(channels, channels, 3, padding=1, padding_mode=padding, bias=bias),
            norm2d(channels, norm),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, H, W]; H and W at least 2."""
        change: Tensor = self.layers(features)
        return features + change
