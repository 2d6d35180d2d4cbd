"""The PatchGAN discriminator of pix2pix (Isola et al. 2017, section 3.2.2 and appendix 6.1.2)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from img2img.networks.base import Discriminator
from img2img.networks.layers.antialias import FilterHalf
from img2img.networks.layers.norm import NormName, needs_bias, norm2d
from img2img.networks.layers.spectral import normalise_spectrum
from img2img.networks.layers.stages import stages


class PatchDiscriminator(Discriminator):
    """Judges overlapping patches: n strided 4x4 convolutions, one of stride 1, and one to a single logit.

    ``num_layers`` 1 to 5 give receptive fields of 16, 34, 70, 142 and 286 px; with 3 the logit map of a 256 px image
    is 30x30. No norm on the first convolution; LeakyReLU(0.2).

    Args:
        in_channels: channels of what is judged.
        num_layers: strided convolutions (``n_layers_D`` in the reference).
        base_channels: channels of the first level (``ndf`` in the reference).
        norm: kind of norm, see ``NormName``.
        spectral_norm: divide every convolution's weight by its largest singular value (Miyato et al. 2018, arXiv
            1802.05957); usual with ``norm`` none, since an instance norm undoes part of it.
        downsample: ``strided`` as published, or ``cut``: convolutions of stride 1, then a fixed filter, as CUT
            published it (arXiv 2007.15651); twice the work, and a receptive field of 84 px with 3 layers.
        padding_px: zeros around each convolution's features; 2 in pix2pixHD, whose map of a 256 px image is 35x35.
    """

    def __init__(
        self,
        in_channels: int,
        num_layers: int = 3,
        base_channels: int = 64,
        norm: NormName = "instance",
        spectral_norm: bool = False,
        downsample: Literal["strided", "cut"] = "strided",
        padding_px: int = 1,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        half, halve = (2, []) if downsample == "strided" else (1, [FilterHalf()])
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, base_channels, 4, stride=half, padding=padding_px),
            nn.LeakyReLU(0.2),
            *halve,
        ]
        width = base_channels
        for level in range(1, num_layers + 1):
            wider = min(2**level, 8) * base_channels
            inner = level < num_layers
            layers += [
                nn.Conv2d(width, wider, 4, stride=half if inner else 1, padding=padding_px, bias=needs_bias(norm)),
                norm2d(wider, norm),
                nn.LeakyReLU(0.2),
                *(halve if inner else []),
            ]
            width = wider
        layers.append(nn.Conv2d(width, 1, 4, padding=padding_px))
        self.layers = nn.Sequential(*layers)
        if spectral_norm:
            normalise_spectrum(self)

    def features(self, images: Tensor) -> list[list[Tensor]]:
        """Judge [B, in_channels, H, W]; one scale whose last map is [B, 1, h, w], 30x30 for 256 px with 3 layers."""
        return [stages(self.layers, images)]
