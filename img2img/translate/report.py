"""What became of every input: counted, one JSON line each, and a page with pictures before and after."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from img2img import report as html
from img2img.image import atomically
from img2img.report import printable

Status = Literal["translated", "failed", "skipped", "not reached"]
PICTURES_ON_PAGE = 120
_LISTED_ON_PAGE = 1000


@dataclass(frozen=True)
class Entry:
    """One input.

    Attributes:
        name: its path below the folder given.
        output: the file for it, whether written or not.
        status: what became of it.
        reason: why it failed or was skipped.
        note: what the file held that the translation does not.
        pictures: small JPEGs before and after, of some inputs.
    """

    name: str
    output: str
    status: Status
    reason: str = ""
    note: str = ""
    pictures: tuple[bytes, bytes] | None = field(default=None, repr=False)

    def line(self) -> str:
        """Return one line of JSON, in ASCII, so that names that are no UTF-8 are kept too."""
        shown: dict[str, Any] = {"input": self.name, "status": self.status, "output": self.output}
        return json.dumps(shown | {key: value for key in ("reason", "note") if (value := getattr(self, key))})


@dataclass
class FolderReport:
    """What became of the inputs: ``translated + failed + skipped + not_reached == inputs``, always.

    Attributes:
        inputs: image files found.
        entries: one for each, in the order of the names.
        others: files that are not images and were left alone.
        seconds: time taken.
    """

    inputs: int
    entries: list[Entry] = field(default_factory=list)
    others: int = 0
    seconds: float = 0.0

    def names(self, status: Status) -> list[str]:
        """Return the inputs of a status."""
        return [entry.name for entry in self.entries if entry.status == status]

    @property
    def translated(self) -> list[str]:
        """Names written."""
        return self.names("translated")

    @property
    def failed(self) -> dict[str, str]:
        """Name to reason."""
        return {entry.name: entry.reason for entry in self.entries if entry.status == "failed"}

    @property
    def skipped(self) -> dict[str, str]:
        """Name to reason."""
        return {entry.name: entry.reason for entry in self.entries if entry.status == "skipped"}

    @property
    def not_reached(self) -> list[str]:
        """Names that were left when the batch was stopped."""
        return self.names("not reached")

    @property
    def notes(self) -> dict[str, str]:
        """Name to what the file held that the translation does not."""
        return {entry.name: entry.note for entry in self.entries if entry.note}

    def summary(self) -> str:
        """Return the counts in one line."""
        counts = Counter(entry.status for entry in self.entries)
        parts = [f"{counts['translated']:,} translated", f"{counts['failed']:,} failed"]
        parts += [f"{counts[status]:,} {status}" for status in ("skipped", "not reached") if counts[status]]
        if self.others:
            parts.append(f"{self.others:,} other file{'s' * (self.others > 1)} left alone")
        rate = counts["translated"] / self.seconds if self.seconds else 0.0
        return f"{', '.join(parts)}, {self.seconds:.1f} s ({rate:.3g} images/s)"


def write_lines(path: Path, entries: Iterable[Entry]) -> None:
    """Write one JSON line for each input; the file is whole or not there."""
    with atomically(path) as file:
        file.writelines(f"{entry.line()}\n".encode() for entry in entries)


def write_page(path: Path, title: str, report: FolderReport) -> None:
    """Write a page of its own: counts, what failed and why, and some pictures before and after."""
    shown = [entry for entry in report.entries if entry.pictures is not None]
    sections = [html.paragraph(printable(report.summary()))]
    unwell = [entry for entry in report.entries if entry.status in {"failed", "skipped"}]
    if unwell:
        rows = [(printable(e.name), e.status, printable(e.reason)) for e in unwell[:_LISTED_ON_PAGE]]
        more = len(unwell) - len(rows)
        sections.append(html.section("Not translated", html.table(rows, ("file", "", "why"))))
        sections += [html.paragraph(f"and {more:,} more, see report.jsonl")] if more else []
    if shown:
        figures = [
            ([("before", html.embedded(before, "jpeg")), ("after", html.embedded(after, "jpeg"))], printable(e.name))
            for e, (before, after) in ((entry, entry.pictures) for entry in shown if entry.pictures)
        ]
        heading = "Before and after" + (f": {len(shown)} of them" if len(shown) < len(report.translated) else "")
        sections.append(html.section(heading, html.figures(figures)))
    with atomically(path) as file:
        file.write(html.page(title, *sections).encode())


def spread(count: int, most: int) -> set[int]:
    """Choose at most ``most`` of ``count`` inputs to be shown: all, or evenly spread ones."""
    if count <= most:
        return set(range(count))
    return {round(i * (count - 1) / max(most - 1, 1)) for i in range(most)}
