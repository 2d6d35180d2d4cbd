"""The data module: a folder or a manifest in, batches of two domains out."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Subset

from img2img.batch import Batch
from img2img.configured import Configured
from img2img.data.augment import lit, placed
from img2img.data.cache import CacheName, Store
from img2img.data.datasets import FixedDataset, Item, PairedDataset, UnpairedDataset, collate
from img2img.data.derive.base import Derivation
from img2img.data.folder import directed, find_layout, find_photos
from img2img.data.manifest import Manifest, domains_of, is_manifest, layout_of, read_manifest, sides_of
from img2img.data.phases import Phased, late_from
from img2img.data.sampler import EpochSampler, SeekableLoader
from img2img.data.source import Layout, Split
from img2img.data.split import hold_out, refuse_unequal_shapes
from img2img.data.transforms import CropName, Preprocessing, ResizeName, Transforms, load_side
from img2img.data.verify import coloured, verify
from img2img.errors import ConfigError, DataError
from img2img.image import channels_of, picture_side, plain_picture, unit_of

_LOAD_FACTOR = 286 / 256
"""Both papers resize to 286 px and crop 256."""


class ImageData(Configured, LightningDataModule):
    """Images of two domains from a folder or a manifest; domain a is the source, domain b the target.

    Layouts: side-by-side images, two folders, ``trainA``/``trainB``, or two folders given one by one; see
    ``img2img.data.folder``. Without validation images some of the training images are held out. With ``derive`` a
    folder of targets (photos, at any depth) is enough. A manifest (CSV or JSONL, see ``img2img.data.manifest``) lists
    files by typed columns, and says how many channels there are.

    Args:
        root: the data folder, the two folders of the domains, or a manifest (two for unpaired images).
        paired: whether images belong together, as pix2pix needs.
        domains: names of the domains in the order A, B (left, right), or of the two folders to use.
        to: domain that is translated into; the second by default.
        size: side of training crops in pixels, or [height, width].
        load_size: side that images are resized to before the crop, or [height, width]; 286/256 of the size by default.
        derive: makes the sources of pairs from the targets, such as ``img2img.data.derive.Sketch``.
        zoom_until: share of the training after which images are no longer enlarged to load_size, but resized to the
            size that is cropped (CUT: 0.5, where its learning rate begins to fall); 1 keeps enlarging.
        resize: short-side keeps the aspect, stretch ignores it as the originals do, none keeps the file's size.
        crop: where training crops are cut: random, or centre.
        flip: mirror left to right at random.
        photometric: strength in [0, 1] of random light and colour, of the source only when paired.
        channels_a: channels of the source, 1 or 3; of a manifest what its columns say.
        channels_b: channels of the target, likewise.
        batch_size: samples per batch and process.
        workers: loader processes; by default what suits the machine.
        cache: where decoded training images are kept for the next epochs: off, ram, or disk for later runs too.
        hold_out: share of the training images to validate on where there is no validation folder.
        allow_orphans: leave out images without a partner instead of refusing.
        strict: refuse what is otherwise warned about: unreadable and constant images, images below the crop.
        seed: decides order, draws and what is held out.
        columns: options of a manifest's columns, or the file that they stand in; by default the one beside it.
        scale: how many times larger targets are than sources, for super-resolution; sources are enlarged first.
        augment: where crops, mirroring, light and colour of training images are made: by each worker, or on the device
            for a whole batch, with the same crops.

    Raises:
        ValueError: for a size, share or strength out of its range; for ``derive`` with unpaired
            images, or options that the data has no use for.
    """

    def __init__(
        self,
        root: str | list[str],
        paired: bool,
        domains: list[str] | None = None,
        to: str | None = None,
        size: int | list[int] = 256,
        load_size: int | list[int] | None = None,
        zoom_until: float = 1.0,
        derive: Derivation | None = None,
        resize: ResizeName = "short-side",
        crop: CropName = "random",
        flip: bool = True,
        photometric: float = 0.0,
        channels_a: int = 3,
        channels_b: int = 3,
        batch_size: int = 1,
        workers: int | None = None,
        cache: CacheName = "off",
        hold_out: float = 0.05,
        allow_orphans: bool = False,
        strict: bool = False,
        seed: int = 0,
        *,
        columns: str | dict[str, Any] | None = None,
        scale: int = 1,
        augment: Literal["worker", "device"] = "worker",
    ) -> None:
        super().__init__()
        height, width = _sides("size", size)
        load = (
            (round(height * _LOAD_FACTOR), round(width * _LOAD_FACTOR))
            if load_size is None
            else _sides("load_size", load_size)
        )
        if resize != "none" and (load[0] < height or load[1] < width):
            raise ValueError(
                f"load_size {load[0]}x{load[1]} is below size {height}x{width}: a crop must fit into its image"
            )
        for name, value in (("photometric", photometric), ("hold_out", hold_out), ("zoom_until", zoom_until)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: expected a share from 0 to 1, got {value}")
        if zoom_until < 1 and resize == "none":
            raise ValueError("zoom_until has nothing to change with resize none: leave it out, or resize")
        if batch_size < 1:
            raise ValueError(f"batch_size: expected 1 or more, got {batch_size}")
        for channels in (channels_a, channels_b):
            if channels not in {1, 3}:
                raise ValueError(f"channels: expected 1 (grey) or 3 (RGB), got {channels}")
        if derive is not None and not paired:
            raise ValueError("derive makes pairs, which this method does not use: leave it out, or use pix2pix")
        if derive is not None and (to is not None or allow_orphans):
            unused = "allow_orphans" if allow_orphans else f"to {to}"
            raise ValueError(f"{unused}: with derive every photo has a partner and is translated into; leave it out")
        if scale < 1 or (scale > 1 and (derive is not None or not paired)):
            raise ValueError(f"scale: expected 1 or more, more only of pairs that are files, got {scale}")
        if augment == "device" and (derive is not None or (resize != "stretch" and batch_size > 1)):
            needed = "sources that are files" if derive is not None else "one size: resize stretch, or batch_size 1"
            raise ValueError(f"augment device: a batch is cut as a whole, which needs {needed}")
        self.augment: Literal["worker", "device"] = augment
        self.roots = [Path(r) for r in ([root] if isinstance(root, str) else root)]
        self.listed = any(map(is_manifest, self.roots))
        _refuse_useless(
            self.listed,
            {"columns": columns is not None},
            {
                "derive": derive is not None,
                "allow_orphans": allow_orphans,
                "channels_a": channels_a != 3,  # noqa: PLR2004 (the default)
                "channels_b": channels_b != 3,  # noqa: PLR2004
            },
        )
        self.derive, self.columns, self.scale = derive, columns, scale
        self.paired, self.domain_names, self.to = paired, domains, to
        self.preprocessing = Preprocessing((height, width), load, resize, flip, photometric, crop)
        self.sides = picture_side(channels_a), picture_side(channels_b)
        self.column_names: tuple[tuple[str, ...], tuple[str, ...]] = ("a",), ("b",)
        self.batch_size, self.seed, self.strict = batch_size, seed, strict
        self.workers = _suitable_workers() if workers is None else workers
        self.cache: CacheName = cache
        self.zoom_until = zoom_until
        self.share, self.allow_orphans = hold_out, allow_orphans
        self.layout: Layout | None = None
        self.held_out = 0

    @property
    def domains(self) -> tuple[str, str]:
        """Names of source and target; known after :meth:`setup`."""
        assert self.layout is not None
        return self.layout.domains

    @property
    def transforms(self) -> Transforms:
        """What turns files into samples."""
        on_device = self.augment == "device"
        return Transforms(self.preprocessing, self.derive, self.sides, self.scale, on_device=on_device)

    @property
    def channels_a(self) -> int:
        """Channels of the source; of a manifest known after :meth:`setup`."""
        return channels_of(self.sides[0])

    @property
    def channels_b(self) -> int:
        """Channels of the target; of a manifest known after :meth:`setup`."""
        return channels_of(self.sides[1])

    @property
    def formats(self) -> dict[str, Any]:
        """What a translator's header says of files: ``a`` and ``b`` (columns, see ``Kind.plain``), and ``scale``."""
        return {
            side: [{"column": column, **kind.plain()} for column, kind in zip(columns, kinds, strict=True)]
            for side, columns, kinds in zip("ab", self.column_names, self.sides, strict=True)
        } | {"scale": self.scale}

    def setup(self, stage: str | None = None) -> None:
        """List the files, once; with ``strict`` read them all. The files of a manifest are looked at.

        Raises:
            DataError: if the folders cannot be used as asked.
            ConfigError: if the method takes another number of channels than the manifest has.
        """
        del stage
        if self.layout is None:
            self._list()
        module = self.trainer.lightning_module if self.trainer else None
        for name in ("channels_a", "channels_b"):
            taken, there = getattr(module, name, None), getattr(self, name)
            if taken is not None and taken != there:
                raise ConfigError(
                    f"{name}: the data has {there}, the method takes {taken}; build it with {name}={there}"
                )

    def _list(self) -> None:
        if self.listed:
            layout = self._manifest_layout()
        elif self.derive is not None:
            layout = find_photos(self.roots, source=self.derive.source, domains=self.domain_names)
        else:
            layout = find_layout(
                self.roots, paired=self.paired, domains=self.domain_names, to=self.to, allow_orphans=self.allow_orphans
            )
        self._refuse_light()
        if self.paired and self.preprocessing.resize != "stretch":
            for split in (layout.train, layout.validation):
                if split is not None:
                    refuse_unequal_shapes(split)
        if layout.validation is None:
            train, validation = hold_out(layout.train, self.share, self.seed, paired=self.paired)
            self.held_out = len(validation.a)
            layout = Layout(layout.kind, layout.domains, train, validation, layout.test)
        if self.strict:
            self._refuse_faults(layout.train)
        self.layout = layout

    def _manifest_layout(self) -> Layout:
        manifests = manifests_of(self.roots, self.columns)
        sides = sides_of(manifests, one_way=self.paired)
        plain = layout_of(manifests, paired=self.paired, domains=self.domain_names)
        layout = directed(plain, self.to)
        verify(manifests)
        sides = coloured(manifests, sides)
        columns = [[c.key for m in manifests for c in m.columns if c.side == side] for side in "ab"]
        if layout is not plain:
            sides_of(manifests, one_way=False)  # what was the source is written now
            sides, columns = sides[::-1], columns[::-1]
        self.sides, self.column_names = sides, (tuple(columns[0]), tuple(columns[1]))
        return layout

    def _refuse_light(self) -> None:
        for side in self.sides if not self.paired else self.sides[:1]:
            if self.preprocessing.photometric and not any(kind.has_light for kind in side):
                names = ", ".join(kind.name for kind in side)
                raise DataError(f"--data.photometric changes light and colour, which {names} has not; leave it out")

        if self.preprocessing.photometric and self.augment == "device":
            for side in self.sides if not self.paired else self.sides[:1]:
                if not plain_picture(side):
                    names = ", ".join(kind.name for kind in side)
                    raise DataError(f"augment device: light and colour there are those of a picture, not of {names}")

    def images_per_epoch(self, num_ranks: int) -> int:
        """Return the images that an epoch shows; all processes take equally many whole batches.

        Args:
            num_ranks: processes that share the epoch.
        """
        assert self.layout is not None
        split = self.layout.train
        count = len(split.a) if self.paired else max(len(split.a), len(split.b))
        each = max(count // num_ranks, 1)
        return num_ranks * (each // self.batch_size * self.batch_size or each)

    def train_dataloader(self) -> SeekableLoader:
        """Return the loader of this rank's share of each epoch; its batches are levels, see :meth:`finished`."""
        assert self.layout is not None
        ranks, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        images = self.images_per_epoch(ranks)
        dataset: Any = self._dataset(self.transforms)
        if self.zoom_until < 1:
            dataset = Phased(self._dataset, self.transforms)
        late = late_from(self.zoom_until, self.trainer, images)
        sampler = EpochSampler(len(dataset), self.seed, rank, ranks, images, late)
        return SeekableLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=len(sampler) >= self.batch_size,
            **self._loading,
        )

    def _dataset(self, transforms: Transforms) -> Dataset[Item]:
        assert self.layout is not None
        store = None if self.cache == "off" else Store(self.cache, self.roots)
        kind = PairedDataset if self.paired else UnpairedDataset
        return kind(self.layout.train, transforms, self.seed, strict=self.strict, store=store)

    def val_dataloader(self, at_most: int | None = None) -> DataLoader[Any]:
        """Return the validation images, one at a time, in order; evenly spaced ones where that is too many.

        Its batches are levels too, see :meth:`finished`.
        """
        assert self.layout is not None
        assert self.layout.validation is not None
        dataset: Dataset[Any] = FixedDataset(self.layout.validation, self.transforms)
        count = max(len(self.layout.validation.a), len(self.layout.validation.b))
        if at_most is not None and at_most < count:
            dataset = Subset(dataset, [i * count // at_most for i in range(at_most)])
        return DataLoader(dataset, batch_size=1, collate_fn=collate, generator=torch.Generator())

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Make floats of levels, on the device; a Trainer calls this."""
        del dataloader_idx
        return self.finished(batch)

    def finished(self, batch: Batch) -> Batch:
        """Make floats in [-1, 1] of the levels that a loader gives, label maps one-hot; for loops without a Trainer.

        With ``augment`` device images are cut and changed here, before and after that.
        """
        if batch.draws is None:
            return batch._replace(a=unit_of(self.sides[0], batch.a), b=unit_of(self.sides[1], batch.b))
        size, photometric = self.preprocessing.size, self.preprocessing.photometric
        each = zip(self.sides, (batch.a, batch.b), batch.draws, strict=True)
        a, b = (unit_of(side, placed(images, draws, size)) for side, images, draws in each)
        if photometric:
            a, b = lit(a, batch.draws[0]), b if self.paired else lit(b, batch.draws[1])
        return batch._replace(a=a, b=b, draws=None)

    @property
    def _loading(self) -> dict[str, Any]:
        return {
            "collate_fn": collate,
            "generator": torch.Generator(),  # its own: starting a loader must not move the training's random state
            "num_workers": self.workers,
            "persistent_workers": self.workers > 0,
            "pin_memory": torch.cuda.is_available(),
        }

    def _refuse_faults(self, split: Split) -> None:
        height, width = self.preprocessing.size
        for sources, side in zip((split.a, split.b), self.sides, strict=True):
            for source in sources:
                pixels = load_side(source, side)  # raises for an unreadable one
                if side[0].is_picture and pixels.min() == pixels.max():
                    raise DataError(f"{source.label}: every pixel is the same (--strict)")
                if self.preprocessing.resize == "none" and (pixels.shape[0] < height or pixels.shape[1] < width):
                    raise DataError(
                        f"{source.label}: {pixels.shape[1]}x{pixels.shape[0]} px is below the crop (--strict)"
                    )


def manifests_of(roots: Sequence[Path], columns: str | Mapping[str, Any] | None) -> list[Manifest]:
    """Read one manifest, or two with a side each.

    Raises:
        DataError: see :func:`img2img.data.manifest.read_manifest`.
    """
    if not all(map(is_manifest, roots)) or len(roots) > 2:  # noqa: PLR2004 (one for each side)
        raise DataError(f"expected one list, or two with a side each, got {' '.join(map(str, roots))}")
    if columns is not None and len(roots) > 1:
        raise DataError("columns: of two lists each has its own options beside it, NAME.columns.yaml; leave it out")
    return [read_manifest(root, columns) for root in roots]


def channels_in(
    root: str | list[str],
    columns: str | Mapping[str, Any] | None,
    domains: Sequence[str] | None,
    to: str | None,
    channels: tuple[int, int],
) -> tuple[int, int]:
    """Return the channels of source and target before any file but a manifest is looked at.

    Args:
        root: see :class:`ImageData`, as the next three.
        columns: see there.
        domains: see there.
        to: see there.
        channels: asked for, of a folder.

    Raises:
        DataError: for a manifest that cannot be used.
    """
    roots = [Path(one) for one in ([root] if isinstance(root, str) else root)]
    if not any(map(is_manifest, roots)):
        return channels
    manifests = manifests_of(roots, columns)
    a, b = map(channels_of, sides_of(manifests, one_way=True))
    return (b, a) if to == domains_of(manifests, domains)[0] else (a, b)


def _refuse_useless(listed: bool, of_lists: Mapping[str, bool], of_folders: Mapping[str, bool]) -> None:
    for name, given in (of_folders if listed else of_lists).items():
        if given:
            kind, other = ("manifest", "folder") if listed else ("folder", "manifest")
            raise ValueError(f"{name}: a {kind} has no use for it, a {other} has; leave it out")


def _sides(name: str, size: int | Sequence[int]) -> tuple[int, int]:
    sides = [size, size] if isinstance(size, int) else list(size)
    if len(sides) != 2 or min(sides) < 1:  # noqa: PLR2004 (height and width)
        raise ValueError(f"{name}: expected a side in pixels or [height, width], got {size}")
    return sides[0], sides[1]


def _suitable_workers() -> int:
    """Return loader processes for this machine: one core is left to the training itself, 8 feed any one GPU."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(max(cores - 1, 0), 8)
