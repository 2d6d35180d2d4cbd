"""``img2img bench``: every number that a document states is printed by one of these."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from img2img.cli.bench_derive import derive
from img2img.cli.bench_evaluate import evaluate

app = typer.Typer(help="Measure; medians after a warm-up.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


app.command("derive")(derive)
app.command("evaluate")(evaluate)


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


@app.command("data")
def data(
    roots: Annotated[list[Path], typer.Argument(help="Data folder; or two, one per domain.", metavar="DATA")],
    paired: Annotated[
        bool | None, typer.Option("--paired/--unpaired", help="Whether images belong together; both by default.")
    ] = None,
    domains: Annotated[tuple[str, str] | None, typer.Option(help="Names of the two domains.")] = None,
    size: Annotated[int, typer.Option(min=1, help="Side of training crops in pixels.")] = 256,
    count: Annotated[int, typer.Option(min=1, help="Samples of a round.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each loader, by turns.")] = 5,
    batch: Annotated[int, typer.Option(min=1, help="Samples a step.")] = 1,
    photometric: Annotated[float, typer.Option(min=0, max=1, help="Strength of random light and colour, in ours.")] = 0,
    device: Annotated[str, typer.Option(help="Where samples end: auto, cuda, mps or cpu.")] = "cpu",
    step_ms: Annotated[float, typer.Option(min=0.01, help="Training step to say the waiting for, in ms.")] = 10.0,
) -> None:
    """Time the loading of training samples against the plain published loader (scripts/baseline.py), on one core.

    A sample is one image of each domain. Everything runs in one process with one thread, but for the loaders with one
    worker, which add what it takes to hand a sample over. The last column says for which share of its time a training
    would wait for the loader, if the rest of its step took --step-ms.

    [bold]Example[/bold]

    img2img bench data facades/ --domains photo label
    """
    from img2img.data.bench import IN_TWO, PUBLISHED, measure, waiting
    from img2img.data.folder import find_layout
    from img2img.devices import resolve_device
    from img2img.training.bench import machine

    where = resolve_device(device)
    typer.echo(machine(where))
    light = f"light and colour {photometric:g}, " if photometric else ""
    how = f"{size} px, batch {batch}, {light}to {where.type}, median of {rounds} rounds by turns"
    typer.echo(f"{count} samples at {how}, files in the page cache")
    for together in [paired] if paired is not None else [True, False]:
        layout = find_layout(roots, paired=together, domains=domains)
        found = measure(
            layout,
            roots,
            paired=together,
            size=size,
            count=count,
            rounds=rounds,
            batch=batch,
            photometric=photometric,
            device=where,
        )
        columns = f"samples/s  lowest  highest  ratio  processes  waiting at {step_ms:g} ms"
        typer.echo(f"\n{'paired' if together else 'unpaired':15} {columns}")
        plain = statistics.median(found.speeds[PUBLISHED])
        for name, speeds in found.speeds.items():
            median = statistics.median(speeds)
            line = f"{median:9.1f}  {min(speeds):6.1f}  {max(speeds):7.1f}  {median / plain:5.2f}"
            share = waiting(median, batch, step_ms / 1000, beside=name in IN_TWO)
            typer.echo(f"{name:15} {line}  {2 if name in IN_TWO else 1:9d}  {share:10.0%}")
        stages = {name: statistics.median(values) for name, values in found.stages.items()}
        typer.echo("ms per sample:  " + ", ".join(f"{name} {value:.3f}" for name, value in stages.items()))
        typer.echo(f"bound:          {found.bound} ({stages[found.bound] / sum(stages.values()):.0%} of the stages)")


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


@app.command("translate")
def translate(
    model: Annotated[
        Path,
        typer.Argument(
            help="Translator file or run folder; or a method, for its published networks untrained.", metavar="MODEL"
        ),
    ],
    source: Annotated[Path, typer.Argument(help="Folder with images.", metavar="IN")],
    count: Annotated[int, typer.Option(min=2, help="How many of the images.")] = 200,
    arms: Annotated[
        str, typer.Option(help="published, auto, and engines with a precision such as openvino-bf16, with commas.")
    ] = "published,eager-fp32,auto",
    rounds: Annotated[int, typer.Option(min=1, help="Processes of each arm, by turns.")] = 3,
) -> None:
    """Time translating a folder, files to files, against the as-published loop (eager fp32, batch 1, one process).

    [bold]Example[/bold]

    img2img bench translate cyclegan photos/ --count 200
    """
    import torch

    from img2img.methods.export import save
    from img2img.shipped import recipe_file
    from img2img.training.bench import machine
    from img2img.training.config import resolve
    from img2img.translate.bench import PUBLISHED, compare

    with tempfile.TemporaryDirectory() as folder:
        if not model.exists():
            module = resolve(["-c", str(recipe_file(str(model), "faithful")), "--data.root=."]).build()[0]
            model = Path(folder) / "untrained.safetensors"
            save(module, model)
        found, gaps = compare(model, source, count, arms.split(","), rounds)
    images = next(iter(found.values()))[0].images
    typer.echo(f"{images} images of {source}, files to files, median of {rounds} processes")
    typer.echo(machine(torch.device("cuda" if torch.cuda.is_available() else "cpu")))
    typer.echo(f"{'arm':13} images/s  lowest  highest  ratio  network s  first image s  to fp32: mean, largest of 255")
    speeds = {arm: [one.images_per_s for one in several] for arm, several in found.items()}
    for arm, rates in speeds.items():
        median = statistics.median(rates)
        ratio = f"{median / statistics.median(speeds[PUBLISHED]):5.2f}" if PUBLISHED in speeds else "    -"
        network = statistics.median(one.network_s for one in found[arm])
        first = statistics.median(one.first_image_s for one in found[arm])
        gap = f"{gaps[arm][0]:.3f}, {gaps[arm][1]}" if arm in gaps else "-"
        rate = f"{median:8.3g}  {min(rates):6.3g}  {max(rates):7.3g}  {ratio}"
        typer.echo(f"{arm:13} {rate}  {network:9.3f}  {first:13.1f}  {gap}")
