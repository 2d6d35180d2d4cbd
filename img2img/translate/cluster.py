"""A batch on the machines of a cluster, by Ray Data: workers that load the translator once and take chunk after chunk.

The driver plans, reads the journal and decides; a worker does its chunks as :func:`translate_folder` does a folder and
keeps a journal of its own in OUT. A worker that dies is replaced, and what it had half done is done again.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from img2img.devices import keep_freed_memory
from img2img.errors import ConfigError, Img2ImgError, RunError
from img2img.translate.folder import Verdict, collected, decide, entry_of, left_by_kills, settings_of, translate_folder
from img2img.translate.how import How
from img2img.translate.inputs import Job, Plan
from img2img.translate.journal import Journal, path_of
from img2img.translate.report import PICTURES_ON_PAGE, Entry, FolderReport, spread
from img2img.translate.setup import Setup

_CHUNK = 64  # images at most: what is done again when a worker dies
_CHUNKS_PER_WORKER = 8  # at least, so that all end at about the same time
_CPUS_EACH = 4  # of a worker: more threads make one image hardly faster
_REACH_S = 20
_HEAD = 256  # images that every worker is told of, for what is settled by the batch
_ATTEMPTS = 3  # at a chunk whose worker died: Ray itself would try for ever


@dataclass(frozen=True)
class Pool:
    """What workers take of a cluster.

    Args:
        workers: how many; by default as many as there is room for.
        cpus: of each; by default up to four.
        gpus: of each, such as 0.5 for two on one; by default one where the cluster has some, unless the device is cpu.
    """

    workers: int | None = None
    cpus: float | None = None
    gpus: float | None = None


@dataclass(frozen=True)
class Facts:
    """What only a worker can tell: the driver's machine may have another device.

    Attributes:
        settings: what decides the outputs' bytes.
        directions: the translator has.
        direction: that is meant.
        where: device and precision.
    """

    settings: Mapping[str, Any]
    directions: list[str]
    direction: str
    where: str


@dataclass(frozen=True)
class Cluster:
    """A cluster that is connected, and what runs there.

    Attributes:
        setup: with absolute paths, and device, precision, engine and pixels at once as the first worker settled them.
        head: the plan's first images, see :meth:`Setup.how`.
        facts: about the translator.
        workers: how many.
        cpus: of each.
        gpus: of each.
    """

    setup: Setup
    head: Plan
    facts: Facts
    workers: int
    cpus: float
    gpus: float

    def translate_folder(self, plan: Plan, how: How) -> FolderReport:
        """Do what :func:`img2img.translate.folder.translate_folder` does, on the workers.

        Args:
            plan: from what to what, by paths that every machine sees.
            how: of it ``existing``, ``fail_fast``, ``threads``, ``stop`` and ``progress``; the rest is the setup's.

        Raises:
            DataError: see :func:`img2img.translate.folder.decide`.
            OSError: if the disk is full or read-only.
            RunError: if a worker cannot load the translator, or dies again and again.
        """
        assert plan.out is not None
        journal = Journal.of(plan.out, self.facts.settings)
        verdicts = decide(plan, journal, how.existing)
        left = left_by_kills(journal)
        report = collected(self._entries(verdicts, plan.out, how, journal.number), plan, how.progress, left)
        if report.not_reached:  # stopped within chunks: of what the workers had done their journals know
            journal, jobs = Journal.of(plan.out, self.facts.settings), {job.name: job for job in plan.jobs}
            report.entries = [
                replace(entry, status="translated")
                if entry.status == "not reached" and journal.state(jobs[entry.name]) == "complete"
                else entry
                for entry in report.entries
            ]
        return report

    def _entries(self, verdicts: list[Verdict], out: Path, how: How, number: int) -> Iterator[Entry]:
        stop = how.fail_fast and any(verdict.status == "failed" for verdict in verdicts)
        for verdict in verdicts:
            if verdict.status is not None:
                yield entry_of(verdict.job, verdict.status, out, verdict.reason)
        jobs = [verdict.job for verdict in verdicts if verdict.status is None]
        if not jobs or stop:
            return
        threads = how.threads or max(1, round(self.cpus))
        task = _Task(self.setup, self.head, out.absolute(), self.facts.settings, number, threads, how.fail_fast)
        for row in self._rows(jobs, task):
            entry = _entry(row)
            yield entry
            if how.stop() or (how.fail_fast and entry.status == "failed"):
                return

    def _rows(self, jobs: list[Job], task: _Task) -> Iterator[dict[str, Any]]:
        import ray  # noqa: PLC0415 (an extra)
        from ray.data import ActorPoolStrategy, from_items  # noqa: PLC0415

        shown = spread(len(jobs), PICTURES_ON_PAGE)
        rows = [_job_row(job, number in shown) for number, job in enumerate(jobs)]
        chunk = min(_CHUNK, max(1, len(jobs) // (_CHUNKS_PER_WORKER * self.workers)))
        chunks = -(-len(jobs) // chunk)
        done = from_items(rows, override_num_blocks=chunks).map_batches(
            _Worker,
            batch_size=None,  # a block: our chunk
            fn_constructor_args=(task, ray.remote(_Attempts).options(num_cpus=0).remote()),
            compute=ActorPoolStrategy(size=min(self.workers, chunks)),
            num_cpus=self.cpus,
            num_gpus=self.gpus,
        )
        try:
            yield from done.iter_rows()
        except ray.exceptions.RayError as error:
            why = str(error).strip().splitlines()[-1]
            raise RunError(f"the cluster gave up ({why}); the same command does the rest") from error


@contextmanager
def connected(setup: Setup, pool: Pool, plan: Plan) -> Iterator[Cluster]:
    """Connect to the cluster that RAY_ADDRESS names, or start one on this machine; leave it at the end.

    Args:
        setup: what is loaded in each worker.
        pool: what workers take.
        plan: what will be translated.

    Raises:
        ModuleNotFoundError: naming what to install.
        ConfigError: if no machine of the cluster has what a worker takes.
        RunError: if the cluster cannot be reached, or a worker cannot load the translator.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors reach us as exceptions
    try:
        import ray  # noqa: PLC0415 (an extra)
        from ray.data import DataContext  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "--runner ray needs ray: pip install 'img2img-toolkit[ray]'", name=error.name
        ) from error
    _reach(os.environ.get("RAY_ADDRESS", ""))
    try:
        with _hushed():
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = os.environ.get("RAY_ADDRESS", "this machine")
        raise RunError(f"no Ray cluster at {where}: {str(error).strip().splitlines()[0]}") from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        workers, cpus, gpus = _fitted(pool, nodes, setup.device)
        masks = setup.controls.masks and setup.controls.masks.absolute()
        setup = replace(setup, model=setup.model.absolute(), controls=replace(setup.controls, masks=masks))
        head = Plan(plan.jobs[:_HEAD], plan.out)
        found = ray.get(ray.remote(_facts).options(num_cpus=cpus, num_gpus=gpus).remote(setup, head))
        if isinstance(found, str):
            raise RunError(found)
        settled = found.settings
        memory = replace(setup.memory, whole_px=settled["whole_px"])
        kept = {key: settled[key] for key in ("device", "precision", "engine", "batch")}
        same = replace(setup, memory=memory, **kept)
        yield Cluster(same, head, found, workers, cpus, gpus)
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would try for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=_REACH_S).close()
        except OSError as error:
            raise RunError(f"RAY_ADDRESS {address}: no Ray cluster there ({error.strerror or error})") from error


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep Ray's native code, which python's logging does not reach, from printing about its own log level."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _fitted(pool: Pool, nodes: Sequence[Mapping[str, float]], device: str) -> tuple[int, float, float]:
    """Return how many workers there are, and CPUs and GPUs of each."""
    most = {kind: max((node.get(kind, 0.0) for node in nodes), default=0.0) for kind in ("CPU", "GPU")}
    gpus = (1.0 if most["GPU"] and device in {"auto", "cuda"} else 0.0) if pool.gpus is None else pool.gpus
    able = [node for node in nodes if node.get("GPU", 0.0) >= gpus and node.get("CPU", 0.0) >= 1]
    per_worker = min((node["CPU"] / (node["GPU"] // gpus if gpus else 1) for node in able), default=1.0)
    cpus = max(1.0, min(_CPUS_EACH, per_worker // 1)) if pool.cpus is None else pool.cpus
    room = sum(
        int(min(node.get("CPU", 0.0) / cpus if cpus else float("inf"), node.get("GPU", 0.0) / gpus if gpus else 1e9))
        for node in nodes
    )
    if not room:
        raise ConfigError(
            f"a worker takes {cpus:g} CPUs and {gpus:g} GPUs, and no machine of the cluster has them (at most "
            f"{most['CPU']:g} and {most['GPU']:g}); see --worker-cpus, --worker-gpus"
        )
    return pool.workers or room, cpus, gpus


def _facts(setup: Setup, head: Plan) -> Facts | str:
    try:
        translator = setup.load()
        how = setup.how(translator, head)
        return Facts(settings_of(how), translator.directions, translator.direction(setup.to), str(translator))
    except Img2ImgError as error:
        return _blamed(error)


def _blamed(error: Img2ImgError) -> str:
    return f"a worker on {socket.gethostname()}: {error}"


@dataclass(frozen=True)
class _Task:
    """What a worker is told at its start."""

    setup: Setup
    head: Plan
    out: Path
    settings: Mapping[str, Any]
    number: int
    threads: int
    fail_fast: bool


class _Attempts:
    """Counts how often each chunk was begun, outside of the workers, which may die."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def begun(self, chunk: str) -> int:
        """Count a chunk, named by its first image; return how often it was begun."""
        self.counts[chunk] += 1
        return self.counts[chunk]


class _Worker:
    """Translates chunks of jobs; made once in each process.

    Args:
        task: what all chunks have in common.
        attempts: handle of :class:`_Attempts`.
    """

    def __init__(self, task: _Task, attempts: Any) -> None:
        keep_freed_memory()
        self.task, self.attempts = task, attempts
        self.part = f"ray-{uuid.uuid4().hex[:12]}"
        self.loaded: tuple[Any, How] | None = None

    def __call__(self, rows: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Translate a chunk; rows of :func:`_job_row` become rows of :func:`_entry_row`."""
        import ray  # noqa: PLC0415 (an extra)

        jobs = [
            Job(os.fsdecode(name), Path(os.fsdecode(source)), Path(os.fsdecode(target)), _apart(beside))
            for name, source, target, beside in zip(
                rows["name"], rows["source"], rows["target"], rows["beside"], strict=True
            )
        ]
        shown = frozenset(job.name for job, kept in zip(jobs, rows["shown"], strict=True) if kept)
        try:
            if ray.get(self.attempts.begun.remote(jobs[0].name)) > _ATTEMPTS:
                raise RunError(
                    f"{_ATTEMPTS} workers died at one of the images from {jobs[0].name} to {jobs[-1].name}; if the "
                    "machine's memory did not suffice, see --max-pixels, --tile and --workers"
                )
            entries = self._translated(jobs, shown)
        except Img2ImgError as error:
            found = [_stopped(_blamed(error))]
        except OSError as error:
            found = [_stopped(str(error.filename or ""), error.errno or 0)]
        else:
            found = [_entry_row(entry) for entry in entries if entry.status != "not reached"]
        return {key: [row[key] for row in found] for key in _stopped("")}

    def _translated(self, jobs: list[Job], shown: frozenset[str]) -> list[Entry]:
        task = self.task
        if self.loaded is None:
            translator = task.setup.load()
            how = replace(
                task.setup.how(translator, task.head),
                existing="overwrite",  # the driver has decided; a worker that died may have left some of these
                fail_fast=task.fail_fast,
                threads=task.threads,
            )
            self.loaded = task.setup.translation(translator), how
        translate, how = self.loaded
        journal = Journal(path_of(task.out, self.part), task.settings, task.number)
        try:
            plan = Plan(tuple(jobs), task.out)
            return translate_folder(translate, plan, replace(how, shown=shown), journal).entries
        finally:
            journal.close()


def _job_row(job: Job, shown: bool) -> dict[str, Any]:
    """Return a job as plain data: bytes, because names need not be UTF-8."""
    source, target = (os.fsencode(path.absolute()) for path in (job.source, job.target))
    beside = b"\0".join(os.fsencode(path.absolute()) for path in job.beside)
    return {"name": os.fsencode(job.name), "source": source, "target": target, "beside": beside, "shown": shown}


def _apart(beside: bytes) -> tuple[Path, ...]:
    return tuple(Path(os.fsdecode(path)) for path in beside.split(b"\0") if path)


def _entry_row(entry: Entry) -> dict[str, Any]:
    texts = {key: os.fsencode(getattr(entry, key)) for key in ("name", "output", "status", "reason", "note")}
    before, after = entry.pictures or (b"", b"")
    return {**texts, "before": before, "after": after, "errno": 0}


def _stopped(why: str, number: int = 0) -> dict[str, Any]:
    """Return the row of a chunk that could not be done, where the next one would fare alike."""
    return {**_entry_row(Entry("", "", "failed", why)), "status": b"stopped", "errno": number}


def _entry(row: Mapping[str, Any]) -> Entry:
    texts = {key: os.fsdecode(row[key]) for key in ("name", "output", "status", "reason", "note")}
    if texts["status"] == "stopped":
        if row["errno"]:
            raise OSError(row["errno"], os.strerror(row["errno"]), texts["reason"] or None)
        raise RunError(texts["reason"])
    return Entry(**texts, pictures=(row["before"], row["after"]) if row["before"] else None)  # type: ignore[arg-type]
