"""The history of fakes that steadies CycleGAN's discriminators (Shrivastava et al. 2017, section 2.3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Keeps up to ``size`` past fakes and returns, per image, the new one or an old one.

    While it fills, each image is stored and returned. Once full, with probability 1/2 a stored image drawn at random
    is returned and replaced by the new one; otherwise the new one is returned and not stored. The stored images are
    state of the training: they are part of the ``state_dict``.

    Args:
        size: capacity in images (50 in CycleGAN); 0 returns every batch unchanged.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.images: list[Tensor] = []

    def forward(self, fakes: Tensor, generator: torch.Generator) -> Tensor:
        """Exchange a batch [B, C, H, W] with the pool, image by image; the result is detached.

        Args:
            fakes: newly made images.
            generator: source of the draws, on the CPU.
        """
        fakes = fakes.detach()
        if not self.size:
            return fakes
        chosen = []
        for image in fakes:
            if len(self.images) < self.size:
                self.images.append(image.clone())
                chosen.append(image)
            elif torch.rand((), generator=generator) < 0.5:  # noqa: PLR2004 (a fair coin)
                slot = int(torch.randint(self.size, (), generator=generator))
                chosen.append(self.images[slot])
                self.images[slot] = image.clone()
            else:
                chosen.append(image)
        return torch.stack([image.to(fakes) for image in chosen])

    def get_extra_state(self) -> dict[str, Any]:
        """Give the stored images to the ``state_dict``."""
        return {"images": list(self.images)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take the stored images back."""
        self.images = list(state["images"])
