"""The contrastive loss of CUT (Park et al. 2020, Contrastive Learning for Unpaired Image-to-Image Translation)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.07
"""tau of equation 3."""

_EPS = 1e-7


def patch_nce(queries: Tensor, keys: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Ask that what stands at a position of the translation is told from all else in its own source (equation 3).

    mean over images and positions of -log(exp(q_s k_s / tau) / sum_t exp(q_s k_t / tau)), with q and k of unit length
    and t over all positions of the same image (arXiv 2007.15651). N positions with one and the same vector come to
    log N, 5.545 for 256. The published code puts the positive into a column of its own and sets the diagonal, which
    holds it again, to -10 before the division by tau: e^-143 beside the others, so the same number.

    Args:
        queries: [B, N, C] of the translations.
        keys: [B, N, C] of their sources at the same positions; detached by this function.
        temperature: tau.

    Returns:
        A float32 scalar.
    """
    queries, keys = unit(queries), unit(keys.detach())
    with _full_precision(queries.device.type):
        logits = torch.bmm(queries, keys.transpose(1, 2)) / temperature
    same = torch.arange(queries.shape[1], device=queries.device).repeat(len(queries))
    return F.cross_entropy(logits.flatten(0, 1), same)


def unit(vectors: Tensor) -> Tensor:
    """Return vectors [..., C] scaled to length 1, in float32 or better; those of length 0 stay."""
    wide = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    lengths: Tensor = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    return wide / (lengths + _EPS)


def _full_precision(device: str) -> AbstractContextManager[object]:
    known = torch.amp.is_autocast_available(device)  # not on the meta device, where costs are counted
    return torch.autocast(device, enabled=False) if known else nullcontext()
