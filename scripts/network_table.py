"""Print docs/networks.md, what each network has, costs and sees.

Usage: python scripts/network_table.py > docs/networks.md

Parameters and multiplications are those of ``img2img.networks.cost``. How far a network looks is measured by what
reaches its output, statistics of norms apart.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from img2img.networks import discriminators, generators
from img2img.networks.base import Discriminator, Generator
from img2img.networks.cost import cost
from img2img.translate.statistics import reach_px

SIDE = 256
_FARTHEST_PX, _LARGEST_PX = 1024, 640

ResUNet, Separable = "ResUNetGenerator", "SeparableGenerator"
NAMED: dict[str, dict[str, dict[str, Any]]] = {
    "UNetGenerator": {"U-Net-256": {}, "U-Net-128": {"depth": 7}},
    "ResNetGenerator": {
        "ResNet-9": {},
        "ResNet-6": {"num_blocks": 6},
        "ResNet-9, resize-convolution": {"upsample": "resize"},
        "pix2pixHD, global": {"num_halvings": 4},
    },
    ResUNet: {
        "`resunet-s2`": {},
        "`resunet-s2` of one block": {"widths": (48, 96, 192, 384, 384), "num_blocks": 1},
        "for small devices": {"widths": (24, 48, 96, 192, 256), "num_blocks": 1},
    },
    Separable: {"separable, a student": {}, "separable, of one block": {"num_blocks": 1}},
    "PatchDiscriminator": {
        "PatchGAN 70x70": {},
        "PatchGAN 70x70, spectral norm": {"norm": "none", "spectral_norm": True},
        "PatchGAN 34x34": {"num_layers": 2},
    },
    "MultiscaleDiscriminator": {"PatchGAN at 2 scales": {}, "PatchGAN at 3 scales": {"num_scales": 3}},
    "LiteDiscriminator": {"`patch-lite`": {"num_scales": 1}, "`patch-lite` at 2 scales": {}},
    "PixelDiscriminator": {"PixelGAN": {}},
    "ProjectedDiscriminator": {"heads on EfficientNet-Lite0": {}},
}
"""Classes not named here have one row, of their defaults."""

NARROW: dict[str, dict[str, Any]] = {name: {"base_channels": 2} for name in (ResUNet, Separable)}
"""Options with which a class looks as far as ever and computes little; by default ``base_channels`` 2."""


def rows(package: Any, base: type) -> Iterator[tuple[str, type, dict[str, Any]]]:
    """Yield name, class and options of every network of a package."""
    for module in pkgutil.iter_modules(package.__path__):
        found = vars(importlib.import_module(f"{package.__name__}.{module.name}")).values()
        for cls in found:
            if isinstance(cls, type) and issubclass(cls, base) and cls.__module__.endswith(f".{module.name}"):
                for name, options in NAMED.get(cls.__name__, {cls.__name__: {}}).items():
                    yield name, cls, options


def built(cls: type, channels: tuple[int, ...], options: dict[str, Any]) -> Generator | Discriminator:
    """Build a network without memory."""
    with torch.device("meta"):
        network: Generator | Discriminator = cls(*channels, **options).eval()
    return network


def reach(cls: type, options: dict[str, Any]) -> str:
    """Say how many pixels around a pixel a generator looks."""
    torch.manual_seed(0)
    narrow = {**options, **NARROW.get(cls.__name__, {"base_channels": 2})}
    if "widths" in options or cls.__name__ in NARROW:
        narrow["widths"] = (4,) * len(options.get("widths", (0,) * 5))
    found = reach_px(cls(1, 1, **narrow).eval(), _FARTHEST_PX)
    return "all of the image" if found is None else f"{found} px to each side"


def receptive_field(cls: type, options: dict[str, Any]) -> str:
    """Return the sides of what one logit of each scale depends on, by its gradient."""
    plain = {"base_channels": 2, "norm": "none", "spectral_norm": False}
    network = cls(1, **{**options, **{k: v for k, v in plain.items() if k in inspect.signature(cls).parameters}})
    for parameter in network.parameters():  # positive weights on a positive image: no path is cut
        nn.init.constant_(parameter, 0.01)
    sides: list[int] = []
    for scale in range(len(network(torch.ones(1, 1, 256, 256)))):
        image = torch.ones(1, 1, _LARGEST_PX, _LARGEST_PX, requires_grad=True)
        logits = network(image)[scale]
        middle = logits.shape[-1] // 2
        logits[0, 0, middle, middle].backward()
        assert image.grad is not None
        sides.append(int((image.grad[0, 0] != 0).any(0).sum()))
    known = sides[: sides.index(_LARGEST_PX)] if _LARGEST_PX in sides else sides
    words = [str(side) for side in known] + [f"{_LARGEST_PX} or more"] * (len(known) < len(sides))
    return " and ".join(words) + " px"


def document() -> str:
    """Return the page."""
    lines = [
        "# Networks",
        "",
        "Printed by `python scripts/network_table.py`: parameters; multiplications, in thousand millions, for one",
        f"image of {SIDE}x{SIDE} px with 3 channels in and out (discriminators: 6, source and target); and how far a",
        "network looks, measured, without the statistics of its norms. Options are those of a config, such as",
        "`--model.generator.num_blocks 6`.",
        "",
    ]
    for package, base, channels, head in (
        (generators, Generator, (3, 3), "looks"),
        (discriminators, Discriminator, (6,), "judges patches of"),
    ):
        lines += [f"| {base.__name__.lower()} | class, options | parameters | multiplications | {head} |"]
        lines += ["|---|---|---:|---:|---|"]
        for name, cls, options in rows(package, base):
            parameters, multiplications = cost(built(cls, channels, options), SIDE)
            said = ", ".join(f"{k} {list(v) if isinstance(v, tuple) else v}" for k, v in options.items())
            seen = reach(cls, options) if base is Generator else receptive_field(cls, options)
            words = f"`{cls.__name__}`" + (f", {said}" if said else "")
            lines.append(f"| {name} | {words} | {parameters:,} | {multiplications / 1e9:.2f} | {seen} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(document(), end="")
