"""Images in tar files: for sets of so many that a file system is slow with them.

A folder of shards holds ``000000.tar``, ... and ``index.jsonl``, which says where in them every file lies. Uncompressed
tar files can be read anywhere, so that every draw stays a function of (seed, epoch, index) and a training that is
resumed goes on with the sample that it would have had; WebDataset's reader, which goes through its shards from the
beginning and shuffles in a buffer, can promise neither. It reads these shards all the same: their files are named as
it wants (``SPLIT/STEM.DOMAIN.jpg``, pairs next to each other).
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from img2img.data.source import Half, Source, Split
from img2img.errors import DataError

INDEX, FORMAT, BLOCK_BYTES = "index.jsonl", 1, 512
"""The index's name, the version of what is written, and what sizes in tar files are rounded up to."""

SIDES: tuple[Half, Half] = ("left", "right")
_ANEW = "make the shards anew with img2img data shard"
_MAGIC, _SIZE = slice(257, 262), slice(124, 135)


class Shards:
    """Where the files of a folder of shards lie.

    Args:
        folder: with the tar files.
        names: of the tar files.
        places: int64 [N, 3]: number of the tar file, offset and length in bytes of each file.

    Raises:
        DataError: if a tar file is not there.
    """

    def __init__(self, folder: Path, names: Sequence[str], places: NDArray[np.int64]) -> None:
        self.folder, self.names, self.places = folder, names, places
        self.mtimes_ns = [(folder / name).stat().st_mtime_ns for name in names]

    def read(self, number: int, label: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            DataError: with the label, if the tar file cannot be read or holds something else there.
        """
        shard, offset, length = map(int, self.places[number])
        name = self.names[shard]
        try:
            with (self.folder / name).open("rb") as file:
                file.seek(offset - BLOCK_BYTES)
                head, data = file.read(BLOCK_BYTES), file.read(length)
        except OSError as error:
            raise DataError(f"{label}: {name} cannot be read ({error.strerror}); copy it again") from error
        if len(data) != length or head[_MAGIC] != b"ustar" or head[_SIZE] != f"{length:011o}".encode():
            raise DataError(f"{label}: {name} does not have it where {INDEX} says; copy both again, or {_ANEW}")
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Member(Source):
    """An image in a shard.

    Attributes:
        shards: of the folder.
        number: of its place in them.
    """

    shards: Shards = field(compare=False, repr=False)
    number: int

    def read(self) -> bytes:
        """Return the bytes of the file."""
        return self.shards.read(self.number, self.label)

    @property
    def file(self) -> Path | BinaryIO:
        """Return what is to be opened."""
        return io.BytesIO(self.read())

    def stamp(self) -> tuple[int, int]:
        """Return the bytes of the file, and when its shard changed last in nanoseconds."""
        shard, _, length = map(int, self.shards.places[self.number])
        return length, self.shards.mtimes_ns[shard]


def has_index(roots: Sequence[Path]) -> bool:
    """Return whether this is a folder of shards."""
    return len(roots) == 1 and (roots[0] / INDEX).is_file()


def refuse_shards(roots: Sequence[Path], what: str) -> None:
    """Refuse a folder of shards where files are needed.

    Raises:
        DataError: saying what does not look into shards.
    """
    if has_index(roots):
        raise DataError(f"{roots[0]}: {what} does not look into shards; expected the folder that they were made from")


def read_index(root: Path, domains: Sequence[str] | None) -> tuple[str, tuple[str, str], dict[str, Split]]:
    """Return the kind of the layout in a folder of shards, the names of its domains, and every image by split.

    Args:
        root: the folder.
        domains: the names of its domains in the wanted order.

    Raises:
        DataError: if index and shards do not fit together, or the domains are others.
    """
    path = root / INDEX
    try:
        with path.open(encoding="utf-8") as file:
            head = json.loads(next(file))
            kind, names = head["layout"], (head["domains"][0], head["domains"][1])
            shards: dict[str, int] = head["shards"]
            if head["format"] != FORMAT:
                raise DataError(f"{path}: expected format {FORMAT}, got {head['format']}; a newer version reads it")
            lines = [json.loads(line) for line in file]
            places = np.array([(line["shard"], line["offset"], line["length"]) for line in lines], np.int64)
            files = [(line["split"], line["domain"], line["name"]) for line in lines]
    except (OSError, ValueError, LookupError, TypeError, StopIteration) as error:
        raise DataError(f"{path}: not an index of shards, or damaged; copy it again, or {_ANEW}") from error
    _refuse_misfits(root, shards, places.reshape(-1, 3))
    order = _order(names, domains, kind, root)
    return kind, order, _splits(Shards(root, list(shards), places), kind, order, files)


def _splits(
    shards: Shards, kind: str, domains: tuple[str, str], files: Sequence[tuple[str, str, str]]
) -> dict[str, Split]:
    folders: dict[tuple[str, str], Path] = {}
    found: dict[str, dict[str, list[Member]]] = {}
    for number, (split, domain, name) in enumerate(files):
        folder = folders.setdefault((split, domain), shards.folder / split / domain)
        halves: list[tuple[str, Half]] = [(domain, "whole")]
        if kind == "side by side":
            halves = list(zip(domains, SIDES, strict=True))
        for of, half in halves:
            member = Member(folder, half, name, shards=shards, number=number)
            found.setdefault(split, {}).setdefault(of, []).append(member)
    a, b = domains
    return {split: Split(tuple(of.get(a, ())), tuple(of.get(b, ()))) for split, of in found.items()}


def _refuse_misfits(root: Path, shards: dict[str, int], places: NDArray[np.int64]) -> None:
    for name, expected in shards.items():
        try:
            size = (root / name).stat().st_size
        except OSError as error:
            raise DataError(f"{root / name}: no such file, but {INDEX} names it; copy it again") from error
        if size != expected:
            what = "truncated" if size < expected else "another file"
            raise DataError(f"{root / name}: expected {expected:,} bytes, got {size:,}: {what}; copy it again")
    sizes = np.array([*shards.values(), 0], np.int64)
    number, offset, length = places.T
    inside = (number >= 0) & (number < len(shards)) & (offset >= BLOCK_BYTES) & (length >= 0)
    inside &= offset + length <= sizes[np.where(inside, number, -1)]
    if not inside.all():
        line = int(np.argmin(inside)) + 2
        raise DataError(f"{root / INDEX}, line {line}: expected a place inside its shard; copy it again, or {_ANEW}")


def _order(names: tuple[str, str], domains: Sequence[str] | None, kind: str, root: Path) -> tuple[str, str]:
    if domains is None or kind == "side by side":  # whose halves are named by the caller
        return names
    if set(domains) == set(names):
        return domains[0], domains[1]
    raise DataError(f"--domains {' '.join(domains)}: the domains in {root} are {names[0]} and {names[1]}")


def encoded(**line: Any) -> str:
    """Return a line of the index."""
    return json.dumps(line, separators=(",", ":")) + "\n"
