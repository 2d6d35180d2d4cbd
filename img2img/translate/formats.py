"""What files a translator takes and gives, where they are no plain pictures: what stands in its header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from img2img.data.manifest import Manifest, read_manifest
from img2img.errors import DataError
from img2img.image import Kind, Picture, Side, ValueRange, picture_side, read_side, suffixes


@dataclass(frozen=True)
class Formats:
    """The files of one direction.

    Attributes:
        columns: of the sources, as a manifest names them: ``a:rgb``.
        inputs: their kinds.
        output: the kind that is written.
    """

    columns: tuple[str, ...]
    inputs: Side
    output: Kind

    @classmethod
    def of(cls, header: Mapping[str, Any], direction: str) -> Formats | None:
        """Return what a header says of a direction; None where source and target are plain pictures.

        Raises:
            DataError: if a newer version knows kinds that this one does not.
        """
        about = header.get("directions", {}).get(direction, {})
        source, target = (about.get(end, {}) for end in ("input", "output"))
        if "columns" not in source and "columns" not in target:
            return None
        columns = source.get("columns") or [{"column": _side(header, direction)}]
        inputs = tuple(map(Kind.of, source["columns"])) if "columns" in source else picture_side(source["channels"])
        outputs = tuple(map(Kind.of, target["columns"])) if "columns" in target else picture_side(target["channels"])
        if len(outputs) != 1:
            raise DataError(f"{direction}: expected one output, got {len(outputs)}; this version writes one file each")
        return cls(tuple(str(column["column"]) for column in columns), inputs, outputs[0])

    def read(self, source: Any, name: str, beside: Sequence[Path], max_pixels: int | None) -> Picture:
        """Read the files of one sample.

        Raises:
            DataError: naming the one that cannot be read or is something else.
        """
        if 1 + len(beside) != len(self.inputs):
            raise DataError(f"{name}: this translator takes {self}: give a manifest (.csv) with these columns")
        names = [name, *(path.name for path in beside)]
        pixels = read_side([source, *beside], names, self.inputs, max_pixels)
        return Picture(pixels, None, "", None, None, "", side=self.inputs)

    @property
    def pairs(self) -> tuple[tuple[str, Kind], ...]:
        """The columns with their kinds."""
        return tuple(zip(self.columns, self.inputs, strict=True))

    @property
    def endings(self) -> frozenset[str]:
        """Name endings of files that may be sources."""
        return frozenset(ending for kind in self.inputs for ending in kind.endings)

    @property
    def deep(self) -> bool:
        """Whether anything has more than 8 bits, which bf16 would blur."""
        return any(kind.dtype.itemsize > 1 for kind in (*self.inputs, self.output))

    def __str__(self) -> str:
        return ", ".join(f"{column} ({kind.name})" for column, kind in self.pairs)


def planned(header: Mapping[str, Any], to: str | None, value_range: ValueRange | None) -> dict[str, Any]:
    """Return ``kinds``, ``written`` and ``rows`` for :func:`img2img.translate.inputs.plan`.

    Args:
        header: of the translator.
        to: target domain; the main one by default.
        value_range: of float files, where the translator takes pictures.
    """
    directions = list(header.get("directions", {})) or [""]
    direction = next((one for one in directions if to is not None and one.split(":")[-1] == to), directions[0])
    formats = Formats.of(header, direction)
    rows = partial(rows_of, header=header, direction=direction)
    if formats is None:
        return {"kinds": suffixes(value_range), "written": (), "rows": rows}
    return {"kinds": formats.endings, "written": formats.output.endings, "rows": rows}


def _side(header: Mapping[str, Any], direction: str) -> str:
    """Return the letter of a direction's source."""
    source, domains = direction.split(":", maxsplit=1)[0], header.get("domains", [])
    return "ab"[domains.index(source)] if source in domains else "a"


def rows_of(path: Path, header: Mapping[str, Any], direction: str) -> list[tuple[Path, str, tuple[Path, ...]]]:
    """Return first file, name and further files of every row of a manifest that has a translator's columns.

    Raises:
        DataError: naming the column that is missing or of another kind.
    """
    manifest = read_manifest(path)
    formats = Formats.of(header, direction)
    letter = _side(header, direction)
    having = manifest.of(letter)
    places = having[:1] if formats is None else tuple(_place(manifest, having, *one, formats) for one in formats.pairs)
    if not places:
        raise DataError(f"{path.name} line 1: no column of side {letter}, which this translator takes")
    rows = []
    for row in manifest.rows:
        source = manifest.source(row, places)
        if source is not None:
            rows.append((source.path, source.name, source.paths[1:]))
    return rows


def _place(manifest: Manifest, having: tuple[int, ...], key: str, kind: Kind, formats: Formats) -> int:
    """Return the number of the column that a translator takes; where there is one of each, its name does not matter."""
    found = [i for i in having if manifest.columns[i].key == key or len(formats.columns) == len(having) == 1]
    if not found:
        raise DataError(f"{manifest.path.name} line 1: no column {key}; this translator takes {formats}")
    column = manifest.columns[found[0]]
    if _said(column.kind) != _said(kind):
        raise DataError(
            f"{manifest.path.name} line 1, column {column.text}: this translator takes {kind.name} of {kind.channels}"
        )
    return found[0]


def _said(kind: Kind) -> tuple[Any, ...]:
    return kind.name, kind.channels, kind.value_range, kind.classes and kind.classes.ids
