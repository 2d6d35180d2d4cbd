"""Samples by position: paired ones share a geometry, unpaired ones draw their partner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from img2img.batch import Batch, Draw
from img2img.data.cache import Store
from img2img.data.loading import Loader
from img2img.data.sampler import Position, mix
from img2img.data.source import Source, Split
from img2img.data.transforms import Transforms
from img2img.errors import DataError
from img2img.image import RGB, Side

_TRIES = 16
"""Unreadable files in a row after which the folder, not a file, is at fault."""


class Item(NamedTuple):
    """One sample of a batch."""

    a: Tensor
    b: Tensor
    name_a: str
    name_b: str
    notes: list[str]
    draws: tuple[Draw, Draw] | None = None


class One(NamedTuple):
    """One image of a sample."""

    image: Tensor
    name: str
    notes: list[str]


T = TypeVar("T", Item, One)


def collate(items: list[Item]) -> Batch:
    """Stack samples into a batch."""
    draws = [item.draws for item in items if item.draws is not None]
    return Batch(
        stacked([item.a for item in items]),
        stacked([item.b for item in items]),
        [item.name_a for item in items],
        [item.name_b for item in items],
        [note for item in items for note in item.notes],
        ([draw[0] for draw in draws], [draw[1] for draw in draws]) if draws else None,
    )


def stacked(images: list[Tensor]) -> Tensor:
    """Stack images [C, H, W] into [B, C, H, W]; a single one is not copied."""
    return torch.stack(images) if len(images) > 1 else images[0][None]


class PairedDataset(Dataset[Item]):
    """Training pairs: a[i] with b[i], one geometry for both.

    A pair that cannot be read is passed over for the next one and noted in the batch.

    Args:
        split: a[i] belongs to b[i].
        transforms: draws.
        seed: decides every draw, with epoch and index.
        strict: raise instead of passing over.
        store: keeps decoded images; None decodes anew.
    """

    def __init__(
        self,
        split: Split,
        transforms: Transforms,
        seed: int,
        *,
        strict: bool,
        store: Store | None = None,
    ) -> None:
        self.split, self.transforms, self.seed, self.strict = split, transforms, seed, strict
        self.loader = Loader(transforms, store)

    def __len__(self) -> int:
        return len(self.split.a)

    def __getitem__(self, position: Position) -> Item:
        """Return the sample of (epoch, sample)."""
        draw = mix(self.seed, position.epoch, position.sample)

        def read(index: int) -> Item:
            a, b = self.split.a[index], self.split.b[index]
            if self.transforms.derive is not None:
                photo = self.loader.alone(b, RGB)
                samples, notes = self.transforms.derived(photo.pixels, b.label, draw), photo.notes
            else:
                loaded_a, loaded_b = self.loader.pair(a, b)
                samples = self.transforms.paired(loaded_a.pixels, loaded_b.pixels, a.label, draw)
                notes = [*loaded_a.notes, *loaded_b.notes]
            (image_a, notes_a), (image_b, notes_b) = samples
            return Item(image_a, image_b, a.name, b.name, [*notes, *notes_a, *notes_b])

        item = _first_readable(read, position.sample, len(self), strict=self.strict)
        if not self.transforms.on_device:
            return item
        place = self.transforms.drawn(draw, item.a)  # light and colour are those of the source alone
        return item._replace(draws=(place, place))


class UnpairedDataset(Dataset[Item]):
    """Training samples of two unrelated domains.

    An epoch is as long as the larger domain. a follows the epoch's order (starting anew where a is the smaller
    domain); b is drawn at random for every sample, never in lockstep. Each has its own geometry.

    Args:
        split: images of both domains.
        transforms: draws.
        seed: decides every draw, with epoch and index.
        strict: raise instead of passing over an unreadable image.
        store: keeps decoded images; None decodes anew.
    """

    def __init__(
        self,
        split: Split,
        transforms: Transforms,
        seed: int,
        *,
        strict: bool,
        store: Store | None = None,
    ) -> None:
        self.split, self.transforms, self.seed, self.strict = split, transforms, seed, strict
        self.loader = Loader(transforms, store)

    def __len__(self) -> int:
        return max(len(self.split.a), len(self.split.b))

    def __getitem__(self, position: Position) -> Item:
        """Return the sample of (epoch, sample)."""
        draw_a = mix(self.seed, position.epoch, 2 * position.sample)
        draw_b = mix(self.seed, position.epoch, 2 * position.sample + 1)

        def read(sources: Sequence[Source], side: Side, draw: int) -> Callable[[int], One]:
            def one(index: int) -> One:
                source = sources[index]
                loaded = self.loader.alone(source, side)
                image, notes = self.transforms.alone(loaded.pixels, source.label, draw, side)
                return One(image, source.name, [*loaded.notes, *notes])

            return one

        side_a, side_b = self.transforms.sides
        draw_b, which_b = mix(draw_b, 1, 0), draw_b
        num_a, num_b = len(self.split.a), len(self.split.b)
        read_a, read_b = read(self.split.a, side_a, draw_a), read(self.split.b, side_b, draw_b)
        a = _first_readable(read_a, position.sample % num_a, num_a, strict=self.strict)
        b = _first_readable(read_b, which_b % num_b, num_b, strict=self.strict)
        item = Item(a.image, b.image, a.name, b.name, a.notes + b.notes)
        if not self.transforms.on_device:
            return item
        return item._replace(draws=(self.transforms.drawn(draw_a, a.image), self.transforms.drawn(draw_b, b.image)))


class FixedDataset(Dataset[Item]):
    """Images for validation: in order, without any draw; for unpaired domains side by side as far as the longer goes.

    Args:
        split: images of both domains.
        transforms: sizes.
    """

    def __init__(self, split: Split, transforms: Transforms) -> None:
        self.split, self.transforms = split, transforms

    def __len__(self) -> int:
        return max(len(self.split.a), len(self.split.b))

    def __getitem__(self, index: int) -> Item:
        """Return sample ``index``; an unreadable file is passed over for the next and noted."""

        def read(index: int) -> Item:
            a, b = self.split.a[index % len(self.split.a)], self.split.b[index % len(self.split.b)]
            image_a, image_b = self.transforms.fixed_pair(self.split, index)
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
            found.notes.extend(failed)
            return found
    raise DataError(f"{len(failed)} unreadable images in a row: {failed[0].removeprefix('unreadable: ')}")
