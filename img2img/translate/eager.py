"""The plain engine: the network as it is, with as little as possible done anew for each image."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from img2img.networks.base import Generator
from img2img.networks.layers.resample import ResizeConv

Precision = Literal["fp32", "bf16"]


class Eager:
    """Runs a generator in float32, or in bfloat16 with its weights rounded once instead of for every image.

    The last convolution and the statistics of norms stay in float32, as in training; outputs are those of autocast on
    the unrounded weights, bit for bit.

    Args:
        network: in evaluation mode, moved; for bf16 a rounded copy is made.
        device: where it runs.
        precision: see above.
    """

    def __init__(self, network: Generator, device: torch.device, precision: Precision = "fp32") -> None:
        self.network, self.device, self.precision = network.to(device), device, precision
        if precision == "bf16":
            self.network = copy.deepcopy(network)
            _round_convolutions(self.network)

    def __call__(self, source: Tensor) -> Tensor:
        """Translate float32 [B, C, H, W] in [-1, 1] to float32 [B, C', H, W] on the CPU, not rounded."""
        source = source.to(self.device)
        with torch.inference_mode():
            if self.precision == "fp32":
                translated: Tensor = self.network(source)
            else:
                with torch.autocast(self.device.type, torch.bfloat16):
                    translated = self.network(source)
        return translated.float().cpu()


def _round_convolutions(network: Generator) -> None:
    """Round the weights that autocast would round: all but the last ones and those whose sums are used."""
    kept = {id(layer[1]) for layer in network.modules() if isinstance(layer, ResizeConv)}
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    for layer in layers[:-1]:
        if id(layer) not in kept:
            layer.to(torch.bfloat16)
