"""The residual generator of CycleGAN.

Zhu, Park, Isola, Efros: Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks, ICCV 2017,
appendix 7.2 (arXiv 1703.10593), after Johnson et al. 2016 (arXiv 1603.08155).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from img2img.networks.base import Generator
from img2img.networks.layers.antialias import FilterDouble, FilterHalf
from img2img.networks.layers.convolutions import ImageConv2d, PaddedConv2d
from img2img.networks.layers.norm import NormName, needs_bias, norm2d
from img2img.networks.layers.precision import in_float32
from img2img.networks.layers.resample import DownsampleName, UpsampleName, downsample2x, upsample2x
from img2img.networks.layers.residual import PaddingName, ResidualBlock


class ResNetGenerator(Generator):
    """c7s1-64, d128, d256, n residual blocks of 256, u128, u64, c7s1-3.

    The 7x7 convolutions and the blocks pad by reflection, the strided convolutions by zeros, as published. With 9
    blocks and instance norm 11,378,179 parameters for 3 to 3 channels; with 6 blocks 7,837,699.

    Args:
        in_channels: channels of the source.
        out_channels: channels of the translation.
        num_blocks: residual blocks; 9 for 256 px, 6 for 128 px in the paper.
        base_channels: channels of the first level (``ngf`` in the reference).
        norm: kind of norm, see ``NormName``.
        dropout: probability of dropout inside the blocks; 0 in CycleGAN, 0.5 where pix2pix uses this generator.
        padding: of the 7x7 convolutions and the blocks.
        upsample: ``transposed`` as published, or ``resize`` or ``bilinear``, which cannot make a checkerboard, or
            ``cut``: a fixed filter, then a convolution, as CUT published it (arXiv 2007.15651).
        downsample: ``strided`` as published, or ``blur``, which does not alias, or ``cut``: convolution, norm and
            ReLU, then a fixed filter, as CUT published it.
        num_halvings: halvings and doublings; 2 in CycleGAN, 4 in the global generator of pix2pixHD (arXiv 1711.11585).
        bias: whether convolutions before a norm have one; by default as the norm asks. The global generator of
            pix2pixHD has it with batch norm too.
        block_padding: of the blocks; by default as ``padding``. The reference's ``padding_type`` is of them alone.
        strided_padding: of the halving convolutions; zeros as published.
    """

    channels_last = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_blocks: int = 9,
        base_channels: int = 64,
        norm: NormName = "instance",
        dropout: float = 0.0,
        padding: PaddingName = "reflect",
        upsample: UpsampleName | Literal["cut"] = "transposed",
        downsample: DownsampleName | Literal["cut"] = "strided",
        num_halvings: int = 2,
        bias: bool | None = None,
        block_padding: PaddingName | None = None,
        strided_padding: PaddingName = "zeros",
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.size_multiple = 2**num_halvings
        # reflection by 3 px at full size and by 1 px at the blocks, and more than one value to normalise there
        self.smallest_side = max(2 * self.size_multiple, 4)
        bias = needs_bias(norm) if bias is None else bias
        width = base_channels
        layers: list[nn.Module] = [
            PaddedConv2d(in_channels, width, 7, padding=3, padding_mode=padding, bias=bias),
            norm2d(width, norm),
            nn.ReLU(inplace=True),
        ]
        for _ in range(num_halvings):
            halve: nn.Module
            if downsample == "cut":
                halve = PaddedConv2d(width, 2 * width, 3, padding=1, padding_mode=strided_padding, bias=bias)
            else:
                halve = downsample2x(width, 2 * width, downsample, 3, strided_padding, bias=bias)
            layers += [halve, norm2d(2 * width, norm), nn.ReLU(inplace=True)]
            layers += [FilterHalf()] if downsample == "cut" else []
            width *= 2
        layers += [ResidualBlock(width, norm, block_padding or padding, dropout, bias) for _ in range(num_blocks)]
        for _ in range(num_halvings):
            double: nn.Module
            if upsample == "cut":
                double = nn.Sequential(FilterDouble(), nn.Conv2d(width, width // 2, 3, padding=1, bias=bias))
            else:
                double = upsample2x(width, width // 2, upsample, 3, bias=bias)
            layers += [double, norm2d(width // 2, norm), nn.ReLU(inplace=True)]
            width //= 2
        layers.append(ImageConv2d(width, out_channels, 7, padding=3, padding_mode=padding))
        self.layers = nn.Sequential(*layers)

    def translate(self, source: Tensor) -> Tensor:
        """Translate [B, in, H, W] to [B, out, H, W]; H and W multiples of 2**num_halvings (4), from twice that."""
        return torch.tanh(in_float32(self.layers[-1], self.layers[:-1](source)))
