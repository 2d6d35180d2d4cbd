"""``img2img bench``: every number that a document states is printed by one of these."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Annotated

import typer

app = typer.Typer(help="Measure; medians after a warm-up.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("start")
def start(runs: Annotated[int, typer.Option(min=1, help="Counted runs of each.")] = 5) -> None:
    """Time how fast the program answers: import img2img, and img2img --help, as whole processes."""
    commands = {
        "import img2img": [sys.executable, "-c", "import img2img"],
        "img2img --help": [sys.executable, "-m", "img2img", "--help"],
        "python alone": [sys.executable, "-c", "pass"],
    }
    for name, command in commands.items():
        seconds = []
        for _ in range(runs + 1):
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 (our own interpreter)
            seconds.append(time.perf_counter() - began)
        typer.echo(
            f"{name:16} {statistics.median(seconds[1:]):.3f} s (median of {runs}, largest {max(seconds[1:]):.3f} s)"
        )
