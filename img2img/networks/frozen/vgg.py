"""VGG as a judge of likeness (Simonyan and Zisserman 2015, arXiv 1409.1556; Johnson et al. 2016, arXiv 1603.08155)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.frozen.base import FeatureNetwork, as_photos, take_in_order
from img2img.networks.layers.antialias import filter_of

_WIDTHS = (64, 128, 256, 512, 512)
_SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""pix2pixHD's, of relu1_1 to relu5_1 (Wang et al. 2018, arXiv 1711.11585, appendix A.1's loss, as its code has it)."""


class VGG19(FeatureNetwork):
    """Features relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of torchvision's VGG19.

    Args:
        weights: torchvision's file; by default where torch keeps what it has downloaded.
        sha256: beginning of the file's hash.
        normalise: by ImageNet's mean and deviation, as VGG was trained. False shows it images in [-1, 1] as they are,
            as the code of pix2pixHD and SPADE does.
    """

    file_name = "vgg19-dcbb9e9d.pth"
    advice = (
        "fetch it once where there is a network, python -c \"import torchvision; torchvision.models.vgg19(weights='"
        "IMAGENET1K_V1')\", or copy the file and give its path"
    )

    def __init__(self, weights: str | None = None, sha256: str = "dcbb9e9d", normalise: bool = True) -> None:
        super().__init__()
        self.weights, self.sha256, self.normalise, self.shares = weights, sha256, normalise, _SHARES
        self.channels = _WIDTHS
        self.blocks = _blocks((2, 2, 4, 4, 1), blurred=False)

    def features(self, images: Tensor) -> list[Tensor]:
        """Describe [B, 1 or 3, H, W] in [-1, 1] by five features at 1, 1/2, 1/4, 1/8 and 1/16 of its sides."""
        return _features(self.blocks, as_photos(images, normalise=self.normalise))

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Take torchvision's weights, which are numbered through all layers of ``features``."""
        take_in_order(self.blocks, [t for key, t in tensors.items() if key.startswith("features.")])


class ShiftTolerantVGG16(FeatureNetwork):
    """Features relu1_1 to relu5_1 of the VGG16 that comes with shift-tolerant LPIPS (Ghildyal and Liu 2022).

    arXiv 2207.13686: a [1, 2, 1] filter before every halving, so that what moves by a pixel looks nearly the same.

    Args:
        weights: file ``vgg_shift_tolerant.pth`` of Python package stlpips-pytorch; by default there.
        sha256: beginning of the file's hash.
        normalise: by ImageNet's mean and deviation, as the network was trained.
    """

    file_name = "vgg_shift_tolerant.pth"
    package = ("stlpips_pytorch", "weights/vST0.0")
    advice = (
        "pip install --no-deps stlpips-pytorch==0.0.2 brings it (parts of that package are CC BY-NC-SA 4.0: not for "
        "commercial use), or give the path of the file"
    )

    def __init__(self, weights: str | None = None, sha256: str = "44597da6", normalise: bool = True) -> None:
        super().__init__()
        self.weights, self.sha256, self.normalise, self.shares = weights, sha256, normalise, _SHARES
        self.channels = _WIDTHS
        self.blocks = _blocks((2, 2, 3, 3, 1), blurred=True)

    def features(self, images: Tensor) -> list[Tensor]:
        """Describe [B, 1 or 3, H, W] in [-1, 1] by five features at about 1, 1/2, 1/4, 1/8 and 1/16 of its sides."""
        return _features(self.blocks, as_photos(images, normalise=self.normalise))

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the trunk's weights; the file also holds fixed filters and the weights of the distance."""
        take_in_order(self.blocks, [t for k, t in tensors.items() if k.startswith("net.") and not k.endswith("filt")])


class _FilterHalf(nn.Module):
    """[1, 2, 1] x [1, 2, 1] / 16 at every other pixel, the border mirrored by two, as the published network has it."""

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, C, H - 1, W - 1] to [B, C, H / 2 + 1, W / 2 + 1]."""
        padded = F.pad(features, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(padded, filter_of((1.0, 2.0, 1.0), 1.0, features), stride=2, groups=features.shape[1])


def _blocks(depths: Sequence[int], *, blurred: bool) -> nn.ModuleList:
    """Return the convolutions of each size, with ReLUs, those behind the first of a size in a part of their own.

    Args:
        depths: convolutions of each size; those of the last that no feature needs are left out.
        blurred: filter before halving.
    """
    pool: list[nn.Module] = [nn.MaxPool2d(2, stride=1), _FilterHalf()] if blurred else [nn.MaxPool2d(2)]
    blocks, channels = nn.ModuleList(), 3
    for level, (width, depth) in enumerate(zip(_WIDTHS, depths, strict=True)):
        first = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        rest: list[nn.Module] = []
        for _ in range(depth - 1):
            rest += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        blocks.append(nn.ModuleList([nn.Sequential(*(pool if level else []), *first), nn.Sequential(*rest)]))
        channels = width
    return blocks


def _features(blocks: nn.ModuleList, images: Tensor) -> list[Tensor]:
    found, features = [], images
    for block in blocks:
        first, rest = block.children()
        features = first(features)
        found.append(features)
        features = rest(features)
    return found
