"""``img2img bench``: every number that a document states is printed by one of these."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
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


@app.command("train", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    ctx: typer.Context,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="Data folder; or twice, one folder per domain.")
    ] = None,
    method: Annotated[str, typer.Option(help="pix2pix or cyclegan; its published networks are trained.")] = "pix2pix",
    domains: Annotated[tuple[str, str] | None, typer.Option(help="Names of the two domains.")] = None,
    to: Annotated[str | None, typer.Option(help="Domain to translate into.")] = None,
    size: Annotated[int, typer.Option(min=1, help="Side of training crops in pixels.")] = 256,
    batch: Annotated[list[int] | None, typer.Option(help="Images per batch; give it again to compare.")] = None,
    arms: Annotated[str | None, typer.Option(help="What to compare, with commas: published,fp32,bf16,ours.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Timed steps of a round.")] = 20,
    warmup: Annotated[int, typer.Option(min=1, help="Steps before them.")] = 5,
    rounds: Annotated[int, typer.Option(min=1, help="Processes of each arm, by turns.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time training against the as-published loop (scripts/baseline.py), on the same networks and images.

    Arms: published, a precision (fp32, tf32, bf16, fp16) alone or with switches (bf16+channels_last), and ours: what
    img2img train picks on this device. Options such as --model.generator.base_channels=32 go to all of them.

    [bold]Example[/bold]

    img2img bench train --data facades/ --domains photo label --to photo --batch 1 --batch 4
    """
    import json
    import shlex

    from rich.console import Console

    from img2img.devices import resolve_device
    from img2img.errors import ConfigError
    from img2img.shipped import shipped
    from img2img.training.bench import ARMS, Task, as_data, as_table, compare, machine

    if not data:
        sample = shlex.quote(str(shipped("datasets", "line2flat")))
        raise ConfigError(
            "--data is missing: speed is measured with the loading of images, so name a folder of them; "
            f"the bundled sample is --data {sample} --domains line flat"
        )
    chosen = [arm.strip() for arm in arms.split(",")] if arms else list(ARMS)
    task = Task(method, tuple(data), domains, to, size, device, steps, warmup, tuple(ctx.args))
    rows = as_data(compare(task, chosen, batch or [1], rounds, Console(stderr=True)))
    where = machine(resolve_device(device))
    if as_json:
        typer.echo(json.dumps({"method": method, "size": size, "machine": where, "rows": rows}, indent=2))
        return
    typer.echo(f"training {method} at {size} px, steady, median of {rounds} processes of {steps} steps\n{where}\n")
    typer.echo(as_table(rows))


@app.command("memory", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def memory(
    ctx: typer.Context,
    data: Annotated[list[Path], typer.Option("--data", help="Data folder; or twice, one folder per domain.")],
    method: Annotated[str, typer.Option(help="pix2pix or cyclegan.")] = "cyclegan",
    minutes: Annotated[float, typer.Option(min=0.01, help="How long to train.")] = 10.0,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
) -> None:
    """Train for some minutes as img2img train does, and print the memory in use ten times.

    [bold]Example[/bold]

    img2img bench memory --method cyclegan --data horse2zebra/ --minutes 10
    """
    import json

    from img2img.devices import resolve_device
    from img2img.shipped import recipe_file
    from img2img.training.bench import machine
    from img2img.training.memory import watch_memory

    roots = json.dumps([str(path) for path in data]) if len(data) > 1 else str(data[0])
    words = ["-c", str(recipe_file(method, "default")), f"--data.root={roots}", f"--training.device={device}"]
    found = watch_memory([*words, *ctx.args], minutes)
    typer.echo(f"training {method} for {minutes:g} minutes\n{machine(resolve_device(device))}\n")
    for passed, megabytes in found:
        typer.echo(f"{passed:6.2f} min  {megabytes:9,.0f} MB")
    if len(found) > 1:
        typer.echo(f"growth from the second sample to the last: {found[-1][1] - found[1][1]:+,.0f} MB")
