"""A patch discriminator at less than half of the multiplications, at one scale or several."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.base import Discriminator
from img2img.networks.layers.norm import NormName, needs_bias, norm2d
from img2img.networks.layers.spectral import normalise_spectrum
from img2img.networks.layers.stages import stages

_NUM_HALVINGS = 3


class LiteDiscriminator(Discriminator):
    """Judges patches of 54 px: 4x4 convolutions of stride 2 to 64, 128 and 256 channels, 3x3 to 256, 3x3 to one logit.

    Most of PatchGAN's work is its 4x4 convolution of stride 1 to 512 channels; without it the map of a 256 px image is
    32x32. LeakyReLU(0.2). 1,254,337 parameters a scale for 6 channels. Each further scale has weights of its own and
    judges the image at half the size of the one before, by the mean of 2x2 pixels (pix2pixHD, Wang et al. 2018, section
    3.2, arXiv 1711.11585). Without a norm it wants a gradient penalty or spectral norm: see ``critic.r1_gamma``.

    Args:
        in_channels: channels of what is judged.
        num_scales: such discriminators.
        base_channels: channels of the first level of each.
        norm: kind of norm behind all convolutions but the first and the last, see ``NormName``.
        spectral_norm: divide every convolution's weight by its largest singular value (Miyato et al. 2018, arXiv
            1802.05957).
    """

    def __init__(
        self,
        in_channels: int,
        num_scales: int = 2,
        base_channels: int = 64,
        norm: NormName = "none",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.scales = nn.ModuleList(_layers(in_channels, base_channels, norm) for _ in range(num_scales))
        if spectral_norm:
            normalise_spectrum(self)

    def features(self, images: Tensor) -> list[list[Tensor]]:
        """Judge [B, in_channels, H, W]; the first scale at full size, each next one at half of it."""
        found: list[list[Tensor]] = []
        for layers in self.scales:
            if found:
                images = F.avg_pool2d(images, 2)
            assert isinstance(layers, nn.Sequential)
            found.append(stages(layers, images))
        return found


def _layers(in_channels: int, base_channels: int, norm: NormName) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(in_channels, base_channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    width = base_channels
    for level in range(1, _NUM_HALVINGS + 1):
        halves = level < _NUM_HALVINGS
        wider, kernel, stride = (2 * width, 4, 2) if halves else (width, 3, 1)
        layers += [
            nn.Conv2d(width, wider, kernel, stride=stride, padding=1, bias=needs_bias(norm)),
            norm2d(wider, norm),
            nn.LeakyReLU(0.2),
        ]
        width = wider
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1))
