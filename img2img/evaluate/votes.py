"""Votes counted: how often each picture was chosen, how sure that is, and whether it could be chance."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from img2img.errors import DataError

_LEVEL = 0.05


@dataclass(frozen=True)
class Votes:
    """One person's votes on one page.

    Attributes:
        path: the file.
        session: tells two saves of the same votes from two persons.
        question: ``real`` or ``better``.
        chosen: for each counted vote the makers that were chosen and passed over; None is the real picture.
    """

    path: Path
    session: str
    question: str
    chosen: tuple[tuple[str | None, str | None], ...]


@dataclass(frozen=True)
class Share:
    """How often one was chosen over the other.

    Attributes:
        name: who was chosen.
        other: over whom; None is the real picture.
        chosen: votes for it.
        count: votes in all.
        voters: sessions.
    """

    name: str
    other: str | None
    chosen: int
    count: int
    voters: int

    def interval(self) -> tuple[float, float]:
        """Return Wilson's 95 % interval of the share (Wilson 1927), each vote taken for independent."""
        from scipy.stats import binomtest  # noqa: PLC0415 (a second, and only here)

        found = binomtest(self.chosen, self.count).proportion_ci(0.95, method="wilson")
        return float(found.low), float(found.high)

    def chance(self) -> float:
        """Return the probability of a share this far from a half by chance: the exact two-sided binomial test."""
        from scipy.stats import binomtest  # noqa: PLC0415

        return float(binomtest(self.chosen, self.count, 0.5).pvalue)

    def verdict(self) -> str:
        """Say whether the share differs from chance."""
        chance = self.chance()
        if chance >= _LEVEL:
            return f"no different from chance (p = {chance:.2g})"
        return f"{'more' if 2 * self.chosen > self.count else 'less'} often than by chance (p = {chance:.2g})"


def read_votes(path: Path) -> Votes:
    """Read a file of votes that a page of blind choices has saved.

    Raises:
        DataError: if it is none, or damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); expected votes saved by a page of blind choices") from error
    try:
        found = json.loads(text)
        if found["kind"] != "img2img votes" or found["format"] != 1:
            raise ValueError("not votes")  # noqa: TRY301
        key = json.loads(base64.b64decode(found["key"], validate=True))
        by_trial = {int(vote["trial"]): str(vote["chosen"]) for vote in found["votes"]}
        chosen = [
            _named(key, trial, side) for trial, side in sorted(by_trial.items()) if trial >= int(found["practice"])
        ]
        return Votes(path, str(found["session"]), str(found["question"]), tuple(chosen))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"{path}: not votes saved by a page of img2img compare --blind, or damaged ({type(error).__name__})"
        ) from error


def _named(key: dict[str, Any], trial: int, side: str) -> tuple[str | None, str | None]:
    if trial < 0 or side not in {"left", "right"}:
        raise ValueError(f"vote {side} on trial {trial}")
    _, left, right = key["trials"][trial]
    names = {left: key["makers"][left] if left >= 0 else None, right: key["makers"][right] if right >= 0 else None}
    one, other = (left, right) if side == "left" else (right, left)
    return names[one], names[other]


def distinct(votes: Sequence[Votes]) -> tuple[list[Votes], list[Path]]:
    """Return each session once, as it was saved with most votes, and the files that are left out for it."""
    most: dict[str, Votes] = {}
    for one in votes:
        if one.session not in most or len(one.chosen) > len(most[one.session].chosen):
            most[one.session] = one
    kept = list(most.values())
    return kept, [one.path for one in votes if not any(one is other for other in kept)]


def shares(votes: Sequence[Votes], question: str) -> list[Share]:
    """Count the votes on a question: for ``real`` how often each model was taken for real, else each pair of models.

    Args:
        votes: of all pages and persons.
        question: those of the other one are not counted.
    """
    won: Counter[tuple[str | None, str | None]] = Counter()
    voters: dict[frozenset[str | None], set[str]] = {}
    for one in votes:
        for pair in one.chosen if one.question == question else ():
            won[pair] += 1
            voters.setdefault(frozenset(pair), set()).add(one.session)
    found = []
    for both, sessions in voters.items():
        name, *others = sorted(who for who in both if who is not None)
        other = others[0] if others else None
        count = won[name, other] + won[other, name]
        found.append(Share(name, other, won[name, other], count, len(sessions)))
    return sorted(found, key=lambda share: -share.chosen / share.count)
