"""A batch computed in parts, to fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from img2img.batch import Batch
from img2img.methods.turns import Player, Step
from img2img.networks.base import Generator


class Parts:
    """The parts of a batch with their images.

    In one part the images are made once, with the generators' graph, and used by all turns. In several, keeping every
    part's graph would need the memory of the whole batch: a part's images are made again, with the same random
    numbers, for the player whose turn needs the graph; the others see the first ones, detached.

    Args:
        generate: makes the images of a batch.
        count: parts to cut it into.
        batch: the whole batch of this process.
        step: where the training is.
    """

    def __init__(self, generate: Callable[[Batch, Step], Any], count: int, batch: Batch, step: Step) -> None:
        self.generate, self.step = generate, step
        self.size = len(batch.a)
        self.parts = batch.parts(count)
        self._whole = generate(batch, step) if len(self.parts) == 1 else None
        self._made: dict[int, tuple[Any, dict[str, Tensor]]] = {}

    def of(self, player: Player) -> Iterator[tuple[Batch, float, Any]]:
        """Yield each part, its share of the batch, and its images for a player's turn."""
        if self._whole is not None:
            yield self.parts[0], 1.0, self._whole
            return
        needs_graph = any(isinstance(network, Generator) for network in player.networks)
        for index, part in enumerate(self.parts):
            if needs_graph or index not in self._made:
                images = self._make(index, part, graph=needs_graph)
            else:
                images = self._made[index][0]
            yield part, len(part.a) / self.size, images

    def _make(self, index: int, part: Batch, *, graph: bool) -> Any:
        device = part.a.device
        now = get_random(device)
        again = index in self._made
        if again:
            set_random(self._made[index][1], device)
        with torch.set_grad_enabled(graph):
            images = self.generate(part, self.step)
        if again:
            set_random(now, device)
        else:
            self._made[index] = type(images)(*map(_detached, images)), now
        return images


def _detached(made: Any) -> Any:
    """Return a tensor, or tensors by name, without a graph."""
    return {name: tensor.detach() for name, tensor in made.items()} if isinstance(made, dict) else made.detach()


def get_random(device: torch.device) -> dict[str, Tensor]:
    """Return the state of the random numbers of CPU and device."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state


def set_random(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Set the state of the random numbers of CPU and device."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
