"""A U-Net of residual blocks that works from half the resolution down.

Pre-activation blocks of He et al. 2016 (arXiv 1603.05027) in a U-Net, as Zhang et al. 2018 (arXiv 1711.10684); with
group norm, SiLU and attention at the coarse levels, as Ho et al. 2020 (arXiv 2006.11239, appendix B). The image enters
by pixel-unshuffle (Shi et al. 2016, arXiv 1609.05158), so that no wide convolution runs at full size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.base import Generator
from img2img.networks.layers.attention import Attention2d
from img2img.networks.layers.convolutions import ImageConv2d, PaddedConv2d
from img2img.networks.layers.norm import NormName, norm2d
from img2img.networks.layers.precision import in_float32
from img2img.networks.layers.resample import DownsampleName, UpsampleName, downsample2x, upsample2x
from img2img.networks.layers.residual import PaddingName

_ATTENTION_WINDOW_PX = 1024
_DROPOUT_LEVELS = 2


class ResUNetGenerator(Generator):
    """Pixel-unshuffle, a convolution, residual blocks at each of five resolutions, and back up with skip connections.

    A level of the encoder is ``num_blocks`` of :class:`PreActivationBlock`, the two coarsest followed by
    self-attention; the decoder has as many blocks and no attention. For 3 to 3 channels the defaults
    (``resunet-s2``) have 15,961,635 parameters, where U-Net-256 has 54,413,955: the work is done at 32 to 128
    of 256 px, where texture is, and not at 8 px and below. For small devices: ``widths`` 24, 48, 96, 192, 256 and
    ``num_blocks`` 1, 5,229,251 parameters.

    Args:
        in_channels: channels of the source.
        out_channels: channels of the translation.
        widths: channels at 1/2, 1/4, 1/8 ... of the resolution; images are mirrored up to a multiple of
            2**len(widths) px, 32 by default.
        num_blocks: residual blocks at each resolution, on the way down and on the way up.
        base_channels: channels at full resolution, between the last two convolutions.
        attention_levels: coarsest resolutions that have self-attention; 0 for none, which tiles exactly.
        dropout: probability of dropout in the decoder's two coarsest levels, 0 for none (0.5 in pix2pix).
        norm: kind of norm, see ``NormName``.
        padding: how the 3x3 convolutions see beyond the border.
        upsample: ``resize`` or ``bilinear``, which cannot make a checkerboard, or ``transposed``.
        downsample: ``strided``, or ``blur``, which does not alias.

    Raises:
        ValueError: for fewer than two widths, or attention at more levels than there are.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int] = (32, 64, 128, 256, 384),
        num_blocks: int = 2,
        base_channels: int = 24,
        attention_levels: int = 2,
        dropout: float = 0.0,
        norm: NormName = "group",
        padding: PaddingName = "zeros",
        upsample: UpsampleName = "resize",
        downsample: DownsampleName = "strided",
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:  # noqa: PLR2004 (a way down and a way up)
            raise ValueError(f"widths: expected two or more of at least 1 channel, got {list(widths)}")
        if not 0 <= attention_levels <= len(widths):
            raise ValueError(f"attention_levels: expected from 0 to {len(widths)}, got {attention_levels}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.size_multiple = 2 ** len(widths)
        self.smallest_side = 2 * self.size_multiple  # more than one value to normalise, and to mirror, at the bottom

        def blocks(channels: int, width: int, chance: float = 0.0) -> list[nn.Module]:
            return [
                PreActivationBlock(width if index else channels, width, norm, padding, chance)
                for index in range(num_blocks)
            ]

        self.stem = PaddedConv2d(4 * in_channels, widths[0], 3, padding=1, padding_mode=padding)
        self.encoder, self.down = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            layers = blocks(width, width)
            if level >= len(widths) - attention_levels:
                layers.append(Attention2d(width, norm, _ATTENTION_WINDOW_PX // 2 ** (level + 1)))
            self.encoder.append(nn.Sequential(*layers))
        for width, wider in itertools.pairwise(widths):
            self.down.append(downsample2x(width, wider, downsample, 3, padding, bias=True))
        self.decoder, self.up = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(widths) - 1)):
            self.up.append(upsample2x(widths[level + 1], widths[level], upsample, 3, bias=True))
            chance = dropout if level >= len(widths) - 1 - _DROPOUT_LEVELS else 0.0
            self.decoder.append(nn.Sequential(*blocks(2 * widths[level], widths[level], chance)))
        self.enlarge = upsample2x(widths[0], base_channels, upsample, 3, bias=True)
        self.head = ImageConv2d(base_channels, out_channels, 3, padding=1, padding_mode=padding)

    def translate(self, source: Tensor) -> Tensor:
        """Translate [B, in, H, W] to [B, out, H, W]; H and W multiples of 2**len(widths), from twice that."""
        features = self.stem(F.pixel_unshuffle(source, 2))
        skips: list[Tensor] = []
        for level, encode in enumerate(self.encoder):
            features = encode(features if level == 0 else self.down[level - 1](features))
            skips.append(features)
        features = skips.pop()
        for enlarge, decode in zip(self.up, self.decoder, strict=True):
            features = decode(torch.cat([enlarge(features), skips.pop()], dim=1))
        return torch.tanh(in_float32(self.head, F.silu(self.enlarge(features))))


class PreActivationBlock(nn.Module):
    """(shortcut(x) + Conv3(SiLU(Norm(Conv3(SiLU(Norm(x))))))) / sqrt(2), which keeps the variance of x.

    Args:
        channels: channels in.
        width: channels out; where they differ the shortcut is a 1x1 convolution without bias.
        norm: kind of norm.
        padding: how the 3x3 convolutions see beyond the border.
        dropout: probability of dropout before the second convolution.
    """

    def __init__(self, channels: int, width: int, norm: NormName, padding: PaddingName, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            norm2d(channels, norm),
            nn.SiLU(),
            PaddedConv2d(channels, width, 3, padding=1, padding_mode=padding),
            norm2d(width, norm),
            nn.SiLU(),
            nn.Dropout(dropout) if dropout else nn.Identity(),
            PaddedConv2d(width, width, 3, padding=1, padding_mode=padding),
        )
        self.shortcut = nn.Identity() if channels == width else nn.Conv2d(channels, width, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, channels, H, W] to [B, width, H, W]."""
        return (self.shortcut(features) + self.layers(features)) * math.sqrt(0.5)  # type: ignore[no-any-return]
