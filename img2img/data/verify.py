"""The files of a manifest before a training starts: there, of the kind that was said, of sizes that fit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from img2img.data.manifest import Manifest
from img2img.data.split import QUARTER_TURNS, orientation
from img2img.errors import DataError
from img2img.image import Kind, Side, opened, palette_of, read_kind
from img2img.image.deep import is_deep

_GREY_MODES = frozenset({"1", "L", "LA", "I;16", "I;16B", "I;16L"})
_MOST_THREADS = 8


class Fault(NamedTuple):
    """What is wrong with one file.

    Attributes:
        where: manifest, line and column.
        said: the file and the reason.
    """

    where: str
    said: str


class Look(NamedTuple):
    """What all files of manifests came to.

    Attributes:
        faults: in the order of the rows.
        pixels: how many pixels of each class there are, by the column of label maps: (id, name, count) each.
        files: how many were looked at.
    """

    faults: tuple[Fault, ...]
    pixels: dict[str, tuple[tuple[int, str, int], ...]]
    files: int


class _Seen(NamedTuple):
    size: tuple[int, int] | None
    counts: np.ndarray | None
    fault: str


def look(manifests: Sequence[Manifest]) -> Look:
    """Look at every file, each once.

    Label maps and arrays are read whole: their ids and values are what is checked. Of pictures the head is read, unless
    a coloured one stands where a grey one was said.
    """
    asked = {
        (manifest.path.parent / cell, column.kind): cell
        for manifest in manifests
        for row in manifest.rows
        for column, cell in zip(manifest.columns, row.cells, strict=True)
        if cell
    }
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        found = pool.map(lambda item: _seen(item[0][0], item[1], item[0][1]), asked.items())
        seen = dict(zip(asked, found, strict=True))
    faults: list[Fault] = []
    pixels: dict[str, np.ndarray] = {}
    for manifest in manifests:
        for row in manifest.rows:
            sizes: dict[str, tuple[tuple[int, int], str]] = {}
            for number, (column, cell) in enumerate(zip(manifest.columns, row.cells, strict=True)):
                if not cell:
                    continue
                one = seen[manifest.path.parent / cell, column.kind]
                if one.fault:
                    faults.append(Fault(manifest.where(row.line, number), one.fault))
                if one.counts is not None:
                    pixels[column.text] = pixels.get(column.text, 0) + one.counts
                if one.size is not None:
                    first, name = sizes.setdefault(column.side, (one.size, cell))
                    if first != one.size:
                        said = f"{cell}: {_by(one.size)} px, but {name} has {_by(first)}; expected one size"
                        faults.append(Fault(manifest.where(row.line, number), said))
    return Look(tuple(faults), _named(manifests, pixels), len(asked))


def verify(manifests: Sequence[Manifest]) -> None:
    """Refuse manifests with a file that is missing or not what was said.

    Raises:
        DataError: naming the first one with line and column, and how many there are.
    """
    faults = look(manifests).faults
    if faults:
        more = f" (and {len(faults) - 1} more: see img2img data check)" if len(faults) > 1 else ""
        raise DataError(f"{faults[0].where}: {faults[0].said}{more}")


def coloured(manifests: Sequence[Manifest], sides: tuple[Side, Side]) -> tuple[Side, Side]:
    """Give label maps whose palette nobody stated the one that their first file has."""
    found = []
    for letter, side in zip("ab", sides, strict=True):
        (manifest,) = (one for one in manifests if one.of(letter))
        kinds = []
        for number, kind in zip(manifest.of(letter), side, strict=True):
            cells = (row.cells[number] for row in manifest.rows if row.cells[number])
            kinds.append(_coloured(kind, manifest.path.parent / next(cells)))
        found.append(tuple(kinds))
    return found[0], found[1]


def _coloured(kind: Kind, path: Path) -> Kind:
    if kind.classes is None or kind.classes.colours is not None or not (levels := palette_of(path)):
        return kind
    triples = [tuple(levels[at : at + 3]) for at in range(0, len(levels), 3)]
    colours = [triples[one] for one in kind.classes.ids if one < len(triples)]
    if len(set(colours)) < len(kind.classes):
        return kind
    return kind.painted(tuple((red, green, blue) for red, green, blue in colours))


def _seen(path: Path, name: str, kind: Kind) -> _Seen:
    try:
        if kind.classes is not None or kind.is_array or (size := _head(path, name, kind)) is None:
            planes = read_kind(path, name, kind)
            counts = None if kind.classes is None else np.bincount(planes.ravel(), minlength=kind.channels + 1)
            return _Seen((planes.shape[1], planes.shape[0]), counts, "")
    except DataError as error:
        return _Seen(None, None, str(error))
    return _Seen(size, None, "")


def _head(path: Path, name: str, kind: Kind) -> tuple[int, int] | None:
    """Return the size of a picture whose head says that it is of its kind; None where only its pixels can."""
    with opened(path, name) as image:
        deep, grey = is_deep(image), image.mode in _GREY_MODES
        if deep != (kind.dtype == np.uint16) or image.mode in {"F", "I"}:
            return None
        if not kind.is_picture and (image.has_transparency_data or (kind.channels == 1) != grey):
            return None
        if kind.channels == 1 and not grey:
            return None
        return image.size[::-1] if orientation(image) in QUARTER_TURNS else image.size


def _named(manifests: Sequence[Manifest], pixels: dict[str, np.ndarray]) -> dict[str, tuple[tuple[int, str, int], ...]]:
    found = {}
    for column in (column for manifest in manifests for column in manifest.columns):
        if column.kind.classes is not None and column.text in pixels:
            classes = column.kind.classes
            counts = pixels[column.text].tolist()
            named = [*zip(classes.ids, classes.names, counts, strict=False)]
            found[column.text] = tuple(named if classes.void is None else [*named, (classes.void, "void", counts[-1])])
    return found


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
