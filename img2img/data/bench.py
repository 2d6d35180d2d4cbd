"""How fast images come: the plain published loader and ours, by turns, and where ours spends its time."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from img2img.batch import Batch
from img2img.data.augment import lit, placed
from img2img.data.cache import Store
from img2img.data.datasets import PairedDataset, UnpairedDataset, collate, stacked
from img2img.data.sampler import Position
from img2img.data.source import Layout
from img2img.data.transforms import Preprocessing, Transforms, load_pixels
from img2img.image import as_tensor, to_unit
from img2img.shipped import shipped

PUBLISHED, OURS, RAM, DISK, DEVICE = "published", "ours", "cache ram", "cache disk", "augment device"
WORKER, RAM_WORKER = "ours, 1 worker", "ram, 1 worker"
IN_TWO = frozenset({WORKER, RAM_WORKER})
"""Loaders that run beside the training, in a process of their own."""

_CPU = torch.device("cpu")
STAGES = ("decode", "resize", "crop and flip", "to tensor", "floats")


class Measured:
    """Samples per second of every loader, and milliseconds per sample of every stage of ours; a value per round.

    Attributes:
        speeds: of loaders.
        stages: of ours, each alone.
    """

    def __init__(self) -> None:
        self.speeds: dict[str, list[float]] = {}
        self.stages: dict[str, list[float]] = {name: [] for name in STAGES}

    @property
    def bound(self) -> str:
        """The stage that takes longest."""
        return max(STAGES, key=lambda name: statistics.median(self.stages[name]))


def waiting(samples_per_s: float, batch: int, step_s: float, *, beside: bool) -> float:
    """Return the share of its time for which a training would wait for a loader.

    Args:
        samples_per_s: of the loader.
        batch: samples of a step.
        step_s: seconds of a step, without the loading.
        beside: whether the loader works while the training computes.
    """
    loading = batch / samples_per_s
    return max(loading - step_s, 0) / max(loading, step_s) if beside else loading / (loading + step_s)


def measure(
    layout: Layout,
    roots: Sequence[Path],
    *,
    paired: bool,
    size: int,
    count: int,
    rounds: int,
    batch: int = 1,
    photometric: float = 0.0,
    device: torch.device = _CPU,
) -> Measured:
    """Read the first ``count`` training samples again and again.

    A round before the counted ones warms the system's memory of files, and fills the caches. Torch gets one thread.

    Args:
        layout: the data.
        roots: its folders.
        paired: whether images belong together.
        size: side of crops in pixels; images are resized to 286/256 of it, stretched as the published loader does.
        count: samples a round.
        rounds: counted rounds.
        batch: samples handed over at once.
        photometric: strength of random light and colour, which the published loader has not.
        device: where samples end, as floats.
    """
    load = round(size * 286 / 256)
    kind = PairedDataset if paired else UnpairedDataset
    preprocessing = Preprocessing((size, size), (load, load), "stretch", flip=True, photometric=photometric)
    transforms = Transforms(preprocessing)

    def ours(store: Store | None, workers: int = 0, *, on_device: bool = False) -> DataLoader[Any]:
        dataset = kind(layout.train, Transforms(preprocessing, on_device=on_device), 0, strict=True, store=store)
        order = [Position(0, i % len(dataset)) for i in range(count)]
        return DataLoader(
            dataset, batch, sampler=order, num_workers=workers, collate_fn=collate, persistent_workers=workers > 0
        )

    images = _published().Images(layout.train, paired=paired, size=size)
    ram = Store("ram", list(roots))
    loaders = {
        PUBLISHED: DataLoader(images, batch, sampler=[i % len(images) for i in range(count)]),
        OURS: ours(None),
        DEVICE: ours(None, on_device=True),
        RAM: ours(ram),
        DISK: ours(Store("disk", list(roots))),
        WORKER: ours(None, 1),
        RAM_WORKER: ours(ram, 1),
    }

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def finish(found: Any) -> None:
        a, b = (one.to(device, non_blocking=True) for one in found[:2])
        if isinstance(found, Batch) and found.draws is not None:
            for images, draws, has_light in zip((a, b), found.draws, (True, not paired), strict=True):
                made = to_unit(placed(images, draws, (size, size)))
                if photometric and has_light:
                    lit(made, draws)
        else:
            to_unit(a), to_unit(b)  # which the published loader's are already

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = Measured()
    try:
        for number in range(rounds + 1):
            for name, loader in loaders.items():
                speed = count / _seconds(loader, finish, wait)
                found.speeds.setdefault(name, []).extend([speed] * (number > 0))
            for name, seconds in _stages(layout, transforms, paired=paired, count=count).items():
                found.stages[name].extend([1000 * seconds / count] * (number > 0))
    finally:
        torch.set_num_threads(threads)
    return found


def _stages(layout: Layout, transforms: Transforms, *, paired: bool, count: int) -> dict[str, float]:
    """Return the seconds of each stage over ``count`` samples, both images of each."""
    dataset = (PairedDataset if paired else UnpairedDataset)(layout.train, transforms, 0, strict=True)
    smallest = transforms.preprocessing.load_size
    seconds = dict.fromkeys(STAGES, 0.0)

    for i in range(count):
        a, b = layout.train.a[i % len(layout.train.a)], layout.train.b[i % len(layout.train.b)]
        clock = [time.perf_counter()]
        raw = dataset.loader.decoded(a, b) if paired else [load_pixels(one, 3, smallest) for one in (a, b)]
        clock.append(time.perf_counter())
        sized = [transforms.sized(pixels) for pixels in raw]
        clock.append(time.perf_counter())
        cut = transforms.cut(i, *sized) if paired else [transforms.cut(i, one)[0] for one in sized]
        clock.append(time.perf_counter())
        tensors = [as_tensor(pixels) for pixels in cut]
        clock.append(time.perf_counter())
        for tensor in tensors:
            to_unit(stacked([tensor]))
        clock.append(time.perf_counter())
        for stage, (began, ended) in zip(STAGES, pairwise(clock), strict=True):
            seconds[stage] += ended - began
    return seconds


def _seconds(loader: DataLoader[Any], finish: Callable[[Any], None], wait: Callable[[], None]) -> float:
    batches = iter(loader)  # starting a worker is not counted
    began = time.perf_counter()
    for batch in batches:
        finish(batch)
    wait()
    return time.perf_counter() - began


def _published() -> Any:
    spec = importlib.util.spec_from_file_location("baseline", shipped("scripts", "baseline.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
