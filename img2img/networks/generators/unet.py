"""The U-Net generator of pix2pix.

Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017, section 3.2.1
and appendix 6.1.1 (arXiv 1611.07004).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.base import Generator
from img2img.networks.layers.norm import NormName, needs_bias, norm2d
from img2img.networks.layers.precision import in_float32
from img2img.networks.layers.resample import DownsampleName, UpsampleName, downsample2x, upsample2x
from img2img.networks.layers.residual import PaddingName

_NUM_DROPOUT_LEVELS = 3


class UNetGenerator(Generator):
    """Encoder-decoder with a skip connection at every resolution.

    Encoder C64-C128-C256-C512-C512-..., 4x4 convolutions of stride 2, LeakyReLU(0.2) before each but the first; no norm
    on the first and on the innermost. Decoder mirrored with ReLU, inputs concatenated with the encoder's, tanh at
    the end. With ``depth=8`` this is U-Net-256 (54,413,955 parameters for 3 to 3 channels with batch norm), with
    ``depth=7`` U-Net-128 (41,828,995).

    Args:
        in_channels: channels of the source.
        out_channels: channels of the translation.
        depth: number of halvings; images are mirrored up to a multiple of 2**depth px.
        base_channels: channels of the first level (``ngf`` in the reference); later ones have up to 8 times as many.
        norm: kind of norm, see ``NormName``.
        dropout: probability of dropout in three decoder levels (0.5 in the paper), 0 for none.
        dropout_placement: ``paper``: the three innermost decoder levels (outputs 2x2, 4x4, 8x8 at 256 px); ``port``:
            the innermost has none, so outputs 4x4, 8x8, 16x16, as in the PyTorch port.
        upsample: ``transposed`` as published, or ``resize`` or ``bilinear``, which cannot make a checkerboard.
        downsample: ``strided`` as published, or ``blur``, which does not alias.
        padding: of the encoder's convolutions; zeros as published. The innermost level always pads by zeros.

    Raises:
        ValueError: if depth is below 2, or too small for the placement of the dropout.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        depth: int = 8,
        base_channels: int = 64,
        norm: NormName = "batch",
        dropout: float = 0.5,
        dropout_placement: Literal["paper", "port"] = "port",
        upsample: UpsampleName = "transposed",
        downsample: DownsampleName = "strided",
        padding: PaddingName = "zeros",
    ) -> None:
        super().__init__()
        # the paper's three innermost levels fit above the outermost from depth 4 on; the port's start one level later
        needed = (4 if dropout_placement == "paper" else 5) if dropout else 2
        if depth < needed:
            raise ValueError(
                f"depth {depth} is too small: with dropout {dropout} ({dropout_placement}) use {needed} or more"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.size_multiple = self.smallest_side = 2**depth
        widths = [min(2**level, 8) * base_channels for level in range(depth)]
        bias = needs_bias(norm)

        self.encoder = nn.ModuleList()
        for level, width in enumerate(widths):
            channels = in_channels if level == 0 else widths[level - 1]
            border: PaddingName = padding if level < depth - 1 else "zeros"  # 2x2 px in: reflection has little to show
            layers: list[nn.Module] = [downsample2x(channels, width, downsample, 4, border, bias=bias)]
            if 0 < level < depth - 1:  # innermost: one value per channel at 1x1, which a norm would turn into 0
                layers.append(norm2d(width, norm))
            self.encoder.append(nn.Sequential(*layers))

        first = depth - 1 if dropout_placement == "paper" else depth - 2
        self.decoder = nn.ModuleList()
        for level in reversed(range(depth)):
            channels = widths[level] if level == depth - 1 else 2 * widths[level]
            if level == 0:
                self.decoder.append(upsample2x(channels, out_channels, upsample, 4, bias=True))
                continue
            layers = [upsample2x(channels, widths[level - 1], upsample, 4, bias=bias), norm2d(widths[level - 1], norm)]
            if dropout and first - _NUM_DROPOUT_LEVELS < level <= first:
                layers.append(nn.Dropout(dropout))
            self.decoder.append(nn.Sequential(*layers))

    def translate(self, source: Tensor) -> Tensor:
        """Translate [B, in, H, W] to [B, out, H, W]; H and W multiples of 2**depth."""
        skips = []
        features = source
        for level, encode in enumerate(self.encoder):
            features = encode(features if level == 0 else F.leaky_relu(features, 0.2))
            skips.append(features)
        features = self.decoder[0](F.relu(skips.pop()))
        for decode in self.decoder[1:-1]:
            features = decode(F.relu(torch.cat([skips.pop(), features], dim=1)))
        pair = F.relu(torch.cat([skips.pop(), features], dim=1))
        return torch.tanh(in_float32(self.decoder[-1], pair))
