"""``img2img sheet``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from img2img.cli.batch import SOME_FAILED, say_failed


def sheet(
    models: Annotated[
        list[Path], typer.Argument(help="Translator files or run folders, a column each.", metavar="MODEL...")
    ],
    source: Annotated[str, typer.Argument(help="Folder of images, an image, or a pattern in quotes.", metavar="IN")],
    out: Annotated[
        Path,
        typer.Argument(help="Sheet: .png, .jpg, ...; or .html, with pictures of full size.", metavar="OUT"),
    ],
    to: Annotated[str | None, typer.Option(help="Domain to translate into, where translators know both ways.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures, spread evenly over the folder.")] = 8,
    width: Annotated[int, typer.Option(min=16, help="Longer side of a picture on the sheet in pixels.")] = 256,
    title: Annotated[str, typer.Option(help="Above all; by default the direction.")] = "",
    size: Annotated[
        int | None, typer.Option(min=1, help="Resize the shorter side to this first; by default the size is kept.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16; auto is bf16 where the device has it.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="ema (averaged, the default) or raw.")] = None,
) -> None:
    """Compare translators: the same pictures by each, side by side. Rows are pictures, columns translators.

    The pictures are those that img2img translate would write, reduced. Exit code 0: all are there; 3: some
    could not be translated (each is named, and left out); 1: none.

    [bold]Examples[/bold]

    img2img sheet runs/a runs/b drawings/ compare.png

    img2img sheet runs/a/best.safetensors runs/a/translator.safetensors photos/ compare.html --to zebra --count 20
    """
    from rich.console import Console

    from img2img.configured import nearest
    from img2img.errors import ConfigError
    from img2img.translate.setup import Setup
    from img2img.translate.sheet import Column, names_of, write_sheet

    for option, value, known in (
        ("weights", weights, ("ema", "raw")),
        ("precision", precision, ("auto", "fp32", "bf16")),
    ):
        if value is not None and value not in known:
            raise ConfigError(f"--{option} {value}: expected {', '.join(known)}{nearest(value, known)}")
    columns = {}
    for name, model in zip(names_of(models), models, strict=True):
        setup = Setup(model, device=device, precision=precision, weights=weights)  # type: ignore[arg-type]
        columns[name] = Column(setup.load(), to, size)
        try:
            columns[name].translator.direction(to)
        except ConfigError as error:
            raise ConfigError(f"{model}: {error}") from error
    console = Console()
    made = write_sheet(columns, source, out, count=count, width=width, title=title)
    say_failed(console, made.failed)
    if not made.shown:
        sys.exit(1)
    counts = (len(made.shown), "picture"), (len(columns), "translator")
    pictures, translators = (f"{n:,} {word}{'s' * (n > 1)}" for n, word in counts)
    what = f"{pictures}, {translators}: {out}"
    console.print(what, highlight=False, soft_wrap=True, markup=False)
    if made.failed:
        sys.exit(SOME_FAILED)
