"""A generator with a choice: one source, many translations."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from img2img.networks.base import Generator

_NEWEST = 0.01
"""Share of a batch in the running mean of styles."""


class LatentGenerator(Generator):
    """Translates in a style, which a latent vector of normal random numbers decides for the whole image.

    In training every image gets a latent of its own, from torch's random numbers as dropout does. Afterwards a
    translation is in :attr:`style`: the mean style of the training (the truncation of Karras et al. 2020, arXiv
    1912.04958, at psi 0) until :meth:`choose` sets another. The style is one for all tiles and images, so it changes
    neither with the size of a tile nor with an image's place in a batch.

    Attributes:
        latent_channels: length of a latent.
        style: buffer [1, style channels].
    """

    latent_channels: int
    style: Tensor

    @abstractmethod
    def style_of(self, latent: Tensor) -> Tensor:
        """Return the styles [B, style channels] of latents [B, latent_channels]."""

    @abstractmethod
    def translate_in(self, source: Tensor, style: Tensor) -> Tensor:
        """Translate [B, in, H, W] whose sides fit, each in its style [B, style channels], or all in one of [1, ...]."""

    def translate(self, source: Tensor) -> Tensor:
        """Translate [B, in, H, W] to [B, out, H, W] in the chosen style."""
        return self.translate_in(source, self.style)

    def forward(self, source: Tensor, latent: Tensor | None = None) -> Tensor:
        """Translate images of any size.

        Args:
            source: float [B, in_channels, H, W] in [-1, 1].
            latent: [B, latent_channels]; None draws them in training, and takes the chosen style afterwards.

        Returns:
            float [B, out_channels, H, W] in [-1, 1], the same H and W.
        """
        if latent is None and not self.training:
            return super().forward(source)
        style = self.style_of(self.draw(source) if latent is None else latent)
        if self.training:
            self.style.lerp_(style.detach().mean(0, keepdim=True).to(self.style), _NEWEST)
        return self.fitted(source, lambda image: self.translate_in(image, style))

    def draw(self, source: Tensor) -> Tensor:
        """Draw a latent for each of [B, C, H, W] from torch's random numbers, the same ones on every device."""
        return torch.randn(len(source), self.latent_channels).to(source.device)

    @torch.no_grad()
    def choose(self, latent: Tensor) -> None:
        """Translate in the style of a latent [1, latent_channels] from now on."""
        self.style = self.style_of(latent.to(self.style))
