"""What a batch has completed, kept in the folder it writes, so that the same command goes on where it stopped.

One JSON object a line, appended: ``run`` (the settings and their id), ``begin`` (a name, before its file is written)
and ``done`` (a name, with size and time of the source and of the file written). A line that a kill cut short is passed
over. Outputs are renamed into place whole, so a name that was begun and not done is simply done again.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from img2img.translate.inputs import Job

PREFIX = ".img2img-journal"

State = Literal["missing", "complete", "other settings", "source changed", "changed", "begun", "foreign"]
"""What stands at a target: nothing; what these settings made of this source; what others made; what they made of
another source; our file, changed since; a file that we began to replace; somebody else's."""


@dataclass
class Journal:
    """The record of a folder.

    Args:
        path: the file that is appended to.
        settings: what decides the outputs' bytes: translator, direction, size, engine.
    """

    path: Path
    settings: Mapping[str, Any]
    _done: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    _begun: set[str] = field(default_factory=set, repr=False)
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
        journal = cls(out / f"{PREFIX}{'-' * bool(part)}{part}.jsonl", dict(settings))
        for path in sorted(out.glob(f"{PREFIX}*.jsonl")):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                journal._take(line)
        return journal

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return  # cut short by a kill: what it would have said is found out again
        if "run" in entry:
            self._runs.pop(entry["id"], None)
            self._runs[entry["id"]] = entry["run"]
        elif "begin" in entry:
            self._begun.add(entry["begin"])
            self._done.pop(entry["begin"], None)
        elif "done" in entry:
            self._done[entry["done"]] = entry

    @property
    def last(self) -> Mapping[str, Any] | None:
        """Settings of the run that was read last."""
        return next(reversed(self._runs.values()), None)

    @property
    def id(self) -> str:
        """Short name of the settings."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:12]

    def state(self, job: Job) -> State:
        """Say what stands at a job's target."""
        try:
            there = job.target.lstat()
        except OSError:  # not there, or its name is too long, or not ours to look at: then writing says why
            return "missing"
        name = self._name(job)
        if name not in self._done:
            return "begun" if name in self._begun else "foreign"
        entry = self._done[name]
        if entry["output"] != [there.st_size, there.st_mtime_ns]:
            return "changed"
        if entry["of"] != self.id:
            return "other settings"
        return "complete" if entry["source"] == stamp(job.source) else "source changed"

    def other_settings(self, job: Job) -> str:
        """Say in what the settings that made a target differ from those of now."""
        before = self._runs.get(self._done[self._name(job)]["of"], {})
        keys = [key for key in {**before, **self.settings} if before.get(key) != self.settings.get(key)]
        return ", ".join(f"{key} {before.get(key)}, now {self.settings.get(key)}" for key in keys) or "unknown"

    def begin(self, job: Job) -> None:
        """Say that a target is about to be written."""
        self._append({"begin": self._name(job)})

    def done(self, job: Job, source: list[int] | None) -> None:
        """Say that it is written.

        Args:
            job: which.
            source: :func:`stamp` of its source, taken before it was read.
        """
        self._append({"done": self._name(job), "of": self.id, "source": source, "output": stamp(job.target)})

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
        self._file.write(json.dumps({"run": self.settings, "id": self.id}, sort_keys=True) + "\n")
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


def stamp(path: Path) -> list[int] | None:
    """Return size in bytes and time of change in ns of a file, or None if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
