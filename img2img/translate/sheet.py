"""Several translators side by side: rows are pictures, columns the source and each translator."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from img2img import report
from img2img.errors import ConfigError, DataError
from img2img.image import (
    Mark,
    Picture,
    Pictures,
    atomically,
    fitted,
    format_of,
    montage,
    on_white,
    picture_of,
    write_picture,
    write_pictures,
)
from img2img.report import printable
from img2img.translate.files import Files
from img2img.translate.folder import reason
from img2img.translate.inputs import images, lies_within
from img2img.translate.report import spread
from img2img.translate.translator import Translator

Kept = TypeVar("Kept")

PAGE_SUFFIXES = {".html", ".htm"}
_SOURCE = "source"


@dataclass(frozen=True)
class Column:
    """One translator of a sheet.

    Args:
        translator: that translates.
        to: target domain; the main one by default.
        size: see :meth:`Translator.picture`.
    """

    translator: Translator
    to: str | None = None
    size: int | None = None

    @property
    def mark(self) -> Mark:
        """Who makes the pictures of this column."""
        return Mark.of(self.translator.header, self.translator.direction(self.to))

    def __call__(self, picture: Picture) -> Picture:
        """Translate."""
        return self.translator.picture(picture, self.to, self.size)


@dataclass(frozen=True)
class Made:
    """What became of the pictures.

    Attributes:
        shown: names on the sheet.
        failed: name to reason.
    """

    shown: list[str]
    failed: dict[str, str]


def names_of(models: Sequence[Path]) -> list[str]:
    """Call each model by the shortest end of its path that tells it from the others.

    Raises:
        ConfigError: if one is given twice.

    >>> names_of([Path("runs/a/best.safetensors"), Path("runs/b/best.safetensors")])
    ['a/best', 'b/best']
    """
    whole = [path.absolute() for path in models]
    parts = [(path.with_suffix("") if path.suffix == ".safetensors" else path).parts for path in whole]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-count:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    raise ConfigError(f"{', '.join(map(str, models))}: expected models that differ, one is given twice")


def write_sheet(
    columns: Mapping[str, Column],
    source: str | Path,
    out: Path,
    *,
    count: int = 8,
    width: int = 256,
    title: str = "",
) -> Made:
    """Translate some pictures by each translator and show them side by side; nothing is written if none is left.

    Args:
        columns: translators by the names that stand above them.
        source: an image, a folder or a pattern.
        out: the picture to write, or a page (``.html``) with pictures of full size; replaced if it is there.
        count: pictures, spread evenly over those found.
        width: longer side of a picture on the sheet in pixels; larger ones are reduced.
        title: above all; by default the direction.

    Returns:
        The names that are shown, and why others are not.

    Raises:
        DataError: if there are no images, or ``out`` cannot be written as asked.
    """
    as_page = out.suffix.lower() in PAGE_SUFFIXES
    if not as_page:
        try:
            format_of(out)
        except DataError as error:
            raise DataError(f"{error}, or .html for a page") from error
    found = images(source)
    if lies_within(out, source) or out.resolve() in {path.resolve() for _, path in found}:
        raise DataError(f"{out}: the sheet would lie among the pictures of {source}; choose another place")
    chosen = [found[index] for index in sorted(spread(len(found), count))]
    directions = dict.fromkeys(column.mark.direction.replace(":", " to ") for column in columns.values())
    title = title or ", ".join(directions)
    if as_page:
        pages, failed = _translated(columns, chosen, as_png)
        if pages:
            _write_page(out, pages, [_SOURCE, *columns], title, width)
        return Made(list(pages), failed)
    cells, failed = _translated(columns, chosen, partial(_reduced, side=width))
    if cells:
        sheet = montage(list(cells.values()), [_SOURCE, *columns], [printable(name) for name in cells], title)
        makers = dict.fromkeys(column.mark.translator for column in columns.values())
        out.parent.mkdir(parents=True, exist_ok=True)
        write_picture(out, picture_of(sheet, out.name), mark=Mark(", ".join(makers), composite=True))
    return Made(list(cells), failed)


def _translated(
    columns: Mapping[str, Column],
    chosen: Sequence[tuple[str, Path]],
    keep: Callable[[Picture, Mark | None], Kept],
) -> tuple[dict[str, list[Kept]], dict[str, str]]:
    """Return the rows by name, and why others failed; what is kept of a picture is all that stays in memory."""
    rows: dict[str, list[Kept]] = {}
    failed: dict[str, str] = {}
    for name, path in chosen:
        try:
            (picture, *_) = Files(frames="first").read(path, name).frames
            rows[name] = [keep(picture, None), *(keep(column(picture), column.mark) for column in columns.values())]
        except Exception as error:  # noqa: BLE001 (reason() raises what is ours to mend)
            failed[name] = reason(name, error)
    return rows, failed


def _reduced(picture: Picture, mark: Mark | None, side: int) -> Image.Image:
    del mark  # the sheet has one
    return Image.fromarray(fitted(np.asarray(on_white(picture)), side))


def as_png(picture: Picture, mark: Mark | None) -> bytes:
    """Return a PNG of what an eye sees of a picture, without what travelled along, and marked where asked."""
    data = io.BytesIO()
    shown = picture_of(on_white(picture), "picture")
    write_pictures(data, Pictures((shown,)), file_format="PNG", mark=mark)
    return data.getvalue()


def _write_page(
    out: Path, rows: Mapping[str, Sequence[bytes]], columns: Sequence[str], title: str, width_px: int
) -> None:
    shown = [(printable(name), [report.embedded(png) for png in pictures]) for name, pictures in rows.items()]
    hint = "A click shows a picture as large as the window, another puts it back."
    page = report.page(
        title,
        report.paragraph(hint),
        report.gallery(columns, shown, width_px),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomically(out) as file:
        file.write(page.encode())
