"""``img2img distill``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from img2img.cli import flags


def distill(
    ctx: typer.Context,
    model: Annotated[Path, typer.Argument(help="The teacher: translator file or run folder.", metavar="MODEL")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="Run folder; the same command again continues the run.", rich_help_panel=flags.PEOPLE
        ),
    ],
    data: Annotated[
        list[Path], typer.Option("--data", help="Data folder; or twice, one per domain.", rich_help_panel=flags.PEOPLE)
    ],
    to: Annotated[
        str | None,
        typer.Option(help="Domain to translate into, where the teacher knows both ways.", rich_help_panel=flags.PEOPLE),
    ] = None,
    domains: flags.Domains = None,
    paired: Annotated[
        bool | None,
        typer.Option(
            "--paired/--unpaired",
            help="Whether images belong together; as for the teacher.",
            rich_help_panel=flags.PEOPLE,
        ),
    ] = None,
    epochs: flags.Epochs = None,
    images: flags.Images = None,
    minutes: flags.Minutes = None,
    batch: flags.Batch = None,
    size: flags.Size = None,
    seed: flags.Seed = None,
    device: flags.Device = None,
    devices: flags.Devices = None,
    precision: flags.Precision = None,
    max_time: flags.MaxTime = None,
    wandb: flags.Wandb = None,
    compared: Annotated[
        int, typer.Option(min=2, help="Held-out images that both translate at the end.", rich_help_panel=flags.PEOPLE)
    ] = 100,
    rounds: Annotated[
        int, typer.Option(min=1, help="Processes of each that are timed, by turns.", rich_help_panel=flags.PEOPLE)
    ] = 3,
    override: flags.Override = False,
) -> None:
    """Train a small, fast student of a translator, and print what it has of its teacher.

    The student is a usual run: translate, export and evaluate take it. Its network, losses and everything else are
    options as of img2img train: --model.generator.num_blocks 1, --data.flip false. Without a length it is 100 epochs.

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
    given = {
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
    words += flag_words(given) + ctx.args
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
