"""A discriminator that looks through a frozen network (Projected GAN).

@inproceedings{sauer2021projected, title={Projected GANs Converge Faster},
  author={Sauer, Axel and Chitta, Kashyap and Mueller, Jens and Geiger, Andreas}, booktitle={NeurIPS}, year={2021}}
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.base import Discriminator
from img2img.networks.frozen.base import FeatureNetwork, FeatureNetworkFactory
from img2img.networks.frozen.efficientnet import EfficientNetLite0
from img2img.networks.layers.norm import NormName, needs_bias, norm2d
from img2img.networks.layers.spectral import normalise_spectrum
from img2img.networks.layers.stages import stages

_EPS = 1e-8


class ProjectedDiscriminator(Discriminator):
    """Judges mixed features of a frozen network, one small head for each of its sizes (arXiv 2111.01007, section 3.2).

    Features of every size but the finest pass a random 1x1 convolution (cross-channel mixing); from the coarsest to the
    finest each is added to the enlarged one before it and passes a random 3x3 convolution (cross-scale mixing). The
    mixing never learns. A head is a 3x3 convolution, LeakyReLU(0.2) and a 3x3 convolution to one logit, so with
    EfficientNet-Lite0 there are maps of 1/4, 1/8, 1/16 and 1/32 of the image's sides.

    Where it differs from the paper: mixed features are brought to a mean square of 1 in each image, where the published
    code has batch norm, which a batch of 1 does not take; heads of two layers and one logit a place, in place of deeper
    ones that end in 4x4 maps, since a translation is judged place by place; one width for all sizes, where the code
    doubles it; images are looked at in their own size.

    The frozen network is no part of the ``state_dict``; :func:`img2img.methods.frozen.load_backbones` gives it its
    weights when a training begins. The mixing is part of it.

    Args:
        in_channels: channels of what is judged: 1, 3, or several pictures of 3 beside one another, such as 6.
        backbone: class or ``functools.partial`` of the frozen network.
        base_channels: channels of mixed features and heads.
        norm: kind of norm in the heads, see ``NormName``.
        spectral_norm: divide the weights of the heads by their largest singular values, as published.

    Raises:
        ValueError: for another number of channels.
    """

    def __init__(
        self,
        in_channels: int,
        backbone: FeatureNetworkFactory = EfficientNetLite0,
        base_channels: int = 64,
        norm: NormName = "none",
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        if in_channels != 1 and in_channels % 3:
            raise ValueError(
                f"ProjectedDiscriminator: expected pictures of 1 or 3 channels, or several of 3, got {in_channels} "
                "channels: the frozen network knows photos alone"
            )
        self.in_channels, self.pictures = in_channels, max(in_channels // 3, 1)
        # in a list: no submodule, so no part of checkpoints
        self._frozen: list[FeatureNetwork] = [backbone().eval().requires_grad_(False)]  # noqa: FBT003
        widths = [self.pictures * channels for channels in self.backbone.channels[1:]]
        self.num_scales = len(widths)
        for level, width in enumerate(widths):
            self.register_buffer(f"across_channels_{level}", _random(base_channels, width, 1))
            self.register_buffer(f"across_scales_{level}", _random(base_channels, base_channels, 3))
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(base_channels, base_channels, 3, padding=1, bias=needs_bias(norm)),
                norm2d(base_channels, norm),
                nn.LeakyReLU(0.2),
                nn.Conv2d(base_channels, 1, 3, padding=1),
            )
            for _ in widths
        )
        if spectral_norm:
            normalise_spectrum(self)

    @property
    def backbone(self) -> FeatureNetwork:
        """The frozen network."""
        return self._frozen[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the frozen network along, whatever moves this one."""
        self.backbone._apply(fn, recurse)  # type: ignore[no-untyped-call]  # noqa: SLF001 (as torch does)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def features(self, images: Tensor) -> list[list[Tensor]]:
        """Judge [B, in_channels, H, W], sides from 32 px; the first scale is the finest."""
        mixed = self.project(images)
        return [stages(head, one) for head, one in zip(self.heads, mixed, strict=True)]  # type: ignore[arg-type]

    def project(self, images: Tensor) -> list[Tensor]:
        """Return mixed features [B, base_channels, h, w] whose mean square is 1 in every image, the finest first."""
        count, channels, height, width = images.shape
        seen = self.backbone.features(images.reshape(-1, channels // self.pictures, height, width))[1:]
        mixed: list[Tensor] = []
        for level in reversed(range(self.num_scales)):
            of_all = seen[level].reshape(count, -1, *seen[level].shape[-2:])
            features = F.conv2d(of_all, self.get_buffer(f"across_channels_{level}"))
            if mixed:
                features = features + F.interpolate(mixed[0], features.shape[-2:], mode="bilinear")
            mixed.insert(0, F.conv2d(features, self.get_buffer(f"across_scales_{level}"), padding=1))
        return [one / one.square().mean((1, 2, 3), keepdim=True).add(_EPS).sqrt() for one in mixed]


def _random(out_channels: int, in_channels: int, kernel: int) -> Tensor:
    """Draw a convolution that keeps the spread of what it is shown (He et al. 2015, arXiv 1502.01852)."""
    return torch.randn(out_channels, in_channels, kernel, kernel) / math.sqrt(in_channels * kernel**2)
