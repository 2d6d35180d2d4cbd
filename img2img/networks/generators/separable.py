"""A small U-Net of separable convolutions, for a translator that has to be fast or small.

A convolution over each channel by itself, then one of 1x1 over all of them: for 3x3 and C channels (9 + C) / (9 C) of
the multiplications. Residual blocks of such convolutions are the student of Li et al. 2020, GAN Compression (section
3.1, arXiv 2003.08936), after Howard et al. 2017, MobileNets (arXiv 1704.04861); nothing stands between the two, which
Chollet 2017, Xception (section 4.7, arXiv 1610.02357) found best.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.base import Generator
from img2img.networks.layers.convolutions import ImageConv2d, PaddedConv2d
from img2img.networks.layers.norm import NormName, needs_bias, norm2d
from img2img.networks.layers.precision import in_float32
from img2img.networks.layers.resample import ResizeConv
from img2img.networks.layers.residual import PaddingName


class SeparableGenerator(Generator):
    """Pixel-unshuffle, separable residual blocks at each of five resolutions, and back up with skips that are added.

    For 3 to 3 channels the defaults have 854,171 parameters, where U-Net-256 has 54,413,955, and an eleventh of its
    multiplications. Everything but the image itself is computed from half the resolution down, and skips are added,
    not concatenated, so that no block is wider than its level.

    Args:
        in_channels: channels of the source.
        out_channels: channels of the translation.
        widths: channels at 1/2, 1/4, 1/8 ... of the resolution; images are mirrored up to a multiple of
            2**len(widths) px, 32 by default.
        num_blocks: residual blocks at each resolution, on the way down and on the way up.
        base_channels: channels at full resolution, between the last two convolutions.
        norm: kind of norm, see ``NormName``; ``batch-running`` costs nothing in a translation, where an engine
            multiplies it into the weights.
        padding: how the 3x3 convolutions see beyond the border.

    Raises:
        ValueError: for fewer than two widths.
    """

    channels_last = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int] = (24, 48, 96, 192, 256),
        num_blocks: int = 2,
        base_channels: int = 12,
        norm: NormName = "batch-running",
        padding: PaddingName = "zeros",
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:  # noqa: PLR2004 (a way down and a way up)
            raise ValueError(f"widths: expected two or more of at least 1 channel, got {list(widths)}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.size_multiple = 2 ** len(widths)
        self.smallest_side = 2 * self.size_multiple  # more than one value to normalise at the bottom
        bias = needs_bias(norm)

        def blocks(width: int) -> nn.Sequential:
            return nn.Sequential(*(SeparableBlock(width, norm, padding) for _ in range(num_blocks)))

        first = PaddedConv2d(4 * in_channels, widths[0], 3, padding=1, padding_mode=padding, bias=bias)
        self.stem = nn.Sequential(first, norm2d(widths[0], norm), nn.ReLU(inplace=True))
        self.encoder, self.down = nn.ModuleList(map(blocks, widths)), nn.ModuleList()
        for width, wider in itertools.pairwise(widths):
            halve = separable(width, wider, padding, bias=bias, stride=2)
            self.down.append(nn.Sequential(*halve, norm2d(wider, norm), nn.ReLU(inplace=True)))
        self.decoder, self.up = nn.ModuleList(map(blocks, widths[-2::-1])), nn.ModuleList()
        for wider, width in itertools.pairwise(reversed(widths)):
            self.up.append(nn.Sequential(nn.Conv2d(wider, width, 1, bias=bias), norm2d(width, norm)))
        self.enlarge = ResizeConv(widths[0], base_channels, bias=True)
        self.head = ImageConv2d(base_channels, out_channels, 3, padding=1, padding_mode=padding)

    def translate(self, source: Tensor) -> Tensor:
        """Translate [B, in, H, W] to [B, out, H, W]; H and W multiples of 2**len(widths), from twice that."""
        features = self.stem(F.pixel_unshuffle(source, 2))
        skips: list[Tensor] = []
        for level, encode in enumerate(self.encoder):
            features = encode(features if level == 0 else self.down[level - 1](features))
            skips.append(features)
        features = skips.pop()
        for narrow, decode in zip(self.up, self.decoder, strict=True):
            # 1x1, then nearest neighbour: the same as the other way round, on a quarter of the pixels
            features = decode(F.interpolate(narrow(features), scale_factor=2.0) + skips.pop())
        return torch.tanh(in_float32(self.head, F.relu(self.enlarge(features))))


class SeparableBlock(nn.Module):
    """x + Norm(Sep(ReLU(Norm(Sep(x))))): CycleGAN's residual block with separable convolutions.

    Args:
        channels: channels in and out.
        norm: kind of norm.
        padding: how the 3x3 convolutions see beyond the border.
    """

    def __init__(self, channels: int, norm: NormName, padding: PaddingName) -> None:
        super().__init__()
        bias = needs_bias(norm)
        self.layers = nn.Sequential(
            *separable(channels, channels, padding, bias=bias),
            norm2d(channels, norm),
            nn.ReLU(inplace=True),
            *separable(channels, channels, padding, bias=bias),
            norm2d(channels, norm),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, H, W]."""
        change: Tensor = self.layers(features)
        return features + change


def separable(
    in_channels: int, out_channels: int, padding: PaddingName, *, bias: bool, stride: int = 1
) -> tuple[nn.Module, nn.Module]:
    """Return a 3x3 convolution of each channel by itself, and the 1x1 one over all of them.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        padding: how the 3x3 convolution sees beyond the border.
        bias: whether the second has one; one of the first would be the same.
        stride: in pixels.
    """
    each = PaddedConv2d(
        in_channels, in_channels, 3, stride, padding=1, groups=in_channels, padding_mode=padding, bias=False
    )
    return each, nn.Conv2d(in_channels, out_channels, 1, bias=bias)
