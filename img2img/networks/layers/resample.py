"""Doubling the resolution inside a generator."""

from __future__ import annotations

from typing import Literal

from torch import nn

UpsampleName = Literal["transposed", "resize"]
"""``transposed``: transposed convolution, as published. ``resize``: nearest neighbour x2, then a 3x3 convolution,
which cannot make a checkerboard (Odena et al. 2016, Deconvolution and Checkerboard Artifacts)."""


def upsample2x(
    in_channels: int, out_channels: int, kind: UpsampleName, kernel_size: Literal[3, 4], *, bias: bool
) -> nn.Module:
    """Return layers that map [B, in, H, W] to [B, out, 2H, 2W].

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kind: see :data:`UpsampleName`.
        kernel_size: of the transposed convolution: 4 in the U-Net, 3 in the ResNet.
        bias: whether the convolution has one.
    """
    if kind == "resize":
        return nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)
        )
    return nn.ConvTranspose2d(
        in_channels, out_channels, kernel_size, stride=2, padding=1, output_padding=4 - kernel_size, bias=bias
    )
