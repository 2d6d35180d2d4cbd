"""TIFFs of any size: regions read, and rows written as they come (TIFF 6.0, Adobe 1992; BigTIFF beyond 4 GB)."""

from __future__ import annotations

import contextlib
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from torch import Tensor

from img2img.errors import DataError
from img2img.image import atomically
from img2img.networks.base import Generator
from img2img.translate.memory import Memory
from img2img.translate.tiles import translate_bands

_SEGMENT_BYTES = 1 << 28
"""Strips or tiles larger than this are refused: they can only be decoded whole."""
_CACHE_BYTES = 1 << 28
_DEFLATE = {tifffile.COMPRESSION.ADOBE_DEFLATE, tifffile.COMPRESSION.DEFLATE}
_CONTIGUOUS_ROWS = 64
_WRITTEN_TILE_PX = 256
_CLASSIC_BYTES = (1 << 32) - (1 << 25)
"""What fits into a TIFF with 32-bit offsets, tables included."""


class TiffRegions:
    """The first page of an open TIFF: 8 or 16 bits, grey or RGB, in strips or tiles, however compressed.

    Only what a region touches is read and decoded; the latest 256 MB decoded are kept, as neighbours share strips.

    Args:
        file: open TIFF.
        name: what messages call it.

    Attributes:
        shape: (H, W, C), C 1 or 3.
        dtype: uint8 or uint16.
        icc_profile: embedded colour profile, or None.
        num_pages: in the file.

    Raises:
        DataError: if it holds something else; the message names it.
    """

    def __init__(self, file: tifffile.TiffFile, name: str) -> None:
        page = file.pages.first
        self.page, self.name, self.handle = page, name, file.filehandle
        self.num_pages = len(file.pages)
        self.shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
        self.dtype = np.dtype(page.dtype or object).newbyteorder("=")
        _refuse(page, self.dtype, name)
        self.icc_profile: bytes | None = getattr(page.tags.get("InterColorProfile"), "value", None)
        self.inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        self.planes = self.shape[2] if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1
        # one run of rows on the disk is read in any pieces, whatever strips it was written as
        self.contiguous = self.planes == 1 and not page.is_tiled and bool(page.is_contiguous)
        if self.contiguous:
            self.step = (_CONTIGUOUS_ROWS, self.shape[1])
        elif page.is_tiled:
            self.step = (page.tilelength, page.tilewidth)
        else:
            self.step = (min(page.rowsperstrip, self.shape[0]), self.shape[1])
        size = self._segment_bytes()
        if size > _SEGMENT_BYTES:
            raise DataError(
                f"{name}: its strips or tiles hold {size / 1e6:.0f} MB each and can only be decoded whole; "
                "save it in tiles or in strips of fewer rows"
            )
        self._kept: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._segment(0)  # what cannot be decoded is said before any work

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[Any]:
        """Return rows and columns as [h, w, C]; both with from and to inside the image."""
        rows, columns = part
        (high, wide), (height, width, channels) = self.step, self.shape
        across, down = -(-width // wide), -(-height // high)
        region = np.empty((rows.stop - rows.start, columns.stop - columns.start, channels), self.dtype)
        for plane in range(self.planes):
            into = slice(None) if self.planes == 1 else slice(plane, plane + 1)
            for y in range(rows.start // high, -(-rows.stop // high)):
                for x in range(columns.start // wide, -(-columns.stop // wide)):
                    segment = self._segment((plane * down + y) * across + x)
                    to_y, from_y = _shared(rows, y * high, segment.shape[0])
                    to_x, from_x = _shared(columns, x * wide, segment.shape[1])
                    region[to_y, to_x, into] = segment[from_y, from_x]
        return np.iinfo(self.dtype).max - region if self.inverted else region

    def _segment_bytes(self) -> int:
        return int(self.step[0] * self.step[1] * (self.shape[2] // self.planes) * self.dtype.itemsize)

    def _segment(self, index: int) -> NDArray[Any]:
        """Return a strip, a tile or some rows, [h, w, C or 1]."""
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        try:
            segment = self._rows(index) if self.contiguous else self._decoded(index)
        except (ValueError, OSError, RuntimeError, IndexError, TypeError, zlib.error) as error:
            reason = " ".join(str(error).split())
            needs = "'imagecodecs'" in reason
            raise DataError(
                f"{self.name}: {reason}: pip install imagecodecs, or save it with deflate or no compression"
                if needs
                else f"{self.name}: damaged or truncated ({reason})"
            ) from error
        self._kept[index] = segment
        while sum(each.nbytes for each in self._kept.values()) > _CACHE_BYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return segment

    def _rows(self, index: int) -> NDArray[Any]:
        height, width, channels = self.shape
        high = min(self.step[0], height - index * self.step[0])
        row_bytes = width * channels * self.dtype.itemsize
        self.handle.seek(self.page.dataoffsets[0] + index * self.step[0] * row_bytes)
        data = self.handle.read(high * row_bytes)
        stored = self.dtype.newbyteorder(self.page.parent.byteorder)
        return np.frombuffer(data, stored).reshape(high, width, channels)

    def _decoded(self, index: int) -> NDArray[Any]:
        size = self.page.databytecounts[index]
        if size == 0:  # a hole: nothing was written there
            return np.zeros((*self.step, self.shape[2] // self.planes), self.dtype)
        self.handle.seek(self.page.dataoffsets[index])
        data = self.handle.read(size)
        if len(data) < size:
            raise ValueError("the file ends too early")
        most = self._segment_bytes()
        if self.page.compression in _DEFLATE and len(zlib.decompressobj().decompress(data, most + 1)) > most:
            raise ValueError("more pixels in a strip or tile than the file says")  # a few kilobytes can hold gigabytes
        segment = self.page.decode(data, index, jpegtables=self.page.jpegtables)[0]
        assert segment is not None
        return segment[0]  # type: ignore[no-any-return]  # of a depth of one


@contextlib.contextmanager
def open_regions(path: Path, max_pixels: int) -> Iterator[TiffRegions]:
    """Open a TIFF to read regions of it.

    Without the package imagecodecs: no compression, deflate, LZMA or PackBits; with it also LZW, JPEG, Zstandard and
    others.

    Args:
        path: of the file.
        max_pixels: larger images are refused.

    Raises:
        DataError: if it is missing, damaged, too large, or holds something other than 8 or 16 bits of grey or RGB.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(tifffile.TiffFile(path))
            _ = file.pages.first
        except FileNotFoundError as error:
            raise DataError(f"{path}: no such file") from error
        except (OSError, ValueError, IndexError, tifffile.TiffFileError) as error:
            raise DataError(f"{path}: not a TIFF that can be read ({' '.join(str(error).split())})") from error
        regions = TiffRegions(file, str(path))
        pixels = regions.shape[0] * regions.shape[1]
        if pixels > max_pixels:
            raise DataError(
                f"{path}: {pixels / 1e6:.0f} megapixels, more than the {max_pixels / 1e6:.0f} that are read; "
                "raise --max-pixels if you trust the file"
            )
        yield regions


@dataclass(frozen=True)
class TiffForm:
    """What a TIFF that is written looks like.

    Attributes:
        shape: (H, W, C), C 1 or 3.
        dtype: uint8 or uint16.
        icc_profile: colour profile to embed, or None.
        compression: ``zlib`` (deflate, readable everywhere) or None.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    icc_profile: bytes | None = None
    compression: Literal["zlib"] | None = "zlib"


def write_tiff(path: Path, bands: Iterable[Tensor], form: TiffForm) -> None:
    """Write rows as they come, in tiles of 256 px; the file is whole or not there.

    BigTIFF where the pixels need more than 4 GB uncompressed.

    Args:
        path: of the file.
        bands: rows from the top, float [C, n, W] in [-1, 1]; rounded to the nearest and clipped.
        form: of the file.

    Raises:
        OSError: if the folder cannot be written or the disk is full; nothing is left behind then.
    """
    height, width, channels = form.shape
    size = height * width * channels * form.dtype.itemsize
    with contextlib.ExitStack() as stack:
        named = tifffile.FileHandle(stack.enter_context(atomically(path)), name=path.name)
        writer = stack.enter_context(tifffile.TiffWriter(named, bigtiff=size > _CLASSIC_BYTES))
        writer.write(
            _cut(bands, form),
            shape=form.shape if channels > 1 else form.shape[:2],
            dtype=form.dtype,
            tile=(_WRITTEN_TILE_PX, _WRITTEN_TILE_PX),
            photometric="rgb" if channels > 1 else "minisblack",
            planarconfig="contig" if channels > 1 else None,
            compression=form.compression,
            iccprofile=form.icc_profile,
            metadata=None,
            software="img2img",
            maxworkers=1,  # more would ask for rows ahead
        )


def translate_tiff(
    network: Generator,
    source: Path,
    target: Path,
    *,
    max_pixels: int,
    memory: Memory | None = None,
) -> None:
    """Translate a TIFF of any size into another, with the same bits a value and the same colour profile.

    Args:
        network: in ``eval()``; runs where its weights are.
        source: a TIFF, see :func:`open_regions`.
        target: where to write.
        max_pixels: larger images are refused.
        memory: how much at once; by default what fits.

    Raises:
        DataError: if the source cannot be read, or not even the smallest tile fits into memory.
    """
    memory = memory or Memory()
    with open_regions(source, max_pixels) as regions:
        if regions.num_pages > 1:
            memory.say(f"{source}: the first of {regions.num_pages} pages")
        profile = regions.icc_profile if regions.shape[2] == network.out_channels else None
        form = TiffForm((*regions.shape[:2], network.out_channels), regions.dtype, profile)
        write_tiff(target, translate_bands(network, regions, memory), form)


def _refuse(page: Any, dtype: np.dtype[Any], name: str) -> None:
    photometric = tifffile.PHOTOMETRIC
    allowed = {1: {photometric.MINISBLACK, photometric.MINISWHITE}, 3: {photometric.RGB}}
    bits = page.bitspersample
    if dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)} or bits != 8 * dtype.itemsize:
        raise DataError(f"{name}: expected 8 or 16 bits a value, got {bits} ({page.dtype}); save it with 8 or 16")
    if page.photometric not in allowed.get(page.samplesperpixel, ()) or page.imagedepth != 1:
        kind = getattr(page.photometric, "name", page.photometric)
        raise DataError(
            f"{name}: expected grey or RGB without alpha, got {kind} with {page.samplesperpixel} values a pixel; "
            "convert it first"
        )
    orientation = getattr(page.tags.get("Orientation"), "value", 1)
    if orientation != 1:
        raise DataError(f"{name}: stored turned or mirrored (orientation {int(orientation)}); save it upright first")


def _shared(wanted: slice, start: int, length: int) -> tuple[slice, slice]:
    """Return where a segment's part lies in the wanted region, and where in the segment."""
    first, last = max(wanted.start, start), min(wanted.stop, start + length)
    return slice(first - wanted.start, last - wanted.start), slice(first - start, last - start)


def _cut(bands: Iterable[Tensor], form: TiffForm) -> Iterator[NDArray[Any]]:
    """Turn rows of any number into full tiles, row by row of tiles; the last ones are filled up with zeros."""
    side, (_, width, channels) = _WRITTEN_TILE_PX, form.shape
    waiting = np.zeros((0, width, channels), form.dtype)
    for rows in (part for band in bands for part in torch.split(band, side, dim=1)):  # a copy of few rows at a time
        levels = rows.float().add(1).mul(np.iinfo(form.dtype).max / 2).round().clamp(0, np.iinfo(form.dtype).max)
        pixels = levels.permute(1, 2, 0).numpy().astype(form.dtype)
        waiting = np.concatenate([waiting, pixels]) if len(waiting) else pixels
        whole = len(waiting) // side * side
        for top in range(0, whole, side):
            yield from _tiles(waiting[top : top + side])
        waiting = waiting[whole:].copy()
    if len(waiting):
        yield from _tiles(waiting)


def _tiles(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    side = _WRITTEN_TILE_PX
    for left in range(0, rows.shape[1], side):
        part = rows[:, left : left + side]
        full = np.zeros((side, side, part.shape[2]), part.dtype)
        full[: part.shape[0], : part.shape[1]] = part
        yield full if part.shape[2] > 1 else full[..., 0]
