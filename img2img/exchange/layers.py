"""Named tensors as a list of layers in the order in which a network runs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from torch import Tensor

_NORM_STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}
_CONVOLUTION_DIMENSIONS = 4


class Layer(NamedTuple):
    """The tensors of one layer of a file.

    Attributes:
        name: what they share, such as ``model.10.conv_block.1``.
        tensors: by the rest of their names, such as ``weight`` and ``bias``.
    """

    name: str
    tensors: Mapping[str, Tensor]

    @property
    def kind(self) -> Literal["convolution", "norm", "statistics", "filter", "unknown"]:
        """What it is, by the names and dimensions of its tensors; ``statistics`` are a norm's without its weights."""
        names = self.tensors.keys()
        if names == {"filt"}:
            return "filter"
        if names <= _NORM_STATISTICS:
            return "statistics"
        if not ("weight" in names and names <= {"weight", "bias", *_NORM_STATISTICS}):
            return "unknown"
        dimensions = self.tensors["weight"].ndim
        if dimensions == _CONVOLUTION_DIMENSIONS and names <= {"weight", "bias"}:
            return "convolution"
        return "norm" if dimensions == 1 else "unknown"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight, or of the filter."""
        return tuple(self.tensors["filt" if self.kind == "filter" else "weight"].shape)

    def __str__(self) -> str:
        """Say name and shapes, for a message."""
        return f"{self.name} ({', '.join(f'{name} {list(t.shape)}' for name, t in self.tensors.items())})"


def layers_of(tensors: Mapping[str, Tensor]) -> list[Layer]:
    """Group tensors by layer, in the order in which the network runs them.

    Layers that are numbered (``model.2``, ``model.10``) are put in the order of their numbers, whatever the order of
    the file; named ones keep the order of the file, which is that of the program that defined them.
    """
    grouped: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        layer, _, leaf = name.rpartition(".")
        grouped.setdefault(layer, {})[leaf] = tensor
    return [Layer(name, grouped[name]) for name in _in_order(grouped)]


def _in_order(names: Iterable[str]) -> list[str]:
    seen: dict[tuple[str, ...], int] = {}

    def rank(name: str) -> list[int]:
        parts = tuple(name.split("."))
        return [
            int(part) if part.isdecimal() else seen.setdefault(parts[: depth + 1], len(seen))
            for depth, part in enumerate(parts)
        ]

    return sorted(names, key=rank)
