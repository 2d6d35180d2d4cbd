"""The residual generator of CycleGAN.

Zhu, Park, Isola, Efros: Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks, ICCV 2017,
appendix 7.2 (arXiv 1703.10593), after Johnson et al. 2016 (arXiv 1603.08155).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import torch
from torch import Tensor, nn

from img2img.networks.base import TRANSLATION, FeatureGenerator
from img2img.networks.layers.antialias import FilterDouble, FilterHalf
from img2img.networks.layers.convolutions import ImageConv2d, PaddedConv2d
from img2img.networks.layers.norm import NormName, needs_bias, norm2d
from img2img.networks.layers.precision import in_float32
from img2img.networks.layers.resample import DownsampleName, UpsampleName, downsample2x, upsample2x
from img2img.networks.layers.residual import PaddingName, ResidualBlock

SOURCE = "source"


SOURCE_SHARE = 0.98
"""Of a source that is added: artanh is infinite at 1, and where tanh is flat, black could never become white."""


class ResNetGenerator(FeatureGenerator):
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
        strided_padding: of the halving convolutions; zeros as published.
        add_source: make tanh(f(x) + artanh(0.98 x)) of a source x, where published networks make tanh(f(x)): a new
            network copies its source, and what a translation leaves as it is need not be learnt. Residual learning
            (He et al. 2016, arXiv 1512.03385) of the whole network. For images of one kind, such as two sets of photos.

    Raises:
        ValueError: for ``add_source`` with different channel counts.
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
        add_source: bool = False,
    ) -> None:
        super().__init__()
        if add_source and in_channels != out_channels:
            raise ValueError(f"add_source needs as many channels in as out, got {in_channels} and {out_channels}")
        self.add_source = add_source
        self.in_channels, self.out_channels = in_channels, out_channels
        self.size_multiple = 2**num_halvings
        # reflection by 3 px at full size and by 1 px at the blocks, and more than one value to normalise there
        self.smallest_side = max(2 * self.size_multiple, 4)
        bias = needs_bias(norm) if bias is None else bias
        width = base_channels
        in_place = norm != "none"  # without a norm it would write into the convolution's output, which is a stage
        layers: list[nn.Module] = [
            PaddedConv2d(in_channels, width, 7, padding=3, padding_mode=padding, bias=bias),
            norm2d(width, norm),
            nn.ReLU(inplace=in_place),
        ]
        ends = {SOURCE: 0, "stem": 3}
        stages = {SOURCE: in_channels, "stem": width}
        for number in range(1, num_halvings + 1):
            halve: nn.Module
            if downsample == "cut":
                halve = PaddedConv2d(width, 2 * width, 3, padding=1, padding_mode=strided_padding, bias=bias)
            else:
                halve = downsample2x(width, 2 * width, downsample, 3, strided_padding, bias=bias)
            ends[f"convolution{number}"] = len(layers) + 1
            layers += [halve, norm2d(2 * width, norm), nn.ReLU(inplace=in_place)]
            layers += [FilterHalf()] if downsample == "cut" else []
            width *= 2
            ends[f"half{number}"] = len(layers)
            stages |= {f"convolution{number}": width, f"half{number}": width}
        for number in range(1, num_blocks + 1):
            layers.append(ResidualBlock(width, norm, block_padding or padding, dropout, bias))
            ends[f"block{number}"], stages[f"block{number}"] = len(layers), width
        for number in range(1, num_halvings + 1):
            double: nn.Module
            if upsample == "cut":
                double = nn.Sequential(FilterDouble(), nn.Conv2d(width, width // 2, 3, padding=1, bias=bias))
            else:
                double = upsample2x(width, width // 2, upsample, 3, bias=bias)
            layers += [double, norm2d(width // 2, norm), nn.ReLU(inplace=in_place)]
            width //= 2
            ends[f"double{number}"], stages[f"double{number}"] = len(layers), width
        layers.append(ImageConv2d(width, out_channels, 7, padding=3, padding_mode=padding))
        self.layers = nn.Sequential(*layers)
        self.stages = {**stages, TRANSLATION: out_channels}
        self._ends = {**ends, TRANSLATION: len(layers)}
        self.content_stages = (
            SOURCE,
            *(f"convolution{number}" for number in range(1, num_halvings + 1)),
            *dict.fromkeys(f"block{number}" for number in (1, min(num_blocks, 5)) if num_blocks),
        )
        encoder = ["stem", *(f"half{number}" for number in range(1, num_halvings))][:num_halvings]
        self.mirrored_stages = {name: f"double{num_halvings - i}" for i, name in enumerate(encoder)}
        if quarter := num_blocks // 4:
            self.mirrored_stages[f"block{quarter}"] = f"block{num_blocks - quarter}"

    def compute(self, source: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Compute stages, by name in the order of the layers.

        ``source`` (as the first convolution sees it, with its mirrored border), ``stem``, ``convolutionN`` and
        ``halfN`` of the Nth halving (before its norm, and behind all of it), ``blockN``, ``doubleN``. With ``cut``
        halvings the layers 0, 4, 8, 12 and 16 that CUT compares are source, convolution1, convolution2, block1 and
        block5; 3, 7 and 13 that EnCo compares with 28, 24 and 18 are stem, half1 and block2, with double2, double1
        and block7.
        """
        first, last = self.layers[0], len(self.layers)
        assert isinstance(first, PaddedConv2d)
        wanted = {self._ends[name]: name for name in names}
        found = {SOURCE: first.padded(source)} if 0 in wanted else {}
        features = source
        for done, layer in enumerate(self.layers, 1):
            if done > max(wanted):
                break
            features = layer(features) if done < last else self._image(features, source)
            if done in wanted:
                found[wanted[done]] = features
        return found

    def translate(self, source: Tensor) -> Tensor:
        """Translate [B, in, H, W] to [B, out, H, W]; H and W multiples of 2**num_halvings (4), from twice that."""
        return self._image(self.layers[:-1](source), source)

    def _image(self, features: Tensor, source: Tensor) -> Tensor:
        """Compute the image of the last features, in float32."""
        made = in_float32(self.layers[-1], features)
        return torch.tanh(made + torch.atanh(SOURCE_SHARE * source.to(made.dtype)) if self.add_source else made)
