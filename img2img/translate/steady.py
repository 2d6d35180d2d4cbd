"""A network for the frames of one clip: its norms take statistics of the clip, so that frames are normalised alike.

A norm that takes statistics of each frame makes the whole picture brighter, duller or another colour when something
moves through a corner of it: the translation flickers. Here the statistics are measured once, over frames spread evenly
over the clip, and then given to every frame.

They are those of the sampled frames as one batch, norm by norm: the frames pass the first norm with the mean and the
variance that they have in common, and what then reaches the second is measured together again. To pool statistics that
each frame measured alone would not be that: behind a norm that used a frame's own statistics other features arrive.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from img2img.errors import DataError
from img2img.image import Pixels
from img2img.networks.base import Generator
from img2img.translate.engines.base import Precision
from img2img.translate.engines.eager import Eager
from img2img.translate.fitting import is_out_of_memory, release_memory
from img2img.translate.memory import Memory, Say, StatisticsName
from img2img.translate.regions import Source
from img2img.translate.statistics import (
    Moments,
    Window,
    device_of,
    fixed,
    has_shared_statistics,
    measure_at_once,
    measure_next,
)

_REDUCED_PX = 1 << 22
_FEWEST = 4
"""Frames that stand for a clip, whole, where not all samples fit into memory at once; below that they are reduced."""


@contextlib.contextmanager
def steadied(
    network: Generator, device: torch.device, precision: Precision, memory: Memory, frames: Sequence[Pixels]
) -> Iterator[Eager]:
    """Make an engine whose norms keep the statistics of some frames for as long as the context is open.

    Args:
        network: in ``eval()``, on the device.
        device: where it runs.
        precision: ``fp32`` or ``bf16``.
        memory: what to do with frames that may not fit into it; its ``statistics`` say how they are measured, and
            ``none`` leaves every frame its own.
        frames: see :func:`measure_clip`.
    """
    engine = Eager(copy.deepcopy(network), device, precision, memory)  # pictures may be translated at the same time
    with contextlib.ExitStack() as stack:
        if memory.statistics != "none" and has_shared_statistics(network):
            engine.memory = replace(memory, statistics="none")  # tiles need not measure what is known
            at_once = memory.fitting_px(network)
            with torch.inference_mode(), engine.autocast():
                moments = measure_clip(engine.network, frames, at_once, memory.statistics, memory.say)
                stack.enter_context(fixed(engine.network, moments))
        yield engine


def measure_clip(
    network: Generator,
    frames: Sequence[Pixels],
    most_px: int,
    statistics: StatisticsName = "auto",
    say: Say = lambda _: None,
) -> list[Moments]:
    """Measure the statistics of all norms over frames, as if they were one batch.

    Args:
        network: in ``eval()``; runs where its weights are.
        frames: spread over the clip, all of one size, uint8 [H, W, C].
        most_px: pixels that fit into memory at once.
        statistics: ``exact``: all of them as they are, norm by norm if memory asks for it; ``reduced``: reduced until
            they have 4 megapixels together; ``auto``: as many as fit into memory at once, reduced if those are fewer
            than 4.
        say: called where memory decides.

    Returns:
        One for each norm, in the order in which they are called.

    Raises:
        DataError: if not even a few pixels fit into memory.
    """
    images = [Source(frame, network.in_channels) for frame in frames]
    while True:
        try:
            return _measured(network, images, most_px, statistics, say)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        release_memory()  # here, where no traceback holds on to tensors any more
        most_px = min(most_px, len(images) * images[0].height * images[0].width) // 2
        if most_px < len(images) * network.smallest_side**2:
            raise DataError("out of memory while the frames are measured; close other programs, or take a smaller size")


def _measured(
    network: Generator, images: Sequence[Source], most_px: int, statistics: StatisticsName, say: Say
) -> list[Moments]:
    fit_at_once = most_px // (images[0].height * images[0].width)
    if statistics != "reduced" and fit_at_once >= len(images):
        return measure_at_once(network, _batch(network, images))
    if statistics == "exact":
        return _norm_by_norm(network, images)
    if statistics == "auto" and fit_at_once >= _FEWEST:
        say(f"statistics of norms from {fit_at_once} frames of the clip: more do not fit into memory at once")
        some = [images[(2 * i + 1) * len(images) // (2 * fit_at_once)] for i in range(fit_at_once)]
        return measure_at_once(network, _batch(network, some))
    most = min(most_px, _REDUCED_PX) // len(images)
    reduced = [Source(image.reduced(most), image.channels) for image in images]
    if statistics == "auto":
        say(f"statistics of norms from frames reduced to {reduced[0].width}x{reduced[0].height} px, as memory allows")
    return measure_at_once(network, _batch(network, reduced))


def _norm_by_norm(network: Generator, images: Sequence[Source]) -> list[Moments]:
    moments: list[Moments] = []
    fitted = network.fit(images[0].height), network.fit(images[0].width)
    whole = (0, fitted[0]), (0, fitted[1]), (0, 0)
    while measure_next(network, (Window(_batch(network, [image]), *whole) for image in images), moments):
        pass
    return moments


def _batch(network: Generator, images: Sequence[Source]) -> Tensor:
    fitted = network.fit(images[0].height), network.fit(images[0].width)
    windows = [image.window((0, fitted[0]), (0, fitted[1]), fitted) for image in images]
    return torch.cat(windows).to(device_of(network))
