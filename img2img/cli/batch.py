"""Running a batch from the command line: what is said before, meanwhile and after, and the exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from img2img.translate.folder import Verdict
    from img2img.translate.how import How
    from img2img.translate.inputs import Plan
    from img2img.translate.report import Entry, FolderReport

SOME_FAILED = 3


def say_start(console: Console, todo: Plan, direction: str, directions: list[str], where: str) -> None:
    """Say what is about to be done, and where."""
    from img2img.image import is_video

    others = [d for d in directions if d != direction]
    more = f" (other directions: {', '.join(others)})" if others else ""
    videos = sum(is_video(job.target) for job in todo.jobs)
    counts = {"image": len(todo.jobs) - videos, "video": videos}
    inputs = ", ".join(f"{count:,} {kind}{'s' * (count > 1)}" for kind, count in counts.items() if count)
    console.print(f"{inputs}, {direction.replace(':', ' -> ')}, on {where}{more}", highlight=False, soft_wrap=True)


def say_plan(console: Console, todo: Plan, how: How) -> None:
    """Say what would be done with each input (``--dry-run``)."""
    from img2img.report import printable
    from img2img.translate.folder import decide, journal_of

    verdicts: list[Verdict] = decide(todo, journal_of(todo, how), how.existing)
    for verdict in verdicts:
        what = "would translate" if verdict.status is None else f"{verdict.status}: {verdict.reason}:"
        said = printable(f"{what} {verdict.job.source} -> {verdict.job.target}")
        console.print(said, highlight=False, soft_wrap=True, markup=False)
    count = sum(verdict.status is None for verdict in verdicts)
    console.print(f"{count:,} of {len(verdicts):,} would be translated; nothing was written", highlight=False)


def run(console: Console, todo: Plan, how: How, do: Callable[[How], FolderReport]) -> None:
    """Do a batch under a bar, write its reports, say what became of it, and leave with its exit code."""
    from dataclasses import replace

    with stoppable() as received, _bar(console, len(todo.jobs)) as (advance, within):
        report = do(replace(how, stop=lambda: bool(received), progress=advance, within=within))
    save(todo.out, report, how.part)
    leave(console, todo.out if todo.out is not None else todo.jobs[0].target, report, received)


@contextlib.contextmanager
def stoppable() -> Iterator[list[int]]:
    """Collect the signals that ask to stop: the first is kept for the batch to see, the second stops at once."""
    import signal

    received: list[int] = []

    def note(number: int, frame: object) -> None:
        del frame
        if received:
            raise KeyboardInterrupt
        received.append(number)
        typer.echo("finishing what has begun (again to stop at once)", err=True)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def save(out: Path | None, report: FolderReport, part: str = "") -> None:
    """Write the reports into the folder of the outputs, if it is one."""
    from img2img.translate.report import write_lines, write_page

    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        name = f"report{'-' * bool(part)}{part}"
        write_lines(out / f"{name}.jsonl", report.entries)
        write_page(out / f"{name}.html", "img2img translate", report)


def leave(console: Console, where: Path, report: FolderReport, received: list[int], *, waited: bool = False) -> None:
    """Say what became of a batch and leave with its exit code.

    ``waited``: being stopped is its only end, and counts only if something was left.
    """
    _say_end(console, where, report)
    if received and (report.not_reached or not waited):
        typer.echo("stopped; the same command does the rest", err=True)
        sys.exit(128 + received[0])
    if report.failed:
        sys.exit(SOME_FAILED if report.translated or report.skipped else 1)


def say_failed(console: Console, failed: Mapping[str, str]) -> None:
    """Name every input that failed, with the reason."""
    from img2img.report import printable

    for name, reason in failed.items():
        said = printable(f"failed: {name}: {reason}")
        console.print(said, style="red", highlight=False, soft_wrap=True, markup=False)


def _say_end(console: Console, where: Path, report: FolderReport) -> None:
    from img2img.report import printable

    say_failed(console, report.failed)
    for kind, by_name in (("note", report.notes), ("skipped", report.skipped)):
        for reason in sorted(set(by_name.values())):
            names = [printable(name) for name, note in by_name.items() if note == reason]
            more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            console.print(f"{kind}: {reason}: {names[0]}{more}", highlight=False, soft_wrap=True, markup=False)
    console.print(printable(f"{report.summary()}: {where}"), highlight=False, soft_wrap=True, markup=False)


@contextlib.contextmanager
def _bar(console: Console, total: int) -> Iterator[tuple[Callable[[Entry], None], Callable[[float], None]]]:
    """Show a bar; what is yielded moves it on by an input, and by the part of a video that is done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if not console.is_terminal:
        yield lambda entry: None, lambda part: None  # noqa: ARG005
        return
    speed = TextColumn("{task.fields[rate]}")
    columns = (BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total, rate="")

        def advance(entry: Entry) -> None:
            speed_now = progress.tasks[0].speed
            rate = "" if entry.status == "skipped" or not speed_now else f"{speed_now:.3g} images/s"
            progress.update(task, completed=int(progress.tasks[0].completed) + 1, rate=rate)

        def within(part: float) -> None:
            progress.update(task, completed=int(progress.tasks[0].completed) + min(part, 0.999))

        yield advance, within
