"""Running a batch from the command line: what is said before, meanwhile and after, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from img2img.translate.folder import How, Verdict
    from img2img.translate.inputs import Plan
    from img2img.translate.report import Entry, FolderReport
    from img2img.translate.translation import Translation

SOME_FAILED = 3


def say_start(console: Console, count: int, direction: str, directions: list[str], where: str) -> None:
    """Say what is about to be done, and where."""
    others = [d for d in directions if d != direction]
    more = f" (other directions: {', '.join(others)})" if others else ""
    images = "1 image" if count == 1 else f"{count:,} images"
    console.print(f"{images}, {direction.replace(':', ' -> ')}, on {where}{more}", highlight=False, soft_wrap=True)


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


def run(console: Console, todo: Plan, how: How, translation: Translation) -> None:
    """Translate a batch under a bar, write its reports, say what became of it, and leave with its exit code."""
    import signal
    from dataclasses import replace

    from img2img.translate.folder import translate_folder
    from img2img.translate.report import write_lines, write_page

    received: list[int] = []

    def note(number: int, frame: object) -> None:
        del frame
        if received:
            raise KeyboardInterrupt
        received.append(number)
        typer.echo("finishing what has begun (again to stop at once)", err=True)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with _bar(console, len(todo.jobs)) as advance:
            how = replace(how, stop=lambda: bool(received), progress=advance)
            report = translate_folder(translation, todo, how)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if todo.out is not None:
        todo.out.mkdir(parents=True, exist_ok=True)
        part = f"-{how.part}" if how.part else ""
        write_lines(todo.out / f"report{part}.jsonl", report.entries)
        write_page(todo.out / f"report{part}.html", "img2img translate", report)
    _say_end(console, todo, report)
    if received:
        typer.echo("stopped; the same command does the rest", err=True)
        sys.exit(128 + received[0])
    if report.failed:
        sys.exit(SOME_FAILED if report.translated or report.skipped else 1)


def _say_end(console: Console, todo: Plan, report: FolderReport) -> None:
    from img2img.report import printable

    for name, reason in report.failed.items():
        said = printable(f"failed: {name}: {reason}")
        console.print(said, style="red", highlight=False, soft_wrap=True, markup=False)
    for kind, by_name in (("note", report.notes), ("skipped", report.skipped)):
        for reason in sorted(set(by_name.values())):
            names = [printable(name) for name, note in by_name.items() if note == reason]
            more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            console.print(f"{kind}: {reason}: {names[0]}{more}", highlight=False, soft_wrap=True, markup=False)
    where = todo.out if todo.out is not None else todo.jobs[0].target
    console.print(printable(f"{report.summary()}: {where}"), highlight=False, soft_wrap=True, markup=False)


def _bar(console: Console, total: int):  # type: ignore[no-untyped-def]  # noqa: ANN202 (a context manager of a callable)
    import contextlib
    from collections.abc import Iterator

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextlib.contextmanager
    def bar() -> Iterator[Callable[[Entry], None]]:
        if not console.is_terminal:
            yield lambda entry: None  # noqa: ARG005
            return
        speed = TextColumn("{task.fields[rate]}")
        columns = (BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("", total=total, rate="")

            def advance(entry: Entry) -> None:
                speed_now = progress.tasks[0].speed
                rate = "" if entry.status == "skipped" or not speed_now else f"{speed_now:.3g} images/s"
                progress.update(task, advance=1, rate=rate)

            yield advance

    return bar()
