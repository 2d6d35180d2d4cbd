"""Where a network leaves mixed precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


def in_float32(layer: nn.Module, features: Tensor) -> Tensor:
    """Run one layer in the precision of its weights (float32), whatever autocast is around it.

    The last convolution of a network makes colours or logits: bfloat16 has 8 significant bits, so it would round
    colours to 256 steps of unequal width and logits near 1 to steps of 1/128, before any loss sees them.

    Args:
        layer: with at least one parameter.
        features: what it takes, of any floating-point type.
    """
    with no_autocast(features.device.type):
        return layer(features.to(next(layer.parameters()).dtype))  # type: ignore[no-any-return]


def no_autocast(device: str) -> AbstractContextManager[object]:
    """Return the context in which tensors of that kind of device keep their precision."""
    # only inside autocast: a region of its own would end up in every exported graph, and the meta device has none
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
