"""How fresh weights are drawn."""

from __future__ import annotations

from typing import Literal

from torch import nn

from img2img.networks.layers.norm import Norm2d

InitName = Literal["normal", "xavier"]
"""``normal``: N(0, gain), as in pix2pix and CycleGAN. ``xavier``: Xavier normal times gain, as in CUT."""


def initialise(network: nn.Module, kind: InitName = "normal", gain: float = 0.02) -> None:
    """Draw the weights of every convolution, zero the biases, and draw norm weights from N(1, gain).

    Uses torch's global generator, so ``torch.manual_seed`` decides the draw (pix2pix 6.2: mean 0, deviation 0.02).

    Args:
        network: changed in place.
        kind: distribution of convolution weights.
        gain: standard deviation of ``normal``, factor of ``xavier``.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            if kind == "normal":
                nn.init.normal_(layer.weight, 0.0, gain)
            else:
                nn.init.xavier_normal_(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, Norm2d) and layer.weight is not None and layer.bias is not None:
            nn.init.normal_(layer.weight, 1.0, gain)
            nn.init.zeros_(layer.bias)
