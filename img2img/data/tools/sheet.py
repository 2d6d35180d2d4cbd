"""Many pictures on one: a contact sheet of a folder, or of a data set's pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image

from img2img.data.folder import find_layout, list_names
from img2img.data.source import Source
from img2img.data.transforms import load_pixels
from img2img.errors import DataError
from img2img.image import fitted, montage

T = TypeVar("T")

_RGB = 3
_PAIR_GAP_PX, _GAP_PX = 2, 8


def contact_sheet(
    roots: Sequence[Path], *, pairs: bool = False, count: int = 24, columns: int | None = None, size_px: int = 160
) -> tuple[Image.Image, list[str]]:
    """Draw pictures of a folder with their names, evenly spaced over the list.

    Args:
        roots: a folder, or with ``pairs`` a data set as :func:`find_layout` takes it.
        pairs: draw source and target side by side.
        count: pictures, or pairs, at most.
        columns: pictures, or pairs, beside each other; by default what makes the sheet about square.
        size_px: longest side of a picture.

    Returns:
        The sheet, and what could not be read.

    Raises:
        DataError: if there are no images or none of them can be read.
    """
    cells, names, failed = [], [], []
    for sources, name in _chosen(_pairs(roots) if pairs else _singles(roots), count):
        try:
            pictures = [Image.fromarray(fitted(load_pixels(source, _RGB), size_px)) for source in sources]
        except DataError as error:
            failed.append(str(error))
        else:
            cells.append(montage([pictures], gap_px=_PAIR_GAP_PX))
            names.append(name)
    if not cells:
        raise DataError(f"none of {len(failed)} images can be read: {failed[0]}")
    across = columns or max(round(math.sqrt(len(cells) / (2 if pairs else 1))), 1)
    return montage(_in_rows(cells, across), captions=_in_rows(names, across), gap_px=_GAP_PX), failed


def _singles(roots: Sequence[Path]) -> list[tuple[list[Source], str]]:
    found = []
    for root in roots:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder")
        found += [([Source(root, "whole", name)], name) for name in list_names(root)]
    if not found:
        raise DataError(f"{', '.join(map(str, roots))}: no images found")
    return found


def _pairs(roots: Sequence[Path]) -> list[tuple[list[Source], str]]:
    layout = find_layout(roots, paired=True, allow_orphans=True)
    splits = {"": layout.train} if not (layout.validation or layout.test) else {"train/": layout.train}
    splits |= {name: split for name, split in (("val/", layout.validation), ("test/", layout.test)) if split}
    return [
        ([a, b], f"{name}{a.stem}") for name, split in splits.items() for a, b in zip(split.a, split.b, strict=True)
    ]


def _chosen(found: list[tuple[list[Source], str]], count: int) -> list[tuple[list[Source], str]]:
    taken = min(count, len(found))
    return [found[i * len(found) // taken] for i in range(taken)]


def _in_rows(items: Sequence[T], columns: int) -> list[Sequence[T]]:
    return [items[start : start + columns] for start in range(0, len(items), columns)]
