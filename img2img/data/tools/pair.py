"""Two folders into pairs: one file side by side for each, or a list of which file belongs to which."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from img2img.data.folder import few, pair_folders
from img2img.data.source import Source
from img2img.data.split import same_shape, upright_size
from img2img.errors import DataError
from img2img.image import Picture, Plane, atomically, format_of, read_picture, resized, resized_plane, write_picture

Order = Literal["ab", "ba"]
"""Which folder is on the left."""

Existing = Literal["error", "skip", "overwrite"]
"""What to do about files that are there already: refuse before any work, leave them, or replace them."""

COLUMNS = ("a:rgb", "b:rgb")
"""Of a list of pairs: paths relative to the list's folder, to be read as RGB."""


@dataclass
class Pairing:
    """What was made.

    Attributes:
        written: names of the pairs written.
        skipped: names that were there already.
        left_out: images without a partner.
        failed: name to reason.
        notes: name to what the files held that the pair does not.
    """

    written: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    left_out: tuple[Source, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def pair_side_by_side(
    a: Path,
    b: Path,
    out: Path,
    *,
    order: Order = "ab",
    resize: bool = False,
    file_format: str = "png",
    existing: Existing = "error",
    allow_orphans: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Pairing:
    """Write one image for each pair of the same stem, the two side by side.

    Pictures come upright and in sRGB. A pair has 16 bits, colours or alpha if one of the two has; the other's levels
    are the same ones, multiplied by 257, repeated, or opaque. What the format does not hold is noted. Folders below
    ``a`` and ``b`` (train/, val/) are kept.

    Args:
        a: folder of the first domain.
        b: folder of the second.
        out: folder to write into, outside of both.
        order: ``ab`` puts a on the left.
        resize: bring a's image to the size of b's where they differ.
        file_format: name ending of the files.
        existing: see :data:`Existing`.
        allow_orphans: leave out images without a partner instead of refusing.
        progress: called with pairs done and all pairs.

    Raises:
        DataError: before any work: no pairs, other sizes, files that are there, a folder that cannot be used.
    """
    for folder in (a, b):
        if out.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"{out}: the output lies in the input folder {folder}; choose a folder outside it")
    ending = f".{file_format.lstrip('.')}"
    if format_of(Path(f"pair{ending}")) == "NPY":
        raise DataError(f"--format {file_format}: expected a format of pictures, such as png")
    pairs, left_out = pair_folders(a, b, allow_orphans=allow_orphans)
    done = Pairing(left_out=left_out)
    jobs = [(one, two, out / f"{one.stem}{ending}") for one, two in zip(pairs.a, pairs.b, strict=True)]
    if existing == "error" and (there := [target for _, _, target in jobs if target.exists()]):
        raise DataError(
            f"{few([str(path) for path in there])} {'is' if len(there) == 1 else 'are'} there already; "
            "choose another folder, or --existing skip or overwrite"
        )
    if not resize:
        _refuse_other_sizes([(one, two) for one, two, _ in jobs])
    for number, (one, two, target) in enumerate(jobs, 1):
        name = target.relative_to(out).as_posix()
        if existing == "skip" and target.exists():
            done.skipped.append(name)
        else:
            try:
                both, note = _together(one, two, order)
                target.parent.mkdir(parents=True, exist_ok=True)
                left_behind = write_picture(target, both)
            except DataError as error:
                done.failed[name] = str(error)
            else:
                done.written.append(name)
                if said := "; ".join(text for text in (note, *left_behind) if text):
                    done.notes[name] = said
        progress(number, len(jobs))
    return done


def pair_in_list(a: Path, b: Path, path: Path, *, existing: Existing = "error", allow_orphans: bool = False) -> Pairing:
    """Write a list of the pairs of the same stem, without touching the images.

    Args:
        a: folder of the first domain.
        b: folder of the second.
        path: of the list, a name that ends in ``.csv`` or ``.jsonl``; see :data:`COLUMNS`.
        existing: see :data:`Existing`.
        allow_orphans: leave out images without a partner instead of refusing.

    Raises:
        DataError: if there are no pairs, the ending is another, or the list is there already.
    """
    if path.suffix.lower() not in {".csv", ".jsonl"}:
        raise DataError(f"{path}: expected a list whose name ends in .csv or .jsonl")
    pairs, left_out = pair_folders(a, b, allow_orphans=allow_orphans)
    if path.exists() and existing != "overwrite":
        if existing == "skip":
            return Pairing(skipped=[one.stem for one in pairs.a], left_out=left_out)
        raise DataError(f"{path} is there already; choose another name, or --existing overwrite")
    rows = [
        tuple(Path(os.path.relpath(source.path, path.parent)).as_posix() for source in pair)
        for pair in zip(pairs.a, pairs.b, strict=True)
    ]
    if path.suffix.lower() == ".csv":
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        content = text.getvalue()
    else:
        lines = (json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) for row in rows)
        content = "\n".join(lines) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomically(path) as file:
        file.write(content.encode("utf-8", "surrogateescape"))
    return Pairing(written=[one.stem for one in pairs.a], left_out=left_out)


def _refuse_other_sizes(pairs: list[tuple[Source, Source]]) -> None:
    unequal = []
    for one, two in pairs:
        first, second = upright_size(one), upright_size(two)
        if first and second and first != second:
            unequal.append(f"{one.label} {first[0]}x{first[1]} and {two.label} {second[0]}x{second[1]}")
    if unequal:
        raise DataError(
            f"{len(unequal)} of {len(pairs)} pairs differ in size: {few(unequal)}; bring the first folder's images "
            "to the sizes of the second's with --resize, or make them alike yourself"
        )


def _together(one: Source, two: Source, order: Order) -> tuple[Picture, str]:
    """Read a pair and put it side by side, with a note of what is lost."""
    a, b = (read_picture(source.path, source.label, keep_16_bits=True) for source in (one, two))
    notes = [picture.reduced for picture in (a, b)]
    (height, width), (before_height, before_width) = b.pixels.shape[:2], a.pixels.shape[:2]
    if (before_height, before_width) != (height, width):
        if not same_shape((before_width, before_height), (width, height)):
            notes.append(f"stretched from {before_width}x{before_height} to {width}x{height}")
        alpha = None if a.alpha is None else resized_plane(a.alpha, height, width)
        a = replace(a, pixels=resized(a.pixels, height, width), alpha=alpha)
    deep = any(picture.pixels.dtype == np.uint16 for picture in (a, b))
    channels = max(picture.pixels.shape[2] for picture in (a, b))
    halves = [a, b] if order == "ab" else [b, a]
    pixels = np.concatenate([_as_asked(half.pixels, deep, channels) for half in halves], axis=1)
    transparent = any(half.alpha is not None for half in halves)
    alpha = np.concatenate([_alpha(half, deep) for half in halves], axis=1) if transparent else None
    return Picture(pixels, alpha, "PNG", None, None, ""), "; ".join(dict.fromkeys(filter(None, notes)))


def _as_asked(pixels: np.ndarray, deep: bool, channels: int) -> np.ndarray:
    wide = pixels.astype(np.uint16) * 257 if deep and pixels.dtype == np.uint8 else pixels
    return np.broadcast_to(wide, (*wide.shape[:2], channels))


def _alpha(picture: Picture, deep: bool) -> Plane:
    if picture.alpha is None:
        return np.full(picture.pixels.shape[:2], 65535 if deep else 255, np.uint16 if deep else np.uint8)
    return picture.alpha.astype(np.uint16) * 257 if deep and picture.alpha.dtype == np.uint8 else picture.alpha
