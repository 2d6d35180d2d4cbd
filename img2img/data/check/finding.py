"""What can be wrong with a data folder: kinds, findings, and the report that holds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from img2img.data.source import Source
from img2img.report import printable

Severity = Literal["error", "warning", "note"]
"""``error``: a training would fail or be worthless. ``warning``: it would be worse than it need be, or its scores would
mislead. ``note``: nothing has to be done, but it is good to know."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

_SHOWN_NAMES, _LISTED_NAMES = 3, 1000


@dataclass(frozen=True)
class Kind:
    """One thing that can be wrong.

    Attributes:
        name: one or two words.
        severity: how bad it is.
        meaning: how it is recognised, for the documentation.
        remedy: what to do, as the end of a line.
    """

    name: str
    severity: Severity
    meaning: str
    remedy: str


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: what.
        said: what was found, with numbers.
        names: files concerned, as seen from the data folder.
        pictures: images to show, those of a group side by side.
    """

    kind: Kind
    said: str
    names: tuple[str, ...] = ()
    pictures: tuple[tuple[Source, ...], ...] = field(default=(), repr=False)

    @property
    def line(self) -> str:
        """Return it in one line: what, where, and what to do."""
        more = f" and {len(self.names) - _SHOWN_NAMES:,} more" if len(self.names) > _SHOWN_NAMES else ""
        where = f" ({', '.join(self.names[:_SHOWN_NAMES])}{more})" if self.names else ""
        return printable(f"{self.kind.severity}: {self.said}{where}; {self.kind.remedy}")

    def plain(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "kind": self.kind.name,
            "severity": self.kind.severity,
            "said": printable(self.said),
            "names": [printable(name) for name in self.names[:_LISTED_NAMES]],
            "count": len(self.names),
            "remedy": self.kind.remedy,
        }


@dataclass(frozen=True)
class Report:
    """What a data folder holds, and what is wrong with it.

    Attributes:
        facts: (what, words) in the order to say them.
        findings: the worst first.
        samples: some images of both domains, side by side.
    """

    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    samples: tuple[tuple[Source, ...], ...] = field(default=(), repr=False)

    def of(self, severity: Severity) -> list[Finding]:
        """Return the findings of a severity."""
        return [finding for finding in self.findings if finding.kind.severity == severity]

    @property
    def summary(self) -> str:
        """Return the counts in words."""
        counts = [(len(self.of(severity)), severity) for severity in SEVERITIES]
        return ", ".join(f"{n} {word}{'s' * (n > 1)}" for n, word in counts if n) or "nothing wrong was found"

    def plain(self) -> dict[str, Any]:
        """Return plain data: ``facts`` by name, ``findings`` each with kind, severity, said, names, count, remedy."""
        return {
            "facts": {name: printable(words) for name, words in self.facts},
            "findings": [finding.plain() for finding in self.findings],
        }


def sort(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Put the worst first, else keep the order."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.kind.severity)))


def kinds(names: dict[str, Any]) -> Iterator[Kind]:
    """Return the kinds among the names of a module."""
    return (value for value in names.values() if isinstance(value, Kind))
