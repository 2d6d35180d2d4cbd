"""Two evaluations side by side: which differences are more than chance of the images."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from img2img.errors import DataError
from img2img.evaluate.evaluation import Evaluation
from img2img.evaluate.noise import compare
from img2img.evaluate.number import Number
from img2img.evaluate.spread import around, bootstrap_error, jackknife_error


@dataclass(frozen=True)
class Difference:
    """What two evaluations say of one number.

    Attributes:
        name: of the number.
        words: all of it in one line, for people.
        more_than_noise: whether the difference is; None where it cannot be told.
    """

    name: str
    words: str
    more_than_noise: bool | None


def differences(mine: Evaluation, other: Evaluation) -> list[Difference]:
    """Compare every number that both have."""
    theirs = {number.name: number for number in other.numbers}
    found = [_difference(number, theirs[number.name], mine, other) for number in mine.numbers if number.name in theirs]
    alone = [number.name for number in mine.numbers if number.name not in theirs]
    return found + [Difference(name, f"{name}: not in the other evaluation", None) for name in alone]


def _difference(mine: Number, other: Number, first: Evaluation, second: Evaluation) -> Difference:
    if reason := _not_comparable(mine, other, first, second):
        return Difference(mine.name, f"{mine.name}: {reason}", None)
    if mine.each and other.each:
        try:
            found = compare(mine, other)
        except DataError as error:
            return Difference(mine.name, str(error), None)
        return Difference(mine.name, found.words, found.more_than_noise)
    change = mine.value - other.value
    said = f"{mine.name} {mine.value:.4g} against {other.value:.4g}: {change:+.3g}"
    if not mine.draws or len(mine.draws) != len(other.draws):
        return Difference(mine.name, f"{said}, without an interval: nothing to tell noise by", None)
    draws = torch.tensor(mine.draws, dtype=torch.float64) - torch.tensor(other.draws, dtype=torch.float64)
    jackknife = "jackknife" in str(dict(mine.settings).get("interval", ""))
    low, high = around(change, jackknife_error(draws) if jackknife else bootstrap_error(draws))
    more = not low <= 0 <= high
    better = "" if mine.better == "neither" else "better, " if (change < 0) == (mine.better == "lower") else "worse, "
    how = "jackknife, an indication" if jackknife else "bootstrap over the same drawn sets"
    words = f"{said} (95 % interval of the difference {low:+.3g} to {high:+.3g}, {how}), "
    words += f"{better}more than noise" if more else "no more than noise"
    return Difference(mine.name, words, more)


def _not_comparable(mine: Number, other: Number, first: Evaluation, second: Evaluation) -> str:
    if mine.definition != other.definition:
        return "of another definition there, not comparable"
    if first.protocol["references"]["sha256"] != second.protocol["references"]["sha256"]:
        return "against other references there, not comparable"
    if mine.name.lstrip("r").startswith("fid") and mine.count != other.count:
        return f"of {mine.count} and {other.count} outputs, so of another bias: not comparable"
    return ""
