"""``img2img compare``."""

from __future__ import annotations

import sys
from functools import partial
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
    blind: Annotated[
        str | None,
        typer.Option(help="Write a page of blind choices instead: real (or made?), or better (of two models)."),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Of --blind: choices that count.")] = 40,
    practice: Annotated[int, typer.Option(min=0, help="Of --blind real: choices before, with the answer told.")] = 10,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Of --blind: that a pair shows, 0 for no limit; 1 for real, 0 for better."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of --blind: decides order and sides.")] = 0,
    votes: Annotated[bool, typer.Option("--votes", help="Count the files of votes that are given instead.")] = False,
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

    img2img compare runs/a runs/b photos/test --blind better --out choose.html

    img2img compare --votes votes-*.json
    """
    from rich.console import Console

    from img2img.configured import nearest
    from img2img.errors import ConfigError
    from img2img.evaluate.blind import write_study
    from img2img.evaluate.comparison import compare as write
    from img2img.training.candidates import contenders, curves
    from img2img.translate.setup import Setup

    for option, value, known in (
        ("weights", weights, ("ema", "raw")),
        ("precision", precision, ("auto", "fp32", "bf16")),
    ):
        if value is not None and value not in known:
            raise ConfigError(f"--{option} {value}: expected {', '.join(known)}{nearest(value, known)}")
    if votes:
        _count([Path(word) for word in words])
        return
    if blind is not None and blind not in {"real", "better"}:
        raise ConfigError(f"--blind {blind}: expected real, better{nearest(blind, ['real', 'better'])}")
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
    found = contenders(models, setup, every=len(models) == 1 and blind is None if every is None else every)
    say = partial(_announce, console)
    if blind is not None:
        limit = seconds if seconds is not None else 1.0 if blind == "real" else 0.0
        made = write_study(
            blind,  # type: ignore[arg-type]
            found,
            source,
            out,
            references=references,
            to=to,
            trials=trials,
            practice=practice,
            seconds=limit,
            seed=seed,
            say=say,
        )
    else:
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
            say=say,
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


def _announce(console: object, name: str) -> None:
    _say(console, f"translating by {name}")


def _count(files: list[Path]) -> None:
    from rich.console import Console

    from img2img.errors import DataError
    from img2img.evaluate.votes import distinct, read_votes, shares

    console = Console()
    given, left_out = distinct([read_votes(path) for path in files])
    for path in left_out:
        _say(console, f"not counted: {path}: saved again, with as many votes or more, in another file")
    total = 0
    for question, what in (("real", "taken for real"), ("better", "preferred")):
        for share in shares(given, question):
            total += share.count
            low, high = share.interval()
            over = f" to {share.other}" if share.other else ""
            people = f"{share.voters} voter{'s' * (share.voters > 1)}"
            _say(
                console,
                f"{share.name}: {what}{over} in {share.chosen / share.count:.1%} of {share.count:,} votes of {people}, "
                f"95 % interval {low:.1%} to {high:.1%}; {share.verdict()}",
            )
    if not total:
        raise DataError(f"{', '.join(map(str, files))}: no votes that count; practice does not")


def _say(console: object, words: str) -> None:
    from rich.console import Console

    from img2img.report import printable

    assert isinstance(console, Console)
    console.print(printable(words), highlight=False, soft_wrap=True, markup=False)
