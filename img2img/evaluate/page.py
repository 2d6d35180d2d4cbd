"""An evaluation as one HTML page: numbers, what to know, the pictures at hand, and the whole protocol."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from img2img import report
from img2img.data.source import Source
from img2img.data.transforms import load_pixels
from img2img.evaluate.against import Difference
from img2img.evaluate.evaluation import Evaluation
from img2img.evaluate.images import Images
from img2img.evaluate.number import Number
from img2img.evaluate.record import grouped, interval_of, shown
from img2img.image import atomically
from img2img.report import printable
from img2img.translate.report import spread

_SHOWN, _SIDE_PX, _EXTREMES = 12, 192, 6


def write_page(
    path: Path, found: Evaluation, outputs: Images, references: Images, compared: Sequence[Difference] = ()
) -> None:
    """Write the page; it is whole or not there, and opens from disk.

    Args:
        path: of the page.
        found: what it shows.
        outputs: pictures of it are shown beside the references of their names, where there are such.
        references: real images.
        compared: with another evaluation.
    """
    parts = [report.section("Numbers", _numbers(found.numbers))]
    if compared:
        lines = "".join(report.paragraph(one.words) for one in compared)
        parts.append(report.section("Against the other evaluation", lines))
    missing = [f"{', '.join(names)}: {reason}" for reason, names in grouped(found.missing).items()]
    for heading, words in (("What to know", found.warnings), ("Not measured", missing)):
        if words:
            parts.append(report.section(heading, *(report.paragraph(printable(line)) for line in words)))
    parts += _pictures(found, outputs, references)
    parts.append(report.section("Protocol", report.table(_flat(found.protocol))))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomically(path) as file:
        file.write(report.page("img2img evaluate", *parts).encode("utf-8", "backslashreplace"))


def _numbers(numbers: Sequence[Number]) -> str:
    rows = [
        (
            number.name,
            _unbroken(f"{shown(number.value)} {number.unit}".strip()),
            _unbroken(interval_of(number)),
            number.better,
            number.count,
            number.definition,
        )
        for number in numbers
    ]
    return report.table(rows, ("number", "value", "95 % interval", "better", "images", "definition"))


def _unbroken(words: str) -> str:
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def _pictures(found: Evaluation, outputs: Images, references: Images) -> list[str]:
    """Show some pairs; the worst and best of the first number that knows single images; else some of either set."""
    readable = {source.stem: source for source in outputs.sources if source.name not in found.failed}
    real = {source.stem: source for source in references.sources if source.name not in found.failed}
    single = next((number for number in found.numbers if number.each and number.better != "neither"), None)
    if single is not None and found.protocol["pairs"]:
        ordered = sorted(single.each, key=lambda one: one[1], reverse=single.better == "lower")
        parts = []
        for heading, some in (("Worst", ordered[:_EXTREMES]), ("Best", ordered[: -_EXTREMES - 1 : -1])):
            rows = [
                (f"{name}: {single.name} {shown(value)}", [_address(readable[name]), _address(real[name])])
                for name, value in some
                if name in readable and name in real
            ]
            if rows:
                parts.append(report.section(f"{heading} by {single.name}", _side_by_side(rows)))
        return parts
    sides = [list(readable.values()), list(real.values())]
    count = min(_SHOWN, *map(len, sides))
    evenly = [[side[i] for i in sorted(spread(len(side), count))] for side in sides]
    rows = [(f"{a.name}, {b.name}", [_address(a), _address(b)]) for a, b in zip(*evenly, strict=True)]
    return [report.section("Some of either set, which do not belong together", _side_by_side(rows))]


def _side_by_side(rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    heads = ("output", "reference")
    return report.figures([(list(zip(heads, found, strict=True)), printable(name)) for name, found in rows])


def _address(source: Source) -> str:
    image = Image.fromarray(np.asarray(load_pixels(source, 3)))
    image.thumbnail((2 * _SIDE_PX, 2 * _SIDE_PX))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=90)
    return report.embedded(data.getvalue(), "jpeg")


def _flat(record: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in record.items():
        if isinstance(value, dict) and value:
            rows += _flat(value, f"{before}{name}, ")
        else:
            rows.append((f"{before}{name}", printable(value if isinstance(value, str) else json.dumps(value))))
    return rows
