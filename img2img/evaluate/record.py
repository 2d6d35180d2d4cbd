"""An evaluation as text for the terminal and as JSON, and read back from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from img2img.errors import DataError
from img2img.evaluate.evaluation import Evaluation
from img2img.evaluate.number import Number
from img2img.image import atomically
from img2img.report import printable

FORMAT = 1
_WORDS = {"lower": "lower is better", "higher": "higher is better", "neither": ""}


def shown(value: float) -> str:
    """Return a number with the digits that people compare."""
    return f"{value:.2f}" if abs(value) >= 100 else f"{value:.4g}"  # noqa: PLR2004 (three digits before the point)


def interval_of(number: Number) -> str:
    """Return the interval as words, empty where there is none."""
    return "" if number.interval is None else f"{shown(number.interval[0])} to {shown(number.interval[1])}"


def lines(found: Evaluation) -> list[str]:
    """Return an evaluation as lines: numbers with 95 % intervals, what is missing, what to know."""
    sides = [f"{name}: {found.protocol[name]['images']} of {found.protocol[name]['where']}" for name in _SIDES]
    if pairs := found.protocol["pairs"]:
        sides.append(f"pairs of one name: {pairs}")
    table = [("number", "value", "95 % interval", "")]
    for number in found.numbers:
        value = f"{shown(number.value)}{f' {number.unit}' * bool(number.unit)}"
        table.append((number.name, value, interval_of(number), _WORDS[number.better]))
    wide = [max(map(len, column)) for column in zip(*table, strict=True)]
    rows = (f"{name:{wide[0]}}  {value:>{wide[1]}}  {of:{wide[2]}}  {better}" for name, value, of, better in table)
    out = [", ".join(sides), *(map(str.rstrip, rows) if found.numbers else ())]
    out += [f"not measured: {', '.join(names)}: {reason}" for reason, names in grouped(found.missing).items()]
    return [printable(line) for line in out + [f"warning: {words}" for words in found.warnings]]


_SIDES = ("outputs", "references")


def grouped(missing: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names of numbers that are missing for each reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in missing.items():
        reasons.setdefault(reason, []).append(name)
    return reasons


def plain(found: Evaluation) -> dict[str, Any]:
    """Return an evaluation as plain data."""
    numbers = {
        number.name: number.plain()
        | ({"each": dict(number.each)} if number.each else {})
        | ({"draws": list(number.draws)} if number.draws else {})
        for number in found.numbers
    }
    return {
        "format": FORMAT,
        "numbers": numbers,
        "missing": found.missing,
        "warnings": found.warnings,
        "protocol": found.protocol,
    }


def write_json(path: Path, found: Evaluation) -> None:
    """Write an evaluation; the file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomically(path) as file:
        file.write((json.dumps(plain(found), indent=1) + "\n").encode("utf-8", "backslashreplace"))


def read_json(path: Path) -> Evaluation:
    """Read what :func:`write_json` wrote.

    Raises:
        DataError: if it is missing, newer than this version, or something else.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected the JSON of img2img evaluate --json")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] > FORMAT:
            raise DataError(f"{path}: of format {data['format']}, this version reads up to {FORMAT}: upgrade")
        numbers = [_number(name, one) for name, one in data["numbers"].items()]
        return Evaluation(numbers, data["missing"], data["warnings"], data["protocol"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: expected the JSON of img2img evaluate --json, got something else ({type(error).__name__})"
        ) from error


def _number(name: str, one: Mapping[str, Any]) -> Number:
    return Number(
        name,
        float(one["value"]),
        one["better"],
        int(one["count"]),
        str(one["definition"]),
        str(one.get("unit", "")),
        (float(one["interval_95"][0]), float(one["interval_95"][1])) if "interval_95" in one else None,
        tuple((str(key), float(value)) for key, value in one.get("each", {}).items()),
        tuple(one.get("settings", {}).items()),
        tuple(map(float, one.get("draws", ()))),
    )
