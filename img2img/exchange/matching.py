"""Published weights into one of our generators: layer by layer, every shape checked, nothing dropped in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from img2img.configured import factory
from img2img.errors import ConfigError, ModelFileError
from img2img.exchange.architecture import Architecture
from img2img.exchange.layers import Layer
from img2img.networks.base import Generator
from img2img.networks.layers.norm import Norm2d

_WEIGHTED = {"convolution", "norm"}
_SHOWN = 6


def generator_with(
    architecture: Architecture, layers: Sequence[Layer], options: Mapping[str, Any]
) -> tuple[Generator, list[str]]:
    """Build the generator and give it the weights.

    Args:
        architecture: what the layers were found to be.
        layers: in the order in which the network runs them.
        options: arguments that replace found ones, for what a file cannot tell.

    Returns:
        The generator in evaluation mode, and what of the file it has no use for, for people.

    Raises:
        ModelFileError: naming what could not be matched.
        ConfigError: for an option that the generator does not have or refuses.
    """
    description = {
        "class_path": f"img2img.{architecture.generator.__name__}",
        "init_args": {**architecture.options, **options},
    }
    try:
        with torch.device("meta"):  # no weights are drawn only to be overwritten
            generator = factory(description, Generator)()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{architecture.generator.__name__} cannot be built with {dict(options)}: {error}") from error
    state, unused = _matched(generator, layers)
    generator.load_state_dict(state, assign=True)
    return generator.eval().requires_grad_(False), unused  # noqa: FBT003


def _matched(generator: Generator, layers: Sequence[Layer]) -> tuple[dict[str, Tensor], list[str]]:
    given = [layer for layer in layers if layer.kind in _WEIGHTED]
    wanted = [
        (name, module)
        for name, module in generator.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | Norm2d) and module.weight is not None
    ]
    state: dict[str, Tensor] = {}
    problems: list[str] = []
    unused = Counter(_useless(layer, leaf) for layer in layers if layer.kind not in _WEIGHTED for leaf in layer.tensors)
    for pair, layer in zip_longest(wanted, given):
        if pair is None or layer is None:
            problems.append(f"no place for {layer}" if layer else f"nothing for {pair[0]} {_shapes(pair[1])}")
            continue
        name, module = pair
        problems += _fill(state, name, module, layer)
        unused.update(_useless(layer, leaf) for leaf in layer.tensors if leaf not in module.state_dict())
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ModelFileError(
            f"{len(problems)} layers could not be matched to {type(generator).__name__}: "
            + "; ".join(problems[:_SHOWN])
            + more
        )
    return state, [f"{count} {what}" for what, count in unused.items()]


def _fill(state: dict[str, Tensor], name: str, module: nn.Module, layer: Layer) -> list[str]:
    """Put a layer's tensors under our names; return what does not fit."""
    expected = module.state_dict()
    found = dict(layer.tensors)
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        if "bias" in expected and "bias" not in found:
            found["bias"] = torch.zeros(expected["bias"].shape)  # adding zero is exact
        if "bias" in found and "bias" not in expected:
            return [f"{layer} has a bias, {name} has none"]
    wrong = [leaf for leaf, tensor in expected.items() if leaf not in found or found[leaf].shape != tensor.shape]
    if wrong:
        return [f"expected {name} {_shapes(module)}, got {layer}"]
    for leaf in expected:
        if not bool(torch.isfinite(found[leaf]).all()):
            return [f"{layer.name}.{leaf} holds NaN or infinity"]
        state[f"{name}.{leaf}"] = found[leaf].detach().float().contiguous()
    return []


def _shapes(module: nn.Module) -> str:
    return ", ".join(f"{leaf} {list(tensor.shape)}" for leaf, tensor in module.state_dict().items())


def _useless(layer: Layer, leaf: str) -> str:
    """Say what becomes of a tensor that the generator does not take."""
    if layer.kind == "filter":
        return "fixed filters (built in)"
    if leaf == "num_batches_tracked":
        return "batch counters (of training alone)"
    if layer.kind == "statistics":
        return "running statistics of instance norm (the original ignores them too)"
    return "running averages of batch norm (the image's own are used)"
