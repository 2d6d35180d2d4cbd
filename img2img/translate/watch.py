"""Folders that are waited on: what is there is translated, then each image that comes or changes and has settled."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from img2img.errors import DataError
from img2img.translate.folder import decide, entry_of, journal_of, translate_folder
from img2img.translate.how import How
from img2img.translate.inputs import Job, Plan, files_below, lies_within
from img2img.translate.journal import Journal, stamp
from img2img.translate.report import PICTURES_ON_PAGE, Entry, FolderReport
from img2img.translate.translation import Translation

SETTLE_S = 1.0
"""A file is read once its size and time of change have been the same for so many seconds."""

_TICK_MS = 250
_FOLDER_GONE = f"cannot be written ({os.strerror(errno.ENOENT)})"  # deleted between being made and written into
_ROUND = 200  # images between two looks at what has come, and two reports
_REPORT_SHARE = 20  # of the time, at most 1/20 goes into writing reports


class Settling:
    """Files that were touched, until they have rested.

    Args:
        settle_s: see :data:`SETTLE_S`.
    """

    def __init__(self, settle_s: float = SETTLE_S) -> None:
        self.settle_s = settle_s
        self.waiting: dict[Path, tuple[tuple[int, int] | None, float]] = {}
        self._folders: dict[Path, float] = {}

    def touch(self, path: Path, now: float) -> None:
        """Wait for a file, or for every file of a folder.

        A folder is looked through again when it has rested: what was put into it before the system reported on it.

        Args:
            path: that came or changed, or has gone.
            now: in seconds, as :func:`time.monotonic`.
        """
        if path.is_dir():
            if not path.is_symlink():
                self._folders[path] = now
                self._touch_files(files_below(path), now)
        else:
            self._touch_files([path], now)

    def rested(self, now: float) -> list[Path]:
        """Return the files that have not changed for long enough, sorted; they are no longer waited for."""
        for folder, since in list(self._folders.items()):
            if now - since >= self.settle_s:
                del self._folders[folder]
                self._touch_files(files_below(folder), now)
        ready = []
        for path, (before, since) in list(self.waiting.items()):
            there = stamp(path)
            if there is None:
                del self.waiting[path]
            elif there != before:
                self.waiting[path] = there, now
            elif now - since >= self.settle_s:
                del self.waiting[path]
                ready.append(path)
        return sorted(ready)

    def _touch_files(self, files: Iterable[Path], now: float) -> None:
        for file in files:
            self.waiting.setdefault(file, (stamp(file), now))


@dataclass
class Watch:
    """Folders that are waited on.

    Args:
        translation: one picture to another.
        plan: of what is there; may be empty.
        how: a batch is done; its ``stop`` ends the waiting, its ``progress`` hears of every image.
        folders: that were given, resolved.
        name: a new file and its folder to the job, None if it is no image: :func:`img2img.translate.inputs.job_below`.
        save: called with the report now and then, and at the end.
    """

    translation: Translation
    plan: Plan
    how: How
    folders: list[Path]
    name: Callable[[Path, Path], Job | None]
    save: Callable[[FolderReport], None]
    _settling: Settling = field(default_factory=Settling, repr=False)
    _seen: dict[Path, tuple[int, int] | None] = field(default_factory=dict, repr=False)
    _jobs: dict[Path, Job] = field(default_factory=dict, repr=False)
    _owners: dict[Path, Path] = field(default_factory=dict, repr=False)
    _entries: dict[Path, Entry] = field(default_factory=dict, repr=False)
    _pictured: dict[Path, None] = field(default_factory=dict, repr=False)  # in the order of their translation
    _seconds: float = field(default=0.0, repr=False)
    _saves: _Share = field(default_factory=lambda: _Share(_REPORT_SHARE), repr=False)

    def run(self) -> FolderReport:
        """Translate until it is stopped.

        Every input stands in the report once, with what became of it last; one that failed and is gone is left out.
        An output is written by one input alone: of two that would be written to one name the later one fails.

        Raises:
            DataError: see :func:`img2img.translate.folder.decide`; or if an input folder goes, once all is reported.
            ModuleNotFoundError: naming what to install.
        """
        changes = self._changes()
        next(changes)  # from here on nothing is missed
        assert self.plan.out is not None
        journal = journal_of(self.plan, self.how)
        assert journal is not None
        decide(self.plan, journal, self.how.existing)  # refuses a folder of another kind before any work
        self._jobs = {job.source: job for job in self.plan.jobs}
        self._owners = {job.target: job.source for job in self.plan.jobs}
        for folder in self.folders:
            self._settling.touch(folder, time.monotonic())
        queue: list[Path] = []
        try:
            for changed in changes:
                for path in changed:
                    self._settling.touch(path, time.monotonic())
                queue += self._settling.rested(time.monotonic())
                while queue and not self.how.stop():
                    self._round(queue[:_ROUND], self.plan.out, journal)
                    del queue[:_ROUND]
                    self._saves.when_due(lambda: self.save(self._report()))
                self._saves.when_due(lambda: self.save(self._report()))
        finally:
            journal.close()
            for path in (*queue, *self._settling.waiting):
                if stamp(path) != self._seen.get(path) and (job := self._job(path)):
                    self._entries[path] = entry_of(job, "not reached", self.plan.out)
            self.save(self._report())
        return self._report()

    def _changes(self) -> Iterator[set[Path]]:
        """Yield what changed, several times a second, until it is stopped."""
        try:
            from watchfiles import Change, watch  # noqa: PLC0415 (an extra)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "--watch needs watchfiles: pip install 'img2img-toolkit[watch]'", name=error.name
            ) from error
        while not self.how.stop():
            try:
                for changed in watch(
                    *self.folders,
                    watch_filter=None,
                    debounce=_TICK_MS,
                    rust_timeout=_TICK_MS,
                    yield_on_timeout=True,
                    stop_event=_Event(self.how.stop),
                    ignore_permission_denied=True,
                ):
                    yield {Path(path) for _, path in changed}
                    deleted = {Path(path) for change, path in changed if change == Change.deleted}
                    for folder in self.folders:
                        if folder in deleted or not folder.is_dir():
                            raise DataError(
                                f"{folder}: the folder that was waited on is gone; start again once it is back"
                            )
            except RuntimeError as error:
                if "decode path" not in str(error):
                    raise
                yield set(self.folders)  # it cannot say names that are no UTF-8, so we look ourselves
            except OSError as error:
                raise DataError(
                    f"this system cannot watch so many folders ({error}); raise its limit (Linux: sysctl "
                    "fs.inotify.max_user_watches), or set WATCHFILES_FORCE_POLLING=true"
                ) from error

    def _job(self, file: Path) -> Job | None:
        if file not in self._jobs:
            folder = [folder for folder in self.folders if file.is_relative_to(folder)][-1]
            if job := self.name(file, folder):
                self._jobs[file] = job
        return self._jobs.get(file)

    def _round(self, files: list[Path], out: Path, journal: Journal) -> None:
        """Translate what has rested and is not as it was seen before."""
        todo = []
        for file in files:
            there = stamp(file)
            if there is None or there == self._seen.get(file):
                continue
            self._seen[file] = there
            if not (job := self._job(file)):
                continue
            if refused := self._refused(job, journal):
                self._note(file, entry := entry_of(job, "failed", out, refused))
                if self.how.progress:
                    self.how.progress(entry)
            else:
                todo.append(job)
        if not todo:
            return
        report = translate_folder(self.translation, Plan(tuple(todo), out), self.how, journal)
        self._seconds += report.seconds
        for entry in report.entries:
            source = next(job.source for job in todo if job.name == entry.name)
            self._note(source, entry)
            if entry.status == "not reached" or entry.reason == _FOLDER_GONE:
                del self._seen[source]
                self._settling.touch(source, time.monotonic())

    def _refused(self, job: Job, journal: Journal) -> str:
        """Return why a job may not be done, or nothing."""
        owner = self._owners.setdefault(job.target, job.source)
        if owner != job.source and (owner.exists() or self._wrote(owner)):
            return f"{job.target} was made from {owner}, and two inputs cannot share an output; rename one of them"
        self._owners[job.target] = job.source
        if any(lies_within(job.target, folder) for folder in self.folders if lies_within(folder, journal.path.parent)):
            return f"the output {job.target} would lie in an input folder; choose another OUT"
        try:
            decide(Plan((job,), journal.path.parent), journal, self.how.existing)
        except DataError as error:
            return str(error)
        return ""

    def _wrote(self, source: Path) -> bool:
        return source in self._entries and self._entries[source].status in {"translated", "skipped"}

    def _note(self, source: Path, entry: Entry) -> None:
        self._entries[source] = entry
        if entry.pictures:
            self._pictured.pop(source, None)
            self._pictured[source] = None
        if len(self._pictured) > PICTURES_ON_PAGE:
            oldest = next(iter(self._pictured))
            del self._pictured[oldest]
            self._entries[oldest] = replace(self._entries[oldest], pictures=None)
        self._saves.wanted = True

    def _report(self) -> FolderReport:
        found = [e for path, e in self._entries.items() if e.status != "failed" or os.path.lexists(path)]
        return FolderReport(len(found), sorted(found, key=lambda e: e.name), self.plan.others, self._seconds)


class _Share:
    """Does something again and again for at most a share of the time.

    Args:
        share: 20 for a twentieth.
    """

    def __init__(self, share: int) -> None:
        self.share, self.wanted, self._next = share, False, 0.0

    def when_due(self, do: Callable[[], None]) -> None:
        began = time.monotonic()
        if self.wanted and began >= self._next:
            with contextlib.suppress(FileNotFoundError):  # the folder was deleted meanwhile: the next time
                do()
                self.wanted = False
            ended = time.monotonic()
            self._next = ended + self.share * (ended - began)


@dataclass(frozen=True)
class _Event:
    is_set: Callable[[], bool]
