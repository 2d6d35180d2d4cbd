"""A translator file of a small untrained ResNet, for the scripts that look at the command and not at pictures."""

from __future__ import annotations

from pathlib import Path

import torch

from img2img.checkpoint import TranslatorFile, header_of, save_translator, tensors_of
from img2img.configured import describe
from img2img.networks.generators.resnet import ResNetGenerator


def write(path: Path, channels: int = 8, blocks: int = 1) -> Path:
    """Write it; the same weights each time."""
    torch.manual_seed(0)
    network, direction = ResNetGenerator(3, 3, base_channels=channels, num_blocks=blocks), "photo:drawing"
    header = header_of(("photo", "drawing"), {direction: network}, {direction: describe(network)}, {}, {})
    save_translator(path, TranslatorFile(header, tensors_of(direction, network, "raw")))
    return path
