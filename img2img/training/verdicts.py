"""From recorded signals to verdicts, each said once and causes before their echoes. Pure: no clock, no file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from img2img.training.rules import RULES, YOUNG_IMAGES, Check, Level, Rule, View

EARLY = 0.15
"""What fails before this share of the training usually fails because of the data."""


class Verdict(NamedTuple):
    """A fault that was found; plain data.

    Attributes:
        name: of the rule.
        level: see :data:`Level`.
        subject: the player or direction.
        seen: the numbers in words.
        cause: what that means.
        remedy: what to do.
        evidence: signals of the subject.
        follows: name of the verdict that this is a consequence of, or "".
        batches: batches done when it was found.
        images: images seen then.
        since: batches done at its first sign.
        names: files that belong to it.
    """

    name: str
    level: Level
    subject: str
    seen: str
    cause: str
    remedy: str
    evidence: dict[str, float]
    follows: str
    batches: int
    images: int
    since: int
    names: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The verdict in one line, for the console."""
        return f"{self.name} ({self.subject}): {self.seen}; {self.cause}. Do: {self.remedy}"


_BY_KEY = {f"{rule.name}/{rule.signal}": (order, rule) for order, rule in enumerate(RULES)}

_LOWEST_KEPT = "validation_l1"
"""The signal whose lowest value rules look at."""

_ECHO = 1.25
"""A fault explains others for a quarter of its own age after it has gone."""


class Judge:
    """Holds signals against the rules, check by check, and says each fault once.

    A fault is held back while another that would bring it along is building up, and reported as following where
    that one has been reported and is still there: what is said is the cause, not its echoes.

    Args:
        paired: which remedies to name.
    """

    def __init__(self, *, paired: bool) -> None:
        self.paired = paired
        self.raised: dict[str, int] = {}
        self._signs: dict[str, dict[str, int]] = {}
        self._lowest: dict[str, float] = {}

    def look(self, check: Check) -> list[Verdict]:
        """Take a check; return what is new, causes first."""
        for key, value in check.signals.items():
            if key.startswith(f"{_LOWEST_KEPT}/") and not math.isnan(value):
                self._lowest[key] = min(value, self._lowest.get(key, math.inf))
        found: list[tuple[int, int, Verdict]] = []
        for key, (order, rule) in _BY_KEY.items():
            for name, value in check.signals.items():
                signal, _, subject = name.partition("/")
                if signal != rule.signal or math.isnan(value):
                    continue
                verdict = self._hold(key, rule, View(check, subject, self._lowest))
                if verdict is not None:
                    found.append((verdict.since, order, verdict))
        new: list[Verdict] = []
        for since, order, verdict in sorted(found, key=lambda item: item[:2]):
            rule = RULES[order]
            if rule.name in self.raised or (not rule.always and self._waits(rule, since, order)):
                continue
            causes = (r.name for r in RULES if rule.name in r.consequences and self._explains(r, check))
            self.raised[rule.name] = check.batches
            new.append(verdict if rule.always else verdict._replace(follows=next(causes, "")))
        return new

    def _hold(self, key: str, rule: Rule, view: View) -> Verdict | None:
        """Count a sign, or forget those before; return the verdict when there are enough."""
        check, place = view.check, f"{key}/{view.subject}"
        seen = rule.sees(view)
        if not seen:
            self._signs.pop(place, None)
            return None
        sign = self._signs.setdefault(place, {"since": check.batches, "count": 0})
        young = check.progress < rule.from_progress or check.images < YOUNG_IMAGES
        if young and not rule.always:
            return None
        sign["count"] += 1
        if sign["count"] < rule.checks:
            return None
        remedy = rule.remedy if self.paired or not rule.remedy_unpaired else rule.remedy_unpaired
        if check.progress < EARLY and not rule.always:
            remedy = f"so early, first look at the data (constant, swapped or mismatched images); then {remedy}"
        return Verdict(
            rule.name,
            rule.level,
            view.subject,
            seen,
            rule.cause,
            remedy,
            {k.partition("/")[0]: v for k, v in check.signals.items() if k.partition("/")[2] == view.subject},
            "",
            check.batches,
            check.images,
            sign["since"],
            check.names,
        )

    def _building(self) -> list[tuple[int, Rule, str, dict[str, int]]]:
        """Return (order, rule, subject, sign) of what the last checks have shown."""
        found = []
        for place, sign in self._signs.items():
            name, signal, subject = place.split("/", 2)
            found.append((*_BY_KEY[f"{name}/{signal}"], subject, sign))
        return found

    def _waits(self, rule: Rule, since: int, order: int) -> bool:
        """Tell whether a cause of this fault is building up: one that it cannot itself have caused, or an earlier."""
        for other_order, other, _, sign in self._building():
            if rule.name not in other.consequences or other.name in self.raised:
                continue
            if other.name not in rule.consequences or (sign["since"], other_order) < (since, order):
                return True
        return False

    def _explains(self, cause: Rule, check: Check) -> bool:
        """Tell whether a fault has been reported and is still there, or was lately."""
        at = self.raised.get(cause.name)
        return at is not None and (cause.name in self.active() or check.batches < _ECHO * at)

    def active(self) -> dict[str, int]:
        """Return by name the checks in a row that have shown each fault; 0 while the training is too young for it."""
        counts: dict[str, int] = {}
        for _, rule, _, sign in self._building():
            counts[rule.name] = max(sign["count"], counts.get(rule.name, 0))
        return counts

    def subjects(self, name: str) -> list[str]:
        """Return whom a fault that is there concerns."""
        return [subject for _, rule, subject, _ in self._building() if rule.name == name]

    def forget(self) -> None:
        """Start counting anew, as after a return to an earlier state; what was reported stays reported."""
        self._signs = {}

    def state_dict(self) -> dict[str, Any]:
        """Return plain data for a checkpoint."""
        signs = {place: dict(sign) for place, sign in self._signs.items()}
        return {"raised": dict(self.raised), "signs": signs, "lowest": dict(self._lowest)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on as :meth:`state_dict` left off."""
        self.raised, self._lowest = dict(state["raised"]), dict(state["lowest"])
        self._signs = {place: dict(sign) for place, sign in state["signs"].items()}
