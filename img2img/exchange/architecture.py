"""Which generator a list of layers belongs to, from shapes, order and the gaps that their numbers leave."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch

from img2img.errors import ConfigError, ModelFileError
from img2img.exchange.layers import Layer
from img2img.networks.base import Generator
from img2img.networks.generators.resnet import ResNetGenerator
from img2img.networks.generators.unet import UNetGenerator
from img2img.networks.layers.antialias import FilterDouble, FilterHalf, filter_of

NormStatistics = Literal["image", "running"]
"""Where batch norm takes its statistics when translating: from the image itself, as the published test command does
(it leaves the network in training mode, one image at a time, unless told ``--eval``), or the running averages."""

_RESNET_KERNEL, _UNET_KERNEL = (7, 7), (4, 4)


class Architecture(NamedTuple):
    """A generator that the layers fit.

    Attributes:
        generator: its class.
        options: arguments that the layers state.
        assumed: what the layers cannot tell and how it was taken, for people.
    """

    generator: type[Generator]
    options: dict[str, Any]
    assumed: list[str]


def infer(layers: Sequence[Layer], statistics: NormStatistics = "image") -> Architecture:
    """Find the generator.

    Raises:
        ModelFileError: if it is none of the known ones, saying where it departs from them.
        ConfigError: for running averages that the file does not have.
    """
    convolutions = [layer for layer in layers if layer.kind == "convolution"]
    if unknown := [layer for layer in layers if layer.kind == "unknown"]:
        raise ModelFileError(
            f"{len(unknown)} layers are of no known kind (convolutions, norms, fixed filters): {_listed(unknown)}"
        )
    if any(re.search(r"(^|\.)model\d+_[12]\.", layer.name) for layer in layers):
        raise ModelFileError("this is pix2pixHD's local enhancer (model1_1, model1_2); its global generator is known")
    kernels = [layer.shape[2:] for layer in convolutions]
    if kernels and kernels[0] == _RESNET_KERNEL:
        return _resnet(layers, convolutions, statistics)
    if kernels and set(kernels) == {_UNET_KERNEL}:
        return _unet(layers, convolutions, statistics)
    first = str(convolutions[0]) if convolutions else "no convolution"
    raise ModelFileError(
        "expected a ResNet generator (first convolution 7x7) or a U-Net (all convolutions 4x4), "
        f"got {first} and kernels {sorted({'x'.join(map(str, k)) for k in kernels})}"
    )


def _resnet(layers: Sequence[Layer], convolutions: Sequence[Layer], statistics: NormStatistics) -> Architecture:
    first, *middle, last = convolutions
    width, in_channels = first.shape[:2]
    halvings, wide = 0, width
    while halvings < len(middle) and middle[halvings].shape[:2] == (2 * wide, wide):
        halvings, wide = halvings + 1, 2 * wide
    inner = middle[halvings : len(middle) - halvings]
    if len(inner) % 2 or len(middle) < 2 * halvings:
        raise ModelFileError(
            f"expected pairs of convolutions between {halvings} halvings and as many doublings, "
            f"got {len(inner)} convolutions"
        )
    norm, assumed = _norm(layers, statistics)
    biased = any("bias" in layer.tensors for layer in convolutions[:-1])
    padding, dropout = _gaps(inner)
    assumed += [] if padding else ["padding by reflection"]
    down, up = _filters(layers, halvings)
    if up is None:
        up = "transposed"
        if halvings and middle[-halvings].shape[:2] == (wide // 2, wide):
            up = "resize"
            assumed.append("doubling by nearest neighbour")
    options = {
        "in_channels": in_channels,
        "out_channels": last.shape[0],
        "num_blocks": len(inner) // 2,
        "base_channels": width,
        "norm": norm,
        "dropout": dropout,
        "block_padding": padding,
        "upsample": up,
        "downsample": down,
        "num_halvings": halvings,
        "bias": None if biased == (norm == "instance") else biased,
    }
    return Architecture(ResNetGenerator, options, assumed)


def _unet(layers: Sequence[Layer], convolutions: Sequence[Layer], statistics: NormStatistics) -> Architecture:
    depth = len(convolutions) // 2
    width, in_channels = convolutions[0].shape[:2]
    norm, assumed = _norm(layers, statistics)
    dropout = 0.5 if depth >= 5 else 0.0  # noqa: PLR2004 (the port's placement starts there)
    if dropout:
        assumed.append(f"dropout {dropout} in training, off when translating unless --stochastic")
    options = {
        "in_channels": in_channels,
        "out_channels": convolutions[-1].shape[1],  # a transposed convolution: [in, out, k, k]
        "depth": depth,
        "base_channels": width,
        "norm": norm,
        "dropout": dropout,
    }
    return Architecture(UNetGenerator, options, assumed)


def _norm(layers: Sequence[Layer], statistics: NormStatistics) -> tuple[str, list[str]]:
    norms = [layer for layer in layers if layer.kind == "norm"]
    running = bool(norms) and all("running_mean" in layer.tensors for layer in norms)
    if statistics == "running":
        if not running:
            raise ConfigError("--norm-statistics running: the file has no batch norm with running averages; use image")
        return "batch-running", []
    if norms:
        said = "batch norm from each image, as the published test command without --eval (--norm-statistics running)"
        return "batch", [said] if running else []
    return "instance", ["instance norm without weights"]


def _gaps(blocks: Sequence[Layer]) -> tuple[str | None, float]:
    """Read padding and dropout off the numbers of a block's two convolutions: layers without weights take one each.

    (padding, convolution, norm, ReLU, [dropout], padding, convolution): 1 and 5, or 1 and 6 with dropout; padding by
    zeros is no layer of its own: 0 and 3, or 0 and 4.
    """
    numbers = [re.search(r"conv_block\.(\d+)$", layer.name) for layer in blocks[:2]]
    pair = tuple(int(number[1]) for number in numbers if number)
    found: dict[tuple[int, ...], tuple[str | None, float]] = {
        (1, 5): (None, 0.0),
        (1, 6): (None, 0.5),
        (0, 3): ("zeros", 0.0),
        (0, 4): ("zeros", 0.5),
    }
    return found.get(pair, (None, 0.0))


def _filters(layers: Sequence[Layer], halvings: int) -> tuple[str, str | None]:
    filters = [layer for layer in layers if layer.kind == "filter"]
    known: dict[str, int] = {}
    for layer in filters:
        tensor = layer.tensors["filt"].float()
        for cls, total in ((FilterHalf, 1.0), (FilterDouble, 4.0)):
            same = filter_of(cls.row, total, tensor[None, :, 0])
            if same.shape == tensor.shape and torch.equal(same, tensor):
                known[cls.__name__] = known.get(cls.__name__, 0) + 1
    down, up = known.get("FilterHalf", 0), known.get("FilterDouble", 0)
    if down + up != len(filters) or not {down, up} <= {0, halvings}:
        raise ModelFileError(
            f"expected CUT's fixed filters, [1, 2, 1] at {halvings} halvings and [1, 3, 3, 1] at {halvings} doublings "
            f"or none, got {_listed(filters)}"
        )
    return "cut" if down else "strided", "cut" if up else None


def _listed(layers: Sequence[Layer]) -> str:
    more = f" and {len(layers) - 4} more" if len(layers) > 4 else ""  # noqa: PLR2004 (a line, not a page)
    return ", ".join(str(layer) for layer in layers[:4]) + more
