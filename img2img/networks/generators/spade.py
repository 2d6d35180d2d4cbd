"""The generator of SPADE, for label maps.

Park, Liu, Wang, Zhu: Semantic Image Synthesis with Spatially-Adaptive Normalization, CVPR 2019, sections 3 and A
(arXiv 1903.07291). Written from the paper.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.base import Generator
from img2img.networks.layers.convolutions import ImageConv2d
from img2img.networks.layers.norm import NormName
from img2img.networks.layers.precision import in_float32
from img2img.networks.layers.spade import SpadeBlock

_TIMES = (16, 16, 16, 8, 4, 2, 1)
"""Widths of the blocks, in ``base_channels``."""
_DOUBLED = (6, 5, 4, 3, 1, 2)
"""Blocks before which the size doubles: as many of them, from the left, as there are halvings of the label map."""


class SpadeGenerator(Generator):
    """No encoder: seven blocks that grow a picture from a small label map, and normalise by the map at each size.

    An encoder's norms wash a flat label map away; here the map says at every pixel by how much the normalised features
    are scaled and shifted. The deterministic generator of the paper: its noise or style comes from an encoder of a
    photo, which is not here. With the published sizes 93,048,003 parameters for 36 to 3 channels.

    Takes a label map in one channel each (one-hot), or drawn in colours, which is then used as a continuous map.

    Args:
        in_channels: channels of the label map.
        out_channels: channels of the photo.
        base_channels: channels of the last block (64 in the paper); the first has 16 times as many.
        num_halvings: of the label map, and doublings of the picture: 5 in the paper's network for 256 px, which begins
            with 8x8; 6 for 512 px.
        norm: of the features; its scale and shift come from the map, so ``batch`` is the same as ``instance``. The
            paper's batch norm over all GPUs is ``batch-running``. ``instance`` takes statistics of each image, as at
            batch 1.
        hidden_channels: of the convolution that looks at the map (128 in the paper).
        spectral_norm: divide the weights of the blocks' convolutions by their largest singular values (Miyato et al.
            2018, arXiv 1802.05957).

    Raises:
        ValueError: for more than 6 halvings.
    """

    channels_last = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        base_channels: int = 64,
        num_halvings: int = 5,
        norm: NormName = "instance",
        hidden_channels: int = 128,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        if num_halvings > len(_DOUBLED):
            raise ValueError(f"num_halvings: expected {len(_DOUBLED)} or fewer, got {num_halvings}")
        self.doubled = frozenset(_DOUBLED[:num_halvings])
        self.size_multiple = 2**num_halvings
        self.smallest_side = 2 * self.size_multiple  # more than one value to normalise in the first block
        widths = [times * base_channels for times in _TIMES]
        self.first = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            SpadeBlock(before, after, in_channels, norm, hidden_channels, spectral_norm)
            for before, after in zip([widths[0], *widths[:-1]], widths, strict=True)
        )
        self.image = ImageConv2d(widths[-1], out_channels, 3, padding=1)

    def translate(self, source: Tensor) -> Tensor:
        """Translate [B, in, H, W] to [B, out, H, W]; H and W multiples of 2**num_halvings (32), from twice that."""
        stride = self.size_multiple
        labels = _nearest(source, stride)
        features = self.first(labels)
        for number, block in enumerate(self.blocks):
            if number in self.doubled:
                features, stride = F.interpolate(features, scale_factor=2.0), stride // 2
                labels = _nearest(source, stride)
            features = block(features, labels)
        return torch.tanh(in_float32(self.image, F.leaky_relu(features, 0.2)))


def _nearest(labels: Tensor, stride: int) -> Tensor:
    """Reduce a label map to every ``stride``-th pixel: labels must not be mixed."""
    return labels[..., ::stride, ::stride]
