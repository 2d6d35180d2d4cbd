"""Mirror padding that works for every size, also where the pad reaches the size (100 px to 256 px, 1 px to 8 px)."""

from __future__ import annotations

import torch
from torch import Tensor


def mirror_to(image: Tensor, height: int, width: int) -> Tensor:
    """Extend an image at its bottom and right edge by reflection, repeatedly where needed.

    ``torch.nn.functional.pad(mode="reflect")`` refuses a pad as large as the image; indexing does not. The edge row
    is not repeated, as in reflection padding; a side of 1 px repeats itself.

    Args:
        image: [B, C, H, W].
        height: at least H, in pixels.
        width: at least W, in pixels.

    Returns:
        [B, C, height, width] whose top left part is the image, unchanged; the image itself when it fits.
    """
    for dim, target in ((-2, height), (-1, width)):
        side = image.shape[dim]
        if side != target:
            image = image.index_select(dim, _reflected(side, target, image.device))
    return image


def _reflected(side: int, target: int, device: torch.device) -> Tensor:
    period = max(2 * (side - 1), 1)
    position = torch.arange(target, device=device) % period
    return torch.where(position < side, position, period - position)
