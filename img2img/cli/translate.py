"""``img2img translate``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

SOME_FAILED = 3
INTERRUPTED = 130


def translate(
    model: Annotated[Path, typer.Argument(help="Translator file or run folder.", metavar="MODEL")],
    source: Annotated[Path, typer.Argument(help="Image, or folder with images at any depth.", metavar="IN")],
    out: Annotated[Path, typer.Argument(help="Folder (or for one image, a file) to write.", metavar="OUT")],
    to: Annotated[
        str | None, typer.Option(help="Domain to translate into, where the translator knows both ways.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Resize the shorter side to this first; by default the size is kept.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="ema (averaged, the default) or raw.")] = None,
    stochastic: Annotated[
        bool, typer.Option("--stochastic", help="Leave dropout on, as in the pix2pix paper.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of --stochastic.")] = 0,
) -> None:
    """Translate an image or every image of a folder: same names, same folders, same sizes.

    Exit code 0: all translated; 3: some failed (each is named); 1: none.

    [bold]Examples[/bold]

    img2img translate runs/colour drawings/ coloured/

    img2img translate horse2zebra.safetensors photos/ out/ --to zebra
    """
    from rich.console import Console

    from img2img.configured import nearest
    from img2img.errors import ConfigError
    from img2img.translate.folder import FolderReport, plan, translate_folder
    from img2img.translate.translator import load

    console = Console()
    if weights not in {None, "ema", "raw"}:
        raise ConfigError(f"--weights {weights}: expected ema or raw{nearest(str(weights), ['ema', 'raw'])}")
    jobs, _ = plan(source, out)
    translator = load(model, device, weights=weights, stochastic=stochastic, seed=seed)  # type: ignore[arg-type]
    direction = translator.direction(to)
    count = "1 image" if len(jobs) == 1 else f"{len(jobs)} images"
    console.print(
        f"{count}, {direction.replace(':', ' -> ')}, on {translator.device.type}"
        + (
            f" (other directions: {', '.join(d for d in translator.directions if d != direction)})"
            if len(translator.directions) > 1
            else ""
        ),
        highlight=False,
        soft_wrap=True,
    )
    target = direction.split(":")[1]
    with _bar(console, len(jobs)) as advance:
        done = 0

        def step(report: FolderReport) -> None:
            nonlocal done
            done = len(report.translated) + len(report.failed)
            advance(done)
            if stopping:
                raise KeyboardInterrupt

        def stop(number: int, frame: object) -> None:  # finish the image; a second Ctrl-C ends at once
            del number, frame
            signal.signal(signal.SIGINT, signal.default_int_handler)
            stopping.append(True)

        stopping: list[bool] = []
        signal.signal(signal.SIGINT, stop)
        try:
            report = translate_folder(lambda picture: translator.picture(picture, target, size), source, out, step)
        except KeyboardInterrupt:
            typer.echo(f"interrupted after {done} of {count}; what was written is whole: {out}", err=True)
            sys.exit(INTERRUPTED)
    for name, reason in report.failed.items():
        console.print(f"failed: {name}: {reason}", style="red", highlight=False, soft_wrap=True, markup=False)
    for reason in sorted(set(report.notes.values())):
        names = [name for name, note in report.notes.items() if note == reason]
        console.print(
            f"note: {reason}: {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else ""),
            highlight=False,
            markup=False,
        )
    others = f", {report.others} other files left alone" if report.others else ""
    rate = len(report.translated) / report.seconds if report.seconds else 0.0
    console.print(
        f"{len(report.translated)} translated, {len(report.failed)} failed{others}, "
        f"{report.seconds:.1f} s ({rate:.1f} images/s): {out}",
        highlight=False,
        soft_wrap=True,
    )
    if report.failed:
        sys.exit(SOME_FAILED if report.translated else 1)


def _bar(console: object, total: int):  # type: ignore[no-untyped-def]  # noqa: ANN202 (a context manager of a callable)
    import contextlib
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    assert isinstance(console, Console)

    @contextlib.contextmanager
    def bar() -> Iterator[Callable[[int], None]]:
        if not console.is_terminal:
            yield lambda done: None  # noqa: ARG005
            return
        with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task("", total=total)
            yield lambda done: progress.update(task, completed=done)

    return bar()
