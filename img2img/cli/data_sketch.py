"""``img2img data sketch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

STYLES = {
    "mixed": "Sketch",
    "xdog": "XDoG",
    "canny": "Canny",
    "pencil": "Pencil",
    "dodge": "Dodge",
    "line-art": "LineArt",
    "regions": "Regions",
}
"""Names of styles, and the classes of ``img2img.data.derive`` that draw them."""


def sketch(
    photos: Annotated[Path, typer.Argument(help="Folder of photos, at any depth.", metavar="PHOTOS")],
    out: Annotated[Path, typer.Argument(help="Folder to write; the same names as PNG.", metavar="OUT")],
    style: Annotated[str, typer.Option(help=f"{', '.join(STYLES)}; mixed is what sketch2photo trains on.")] = "mixed",
    size: Annotated[
        int | None, typer.Option(min=1, help="Resize the shorter side to this first; by default the size is kept.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides every random draw.")] = 0,
) -> None:
    """Draw sketches of a folder of photos, as a training on photos alone draws them.

    A photo that cannot be read is named and passed over. Exit code 0: all drawn; 3: some could not be; 1: none.

    [bold]Examples[/bold]

    img2img data sketch photos/ sketches/

    img2img data sketch photos/ edges/ --style canny --seed 7
    """
    from img2img.configured import nearest
    from img2img.data import derive
    from img2img.data.drawn import draw_folder
    from img2img.errors import ConfigError

    if style not in STYLES:
        raise ConfigError(f"--style {style}: unknown{nearest(style, STYLES)}")
    drawn, failed = draw_folder(photos, out, getattr(derive, STYLES[style])(), seed=seed, size=size)
    for name, reason in failed.items():
        typer.echo(f"failed: {name}: {reason}", err=True)
    typer.echo(f"{drawn:,} drawn, {len(failed):,} failed: {out}")
    if failed:
        raise typer.Exit(3 if drawn else 1)
