"""The plain engine: the network as it is, with as little as possible done anew for each image."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from img2img.networks.base import Generator
from img2img.networks.layers.convolutions import to_channels_last
from img2img.networks.layers.resample import ResizeConv
from img2img.translate.engines.base import Engine, Precision
from img2img.translate.memory import Memory
from img2img.translate.tiles import translate_within


class Eager(Engine):
    """Runs a generator in float32, or in bfloat16 with its weights rounded once instead of for every image.

    The last convolution and the statistics of norms stay in float32, as in training; outputs are those of autocast on
    the unrounded weights, bit for bit.

    Args:
        network: in evaluation mode, moved; for bf16 a rounded copy is made.
        device: where it runs.
        precision: see above.
        memory: what to do with images that may not fit into it.
    """

    def __init__(
        self,
        network: Generator,
        device: torch.device,
        precision: Precision = "fp32",
        memory: Memory | None = None,
    ) -> None:
        self.device, self.precision, self.memory = device, precision, memory or Memory()
        self.channels_last = precision == "bf16" and network.channels_last and device.type == "cpu"
        self.network = network.to(device)
        if precision == "bf16":
            self.network = copy.deepcopy(self.network)
            _round_convolutions(self.network)
        if self.channels_last:
            to_channels_last(self.network)

    def __call__(self, source: Tensor) -> Tensor:
        """Translate float32 [B, C, H, W] in [-1, 1] to float32 [B, C', H, W] on the CPU, not rounded."""
        if self.channels_last:
            source = source.contiguous(memory_format=torch.channels_last)
        autocast = torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()
        if self.device.type == "cuda":
            source = source.pin_memory()  # so that it is copied while the device still works on what came before
        with torch.inference_mode(), autocast:
            return translate_within(self.network, source, self.memory)


def _round_convolutions(network: Generator) -> None:
    """Round the weights that autocast would round: all but the last ones and those whose sums are used."""
    kept = {id(layer[1]) for layer in network.modules() if isinstance(layer, ResizeConv)}
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    for layer in layers[:-1]:
        if id(layer) not in kept:
            layer.to(torch.bfloat16)
