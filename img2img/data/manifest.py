"""A manifest: a CSV or JSONL list of which files belong together, and of what kind each column is."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from img2img.configured import nearest
from img2img.data.columns import GRAMMAR, Column, column_options, key_of, parse_column
from img2img.data.folder import SPLIT_NAMES
from img2img.data.source import Layout, Source, Split
from img2img.errors import DataError
from img2img.image import Side

MANIFEST_SUFFIXES = (".csv", ".jsonl")
_SPLIT = "split"
_DELIMITERS = ",;\t"


def is_manifest(path: Path) -> bool:
    """Tell by its name whether a path is a list and no folder."""
    return path.suffix.lower() in MANIFEST_SUFFIXES


@dataclass(frozen=True, slots=True)
class Row:
    """One line.

    Attributes:
        line: its number in the file, from 1.
        split: train, validation or test.
        cells: a path for each column, or "".
    """

    line: int
    split: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """A list of files by typed columns.

    Attributes:
        path: of the list; the paths in it are relative to its folder.
        columns: in the order of the header.
        rows: in the order of the file.
    """

    path: Path
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def of(self, side: str) -> tuple[int, ...]:
        """Return the numbers of the columns of a side."""
        return tuple(i for i, column in enumerate(self.columns) if column.side == side)

    def side(self, side: str) -> Side:
        """Return the kinds of the columns of a side."""
        return tuple(self.columns[i].kind for i in self.of(side))

    def source(self, row: Row, columns: Sequence[int]) -> Source | None:
        """Return where the files of some columns of a row are; None where the row has none of them.

        Raises:
            DataError: with line and column, if it has some of them only.
        """
        cells = [row.cells[i] for i in columns]
        if not any(cells):
            return None
        for i, cell in zip(columns, cells, strict=True):
            if not cell:
                raise DataError(
                    f"{self.where(row.line, i)}: no file, where the row's other columns of the side have one"
                )
        return Source(self.path.parent, "whole", cells[0], tuple(cells[1:]))

    def where(self, line: int, column: int | str) -> str:
        """Return how messages name a place."""
        text = column if isinstance(column, str) else self.columns[column].text
        return f"{self.path.name} line {line}, column {text}"


def read_manifest(path: Path, options: str | Mapping[str, Any] | None = None) -> Manifest:
    """Read a manifest; the files that it names are not looked at.

    CSV: a header, then a row for each sample; parted by commas, semicolons or tabs. JSONL: an object for each sample,
    all with the keys of the first. A column ``split`` says train (the default), val or test.

    Args:
        path: of a file that ends in ``.csv`` or ``.jsonl``, UTF-8.
        options: of the columns, see :func:`img2img.data.columns.column_options`.

    Raises:
        DataError: naming file, line and column.
    """
    text = _text(path)
    records = _jsonl(text, path) if path.suffix.lower() == ".jsonl" else _csv(text, path)
    head_line, header = next(records, (0, ()))
    if not header:
        raise DataError(f"{path}: an empty list; expected a header of columns and rows of files")
    for number, name in enumerate(header):
        if name in header[:number]:
            raise DataError(f"{path.name} line {head_line}, column {name}: it stands there twice; leave one out")
    stated = column_options(options, path)
    columns: list[Column] = []
    places = [i for i, name in enumerate(header) if name != _SPLIT]
    keys = [key_of(header[i]) for i in places]
    if unused := sorted(stated.keys() - set(keys)):
        raise DataError(f"options of column {unused[0]}: {path.name} has no such column{nearest(unused[0], keys)}")
    for i in places:
        try:
            columns.append(parse_column(header[i], stated))
        except DataError as error:
            raise DataError(f"{path.name} line {head_line}, column {header[i]}: {error}") from error
        if columns[-1].key in keys[: len(columns) - 1]:
            twin = columns[keys.index(columns[-1].key)].text
            raise DataError(
                f"{path.name} line {head_line}, column {header[i]}: a duplicate of {twin}; give it a name of its own, "
                "such as a:near=gray16"
            )
    if not columns:
        raise DataError(f"{path.name} line {head_line}: no column of images; expected {GRAMMAR}")
    split_at = header.index(_SPLIT) if _SPLIT in header else None
    rows = tuple(
        Row(line, _split(path, line, cells, split_at), tuple(cells[i] for i in places)) for line, cells in records
    )
    if not rows:
        raise DataError(f"{path}: a header without rows; expected a row of files for each sample")
    return Manifest(path, tuple(columns), rows)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: no such list, or it cannot be read ({error.strerror})") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path.name} line {line}: not UTF-8; save the list as UTF-8 (Excel: CSV UTF-8)") from error


def _csv(text: str, path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: tuple[str, ...] = ()
    try:
        for cells in reader:
            row = tuple(cell.strip() for cell in cells)
            if not any(row):
                continue
            if header and len(row) != len(header):
                raise DataError(
                    f"{path.name} line {reader.line_num}: {len(row)} cells, where the header has {len(header)} columns"
                )
            header = header or row
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{path.name} line {reader.line_num}: not valid CSV ({error})") from error


def _jsonl(text: str, path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path.name} line {number}"
        try:
            pairs = json.loads(line, object_pairs_hook=list)
        except ValueError as error:
            raise DataError(f"{where}: not valid JSON ({error})") from error
        if not (isinstance(pairs, list) and pairs and all(isinstance(pair, tuple) for pair in pairs)):
            raise DataError(f'{where}: expected an object of columns and files, such as {{"a:rgb": "photos/1.png"}}')
        keys = [key for key, _ in pairs]
        for key, value in pairs:
            if keys.count(key) > 1:
                raise DataError(f"{where}, column {key}: it stands there twice; leave one out")
            if value is not None and not isinstance(value, str):
                raise DataError(
                    f"{where}, column {key}: expected the path of a file in quotes, got {json.dumps(value)}"
                )
        if not header:
            header = tuple(keys)
            yield number, header
        for key in keys:
            if key not in header:
                raise DataError(f"{where}, column {key}: the first line has no such column{nearest(key, header)}")
        cells = dict(pairs)
        yield number, tuple((cells.get(key) or "").strip() for key in header)


def _split(path: Path, line: int, cells: Sequence[str], at: int | None) -> str:
    word = "" if at is None else cells[at].lower()
    if not word:
        return "train"
    for split, names in SPLIT_NAMES.items():
        if word in names:
            return split
    known = [name for names in SPLIT_NAMES.values() for name in names]
    raise DataError(f"{path.name} line {line}, column {_SPLIT}: no such split: {word}{nearest(word, known)}")


def layout_of(manifests: Sequence[Manifest], *, paired: bool, domains: Sequence[str] | None = None) -> Layout:
    """Sort the rows of manifests by split and side.

    Args:
        manifests: one, or one for each side of unpaired images.
        paired: whether the sides of a row belong together: then each row has both.
        domains: names of source and target; by default those of the columns.

    Raises:
        DataError: naming file, line and column.
    """
    found: dict[str, tuple[list[Source], list[Source]]] = {split: ([], []) for split in SPLIT_NAMES}
    for manifest in manifests:
        sides = {side: manifest.of(side) for side in "ab"}
        for row in manifest.rows:
            filled = 0
            for number, (side, columns) in enumerate(sides.items()):
                source = manifest.source(row, columns) if columns else None
                if source is not None:
                    found[row.split][number].append(source)
                    filled += 1
                elif paired and columns:
                    raise DataError(f"{manifest.where(row.line, columns[0])}: no file; a pair has both sides")
                elif paired:
                    raise DataError(f"{manifest.path.name} line 1: no column of side {side}; pairs have both")
            if not filled:
                raise DataError(f"{manifest.path.name} line {row.line}: no file in any column")
    splits = {split: Split(tuple(a), tuple(b)) for split, (a, b) in found.items()}
    for side, sources in zip("ab", (splits["train"].a, splits["train"].b), strict=True):
        if len(sources) < 2:  # noqa: PLR2004 (one to train on, one to validate on)
            names = ", ".join(manifest.path.name for manifest in manifests)
            raise DataError(f"{names}: expected two or more training rows with side {side}, got {len(sources)}")
    whole = {split: found if found.a and found.b else None for split, found in splits.items()}
    return Layout("manifest", domains_of(manifests, domains), splits["train"], whole["validation"], whole["test"])


def domains_of(manifests: Sequence[Manifest], given: Sequence[str] | None) -> tuple[str, str]:
    """Return the names of source and target: those given, else those of the columns.

    Raises:
        DataError: for names that are not two.
    """
    if given is not None:
        if len(given) != 2 or given[0] == given[1]:  # noqa: PLR2004 (a pair of domains)
            raise DataError(f"expected two different domain names, got {' '.join(given)}")
        return given[0], given[1]
    first = {side: next(m.columns[m.of(side)[0]].name for m in manifests if m.of(side)) for side in "ab"}
    return ("A", "B") if first["a"] == first["b"] else (first["a"], first["b"])


def sides_of(manifests: Sequence[Manifest], *, one_way: bool) -> tuple[Side, Side]:
    """Return the kinds of source and target.

    Args:
        manifests: one, or one for each side of unpaired images.
        one_way: whether sources are never translated into, so that they may have several columns.

    Raises:
        DataError: if a side has no column, columns in two manifests, or several where one file is written.
    """
    found: list[Side] = []
    for side in "ab":
        having = [manifest for manifest in manifests if manifest.of(side)]
        names = ", ".join(manifest.path.name for manifest in manifests)
        if len(having) != 1:
            many = "no column" if not having else "columns in two lists"
            raise DataError(f"{names} line 1: {many} of side {side}; expected a:KIND and b:KIND, each in one list")
        kinds = having[0].side(side)
        if len(kinds) > 1 and (side == "b" or not one_way):
            second = having[0].columns[having[0].of(side)[1]].text
            raise DataError(f"{names} line 1, column {second}: a second one of side {side}; a translation is one file")
        found.append(kinds)
    return found[0], found[1]
