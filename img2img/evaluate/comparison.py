"""The page on which the best weights are chosen by eye: a slider, contact sheets, curves, and what validation said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from img2img import report
from img2img.errors import DataError
from img2img.evaluate.contenders import Contender, Curve, Row, Say, by_stem, one_direction, rows, stem_of
from img2img.evaluate.publish import beside, page_of, publish
from img2img.report import printable
from img2img.translate.inputs import images, lies_within
from img2img.translate.report import spread

PAGE_NAME = "compare.html"
_SOURCE, _REFERENCE = "input", "reference"


@dataclass(frozen=True)
class Compared:
    """What became of a comparison.

    Attributes:
        page: the file; not written where nothing could be shown.
        shown: names of the inputs on it.
        failed: name to reason.
        outside: whether pictures lie in a folder beside it.
    """

    page: Path
    shown: list[str]
    failed: dict[str, str]
    outside: bool = False


def compare(
    contenders: Sequence[Contender],
    curves: Sequence[Curve],
    source: str | Path,
    out: Path,
    *,
    references: Path | None = None,
    to: str | None = None,
    count: int = 12,
    side_px: int = 256,
    title: str = "",
    say: Say = lambda _: None,
) -> Compared:
    """Translate some pictures by all contenders and write the page that shows them.

    Args:
        contenders: what is compared, a column each.
        curves: validation scores of their runs.
        source: an image, a folder or a pattern.
        out: the page, or a folder for it; replaced if it is there.
        references: folder of what ought to come out, by the names of the inputs; endings may differ.
        to: target domain; the main one by default.
        count: pictures, spread evenly over those found.
        side_px: longest side of a picture on the contact sheet until it is clicked.
        title: above all; by default the direction.
        say: told of each contender when its turn comes.

    Raises:
        DataError: if there are no images, or the page cannot be written as asked.
        ConfigError: if the contenders do not take one direction.
    """
    page = page_of(out, PAGE_NAME)
    direction = one_direction(contenders, to)
    found = inputs(source, page)
    paired = by_stem(references) if references else {}
    if references:
        found = paired_with(found, paired, references)
    chosen = [found[index] for index in sorted(spread(len(found), count))]
    known = {name: paired[stem_of(name)] for name, _ in chosen} if references else {}
    made, failed = rows(contenders, chosen, known, say=say)
    if not made:
        return Compared(page, [], failed)
    title = title or direction.replace(":", " to ")
    pictures = [png for row in made for png in _cells(row)]

    def render(addresses: Sequence[str]) -> str:
        return _page(title, contenders, curves, made, addresses, side_px)

    outside = publish(page, pictures, render)
    return Compared(page, [row.name for row in made], failed, outside)


def inputs(source: str | Path, page: Path) -> list[tuple[str, Path]]:
    """Return name and place of the pictures to translate.

    Raises:
        DataError: if there are none, or what is written would lie among them.
    """
    found = images(source)
    if lies_within(page, source) or lies_within(beside(page), source):
        raise DataError(f"{page}: the page would lie among the pictures of {source}; choose another place")
    return found


def paired_with(
    found: Sequence[tuple[str, Path]], paired: Mapping[str, Path], references: Path
) -> list[tuple[str, Path]]:
    """Return the inputs that have a reference.

    Raises:
        DataError: if none has.
    """
    both = [(name, path) for name, path in found if stem_of(name) in paired]
    if not both:
        raise DataError(
            f"{references}: expected references named as the inputs, such as {stem_of(found[0][0])}; got "
            f"{next(iter(paired))} and the like"
        )
    return both


def asset(name: str) -> str:
    """Return the text of a style sheet or a script of the pages."""
    return (files("img2img.evaluate") / "pages" / name).read_text(encoding="utf-8")


def _cells(row: Row) -> list[bytes]:
    return [row.source, *row.outputs, *([row.reference] if row.reference is not None else [])]


def _page(
    title: str,
    contenders: Sequence[Contender],
    curves: Sequence[Curve],
    made: Sequence[Row],
    addresses: Sequence[str],
    side_px: int,
) -> str:
    heads = [f"{one.name} (best by validation)" if one.best else one.name for one in contenders]
    columns = [_SOURCE, *map(printable, heads), *([_REFERENCE] if made[0].reference is not None else [])]
    across = len(columns)
    sheet = [(printable(row.name), addresses[index * across : (index + 1) * across]) for index, row in enumerate(made)]
    hint = "A click, or Space, shows a picture as large as the window, another puts it back."
    first = next((index for index, one in enumerate(contenders) if one.best), len(contenders) - 1)
    return report.page(
        title,
        report.section("Before and after", _slider([name for name, _ in sheet], columns, first + 1)),
        report.section("Side by side", report.paragraph(hint), report.gallery(columns, sheet, side_px)),
        report.section("What was compared", _table(contenders)),
        *(report.section(f"{score} while training", drawn) for score, drawn in _drawn(curves)),
        style=asset("slider.css"),
        script=asset("slider.js"),
    )


def _slider(names: Sequence[str], columns: Sequence[str], right: int) -> str:
    menus = "".join(
        f'<label>{word}<select id="{key}">{_options(words, chosen)}</select></label>'
        for key, word, words, chosen in (
            ("picture", "picture", names, 0),
            ("left", "left", columns, 0),
            ("right", "right", columns, right),
        )
    )
    buttons = "".join(
        f'<button type="button" id="{key}">{word}</button>'
        for key, word in (("before", "previous picture"), ("next", "next picture"), ("swap", "swap sides"))
    )
    return (
        f'<div class="slider"><div class="menus">{menus}{buttons}</div>'
        '<div class="stage"><img alt=""><img alt=""><i></i></div>'
        '<input type="range" id="cut" min="0" max="100" step="0.5" value="50" aria-label="place of the cut">'
        '<div class="ends"><span id="left-end"></span><span id="right-end"></span></div></div>'
    )


def _options(words: Sequence[str], chosen: int) -> str:
    return "".join(
        f"<option{' selected' * (index == chosen)}>{escape(word)}</option>" for index, word in enumerate(words)
    )


def _table(contenders: Sequence[Contender]) -> str:
    lines = [
        (
            printable(one.name),
            f"{one.images:,}" if one.images else "not known",
            "not validated" if one.score is None else one.score,
            "best by validation" if one.best else "",
            printable(str(one.path)),
        )
        for one in contenders
    ]
    head = ("", "images seen", "validation score", "", "file")
    return f'<div class="scroll">{report.table(lines, head)}</div>'


def _drawn(curves: Sequence[Curve]) -> list[tuple[str, str]]:
    """Draw each score over all runs that have it, with the best of each ringed where the score decides."""
    found = []
    for score in dict.fromkeys(curve.score for curve in curves):
        these = [curve for curve in curves if curve.score == score]
        best = [
            (*min(curve.points, key=lambda point: point[1]), f"best, {curve.run}") for curve in these if curve.decides
        ]
        lines = {printable(curve.run): curve.points for curve in these}
        found.append((score.removeprefix("validation/"), report.curves(lines, "images", best)))
    return found
