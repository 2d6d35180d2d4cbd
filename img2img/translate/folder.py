"""Every image of a folder tree into the same tree elsewhere: nothing lost, nothing torn, failures named."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from img2img.errors import DataError
from img2img.image import TEMPORARY_PREFIX, Picture, Pictures, Plane, on_white
from img2img.translate.how import Existing, How, Made, StoppedError, Stream
from img2img.translate.inputs import Job, Plan
from img2img.translate.journal import Journal, State, stamp, stamps
from img2img.translate.pipeline import Stages, flow
from img2img.translate.report import PICTURES_ON_PAGE, Entry, FolderReport, Status, spread
from img2img.translate.translation import Prepared, Translation

_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_THUMBNAIL_PX = 256
_LISTED = 3


@dataclass(frozen=True)
class Verdict:
    """What is done with an input: translate it (no status), or at once an entry with this status."""

    job: Job
    status: Status | None = None
    reason: str = ""


def journal_of(plan: Plan, how: How) -> Journal | None:
    """Return the record of the folder that a plan writes; None for one file to one file."""
    return Journal.of(plan.out, settings_of(how), how.part) if plan.out else None


def settings_of(how: How) -> dict[str, Any]:
    """Return all that decides the outputs' bytes, for the journal."""
    return {**how.settings, **how.files.settings(), **how.controls.settings()}


def decide(plan: Plan, journal: Journal | None, existing: Existing | None) -> list[Verdict]:
    """Say for every input, before any work, whether it is translated.

    Raises:
        DataError: for ``error`` where something is there; for ``skip`` and ``newer`` where it was made with other
            settings, so that one folder does not come to hold two kinds.
    """
    states: list[State] = [
        journal.state(job) if journal else "foreign" if os.path.lexists(job.target) else "missing" for job in plan.jobs
    ]
    existing = existing or ("skip" if journal else "overwrite")
    if existing == "error":
        there = [job.target for job, state in zip(plan.jobs, states, strict=True) if state != "missing"]
        if there:
            shown = ", ".join(map(str, there[:_LISTED])) + (" ..." if len(there) > _LISTED else "")
            raise DataError(
                f"{len(there)} outputs are there already: {shown}; --existing skip goes on, overwrite replaces"
            )
    elif existing != "overwrite" and "other settings" in states:
        assert journal is not None
        other = [job for job, state in zip(plan.jobs, states, strict=True) if state == "other settings"]
        raise DataError(
            f"{len(other)} outputs were made with other settings ({journal.other_settings(other[0])}), first "
            f"{other[0].target}; choose another folder, or --existing overwrite"
        )
    return [_verdict(job, state, existing) for job, state in zip(plan.jobs, states, strict=True)]


def _verdict(job: Job, state: State, existing: Existing) -> Verdict:
    if existing == "overwrite" or state in {"missing", "begun", "source changed"}:
        return Verdict(job)
    if state == "complete":
        return Verdict(job, "skipped", "already translated")
    if existing == "newer":
        source, target = stamp(job.source), stamp(job.target)
        if source is None or target is None or source[1] > target[1]:
            return Verdict(job)
        return Verdict(job, "skipped", "the output is newer than the source")
    why = "was changed after it was translated" if state == "changed" else "is there and was not made by this command"
    return Verdict(job, "failed", f"{job.target.name} {why}; --existing overwrite replaces it")


def translate_folder(
    translation: Translation, plan: Plan, how: How | None = None, journal: Journal | None = None
) -> FolderReport:
    """Translate every image, keeping names, tree and formats; a broken image is reported and passed over.

    Each file is written under a temporary name and renamed, and the journal says what was completed, so that an
    interrupted batch leaves no torn file and the same call does the rest.

    Args:
        translation: one picture to another.
        plan: from what to what.
        how: the rest.
        journal: one that the caller has open, and closes; by default the folder's.

    Returns:
        What became of every input.

    Raises:
        DataError: see :func:`decide`.
        OSError: if the disk is full, or the folder cannot be written: the next image would fail alike.
    """
    how = how or How()
    own = journal_of(plan, how) if journal is None else None
    journal = journal or own
    try:
        verdicts = decide(plan, journal, how.existing)
        left = left_by_kills(own)
        if journal and any(verdict.status is None for verdict in verdicts):
            journal.open()
        return collected(_entries(translation, verdicts, journal, how, plan.out), plan, how.progress, left)
    finally:
        if own:
            own.close()


