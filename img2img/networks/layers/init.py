"""How fresh weights are drawn."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from img2img.networks.layers.norm import Norm2d

InitName = Literal["normal", "xavier"]
"""``normal``: N(0, gain), as in pix2pix and CycleGAN. ``xavier``: Xavier normal times gain, as in CUT."""

_POWER_ITERATIONS = 15
"""Steps of power iteration after a draw, as many as torch takes when spectral norm is put on."""


def initialise(network: nn.Module, kind: InitName = "normal", gain: float = 0.02) -> None:
    """Draw the weights of every convolution, zero the biases, and draw norm weights from N(1, gain).

    Uses torch's global generator, so ``torch.manual_seed`` decides the draw (pix2pix 6.2: mean 0, deviation 0.02).
    Under spectral norm it is the weight before the division that is drawn, and its singular vectors are found anew.

    Args:
        network: changed in place.
        kind: distribution of convolution weights.
        gain: standard deviation of ``normal``, factor of ``xavier``.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            normed = is_parametrized(layer, "weight")
            weight = layer.parametrizations.weight.original if normed else layer.weight  # type: ignore[union-attr]
            if kind == "normal":
                nn.init.normal_(weight, 0.0, gain)  # type: ignore[arg-type]
            else:
                nn.init.xavier_normal_(weight, gain)  # type: ignore[arg-type]
            if normed:
                with torch.no_grad():
                    for _ in range(_POWER_ITERATIONS):
                        _ = layer.weight  # computed: in training each reading is one step of power iteration
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, Norm2d) and layer.weight is not None and layer.bias is not None:
            nn.init.normal_(layer.weight, 1.0, gain)
            nn.init.zeros_(layer.bias)
