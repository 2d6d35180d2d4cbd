"""Convolutions in a style.

Karras, Laine, Aittala, Hellsten, Lehtinen, Aila: Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020,
section 2.2 (arXiv 1912.04958).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.layers.precision import no_autocast

_EPS = 1e-8


class Modulated(nn.Module):
    """Scales what goes into a convolution by a style, and what comes out to unit variance (equations 1 and 3).

    w'_ijk = s_i w_ijk, w''_ijk = w'_ijk / sqrt(sum_ik w'_ijk^2 + eps). Scaling weights by s_i is scaling features by
    s_i, and dividing them by a number per output is dividing outputs: so one convolution serves a batch of styles, and
    tiles, exports and any batch stay what they are for other generators. It stands in the place of a norm, and unlike
    one it needs no statistics of the image.

    Args:
        layer: with one convolution inside, without bias.
        in_channels: channels that go in.
        out_channels: channels that come out.
        style_channels: length of a style.
    """

    def __init__(self, layer: nn.Module, in_channels: int, out_channels: int, style_channels: int) -> None:
        super().__init__()
        self.layer = layer
        self.scale = ScaledLinear(style_channels, in_channels)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Map [B, in, H, W] in styles [B or 1, S] to [B, out, H', W']."""
        with no_autocast(features.device.type):
            scale = 1 + self.scale(style.to(self.bias.dtype))
            shrink = demodulation(_convolution(self.layer), scale)
        made: Tensor = self.layer(features * scale.to(features.dtype)[..., None, None])
        return torch.addcmul(self.bias.to(made.dtype)[:, None, None], made, shrink.to(made.dtype)[..., None, None])


def demodulation(convolution: nn.Module, scale: Tensor) -> Tensor:
    """Return 1 / sqrt(sum_ik (s_i w_ijk)^2 + eps), [B, out], for scales [B, in].

    Of a transposed convolution a pixel of the output sees one of stride^2 taps, so the sum is divided by that.
    """
    assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d)
    square = convolution.weight.to(scale.dtype).square().sum((2, 3))
    if isinstance(convolution, nn.ConvTranspose2d):
        square = square.T / (convolution.stride[0] * convolution.stride[1])
    return torch.rsqrt(scale.square() @ square.T + _EPS)


class ScaledLinear(nn.Module):
    """y = W x / sqrt(in) + b with W drawn from N(0, 1): all such layers learn at one pace (Karras et al. 2018).

    arXiv 1710.10196, section 4.1. It keeps its own draw, whatever the initialisation of the convolutions around it: at
    their deviation of 0.02 a style would hardly reach the image.

    Args:
        in_channels: length of x.
        out_channels: length of y.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, vector: Tensor) -> Tensor:
        """Map [B, in] to [B, out]."""
        return F.linear(vector, self.weight / self.weight.shape[1] ** 0.5, self.bias)


def _convolution(layer: nn.Module) -> nn.Module:
    return next(part for part in layer.modules() if isinstance(part, nn.Conv2d | nn.ConvTranspose2d))
