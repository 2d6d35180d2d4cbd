"""A residual generator that translates in styles: one sketch, several photos.

The encoder of CycleGAN's generator (Zhu et al. 2017, arXiv 1703.10593), and in place of its blocks and doublings those
of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958).
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.latent import LatentGenerator
from img2img.networks.layers.convolutions import ImageConv2d, PaddedConv2d
from img2img.networks.layers.modulation import Modulated, ScaledLinear
from img2img.networks.layers.norm import NormName, needs_bias, norm2d
from img2img.networks.layers.precision import in_float32, no_autocast
from img2img.networks.layers.resample import DownsampleName, UpsampleName, downsample2x, upsample2x
from img2img.networks.layers.residual import PaddingName

_SLOPE = 0.2


class StyledGenerator(LatentGenerator):
    """c7s1-64, d128, d256 with norms; n modulated residual blocks of 256, modulated u128 and u64; c7s1-3.

    A latent becomes a style by a small network, and the style scales the channels of every convolution behind the
    encoder. Left out of StyleGAN2: the noise of every pixel (tiles would have to agree on it) and the skips to RGB.

    Args:
        in_channels: channels of the source.
        out_channels: channels of the translation.
        num_blocks: residual blocks.
        base_channels: channels of the first level (``ngf`` in the reference).
        num_halvings: halvings and doublings.
        latent_channels: length of a latent: how many things can vary by themselves.
        style_channels: length of a style.
        num_mapping: layers from latent to style (8 in StyleGAN2).
        norm: of the encoder, see ``NormName``.
        padding: of the 7x7 convolutions and the blocks.
        upsample: see ``UpsampleName``.
        downsample: see ``DownsampleName``.
    """

    channels_last = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_blocks: int = 6,
        base_channels: int = 64,
        num_halvings: int = 2,
        latent_channels: int = 8,
        style_channels: int = 64,
        num_mapping: int = 3,
        norm: NormName = "instance",
        padding: PaddingName = "reflect",
        upsample: UpsampleName = "resize",
        downsample: DownsampleName = "strided",
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.latent_channels = in_channels, out_channels, latent_channels
        self.size_multiple = 2**num_halvings
        self.smallest_side = max(2 * self.size_multiple, 4)
        lengths = [latent_channels] + [style_channels] * num_mapping
        self.mapping = nn.ModuleList(ScaledLinear(a, b) for a, b in pairwise(lengths))
        self.register_buffer("style", torch.zeros(1, style_channels))
        width, bias = base_channels, needs_bias(norm)
        encoder: list[nn.Module] = [
            PaddedConv2d(in_channels, width, 7, padding=3, padding_mode=padding, bias=bias),
            norm2d(width, norm),
            nn.ReLU(inplace=True),
        ]
        for _ in range(num_halvings):
            encoder += [downsample2x(width, 2 * width, downsample, 3, "zeros", bias=bias), norm2d(2 * width, norm)]
            encoder += [nn.ReLU(inplace=True)]
            width *= 2
        self.encoder = nn.Sequential(*encoder)

        self.blocks = nn.ModuleList(_Block(width, style_channels, padding) for _ in range(num_blocks))
        self.doublings = nn.ModuleList()
        for _ in range(num_halvings):
            double = upsample2x(width, width // 2, upsample, 3, bias=False)
            self.doublings.append(Modulated(double, width, width // 2, style_channels))
            width //= 2
        self.image = ImageConv2d(width, out_channels, 7, padding=3, padding_mode=padding)

    def style_of(self, latent: Tensor) -> Tensor:
        """Return the styles [B, style_channels] of latents [B, latent_channels], which are brought to unit length."""
        with no_autocast(latent.device.type):
            style = latent * torch.rsqrt(latent.square().mean(1, keepdim=True) + 1e-8)
            for layer in self.mapping:
                style = F.leaky_relu(layer(style), _SLOPE) * 2**0.5  # so that the variance stays
        return style

    def translate_in(self, source: Tensor, style: Tensor) -> Tensor:
        """Translate [B, in, H, W] to [B, out, H, W]; H and W multiples of 2**num_halvings, from twice that."""
        features = self.encoder(source)
        for block in self.blocks:
            features = block(features, style)
        for double in self.doublings:
            features = F.leaky_relu(double(features, style), _SLOPE)
        return torch.tanh(in_float32(self.image, features))


class _Block(nn.Module):
    """(x + f(x)) / sqrt(2), f two modulated 3x3 convolutions; divided, so that the variance stays."""

    def __init__(self, channels: int, style_channels: int, padding: PaddingName) -> None:
        super().__init__()
        self.first, self.second = (
            Modulated(
                PaddedConv2d(channels, channels, 3, padding=1, padding_mode=padding, bias=False),
                channels,
                channels,
                style_channels,
            )
            for _ in range(2)
        )

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Map [B, C, H, W] in styles [B or 1, S] to [B, C, H, W]."""
        change: Tensor = self.second(F.leaky_relu(self.first(features, style), _SLOPE), style)
        return (features + change) / 2**0.5
