"""What a batch has completed, kept in the folder it writes, so that the same command goes on where it stopped.

One JSON object a line, appended: ``run`` (the settings and their id), ``begin`` (a name, before its file is written)
and ``done`` (a name, with size and time of the source and of the file written). A line that a kill cut short is passed
over. Outputs are renamed into place whole, so a name that was begun and not done is simply done again.

Several processes write a file each. So that what they say about one name is put in order, each run has a number, one
more than all that it found; of two lines the one of the higher number holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from img2img.translate.inputs import Job

PREFIX = ".img2img-journal"
_SETTLED = {"engine", "whole_px"}

State = Literal["missing", "complete", "other settings", "source changed", "changed", "begun", "foreign"]
"""What stands at a target: nothing; what these settings made of this source; what others made; what they made of
another source; our file, changed since; a file that we began to replace; somebody else's."""


class _Record(NamedTuple):
    number: int  # of the run
    of: str = ""  # id of the settings
    source: tuple[int, int] | None = None
    output: tuple[int, int] | None = None  # None: begun, not done


@dataclass
class Journal:
    """The record of a folder.

    Args:
        path: the file that is appended to.
        settings: what decides the outputs' bytes: translator, direction, size, engine.
        number: of the run that appends.
        last: settings of the newest run before it.
    """

    path: Path
    settings: Mapping[str, Any]
    number: int = 1
    last: Mapping[str, Any] | None = None
    _last_number: int = field(default=0, repr=False)
    _records: dict[str, _Record] = field(default_factory=dict, repr=False)
    _begun_again: set[str] = field(default_factory=set, repr=False)
    _runs: dict[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    _file: TextIO | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def of(cls, out: Path, settings: Mapping[str, Any], part: str = "") -> Journal:
        """Read what all runs into a folder have left there.

        Args:
            out: the folder; need not exist.
            settings: of the run to come.
            part: names the journal of one of several processes that write there at once, such as ``2of4``.
        """
        journal = cls(path_of(out, part), dict(settings), 0)
        for path in sorted(out.glob(f"{PREFIX}*.jsonl")):
            number = 0
            with path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    number = journal._take(line, number)
            journal.number = max(journal.number, number)
        journal.number += 1
        return journal

    def _take(self, line: str, number: int) -> int:
        """Learn a line of a run; return the number of the run that the next one is of."""
        try:
            entry = json.loads(line)
        except ValueError:
            return number  # cut short by a kill: what it would have said is found out again
        if "run" in entry:
            self._runs[entry["id"]] = entry["run"]
            number = int(entry.get("number", 0))
            if self.last is None or number >= self._last_number:
                self.last, self._last_number = entry["run"], number
            return number
        if "begin" in entry:
            self._learn(entry["begin"], _Record(number))
        elif "done" in entry:
            of, source, output = sys.intern(entry["of"]), _pair(entry["source"]), _pair(entry["output"])
            self._learn(entry["done"], _Record(number, of, source, output))
        return number

    def _learn(self, name: str, record: _Record) -> None:
        known = self._records.get(name)
        if known is None or known.number <= record.number:
            self._records[name] = record
        if known and known.output is None and record.output is None:
            self._begun_again.add(name)

    @cached_property
    def id(self) -> str:
        """Short name of the settings."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:12]

    def state(self, job: Job) -> State:
        """Say what stands at a job's target."""
        try:
            there = job.target.lstat()
        except OSError:  # not there, or its name is too long, or not ours to look at: then writing says why
            return "missing"
        record = self._records.get(self._name(job))
        if record is None or record.output is None:
            return "begun" if record else "foreign"
        if record.output != (there.st_size, there.st_mtime_ns):
            return "changed"
        if record.of != self.id:
            return "other settings"
        return "complete" if record.source == stamps(job) else "source changed"

    def other_settings(self, job: Job) -> str:
        """Say in what the settings that made a target differ from those of now."""
        before = self._runs.get(self._records[self._name(job)].of, {})
        keys = [key for key in {**before, **self.settings} if before.get(key) != self.settings.get(key)]
        keys = [key for key in keys if key not in _SETTLED] or keys  # those follow from the others
        return ", ".join(f"{key} {before.get(key)}, now {self.settings.get(key)}" for key in keys) or "unknown"

    def interrupted(self) -> set[Path]:
        """Return the folders of outputs that some run began and did not finish."""
        open_ends = {name for name, record in self._records.items() if record.output is None}
        return {(self.path.parent / name).parent for name in open_ends | self._begun_again}

    def begin(self, job: Job) -> None:
        """Say that a target is about to be written."""
        name = self._name(job)
        self._append({"begin": name})
        self._learn(name, _Record(self.number))

    def done(self, job: Job, source: tuple[int, int] | None) -> None:
        """Say that it is written.

        Args:
            job: which.
            source: :func:`stamp` of its source, taken before it was read.
        """
        name, output = self._name(job), stamp(job.target)
        self._append({"done": name, "of": self.id, "source": source, "output": output})
        self._learn(name, _Record(self.number, self.id, source, output))

    def _name(self, job: Job) -> str:
        return job.target.relative_to(self.path.parent).as_posix()

    def open(self) -> None:
        """Open the file to append to: before any work, so that a folder that cannot be written is known by then.

        Raises:
            OSError: if it cannot be.
        """
        with self._lock:
            self._open()

    def _append(self, entry: Mapping[str, Any]) -> None:
        with self._lock:
            if self._file is None or not _is(self._file, self.path):  # somebody removed the folder meanwhile
                self._open()
            assert self._file is not None
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()

    def _open(self) -> None:
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a", encoding="utf-8")
        # a line that a kill cut short must not swallow the next one
        self._file.write("\n" if self.path.stat().st_size else "")
        self._file.write(
            json.dumps({"run": self.settings, "id": self.id, "number": self.number}, sort_keys=True) + "\n"
        )
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _is(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def last_settings(out: Path | None) -> Mapping[str, Any] | None:
    """Return the settings of the latest batch into a folder, or None."""
    return Journal.of(out, {}).last if out else None


def path_of(out: Path, part: str = "") -> Path:
    """Return the journal's file of a folder; ``part`` as for :meth:`Journal.of`."""
    return out / f"{PREFIX}{'-' * bool(part)}{part}.jsonl"


def stamps(job: Job) -> tuple[int, int] | None:
    """Return :func:`stamp` of a job's source; of several files their sums."""
    found = [stamp(path) for path in (job.source, *job.beside)]
    there = [one for one in found if one is not None]
    return (sum(one[0] for one in there), sum(one[1] for one in there)) if len(there) == len(found) else None


def stamp(path: Path) -> tuple[int, int] | None:
    """Return size in bytes and time of change in ns of a file, or None if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _pair(values: list[int] | None) -> tuple[int, int] | None:
    return None if values is None else (values[0], values[1])
