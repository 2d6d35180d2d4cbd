"""Which sample comes when: a pure function of (seed, epoch, position), on every rank, resumable anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler


class Position(NamedTuple):
    """What a training dataset is indexed with: every draw of a sample follows from it and the seed."""

    epoch: int
    sample: int
    late: bool = False
    """Whether it comes in the second phase of a training that has two."""


class EpochSampler(DistributedSampler[Position]):
    """Shuffles anew every epoch and deals the samples out to the ranks.

    A subclass of torch's distributed sampler in name only, so that Lightning sees that ranks are taken care of and
    does not put its own in front.

    Args:
        length: samples in an epoch, over all ranks.
        seed: decides the order.
        rank: of this process.
        num_ranks: processes that share the epoch; each gets the same number of samples.
        images_per_epoch: that an epoch shows over all ranks, without what makes no whole batch.
        late: tells whether a sample is, by the images that come before it in the whole training.
    """

    def __init__(
        self,
        length: int,
        seed: int,
        rank: int = 0,
        num_ranks: int = 1,
        images_per_epoch: int = 0,
        late: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self.length, self.seed, self.rank, self.num_replicas = length, seed, rank, num_ranks
        self.images_per_epoch, self.late = images_per_epoch, late
        self.epoch = 0
        self.skip = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration deals; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.num_replicas or 1

    def __iter__(self) -> Iterator[Position]:
        generator = torch.Generator().manual_seed(mix(self.seed, self.epoch, 0))
        order = torch.randperm(self.length, generator=generator).tolist()
        order *= -(-self.num_replicas // self.length)  # fewer samples than ranks: deal some twice
        mine = order[self.rank : len(self) * self.num_replicas : self.num_replicas]
        epoch, before = self.epoch, self.epoch * self.images_per_epoch
        return (
            Position(epoch, sample, self.late(before + i * self.num_replicas))
            for i, sample in enumerate(mine[self.skip :], self.skip)
        )


class SeekableLoader(DataLoader[Any]):
    """A loader that knows how many batches of its epoch it has handed out and can go on from there.

    Lightning stores and restores :meth:`state_dict` with its own progress.
    """

    _handed_out = 0
    _start = 0

    def __iter__(self) -> Any:
        """Deal the rest of the epoch."""
        start, self._start = self._start, 0
        if start >= len(self):
            start = 0
        sampler = self.sampler
        if isinstance(sampler, EpochSampler):
            sampler.skip = start * (self.batch_size or 1)
        self._handed_out = start
        for batch in super().__iter__():
            self._handed_out += 1
            yield batch
        if isinstance(sampler, EpochSampler):
            sampler.skip = 0

    def step_back(self) -> None:
        """Take the last batch back: it was handed out and not used."""
        self._handed_out -= 1

    def state_dict(self) -> dict[str, int]:
        """Return the position in the epoch, in samples over all processes."""
        return {"samples": self._handed_out * self._samples_per_batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position at the next iteration, be it with more or fewer processes."""
        self._start = state["samples"] // self._samples_per_batch

    @property
    def _samples_per_batch(self) -> int:
        return (self.batch_size or 1) * (self.sampler.num_replicas if isinstance(self.sampler, EpochSampler) else 1)


def mix(seed: int, epoch: int, index: int) -> int:
    """Return a 32-bit seed that differs for every (seed, epoch, index) with the odds of a good hash."""
    value = (seed * 0x9E3779B97F4A7C15 + epoch * 0xBF58476D1CE4E5B9 + index * 0x94D049BB133111EB + 1) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return (value ^ (value >> 31)) % 2**32
