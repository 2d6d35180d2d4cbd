"""``img2img data``: folders of images before a training."""

from __future__ import annotations

import typer

from img2img.cli import data_check, data_shard, data_sketch, data_tools

app = typer.Typer(
    help="Check folders of images; make sketches, pairs, splits, shards and contact sheets; fetch the classic sets.",
    no_args_is_help=True,
)

for _verb in (
    data_check.check,
    data_sketch.sketch,
    data_tools.pair,
    data_tools.split,
    data_shard.shard,
    data_tools.sheet,
    data_tools.download,
):
    app.command(_verb.__name__)(_verb)
