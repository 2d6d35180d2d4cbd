"""Images that do not fit into memory: in overlapping tiles that agree with one another, and with the whole.

A tile differs from the same part of the whole image in two ways. Norms that take statistics of the image would take
those of the tile: they are measured for the whole and shared (:mod:`img2img.translate.statistics`). And near its border
a tile sees padding where the whole sees the image go on: tiles overlap, and that part is thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from img2img.errors import ConfigError, DataError
from img2img.networks.base import Generator
from img2img.networks.layers.norm import couples_images
from img2img.translate.draws import placed
from img2img.translate.fitting import is_out_of_memory, release_memory
from img2img.translate.grid import Span, spans
from img2img.translate.memory import Memory
from img2img.translate.regions import Regions, Source
from img2img.translate.statistics import (
    Moments,
    Window,
    device_of,
    has_shared_statistics,
    measure_at_once,
    measure_next,
    measure_pooled,
    reach_px,
    translate_with,
)

_LARGEST_OVERLAP_PX = 256
_LARGEST_TILE_PX = 2048
_REDUCED_PX = 1 << 22
_WINDOW_PX = 512
_TOGETHER = 16
"""Windows of a group, at least, where they are smaller than 512 px: fewer are not like the image (docs/tiles.md)."""
_GROUPS = 8
"""That are measured: of an image of more, evenly chosen ones."""
_PLASTIC = (0.7548776662466927, 0.5698402909910532)
"""1/p and 1/p^2 of the real root of p^3 = p + 1: the sequence R2 (Roberts 2018, The unreasonable effectiveness of
quasirandom sequences)."""


@dataclass(frozen=True)
class Tiling:
    """Tiles of one size.

    Attributes:
        tile_px: side of a tile.
        overlap_px: how far a tile reaches beyond its own part on every side.
        smallest_px: least side that leaves a tile a part of its own worth computing.
    """

    tile_px: int
    overlap_px: int
    smallest_px: int


@torch.inference_mode()
def translate_within(
    network: Generator,
    source: Tensor,
    memory: Memory | None = None,
) -> Tensor:
    """Translate a batch within the memory there is: whole where that fits, else fewer images at once, else tiles.

    Args:
        network: in ``eval()``; runs where its weights are.
        source: float [B, C, H, W] in [-1, 1], any size.
        memory: how much at once; by default what fits.

    Returns:
        float32 [B, C', H, W] in [-1, 1], on the CPU.

    Raises:
        DataError: if not even the smallest tile fits.
        ConfigError: if the tile is too small for its overlap.
    """
    memory = memory or Memory()
    batch = len(source)
    at_once = memory.at_once(network, source.shape[-2] * source.shape[-1], batch)
    done: list[Tensor] = []
    while len(done) < batch:
        if at_once == 0:
            one = source[len(done) : len(done) + 1]
            done.append(translate_tiled(network, one, memory))
            continue
        try:
            translated: Tensor = network(
                source[len(done) : len(done) + at_once].to(device_of(network), non_blocking=True)
            )
            done += translated.float().cpu().chunk(len(translated))
        except (MemoryError, RuntimeError) as error:
            if memory.tile_px is None or not is_out_of_memory(error):
                raise
            at_once //= 2
        else:
            continue
        release_memory()
        memory.say(f"out of memory: going on {f'with {at_once} images at once' if at_once else 'in tiles'}")
    return done[0] if batch == 1 else torch.cat(done)


def translate_tiled(
    network: Generator,
    source: Tensor | Regions,
    memory: Memory | None = None,
) -> Tensor:
    """Translate one image in tiles; arguments as for :func:`translate_bands`.

    Returns:
        float32 [1, C', H, W] in [-1, 1], on the CPU.
    """
    image = Source(source, network.in_channels)
    out = torch.empty(1, network.out_channels, image.height, image.width)
    top = 0
    for band in translate_bands(network, source, memory):
        out[0, :, top : top + band.shape[1]] = band
        top += band.shape[1]
    return out


@torch.inference_mode()
def translate_bands(
    network: Generator,
    source: Tensor | Regions,
    memory: Memory | None = None,
) -> Iterator[Tensor]:
    """Translate one image in tiles, from top to bottom, so that neither it nor the result need be in memory whole.

    Tiles lie on the grid of the network's strided layers, image borders are mirrored as for the whole image, and
    neighbours are blended (:func:`img2img.translate.grid.spans`). With exact statistics the result equals the whole
    up to rounding where three quarters of the overlap are at least the network's reach. When memory runs out the side
    of the tiles is halved, and the work goes on at the first row that is not done.

    Args:
        network: in ``eval()``; runs where its weights are.
        source: float [1, C, H, W] in [-1, 1], or regions of 8 or 16 bits.
        memory: see there; tiles are at most 2048 px where it does not say, and None for ``tile_px`` is ``auto``.

    Yields:
        Rows of the result, float32 [C', n, W] in [-1, 1], on the CPU.

    Raises:
        ConfigError: if the tile is too small for its overlap.
        DataError: if not even the smallest tile fits into memory.
        ValueError: if the network would change its running averages.
    """
    if network.training and couples_images(network):
        raise ValueError("expected a network in eval(): in training its norms depend on every tile they see")
    image = Source(source, network.in_channels)
    memory = memory or Memory()
    work = _Work(network, image, memory)
    if work.pooled and memory.statistics == "auto":
        memory.say(
            f"{image.width}x{image.height} px do not fit into memory at once: tiles of {work.tile} px, statistics of "
            "norms pooled from windows of it (--statistics exact takes longer)"
        )
    done = 0
    while done < image.height:
        try:
            work.measure()
            for band in work.bands(done):
                yield band
                done += band.shape[1]
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            continue
        release_memory()  # here, where no traceback holds on to tensors any more
        memory.say(work.shrink())


def plan(network: Generator, memory: Memory) -> Tiling:
    """Choose overlap and size of tiles; see :func:`translate_bands`.

    Raises:
        ConfigError: if the tile is too small for its overlap.
    """
    multiple, tile_px = network.size_multiple, memory.tile_px or "auto"
    reach = reach_px(network, _LARGEST_OVERLAP_PX * 3 // 4)
    if memory.overlap_px is None:
        needed = _LARGEST_OVERLAP_PX if reach is None else -(-reach * 4 // 3)
        wanted = _up_to_multiple(needed, multiple)
        quarter = wanted if tile_px == "auto" else tile_px // 4 // multiple * multiple
        overlap = min(wanted, max(quarter, multiple))
    else:
        overlap = _up_to_multiple(memory.overlap_px, multiple)
    smallest = max(3 * overlap, network.smallest_side, multiple)
    if tile_px == "auto":
        fitting = memory.fitting_tile_px(network)
        tile = max(min(fitting, max(_LARGEST_TILE_PX // multiple * multiple, smallest)), smallest)
    else:
        tile = tile_px // multiple * multiple
    if tile < smallest:
        raise ConfigError(
            f"tiles of {tile_px} px are too small for an overlap of {overlap} px on each side: expected {smallest} px "
            "or more"
        )
    if reach is None or overlap * 3 // 4 < reach:
        far = f"more than {_LARGEST_OVERLAP_PX * 3 // 4}" if reach is None else str(reach)
        memory.say(
            f"the network looks {far} px around each pixel, tiles overlap by {overlap} px: near their borders the "
            "result can differ from that of the whole image"
        )
    return Tiling(tile, overlap, smallest)


class _Work:
    """One image being translated in tiles: what is known of it so far, and the size of tiles that still seems to fit.

    Args:
        network: that translates.
        image: that is translated.
        memory: how much at once, to begin with.
    """

    def __init__(self, network: Generator, image: Source, memory: Memory) -> None:
        tiling, statistics = plan(network, memory), memory.statistics
        self.network, self.image, self.overlap, self.smallest = network, image, tiling.overlap_px, tiling.smallest_px
        self.fitted = network.fit(image.height), network.fit(image.width)
        self.tile = min(tiling.tile_px, max(*self.fitted, tiling.smallest_px))
        self.device = device_of(network)
        self.moments: list[Moments] = []
        self.known = statistics == "none" or not has_shared_statistics(network)
        px, fitting = image.height * image.width, 0 if self.known else memory.fitting_px(network)
        self.pooled = not self.known and (statistics == "pooled" or (statistics == "auto" and px > fitting))
        self.most = max(fitting, self.tile**2)
        reduced = not self.known and statistics == "reduced"
        self.shown = Source(image.reduced(min(self.most, _REDUCED_PX)), image.channels) if reduced else image
        self.at_once = self.shown.height * self.shown.width <= fitting

    def measure(self) -> None:
        """Measure the statistics that are missing: at once, or norm by norm, keeping what is known if memory ends."""
        if self.known or self._is_one_tile():  # that sees the whole image and knows its statistics
            return
        if self.pooled:
            self.moments[:] = measure_pooled(self.network, self._groups())
        elif self.at_once:
            fitted = self.network.fit(self.shown.height), self.network.fit(self.shown.width)
            whole = self.shown.window((0, fitted[0]), (0, fitted[1]), fitted).to(self.device)
            self.moments[:] = measure_at_once(self.network, whole)
        else:
            while measure_next(self.network, self._windows(self.shown), self.moments):
                pass
        self.known = True

    def bands(self, done: int) -> Iterator[Tensor]:
        """Yield the rows from ``done`` on, each as soon as no further tile adds to it."""
        rows, columns = self._spans(self.image)
        height, width = self.image.height, self.image.width
        begun = torch.zeros(
            self.network.out_channels, 0, width
        )  # rows from `done` on to which a row of tiles has added
        for row in rows:
            first, last = max(row.counts[0], done), min(row.counts[1], height)
            if last <= done:
                continue
            band = torch.zeros(self.network.out_channels, last - first, width)
            band[:, : begun.shape[1]] = begun
            for column in columns:
                left, right = column.counts[0], min(column.counts[1], width)
                if left >= right:
                    continue
                window = self.image.window((row.start, row.stop), (column.start, column.stop), self.fitted)
                with placed(self.network, row.start, column.start, row.stop - row.start):
                    tile = translate_with(self.network, window.to(self.device), self.moments or None)[0]
                part = tile[:, first - row.start : last - row.start, left - column.start : right - column.start]
                weights = row.weights[first - row.counts[0] : last - row.counts[0], None]
                band[:, :, left:right] += part.float().cpu() * weights * column.weights[: right - left]
            settled = min(max(row.settled, first), last)
            if settled > first:
                yield band[:, : settled - first]
            begun, done = band[:, settled - first :].clone(), settled

    def shrink(self) -> str:
        """Ask for less memory from now on.

        Returns:
            What to say.

        Raises:
            DataError: if the tiles are the smallest already.
        """
        if not self.known and self.pooled and self.most > self.tile**2 // _TOGETHER and not self._is_one_tile():
            self.most //= 2
            return "out of memory: fewer windows at once for the statistics"
        if not self.known and self.at_once and not self._is_one_tile():
            self.at_once = False
            return "out of memory: statistics are measured tile by tile, not at once"
        if self.tile <= self.smallest:
            raise DataError(
                f"out of memory: not even a tile of {self.tile} px fits; close other programs, take a smaller overlap, "
                "or translate the image smaller"
            )
        before, multiple = self.tile, self.network.size_multiple
        self.tile = max(self.tile // 2 // multiple * multiple, self.smallest)
        return f"out of memory: tiles of {before} px were too large, going on with {self.tile} px"

    def _is_one_tile(self) -> bool:
        return max(self.fitted) <= self.tile

    def _spans(self, image: Source) -> tuple[list[Span], list[Span]]:
        rows, columns = (
            spans(self.network.fit(side), self.tile, self.overlap, self.network.size_multiple)
            for side in (image.height, image.width)
        )
        return rows, columns

    def _groups(self) -> Iterator[Tensor]:
        """Yield groups of windows, each from all over the image; all groups together are the image, or part of it.

        A window belongs to a group by its place in a plane that no direction repeats (the additive sequence of
        generalised golden ratios), so that every group holds some of every region.
        """
        multiple = self.network.size_multiple
        wanted = min(_WINDOW_PX, math.isqrt(self.most // _TOGETHER)) // multiple * multiple
        sides = [min(max(wanted, self.network.fit(1)), fitted) for fitted in self.fitted]
        starts = [_starts(fitted, side, multiple) for fitted, side in zip(self.fitted, sides, strict=True)]
        places = [
            ((_PLASTIC[0] * i + _PLASTIC[1] * j) % 1, top, left)
            for i, top in enumerate(starts[0])
            for j, left in enumerate(starts[1])
        ]
        places.sort()
        count = -(-len(places) * sides[0] * sides[1] // self.most)
        for group in sorted({number * count // min(count, _GROUPS) for number in range(min(count, _GROUPS))}):
            part = places[group * len(places) // count : (group + 1) * len(places) // count]
            windows = [
                self.image.window((top, top + sides[0]), (left, left + sides[1]), self.fitted) for _, top, left in part
            ]
            if windows:
                yield torch.cat(windows).to(self.device)

    def _windows(self, image: Source) -> Iterator[Window]:
        fitted = self.network.fit(image.height), self.network.fit(image.width)
        rows, columns = self._spans(image)
        for row in rows:
            for column in columns:
                seen = image.window((row.start, row.stop), (column.start, column.stop), fitted).to(self.device)
                core = [(span.core[0] - span.start, span.core[1] - span.start) for span in (row, column)]
                yield Window(seen, core[0], core[1], (row.start, column.start))


def _starts(side_px: int, window_px: int, multiple: int) -> list[int]:
    """Return where windows begin that cover a side, evenly, on the grid."""
    count = -(-side_px // window_px)
    return [i * (side_px - window_px) // max(count - 1, 1) // multiple * multiple for i in range(count)]


def _up_to_multiple(pixels: int, multiple: int) -> int:
    return -(-pixels // multiple) * multiple
