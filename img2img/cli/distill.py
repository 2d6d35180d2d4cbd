"""``img2img distill``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def distill(
    ctx: typer.Context,
    model: Annotated[Path, typer.Argument(help="The teacher: translator file or run folder.", metavar="MODEL")],
    out: Annotated[Path, typer.Option("--out", help="Run folder; the same command again continues the run.")],
    data: Annotated[list[Path], typer.Option("--data", help="Data folder; or twice, one per domain.")],
    to: Annotated[str | None, typer.Option(help="Domain to translate into, where the teacher knows both ways.")] = None,
    domains: Annotated[
        tuple[str, str] | None, typer.Option(help="Names of the two domains in the order of the data.")
    ] = None,
    paired: Annotated[
        bool | None, typer.Option("--paired/--unpaired", help="Whether images belong together; as for the teacher.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Length in epochs; 100 by default.")] = None,
    images: Annotated[int | None, typer.Option(help="Length in images.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Length in minutes.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images per batch.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of training crops in pixels; the teacher's by default.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random draw.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda, mps or cpu.")] = None,
    devices: Annotated[int | None, typer.Option(help="Devices to train on, one process each.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, tf32, bf16 or fp16.")] = None,
    max_time: Annotated[str | None, typer.Option("--max-time", help="Stop in time and save: 90m, 1h30m.")] = None,
    wandb: Annotated[str | None, typer.Option(help="Weights & Biases: online, offline or off.")] = None,
    compared: Annotated[int, typer.Option(min=2, help="Held-out images that both translate at the end.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="Processes of each that are timed, by turns.")] = 3,
    override: Annotated[bool, typer.Option("--override", help="Continue a run with other options.")] = False,
) -> None:
    """Train a small, fast student of a translator, and print what it has of its teacher.

    The student is a usual run: translate, export and evaluate take it. Its network, losses and everything else are
    options as of img2img train: --model.generator.num_blocks 1, --data.flip false.

    [bold]Examples[/bold]

    img2img distill runs/colour --data drawings/ --out runs/small

    img2img distill h2z.safetensors --data horse2zebra/ --domains horse zebra --to zebra --out runs/small-zebra
    """
    from img2img.cli.train import flag_words, refuse_unknown, run
    from img2img.training.config import resolve
    from img2img.training.distilled import compare, table
    from img2img.training.distilling import distilling_words
    from img2img.training.processes import rank_of_process

    refuse_unknown(ctx)
    flags = {
        "training.epochs": epochs,
        "training.images": images,
        "training.minutes": minutes,
        "data.batch_size": batch,
        "data.size": size,
        "training.seed": seed,
        "training.device": device,
        "training.devices": devices,
        "training.precision": precision,
        "training.max_time": max_time,
        "training.wandb.mode": wandb,
    }
    words = distilling_words(model, data, to, domains, paired=paired)
    words += flag_words(flags) + ctx.args
    run(words, out, override=override)
    if rank_of_process():
        return
    resolved = resolve(words)
    _, held_out, _ = resolved.build()
    held_out.setup()
    typer.echo("\nteacher and student on images that were held out")
    direction = str(resolved.tree["model"]["init_args"]["direction"])
    for line in table(compare(model, out, direction, held_out, compared, rounds)):
        typer.echo(line)
