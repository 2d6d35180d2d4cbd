"""The 1x1 discriminator of pix2pix (Isola et al. 2017, appendix 6.1.2)."""

from __future__ import annotations

from torch import Tensor, nn

from img2img.networks.base import Discriminator
from img2img.networks.layers.norm import NormName, needs_bias, norm2d
from img2img.networks.layers.spectral import normalise_spectrum
from img2img.networks.layers.stages import stages


class PixelDiscriminator(Discriminator):
    """Judges each pixel by itself with three 1x1 convolutions: colours only, no structure.

    Args:
        in_channels: channels of what is judged.
        base_channels: channels of the first level (``ndf`` in the reference).
        norm: kind of norm, see ``NormName``.
        spectral_norm: divide every convolution's weight by its largest singular value (Miyato et al. 2018, arXiv
            1802.05957); usual with ``norm`` none, since an instance norm undoes part of it.
    """

    def __init__(
        self, in_channels: int, base_channels: int = 64, norm: NormName = "instance", spectral_norm: bool = False
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        bias = needs_bias(norm)
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, base_channels, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(base_channels, 2 * base_channels, 1, bias=bias),
            norm2d(2 * base_channels, norm),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * base_channels, 1, 1, bias=bias),
        )
        if spectral_norm:
            normalise_spectrum(self)

    def features(self, images: Tensor) -> list[list[Tensor]]:
        """Judge [B, in_channels, H, W]; one scale whose last map is [B, 1, H, W]."""
        return [stages(self.layers, images)]
