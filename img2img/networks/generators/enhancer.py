"""The coarse-to-fine generator of pix2pixHD.

Wang, Liu, Zhu, Tao, Kautz, Catanzaro: High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs,
CVPR 2018, section 3.1 (arXiv 1711.11585).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.base import Generator
from img2img.networks.generators.resnet import ResNetGenerator
from img2img.networks.layers.convolutions import ImageConv2d, PaddedConv2d
from img2img.networks.layers.norm import NormName, needs_bias, norm2d
from img2img.networks.layers.precision import in_float32
from img2img.networks.layers.resample import DownsampleName, UpsampleName, downsample2x, upsample2x
from img2img.networks.layers.residual import PaddingName, ResidualBlock


class LocalEnhancer(Generator):
    """A global network at half the size, whose last features are added to those of a local one at the full size.

    The global network (G1) is :class:`ResNetGenerator` with 4 halvings, without its last convolution: it sees the
    scene at a resolution it was trained at, while the local one (G2) draws what only the full size shows. Train G1
    alone first, at half the size, start G2 from it (``--init-from``), and hold it still at the beginning
    (``Pix2Pix.hold_until``). With the published sizes 182,857,059 parameters for 36 to 3 channels.

    Args:
        in_channels: channels of the source.
        out_channels: channels of the translation.
        base_channels: channels of the local network (``ngf`` in the reference, 32); the global one begins with twice as
            many.
        num_blocks: residual blocks of the local network, at half the size.
        num_global_blocks: residual blocks of the global network.
        num_global_halvings: halvings of the global network.
        norm: kind of norm, see ``NormName``.
        padding: of the 7x7 convolutions and the blocks.
        upsample: see ``UpsampleName``; transposed as published.
        downsample: see ``DownsampleName``; strided as published.
    """

    channels_last = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        base_channels: int = 32,
        num_blocks: int = 3,
        num_global_blocks: int = 9,
        num_global_halvings: int = 4,
        norm: NormName = "instance",
        padding: PaddingName = "reflect",
        upsample: UpsampleName = "transposed",
        downsample: DownsampleName = "strided",
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        width, wide, bias = base_channels, 2 * base_channels, needs_bias(norm)
        coarse = ResNetGenerator(
            in_channels,
            out_channels,
            num_global_blocks,
            wide,
            norm,
            padding=padding,
            upsample=upsample,
            downsample=downsample,
            num_halvings=num_global_halvings,
        )
        self.size_multiple, self.smallest_side = 2 * coarse.size_multiple, 2 * coarse.smallest_side
        self.coarse = coarse.layers[:-1]
        self.encoder = nn.Sequential(
            PaddedConv2d(in_channels, width, 7, padding=3, padding_mode=padding, bias=bias),
            norm2d(width, norm),
            nn.ReLU(inplace=True),
            downsample2x(width, wide, downsample, 3, "zeros", bias=bias),
            norm2d(wide, norm),
            nn.ReLU(inplace=True),
        )
        self.decoder = nn.Sequential(
            *(ResidualBlock(wide, norm, padding, 0.0) for _ in range(num_blocks)),
            upsample2x(wide, width, upsample, 3, bias=bias),
            norm2d(width, norm),
            nn.ReLU(inplace=True),
        )
        self.image = ImageConv2d(width, out_channels, 7, padding=3, padding_mode=padding)

    def translate(self, source: Tensor) -> Tensor:
        """Translate [B, in, H, W] to [B, out, H, W]; H and W multiples of 2**(num_global_halvings + 1)."""
        half = F.avg_pool2d(source, 3, stride=2, padding=1, count_include_pad=False)
        features = self.decoder(self.encoder(source) + self.coarse(half))
        return torch.tanh(in_float32(self.image, features))

    def start_from(self, other: Generator) -> None:
        """Take all weights of another local enhancer, or those of a global network for the part that it becomes."""
        if isinstance(other, ResNetGenerator):
            self.coarse.load_state_dict(other.layers[:-1].state_dict())
        else:
            super().start_from(other)

    def held(self) -> tuple[nn.Module, ...]:
        """Return the global network."""
        return (self.coarse,)
