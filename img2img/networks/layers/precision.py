"""Where a network leaves mixed precision."""

from __future__ import annotations

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
    wide = features.to(next(layer.parameters()).dtype)
    device = features.device.type
    # only inside autocast: a region of its own would end up in every exported graph, and the meta device has none
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return layer(wide)  # type: ignore[no-any-return]
    return layer(wide)  # type: ignore[no-any-return]
