"""Every image of a folder tree into the same tree elsewhere: nothing lost, nothing torn, failures named."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import Tensor

from img2img.errors import DataError
from img2img.image import Picture, Pictures, Plane, on_white, resized
from img2img.translate.controls import Controls
from img2img.translate.files import Files
from img2img.translate.inputs import Job, Plan
from img2img.translate.journal import Journal, State, stamp
from img2img.translate.pipeline import Stages, flow
from img2img.translate.report import Entry, FolderReport, Status, spread
from img2img.translate.translation import Prepared, Translation

Existing = Literal["skip", "newer", "overwrite", "error"]
"""What to do about files that are there already. ``skip``: leave what these settings have completed, and touch nothing
that is not ours. ``newer``: also replace what is older than its source. ``overwrite``: replace. ``error``: refuse."""

_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_THUMBNAIL_PX = 256
_LISTED = 3
_PICTURES_ON_PAGE = 120


@dataclass(frozen=True)
class How:
    """How a batch is done.

    Args:
        existing: see :data:`Existing`; by default ``skip``, and for one file to one file ``overwrite``.
        fail_fast: stop at the first failure.
        threads: that read, and again as many that write; by default what suits the machine.
        memory: bytes that pictures between reading and writing may take.
        files: what is read and kept of files.
        controls: what of the source is kept.
        resizes: whether outputs have other sizes than inputs.
        by_regions: translates a TIFF that is never whole in memory, see :meth:`Files.goes_by_regions`.
        beside: the same translation on further devices.
        settings: what decides the outputs' bytes beside that, for the journal.
        part: see :meth:`Journal.of`.
        stop: asked before every image; once true, what has begun is finished and the rest is left.
        progress: called with each entry.
    """

    existing: Existing | None = None
    fail_fast: bool = False
    threads: int | None = None
    memory: int = 2_000_000_000
    files: Files = field(default_factory=Files)
    controls: Controls = field(default_factory=Controls)
    resizes: bool = False
    by_regions: Callable[[Path, Path], None] | None = None
    beside: tuple[Translation, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    part: str = ""
    stop: Callable[[], bool] = lambda: False
    progress: Callable[[Entry], None] | None = None


@dataclass(frozen=True)
class Verdict:
    """What is done with an input: translate it (no status), or at once an entry with this status."""

    job: Job
    status: Status | None = None
    reason: str = ""


def journal_of(plan: Plan, how: How) -> Journal | None:
    """Return the record of the folder that a plan writes; None for one file to one file."""
    settings = {**how.settings, **how.files.settings(), **how.controls.settings()}
    return Journal.of(plan.out, settings, how.part) if plan.out else None


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


def translate_folder(translation: Translation, plan: Plan, how: How | None = None) -> FolderReport:
    """Translate every image, keeping names, tree and formats; a broken image is reported and passed over.

    Each file is written under a temporary name and renamed, and the journal says what was completed, so that an
    interrupted batch leaves no torn file and the same call does the rest.

    Args:
        translation: one picture to another.
        plan: from what to what.
        how: the rest.

    Returns:
        What became of every input.

    Raises:
        DataError: see :func:`decide`.
        OSError: if the disk is full, or the folder cannot be written: the next image would fail alike.
    """
    how = how or How()
    began = time.monotonic()
    journal = journal_of(plan, how)
    verdicts = decide(plan, journal, how.existing)
    report = FolderReport(inputs=len(plan.jobs), others=plan.others)
    try:
        if journal and any(verdict.status is None for verdict in verdicts):
            journal.open()
        for entry in _entries(translation, verdicts, journal, how, plan.out):
            report.entries.append(entry)
            report.seconds = time.monotonic() - began
            if how.progress is not None:
                how.progress(entry)
    finally:
        if journal:
            journal.close()
    reached = {entry.name for entry in report.entries}
    report.entries += [_entry(v.job, "not reached", plan.out) for v in verdicts if v.job.name not in reached]
    order = {verdict.job.name: number for number, verdict in enumerate(verdicts)}
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
            yield _entry(verdict.job, verdict.status, out, verdict.reason)
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
    """A file's pictures, none if it goes by regions, and if it is one picture, that one ready for the network."""

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
        self.shown = {jobs[index].name for index in spread(len(jobs), _PICTURES_ON_PAGE)} if jobs else set()
        self.notes: dict[str, str] = {}
        self.stamps: dict[str, list[int] | None] = {}
        self.pictures: dict[str, tuple[bytes, bytes]] = {}
        self.masks: dict[str, Plane] = {}
        self._before: dict[str, bytes] = {}

    def weigh(self, job: Job) -> int:
        return self.files.weigh(job.source, job.name)

    def read(self, job: Job) -> _Read:
        self.stamps[job.name] = stamp(job.source)
        if self.how.by_regions and self.files.goes_by_regions(job.source):
            return _Read(Pictures(()), None)
        pictures = self.files.read(job.source, job.name, job.target)
        if (mask := self.how.controls.mask(job.name)) is not None:
            self.masks[job.name] = mask
        if not self.how.resizes:
            self.files.check(job.target, pictures)  # before the network works in vain
        if job.name in self.shown:
            self._before[job.name] = _thumbnail(pictures.frames[0])
        alone = len(pictures.frames) == 1
        return _Read(pictures, self.lanes[0].prepare(pictures.frames[0]) if alone else None)

    def bucket(self, read: _Read) -> tuple[Hashable, int]:
        return self.lanes[0].bucket(read.prepared) if read.prepared else (None, 1)

    def make(self, lane: Translation, jobs: Sequence[Job], read: Sequence[_Read]) -> list[_Made]:
        """Translate a bucket: single pictures together, files of many frames or none one by one."""
        prepared = [one.prepared for one in read if one.prepared]
        if len(prepared) == len(read):
            made = lane.run(prepared)
            return [_Made(one.pictures, (one.prepared, m)) for one, m in zip(read, made, strict=True) if one.prepared]
        return [_Made(self._alone(lane, job, one.pictures), None) for job, one in zip(jobs, read, strict=True)]

    def _alone(self, lane: Translation, job: Job, pictures: Pictures) -> Pictures:
        if not pictures.frames:
            self._begin(job)
            assert self.how.by_regions is not None
            self.how.by_regions(job.source, job.target)
            signed = ", not signed" if self.files.signer else ""
            self.notes[job.name] = f"read and written by regions: no EXIF, no XMP{signed}"
        mask = self.masks.pop(job.name, None)
        return pictures.each(lambda picture: self._controlled(picture, lane(picture), mask))

    def _controlled(self, picture: Picture, made: Picture, mask: Plane | None) -> Picture:
        if self.how.controls == Controls():
            return made
        source = resized(picture.pixels, *made.pixels.shape[:2])
        return replace(made, pixels=self.how.controls.apply(source, made.pixels, mask))

    def write(self, job: Job, made: _Made) -> None:
        pictures = made.pictures
        if made.unfinished is not None:
            finished = self.lanes[0].finish(*made.unfinished)
            mask = self.masks.pop(job.name, None)
            pictures = pictures.each(lambda picture: self._controlled(picture, finished, mask))
        left_out: tuple[str, ...] = ()
        if pictures.frames:
            self._begin(job)
            left_out = self.files.write(job.target, pictures, source=job.source)
        if self.journal:
            self.journal.done(job, self.stamps.pop(job.name))
        if note := "; ".join(dict.fromkeys(filter(None, (pictures.reduced, *left_out)))):
            self.notes[job.name] = note
        if job.name in self._before:
            self.pictures[job.name] = self._before.pop(job.name), _thumbnail(pictures.frames[0])

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


def _entry(job: Job, status: Status, out: Path | None, reason: str = "") -> Entry:
    return Entry(job.name, _shown(job, out), status, reason)


def _shown(job: Job, out: Path | None) -> str:
    return job.target.relative_to(out).as_posix() if out else str(job.target)
