"""``img2img compare``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from img2img.cli.batch import SOME_FAILED, say_failed


def compare(
    words: Annotated[
        list[str],
        typer.Argument(
            help="Translator files, checkpoints or run folders; then a folder of images, an image, or a pattern in "
            "quotes.",
            metavar="MODEL... IN",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Page to write (.html), or a folder for it.")] = None,
    references: Annotated[
        Path | None, typer.Option(help="Folder of what ought to come out, by the names of the inputs.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Domain to translate into, where translators know both ways.")] = None,
    every: Annotated[
        bool | None,
        typer.Option(
            "--every-checkpoint/--last",
            help="Of runs: all weights that they kept, or the last. By default all of a single MODEL.",
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures, spread evenly over the folder.")] = 12,
    width: Annotated[int, typer.Option(min=16, help="Longer side of a picture on the contact sheet in pixels.")] = 256,
    title: Annotated[str, typer.Option(help="Above all; by default the direction.")] = "",
    size: Annotated[
        int | None, typer.Option(min=1, help="Resize the shorter side to this first; by default the size is kept.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16; auto is bf16 where the device has it.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="ema (averaged, the default) or raw.")] = None,
) -> None:
    """Choose the best weights by eye: all that a run kept, or several translators, over the same pictures.

    Writes a page that opens from disk: a slider between any two pictures, contact sheets, and the curves of the
    trainings with the best by validation marked. The pictures are those that img2img translate would write.

    Exit code 0: all are there; 3: some could not be translated (each is named, and left out); 1: none.

    [bold]Examples[/bold]

    img2img compare runs/colour drawings/ --out colour.html

    img2img compare runs/a runs/b best.safetensors photos/test --references paintings/test --out which/
    """
    from rich.console import Console

    from img2img.configured import nearest
    from img2img.errors import ConfigError
    from img2img.evaluate.comparison import compare as write
    from img2img.training.candidates import contenders, curves
    from img2img.translate.setup import Setup

    for option, value, known in (
        ("weights", weights, ("ema", "raw")),
        ("precision", precision, ("auto", "fp32", "bf16")),
    ):
        if value is not None and value not in known:
            raise ConfigError(f"--{option} {value}: expected {', '.join(known)}{nearest(value, known)}")
    if out is None:
        raise ConfigError("--out is missing: expected the page to write, such as --out compare.html")
    *given, source = words
    if not given:
        raise ConfigError(f"{source}: expected one MODEL or more, then the images, such as runs/colour drawings/")
    models = [Path(model) for model in given]
    setup = Setup(
        models[0],
        to=to,
        size=size,
        device=device,
        precision=precision,  # type: ignore[arg-type]
        weights=weights,  # type: ignore[arg-type]
    )
    console = Console()
    found = contenders(models, setup, every=len(models) == 1 if every is None else every)
    made = write(
        found,
        curves(models),
        source,
        out,
        references=references,
        to=to,
        count=count,
        side_px=width,
        title=title,
        say=lambda name: _say(console, f"translating by {name}"),
    )
    say_failed(console, made.failed)
    if not made.shown:
        sys.exit(1)
    counts = (len(made.shown), "picture"), (len(found), "translator")
    pictures, translators = (f"{n:,} {word}{'s' * (n > 1)}" for n, word in counts)
    beside = f" and {made.page.stem}_files beside it" if made.outside else ""
    _say(console, f"{pictures}, {translators}: {made.page}{beside}")
    if made.failed:
        sys.exit(SOME_FAILED)


def _say(console: object, words: str) -> None:
    from rich.console import Console

    from img2img.report import printable

    assert isinstance(console, Console)
    console.print(printable(words), highlight=False, soft_wrap=True, markup=False)
