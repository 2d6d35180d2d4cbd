"""Where features are compared: positions drawn at random, or where the discriminator sees a fake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from img2img.methods import ranks
from img2img.methods.turns import Step

SamplingName = Literal["random", "discriminator"]
"""``random``: anywhere, as in CUT. ``discriminator``: half of them anywhere, half where the discriminator is least
convinced, as in EnCo (discriminative attention-guided sampling)."""

OVERSAMPLE = 4
"""Positions looked at for each one taken (EnCo)."""

_STREAM = -1
"""In place of a process's number: the draws that all processes share."""


def shared_draws(seed: int, step: Step) -> torch.Generator:
    """Return the random numbers of a batch that are the same for all parts and processes of it.

    A contrast takes one set of positions for all images of a batch; so a batch computed in parts, or by several
    processes, comes to the gradients of the whole.
    """
    return torch.Generator().manual_seed(ranks.mix(seed, step.batches, _STREAM))


def draw_positions(
    features: Mapping[str, Tensor], count: int, draws: torch.Generator, scores: Tensor | None = None
) -> dict[str, Tensor]:
    """Draw positions by stage, without one twice as far as they reach.

    Args:
        features: [B, C, H, W] by stage.
        count: positions for each stage; all of them where it has no more.
        draws: source of the draws, on the CPU.
        scores: logits [B, 1, h, w] of the images; None draws at random alone.

    Returns:
        int64 [1, N] by stage, the same for every image, or [B, N] where there are scores.
    """
    found = {}
    for stage, tensor in features.items():
        height, width = tensor.shape[-2:]
        order = torch.randperm(height * width, generator=draws).to(tensor.device)[None]
        if scores is not None:
            order = _least_convincing_first(order, scores, (height, width), min(count, height * width))
        found[stage] = order[:, :count]
    return found


def _least_convincing_first(order: Tensor, scores: Tensor, size: tuple[int, int], count: int) -> Tensor:
    """Return half of the count from the lowest scores of the first of the order, the other half from its end."""
    looked_at, anywhere = order[:, : OVERSAMPLE * count], order[:, order.shape[1] - count // 2 :]
    score = F.interpolate(scores, size, mode="bilinear").flatten(1).gather(1, looked_at.expand(len(scores), -1))
    lowest = score.topk(count - count // 2, largest=False).indices
    return torch.cat([looked_at[0][lowest], anywhere.expand(len(scores), -1)], dim=1)
