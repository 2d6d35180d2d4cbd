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
        if torch.compiler.is_exporting() or side != target:  # in a graph the sides are not known: there it always runs
            image = image.index_select(dim, _reflected(side, target, image.device))
    return image


def _reflected(side: int, target: int, device: torch.device) -> Tensor:
    # a tensor, not a number: an exporter takes numbers for 2 or more and would drop the case of 1 px
    period = torch.full((), 2 * side - 2, dtype=torch.int64, device=device).clamp(min=1)
    position = torch.arange(target, device=device) % period
    return torch.minimum(position, period - position)
