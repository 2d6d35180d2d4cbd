"""What a generator costs: counted by running it without memory."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from img2img.networks.base import Discriminator, Generator


def cost(network: Generator | Discriminator, side_px: int) -> tuple[int, int]:
    """Count what a network has and does.

    Args:
        network: on torch's ``meta`` device, or any; it is run on the device it is on.
        side_px: height and width of the one image.

    Returns:
        Parameters, and multiplications for the image: half of the floating-point operations of torch's own counter,
        so what two convolutions merged into one save is saved here too.
    """
    device = next(network.parameters()).device
    with torch.device(device), FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, network.in_channels, side_px, side_px))
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2
