"""Samples by position: paired ones share a geometry, unpaired ones draw their partner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from img2img.batch import Batch
from img2img.data.folder import Split
from img2img.data.sampler import Position, mix
from img2img.data.transforms import Transforms, load_pixels
from img2img.errors import DataError

T = TypeVar("T", bound=tuple[Any, ...])

_TRIES = 16
"""Unreadable files in a row after which the folder, not a file, is at fault."""


class Item(NamedTuple):
    """One sample of a batch."""

    a: Tensor
    b: Tensor
    name_a: str
    name_b: str
    notes: list[str]


def collate(items: list[Item]) -> Batch:
    """Stack samples into a batch."""
    return Batch(
        torch.stack([item.a for item in items]),
        torch.stack([item.b for item in items]),
        [item.name_a for item in items],
        [item.name_b for item in items],
        [note for item in items for note in item.notes],
    )


class PairedDataset(Dataset[Item]):
    """Training pairs: a[i] with b[i], one geometry for both.

    A pair that cannot be read is passed over for the next one and noted in the batch.

    Args:
        split: a[i] belongs to b[i].
        channels: of source and target.
        transforms: draws.
        seed: decides every draw, with epoch and index.
        strict: raise instead of passing over.
    """

    def __init__(
        self, split: Split, channels: tuple[int, int], transforms: Transforms, seed: int, *, strict: bool
    ) -> None:
        self.split, self.channels, self.transforms, self.seed, self.strict = split, channels, transforms, seed, strict

    def __len__(self) -> int:
        return len(self.split.a)

    def __getitem__(self, position: Position) -> Item:
        """Return the sample of (epoch, sample)."""
        draw = mix(self.seed, position.epoch, position.sample)

        def read(index: int) -> Item:
            a, b = self.transforms.pair(self.split, index, self.channels, draw)
            return Item(a.image, b.image, self.split.a[index].name, self.split.b[index].name, a.notes + b.notes)

        return _first_readable(read, position.sample, len(self), strict=self.strict)


class UnpairedDataset(Dataset[Item]):
    """Training samples of two unrelated domains.

    An epoch is as long as the larger domain. a follows the epoch's order (starting anew where a is the smaller
    domain); b is drawn at random for every sample, never in lockstep. Each has its own geometry.

    Args:
        split: images of both domains.
        channels: of source and target.
        transforms: draws.
        seed: decides every draw, with epoch and index.
        strict: raise instead of passing over an unreadable image.
    """

    def __init__(
        self, split: Split, channels: tuple[int, int], transforms: Transforms, seed: int, *, strict: bool
    ) -> None:
        self.split, self.channels, self.transforms, self.seed, self.strict = split, channels, transforms, seed, strict

    def __len__(self) -> int:
        return max(len(self.split.a), len(self.split.b))

    def __getitem__(self, position: Position) -> Item:
        """Return the sample of (epoch, sample)."""
        draw_a = mix(self.seed, position.epoch, 2 * position.sample)
        draw_b = mix(self.seed, position.epoch, 2 * position.sample + 1)

        def read_a(index: int) -> tuple[Tensor, str, list[str]]:
            source = self.split.a[index]
            image, notes = self.transforms.alone(load_pixels(source, self.channels[0]), source.label, draw_a)
            return image, source.name, notes

        def read_b(index: int) -> tuple[Tensor, str, list[str]]:
            source = self.split.b[index]
            image, notes = self.transforms.alone(load_pixels(source, self.channels[1]), source.label, mix(draw_b, 1, 0))
            return image, source.name, notes

        num_a, num_b = len(self.split.a), len(self.split.b)
        a, name_a, notes_a = _first_readable(read_a, position.sample % num_a, num_a, strict=self.strict)
        b, name_b, notes_b = _first_readable(read_b, draw_b % num_b, num_b, strict=self.strict)
        return Item(a, b, name_a, name_b, notes_a + notes_b)


class FixedDataset(Dataset[Item]):
    """Images for validation: in order, without any draw; for unpaired domains side by side as far as the longer goes.

    Args:
        split: images of both domains.
        channels: of source and target.
        transforms: sizes.
    """

    def __init__(self, split: Split, channels: tuple[int, int], transforms: Transforms) -> None:
        self.split, self.channels, self.transforms = split, channels, transforms

    def __len__(self) -> int:
        return max(len(self.split.a), len(self.split.b))

    def __getitem__(self, index: int) -> Item:
        """Return sample ``index``; an unreadable file is passed over for the next and noted."""

        def read(index: int) -> Item:
            a, b = self.split.a[index % len(self.split.a)], self.split.b[index % len(self.split.b)]
            image_a, image_b = self.transforms.fixed_pair(self.split, index, self.channels)
            return Item(image_a, image_b, a.name, b.name, [])

        return _first_readable(read, index, len(self), strict=False)


def _first_readable(read: Callable[[int], T], index: int, count: int, *, strict: bool) -> T:
    """Read sample ``index``, or the next one that can be read, adding a note for each one passed over."""
    failed = []
    for offset in range(min(_TRIES, count)):
        try:
            found = read((index + offset) % count)
        except DataError as error:
            if strict:
                raise
            failed.append(f"unreadable: {error}")
        else:
            found[-1].extend(failed)
            return found
    raise DataError(f"{len(failed)} unreadable images in a row: {failed[0].removeprefix('unreadable: ')}")
