"""The content loss of EnCo (Cai et al. 2024, Rethinking the Paradigm of Content Constraints, arXiv 2211.10867)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def feature_consistency(predicted: Tensor, kept: Tensor) -> Tensor:
    """Ask that the decoder can tell what the encoder saw at a position.

    mean over images and positions of 2 - 2 cos(p, k), the squared distance of the two at unit length (BYOL, Grill et
    al. 2020, equation 2): 0 where they point the same way, 2 where they have nothing in common. No vectors to contrast
    with; what keeps all of them from becoming one is that the encoder's side has no gradient (Chen and He 2021).

    Args:
        predicted: [B, N, C], from the decoder.
        kept: [B, N, C], from the encoder at the same positions; detached by this function.

    Returns:
        A float32 scalar.
    """
    wide = torch.promote_types(predicted.dtype, torch.float32)
    return (2 - 2 * F.cosine_similarity(predicted.to(wide), kept.detach().to(wide), dim=-1)).mean()
