"""From a set of images to features: read and resized in threads ahead of the network, each image decoded once."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from img2img.data.source import Source
from img2img.errors import ConfigError, DataError
from img2img.evaluate.extractors import Extractor
from img2img.evaluate.images import Images, Look, Seen, look_at
from img2img.translate.pipeline import Stages, flow

_BYTES_OF_AN_IMAGE, _ROOM = 4_000_000, 1_000_000_000
_LISTED = 3


@dataclass(frozen=True)
class Features:
    """Features of a set, one row an image.

    Attributes:
        names: of the rows, in the order of the folder.
        rows: float32 [N, d] by the name of the extractor.
    """

    names: tuple[str, ...]
    rows: dict[str, Tensor]


@dataclass(frozen=True)
class _Read:
    look: Look
    arrays: tuple[NDArray[Any], ...]


def see(
    images: Images,
    extractors: Sequence[Extractor],
    *,
    batch: int = 16,
    threads: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> tuple[Features, Seen]:
    """Read every image once and return what each network sees in it.

    The rows depend on no other image, so neither on the order nor (but for rounding, 1e-5) on the batch.

    Args:
        images: the set; what cannot be read is named in the second result and has no row.
        extractors: none, to look at the files alone.
        batch: images that go through a network together.
        threads: that read; by default what suits.
        progress: called after every image.

    Raises:
        DataError: if none of the images can be read.
        ConfigError: if a network gives values that are not finite.
    """
    looks: dict[str, Look] = {}
    failed: dict[str, str] = {}
    rows: dict[str, tuple[Tensor, ...]] = {}

    def read(source: Source) -> _Read:
        look, pixels = look_at(source)
        return _Read(look, tuple(extractor.prepare(pixels) for extractor in extractors))

    def bucket(found: _Read) -> tuple[Hashable, int]:
        return tuple(array.shape for array in found.arrays), batch

    def make(items: Sequence[Source], found: Sequence[_Read]) -> list[None]:
        columns = [
            extractor.features(torch.from_numpy(np.stack([one.arrays[number] for one in found])))
            for number, extractor in enumerate(extractors)
        ]
        for extractor, column in zip(extractors, columns, strict=True):
            if not column.isfinite().all():
                raise ConfigError(f"{extractor.name}: this network gave values that are not finite (NaN or infinite)")
        for row, (source, one) in enumerate(zip(items, found, strict=True)):
            looks[source.name] = one.look
            rows[source.name] = tuple(column[row] for column in columns)
        return [None] * len(items)

    stages: Stages[Source, _Read, None] = Stages(
        lambda _: _BYTES_OF_AN_IMAGE, read, [make], lambda _source, _made: None, bucket
    )
    count = threads or min(4, os.cpu_count() or 1)
    for done in flow(images.sources, stages, threads=count, memory=_ROOM):
        if isinstance(done.error, DataError):
            failed[done.item.name] = str(done.error)
        elif done.error is not None:
            raise done.error
        progress()
    names = tuple(source.name for source in images.sources if source.name in looks)
    if not names:
        few = "; ".join(list(failed.values())[:_LISTED])
        raise DataError(f"{images.where}: none of {len(images.sources)} images can be read: {few}")
    stacked = {one.name: torch.stack([rows[name][at] for name in names]) for at, one in enumerate(extractors)}
    ordered = {name: looks[name] for name in names}
    return Features(names, stacked), Seen(ordered, dict(sorted(failed.items())))


def features_of(
    images: Iterable[NDArray[np.uint8]], extractors: Sequence[Extractor], *, batch: int = 16
) -> dict[str, Tensor]:
    """Return what each network sees in images that are in memory, as :func:`see` does in files.

    Args:
        images: uint8 [H, W, 3] each, of any sizes.
        extractors: one or more.
        batch: images that go through a network together.

    Returns:
        float32 [N, d] by the name of the extractor; empty where there are no images.
    """
    rows: dict[str, list[Tensor]] = {}
    left = iter(images)
    while some := list(islice(left, batch)):
        for one in extractors:
            prepared = torch.from_numpy(np.stack([one.prepare(pixels) for pixels in some]))
            rows.setdefault(one.name, []).append(one.features(prepared))
    return {name: torch.cat(found) for name, found in rows.items()}