def left_by_kills(journal: Journal | None) -> list[Path]:
    """List the temporary files of earlier runs, of outputs and reports; to be removed once the batch is done."""
    folders = {journal.path.parent, *journal.interrupted()} if journal else ()
    return [path for folder in folders for path in folder.glob(f"{TEMPORARY_PREFIX}*.tmp")]


def collected(
    entries: Iterable[Entry],
    plan: Plan,
    progress: Callable[[Entry], None] | None = None,
    left: Sequence[Path] = (),
) -> FolderReport:
    """Return the report of a plan from the entries of what was reached, in any order, as they come.

    Args:
        entries: at most one for each job.
        plan: of them.
        progress: called with each entry.
        left: files of earlier runs, see :func:`left_by_kills`, to remove once nothing is left to do.
    """
    began = time.monotonic()
    report = FolderReport(inputs=len(plan.jobs), others=plan.others)
    for entry in entries:
        report.entries.append(entry)
        report.seconds = time.monotonic() - began
        if progress is not None:
            progress(entry)
    reached = {entry.name for entry in report.entries}
    for path in left if len(reached) == report.inputs else ():
        path.unlink(missing_ok=True)
    report.entries += [entry_of(job, "not reached", plan.out) for job in plan.jobs if job.name not in reached]
    order = {job.name: number for number, job in enumerate(plan.jobs)}
    report.entries.sort(key=lambda entry: order[entry.name])
    return report


def _entries(
    translation: Translation,
    verdicts: list[Verdict],
    journal: Journal | None,
    how: How,
    out: Path | None,
) -> Iterator[Entry]:
    for verdict in verdicts:
        if verdict.status is not None:
            yield entry_of(verdict.job, verdict.status, out, verdict.reason)
    work = _Work(
        (translation, *how.beside), how, journal, [verdict.job for verdict in verdicts if verdict.status is None]
    )
    failed = ["" for verdict in verdicts if verdict.status == "failed"]
    threads = how.threads or min(4, os.cpu_count() or 1)
    for done in flow(
        work.jobs,
        Stages(work.weigh, work.read, [partial(work.make, one) for one in work.lanes], work.write, work.bucket),
        threads=threads,
        memory=how.memory,
        stop=lambda: how.stop() or (how.fail_fast and bool(failed)),
    ):
        if isinstance(done.error, StoppedError):
            continue
        name = done.item.name
        why = "" if done.error is None else reason(name, done.error)
        if done.error is not None:
            failed.append(why)
        yield Entry(
            name,
            _shown(done.item, out),
            "translated" if done.error is None else "failed",
            why,
            work.notes.pop(name, "") if done.error is None else "",
            work.pictures.pop(name, None),
        )


class _Read(NamedTuple):
    """A file's pictures, and if it is one picture, that one ready for the network."""

    pictures: Pictures
    prepared: Prepared | None


class _Made(NamedTuple):
    """Translated pictures; or those read, with what the network made of the only one."""

    pictures: Pictures
    unfinished: tuple[Prepared, Tensor] | None


