"""What the processes of one training tell one another: gradients after each turn, a few numbers after each batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_BUCKET_BYTES = 64 * 2**20
"""Gradients travel in pieces of about this size: few messages, little memory beside them."""


def num_ranks() -> int:
    """Return how many processes train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> int:
    """Average the gradients of parameters over all processes, in place.

    Called once a turn, with the networks that move in it: what Lightning's DDP would do for every network in every
    turn (it has to, to find the ones that a turn leaves out), here only for those that need it, and once per step
    however many parts a batch is computed in. The mean over processes of gradients of means over equal batches is
    the gradient of the mean over the joined batch.

    Args:
        parameters: in the same order on every process; those without a gradient are passed over.

    Returns:
        Bytes of gradients handed to the all-reduce by this process; 0 with one process.
    """
    ranks = num_ranks()
    if ranks == 1:
        return 0
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    for bucket in _buckets(gradients):
        flat = torch.cat([gradient.flatten() for gradient in bucket])
        dist.all_reduce(flat)
        flat /= ranks
        for gradient, mean in zip(bucket, torch.split(flat, [g.numel() for g in bucket]), strict=True):
            gradient.copy_(mean.view_as(gradient))
    return sum(gradient.numel() * gradient.element_size() for gradient in gradients)


def _buckets(gradients: Sequence[Tensor]) -> Iterable[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        if bucket and (size > _BUCKET_BYTES or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += gradient.numel() * gradient.element_size()
    if bucket:
        yield bucket


def total(values: Sequence[float | Tensor], device: torch.device) -> list[float]:
    """Return the sums of a few numbers over all processes: one small message, which also keeps them in step."""
    if num_ranks() == 1:
        return [float(value) for value in values]
    packed = torch.stack([torch.as_tensor(value, dtype=torch.float64, device=device).detach() for value in values])
    dist.all_reduce(packed)
    return [float(value) for value in packed.tolist()]


def agree(
    seconds: float, wishes: dict[str, bool], losses: Mapping[str, Tensor], device: torch.device
) -> tuple[float, dict[str, bool], Mapping[str, Tensor | float]]:
    """Return what all processes go on with after a batch.

    Args:
        seconds: this process's clock.
        wishes: this process's.
        losses: of its share of the batch; under the same keys everywhere.
        device: of this process.

    Returns:
        The clock of rank 0, what any process wishes for, and the mean losses; without a message on one process.
    """
    if (count := num_ranks()) == 1:
        return seconds, wishes, losses
    clock = 0.0 if dist.get_rank() else seconds
    agreed, *sums = total([clock, *wishes.values(), *losses.values()], device)
    wished = {name: value > 0 for name, value in zip(wishes, sums, strict=False)}
    return agreed, wished, {key: value / count for key, value in zip(losses, sums[len(wishes) :], strict=True)}


def mix(seed: int, batch: int, rank: int) -> int:
    """Return a 63-bit seed that differs for every (seed, batch, rank)."""
    return (seed * 0x9E3779B97F4A7C15 + batch * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) % (2**63)


def gather(item: Any) -> list[Any]:
    """Return every process's item, in the order of the ranks."""
    if num_ranks() == 1:
        return [item]
    items: list[Any] = [None] * num_ranks()
    dist.all_gather_object(items, item)
    return items
