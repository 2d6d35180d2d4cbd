"""The multi-scale discriminator of pix2pixHD (Wang et al. 2018, section 3.2, arXiv 1711.11585)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.base import Discriminator
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.layers.norm import NormName


class MultiscaleDiscriminator(Discriminator):
    """Patch discriminators with weights of their own, each judging the image at half the size of the one before.

    The finest sees texture; the coarsest sees ``2**(num_scales - 1)`` times as far, so it holds an image together
    without a deeper network. Each further scale costs a quarter of the one before.

    Args:
        in_channels: channels of what is judged.
        num_scales: patch discriminators (3 in the paper for 2048 px, 2 in its code; 2 are enough at 256 px).
        num_layers: strided convolutions of each, see ``PatchDiscriminator``.
        base_channels: channels of the first level of each (``ndf`` in the reference).
        norm: kind of norm, see ``NormName``.
        spectral_norm: divide every convolution's weight by its largest singular value (Miyato et al. 2018, arXiv
            1802.05957).
        padding_px: see ``PatchDiscriminator``; 2 in the reference.

    Raises:
        ValueError: for fewer than one scale.
    """

    def __init__(
        self,
        in_channels: int,
        num_scales: int = 2,
        num_layers: int = 3,
        base_channels: int = 64,
        norm: NormName = "instance",
        spectral_norm: bool = False,
        padding_px: int = 1,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.scales = nn.ModuleList(
            PatchDiscriminator(in_channels, num_layers, base_channels, norm, spectral_norm, padding_px=padding_px)
            for _ in range(num_scales)
        )

    def features(self, images: Tensor) -> list[list[Tensor]]:
        """Judge [B, in_channels, H, W]; the first scale at full size, each next one at half of it."""
        found: list[list[Tensor]] = []
        for judge in self.scales:
            if found:  # what pix2pixHD pools with: the border averages only what is there
                images = F.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)
            found += judge.features(images)  # type: ignore[operator]
        return found