class _Work:
    """The stages of one batch. Each touches only what belongs to its own item.

    Args:
        lanes: one picture to another, one for each device.
        how: the batch is done.
        journal: that learns what is completed, or None.
        jobs: what to do.
    """

    def __init__(self, lanes: tuple[Translation, ...], how: How, journal: Journal | None, jobs: list[Job]) -> None:
        self.lanes, self.how, self.journal, self.jobs = lanes, how, journal, jobs
        self.files = how.files
        shown = frozenset(jobs[index].name for index in spread(len(jobs), PICTURES_ON_PAGE)) if jobs else frozenset()
        self.shown = shown if how.shown is None else how.shown
        self.notes: dict[str, str] = {}
        self.stamps: dict[str, tuple[int, int] | None] = {}
        self.pictures: dict[str, tuple[bytes, bytes]] = {}
        self.masks: dict[str, Plane] = {}
        self._before: dict[str, bytes] = {}

    def weigh(self, job: Job) -> int:
        return 0 if self.how.stream(job) else self.files.weigh(job.source, job.name)

    def read(self, job: Job) -> _Read | Stream:
        self.stamps[job.name] = stamps(job)
        if (stream := self.how.stream(job)) is not None:
            return stream
        pictures = self.files.read(job.source, job.name, job.target, job.beside)
        if (mask := self.how.controls.mask(job.name)) is not None:
            self.masks[job.name] = mask
        if not self.how.resizes:
            self.files.check(job.target, pictures)  # before the network works in vain
        if job.name in self.shown:
            self._before[job.name] = _thumbnail(pictures.frames[0])
        alone = len(pictures.frames) == 1
        return _Read(pictures, self.lanes[0].prepare(pictures.frames[0]) if alone else None)

    def bucket(self, read: _Read | Stream) -> tuple[Hashable, int]:
        return self.lanes[0].bucket(read.prepared) if isinstance(read, _Read) and read.prepared else (None, 1)

    def make(self, lane: Translation, jobs: Sequence[Job], read: Sequence[_Read | Stream]) -> list[_Made | Made]:
        """Translate a bucket: single pictures together, files of many frames and streams one by one."""
        alone = [one for one in read if isinstance(one, _Read) and one.prepared]
        if len(alone) == len(read):
            made = lane.run([one.prepared for one in alone if one.prepared])
            return [_Made(one.pictures, (one.prepared, m)) for one, m in zip(alone, made, strict=True) if one.prepared]
        return [self._alone(lane, job, one) for job, one in zip(jobs, read, strict=True)]

    def _alone(self, lane: Translation, job: Job, read: _Read | Stream) -> _Made | Made:
        if not isinstance(read, _Read):
            self._begin(job)
            return read(job, self.how.reached)
        mask, over = self.masks.pop(job.name, None), self.how.controls.over
        return _Made(read.pictures.each(lambda picture: over(picture, lane(picture), mask)), None)

    def _finished(self, job: Job, made: _Made) -> Pictures:
        if made.unfinished is None:
            return made.pictures
        finished, mask = self.lanes[0].finish(*made.unfinished), self.masks.pop(job.name, None)
        return made.pictures.each(lambda picture: self.how.controls.over(picture, finished, mask))

    def write(self, job: Job, made: _Made | Made) -> None:
        if isinstance(made, _Made):
            pictures = self._finished(job, made)
            self._begin(job)
            left_out = self.files.write(job.target, pictures, source=job.source)
            note = "; ".join(dict.fromkeys(filter(None, (pictures.reduced, *left_out))))
            if job.name in self._before:
                self.pictures[job.name] = self._before.pop(job.name), _thumbnail(pictures.frames[0])
        else:
            note = made.note
            if made.pictures and job.name in self.shown:
                before, after = made.pictures
                self.pictures[job.name] = _thumbnail(before), _thumbnail(after)
        if self.journal:
            self.journal.done(job, self.stamps.pop(job.name))
        if note:
            self.notes[job.name] = note

    def _begin(self, job: Job) -> None:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        if self.journal:
            self.journal.begin(job)


def reason(name: str, error: Exception) -> str:
    """Return why an image could not be translated; raise what the next one would meet too, and our own mistakes."""
    if isinstance(error, DataError):
        return str(error).removeprefix(f"{name}: ")
    if isinstance(error, OSError):
        if error.errno in _HOPELESS:
            raise error
        return f"cannot be written ({error.strerror or error})"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error).lower()):
        return "too large for the memory there is; translate it smaller with --size"
    raise error


def _thumbnail(picture: Picture) -> bytes:
    image = on_white(picture)
    image.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=85)
    return data.getvalue()


def entry_of(job: Job, status: Status, out: Path | None, reason: str = "") -> Entry:
    """Return the entry of an input that was not translated."""
    return Entry(job.name, _shown(job, out), status, reason)


def _shown(job: Job, out: Path | None) -> str:
    return job.target.relative_to(out).as_posix() if out else str(job.target)
