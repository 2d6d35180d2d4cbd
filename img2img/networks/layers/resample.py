"""Halving and doubling the resolution inside a generator."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.layers.convolutions import PaddedConv2d, StridedConv2d, TransposedConv2d, transposed
from img2img.networks.layers.precision import no_autocast
from img2img.networks.layers.residual import PaddingName

UpsampleName = Literal["transposed", "resize", "bilinear"]
"""``transposed``: transposed convolution, as published. ``resize``: nearest neighbour x2, then a 3x3 convolution,
which cannot make a checkerboard (Odena et al. 2016, Deconvolution and Checkerboard Artifacts). ``bilinear``: the same
with bilinear x2, the [1, 3, 3, 1] filter of an anti-aliased generator (Zhang 2019, arXiv 1904.11486)."""

DownsampleName = Literal["strided", "blur"]
"""``strided``: strided convolution, as published. ``blur``: 3x3 convolution, then the [1, 2, 1] filter at every other
pixel, which does not alias (Zhang 2019, arXiv 1904.11486)."""


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
    if kind == "transposed":
        return TransposedConv2d(
            in_channels, out_channels, kernel_size, stride=2, padding=1, output_padding=4 - kernel_size, bias=bias
        )
    if kind == "resize":
        return ResizeConv(in_channels, out_channels, bias=bias)
    grow = nn.Upsample(scale_factor=2, mode="bilinear")
    return nn.Sequential(grow, nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias))


def downsample2x(
    in_channels: int,
    out_channels: int,
    kind: DownsampleName,
    kernel_size: Literal[3, 4],
    padding: PaddingName,
    *,
    bias: bool,
) -> nn.Module:
    """Return layers that map [B, in, H, W] to [B, out, H / 2, W / 2]; H and W even.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kind: see :data:`DownsampleName`.
        kernel_size: of the strided convolution: 4 in the U-Net, 3 in the ResNet.
        padding: how the convolution sees beyond the border.
        bias: whether the convolution has one.
    """
    if kind == "strided":
        return StridedConv2d(
            in_channels, out_channels, kernel_size, stride=2, padding=1, padding_mode=padding, bias=bias
        )
    return nn.Sequential(
        PaddedConv2d(in_channels, out_channels, 3, padding=1, padding_mode=padding, bias=bias), BlurHalf()
    )


class ResizeConv(nn.Sequential):
    """Nearest neighbour x2, then a 3x3 convolution of stride 1, computed as one transposed convolution.

    Each input pixel stands for a 2x2 block, so the two are a transposed 4x4 convolution of stride 2 whose kernel is
    the 3x3 one summed over 2x2 boxes: the same numbers with 4 products for 9, and no enlarged features to store. That
    kernel is not free, so this cannot make a checkerboard either; weights and gradients are those of the 3x3 one.
    """

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool) -> None:
        # the layers that it stands for, so that weights have the names of the same two in sequence
        super().__init__(nn.Upsample(scale_factor=2), nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias))

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, in, H, W] to [B, out, 2H, 2W]."""
        convolution = self[1]
        assert isinstance(convolution, nn.Conv2d)
        # the taps that a pixel of a block's border sees, [4, 3]; made here: a buffer would be lost on the meta device
        band = convolution.weight.new_ones(4, 3).tril().triu(-1).flip(0)
        with no_autocast(features.device.type):  # sums of weights, not of weights rounded to 8 bits
            kernel = (convolution.weight.flatten(2) @ torch.kron(band, band).T).transpose(0, 1)
        kernel = kernel.reshape(*kernel.shape[:2], 4, 4)
        return transposed(features, kernel, convolution.bias, stride=2, padding=1)


class BlurHalf(nn.Module):
    """Filters each channel with [1, 2, 1] x [1, 2, 1] / 16 and keeps every other pixel.

    [1, 2, 1] is [1, 1] twice, so two poolings do it, without weights; the border is replicated.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, H / 2, W / 2]; H and W even."""
        with no_autocast(features.device.type):
            padded = F.pad(features, (1, 1, 1, 1), mode="replicate")
        return F.avg_pool2d(F.avg_pool2d(padded, 2, stride=1), 2, stride=2)
