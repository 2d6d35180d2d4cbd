"""A batch moves all networks or none: what is needed to take a half-done batch back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Undo:
    """Remembers a training's state before a batch, as far as the batch may change it before it is known to be sound.

    Buffers (running statistics, power iterations, adaptive probabilities) and image pools are remembered at
    :meth:`begin`; weights and moments of a player just before it moves, unless it moves last: nothing can go wrong
    after that. The copies live on the device and are written anew each batch, so the cost is one read and one write of
    what moves early (0.03 GB for a PatchGAN with Adam).

    Args:
        module: whose buffers and pools are remembered; on its device already.
    """

    def __init__(self, module: nn.Module) -> None:
        self._watched = list(module.buffers())  # once: walking through all modules takes longer than copying these
        self._parts = [part for part in module.modules() if type(part).get_extra_state is not nn.Module.get_extra_state]
        self._copies: dict[int, list[Tensor]] = {}
        self._moved: list[tuple[list[Tensor], list[Tensor]]] = []
        self._fresh: list[tuple[torch.optim.Optimizer, nn.Parameter]] = []
        self._buffers: list[tuple[Tensor, Tensor]] = []
        self._extra: list[tuple[nn.Module, Any]] = []
        self._random: tuple[Tensor, Tensor | None] | None = None

    @torch.no_grad()
    def begin(self, device: torch.device) -> None:
        """Remember what the forward passes of a batch may change."""
        self._moved, self._fresh = [], []
        self._buffers = [(buffer, buffer.clone()) for buffer in self._watched]
        self._extra = [(part, part.get_extra_state()) for part in self._parts]
        self._random = (torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None)

    @torch.no_grad()
    def remember(self, optimizer: torch.optim.Optimizer) -> None:
        """Remember the weights and moments that an optimizer is about to change."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._fresh += [(optimizer, parameter) for parameter in parameters if not optimizer.state.get(parameter)]
        live: list[Tensor] = list(parameters)
        live += [
            value for p in parameters for value in optimizer.state.get(p, {}).values() if isinstance(value, Tensor)
        ]
        copies = self._copies.get(id(optimizer), [])
        if len(copies) != len(live):
            copies = self._copies[id(optimizer)] = [torch.empty_like(tensor) for tensor in live]
        torch._foreach_copy_(copies, [tensor.detach() for tensor in live])
        self._moved.append(([tensor.detach() for tensor in live], copies))

    @torch.no_grad()
    def restore(self, *, random: bool) -> None:
        """Take everything since :meth:`begin` back.

        Args:
            random: the random state too, for a batch that will be done again.
        """
        for live, copies in self._moved:
            torch._foreach_copy_(live, copies)
        for optimizer, parameter in self._fresh:
            optimizer.state.pop(parameter, None)
        for buffer, copy in self._buffers:
            buffer.copy_(copy)
        for part, state in self._extra:
            part.set_extra_state(state)
        if random and self._random is not None:
            torch.set_rng_state(self._random[0])
            if self._random[1] is not None:
                torch.cuda.set_rng_state(self._random[1])
        self._moved, self._fresh, self._buffers, self._extra = [], [], [], []
