"""``img2img data``: what can be done with images before a training."""

from __future__ import annotations

import typer

from img2img.cli.data_sketch import sketch

app = typer.Typer(help="Prepare images for a training.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


app.command("sketch")(sketch)
