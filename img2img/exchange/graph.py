"""A generator with everything around it that a program without this package would have to know."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config

from img2img.networks.base import Generator

Range = Literal["uint8", "float"]
"""What goes in and comes out. ``uint8``: [B, H, W, C] in 0 to 255, as image libraries and a browser's canvas hold
pictures. ``float``: float32 [B, C, H, W] in [-1, 1], for programs that go on computing."""


class PixelGraph(nn.Module):
    """Translates uint8 [B, H, W, C] into uint8 [B, H, W, C'], any height and width.

    x / 127.5 - 1 before the generator; (y + 1) * 127.5, rounded to the nearest and clipped, behind it: the same as
    :func:`img2img.image.to_tensor` and :func:`img2img.image.to_pixels`.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor) -> Tensor:
        """Translate pictures."""
        source = image.permute(0, 3, 1, 2).float() / 127.5 - 1
        levels = ((self.generator(source) + 1) * 127.5).round().clamp(0, 255)
        pixels: Tensor = levels.permute(0, 2, 3, 1).to(torch.uint8)
        return pixels


class TensorGraph(nn.Module):
    """Translates float32 [B, C, H, W] in [-1, 1], any height and width."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor) -> Tensor:
        """Translate images."""
        translated: Tensor = self.generator(image)
        return translated


def captured(generator: Generator, values: Range) -> ExportedProgram:
    """Capture the graph with batch, height and width left open.

    Args:
        generator: in evaluation mode, on the CPU.
        values: what goes in and comes out.
    """
    # two images, and sides that differ and do not fit: what holds of the example alone would become a constant
    height, width = (count * generator.smallest_side + 3 for count in (2, 3))
    batch, high, wide = Dim("batch"), Dim("height"), Dim("width")
    graph: nn.Module
    if values == "uint8":
        graph, open_sides = PixelGraph(generator), {0: batch, 1: high, 2: wide}
        example = torch.zeros(2, height, width, generator.in_channels, dtype=torch.uint8)
    else:
        graph, open_sides = TensorGraph(generator), {0: batch, 2: high, 3: wide}
        example = torch.zeros(2, generator.in_channels, height, width)
    # else the exporter asks of a size whether it is 1 and then leaves no size open that could be
    with _config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]  # put there while torch is loaded
        return torch.export.export(graph, (example,), dynamic_shapes={"image": open_sides})
