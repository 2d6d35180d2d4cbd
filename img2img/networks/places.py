"""Features of any generator, at places that any two of them have: by resolution, on the way down and up again."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from img2img.configured import describe, factory
from img2img.networks.base import Generator

_SIDE_PX = 256


class Place(NamedTuple):
    """Where features are taken.

    Attributes:
        layer: name of the layer inside the network whose output they are.
        channels: how many there are.
    """

    layer: str
    channels: int


class _Output(NamedTuple):
    layer: str
    channels: int
    scale: int


def places_of(generator: Generator) -> dict[str, Place]:
    """Find the places of a generator by running a copy of it without memory.

    ``down/4`` is what the last layer gives at a quarter of the resolution before the network goes below it, ``up/4``
    the last one of all at that resolution; where it never goes below, there is ``up`` alone. Full resolution is left
    out: it costs most, and what stands there is nearly the translation.

    Args:
        generator: any.

    Returns:
        Places by name, from the source to the translation.
    """
    outputs = _outputs(generator)
    scales = [output.scale for output in outputs]
    found: dict[str, Place] = {}
    for scale in sorted(set(scales)):
        if scale == 1:
            continue
        below = next((index for index, other in enumerate(scales) if other > scale), len(scales))
        at = [index for index, other in enumerate(scales) if other == scale]
        before = [index for index in at if index < below]
        if before and below < len(scales):
            found[f"down/{scale}"] = Place(*outputs[before[-1]][:2])
        if at[-1] > below or below == len(scales):
            found[f"up/{scale}"] = Place(*outputs[at[-1]][:2])
    return found


def _outputs(generator: Generator) -> list[_Output]:
    """Return the feature maps of all layers that run once, in the order in which they end."""
    with torch.device("meta"):
        twin: Generator = factory(describe(generator), Generator)().eval()
        side = twin.fit(_SIDE_PX)
        source = torch.empty(1, twin.in_channels, side, side)
    seen: list[_Output] = []

    def note(name: str, _: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and side % output.shape[-1] == 0:  # noqa: PLR2004 (B, C, H, W)
            seen.append(_Output(name, output.shape[1], side // output.shape[-1]))

    for name, layer in twin.named_modules():
        if name and ".parametrizations." not in f".{name}.":  # whose outputs are weights
            layer.register_forward_hook(functools.partial(note, name))
    with torch.no_grad():
        twin(source)
    names = [output.layer for output in seen]
    return [output for output in seen if names.count(output.layer) == 1]


@contextlib.contextmanager
def watched(generator: Generator, places: Mapping[str, Place]) -> Iterator[dict[str, Tensor]]:
    """Keep the features of some places while the generator runs, which it does eagerly: a compiled one hides them.

    Args:
        generator: whose places they are.
        places: see :func:`places_of`.

    Yields:
        Features [B, C, h, w] by name, of the last image batch that went through.
    """
    kept: dict[str, Tensor] = {}

    def keep(name: str, _: nn.Module, __: Any, output: Tensor) -> None:
        kept[name] = output

    hooks = [
        generator.get_submodule(place.layer).register_forward_hook(functools.partial(keep, name))
        for name, place in places.items()
    ]
    try:
        with torch.compiler.set_stance("force_eager"):
            yield kept
    finally:
        for hook in hooks:
            hook.remove()
