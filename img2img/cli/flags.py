"""Options that the commands which train have in common."""

from __future__ import annotations

from typing import Annotated

import typer

PEOPLE = "For everybody"

Domains = Annotated[
    tuple[str, str] | None,
    typer.Option(help="Names of the two domains: A B, left right, or two folders.", rich_help_panel=PEOPLE),
]
Epochs = Annotated[float | None, typer.Option(help="Length in epochs.", rich_help_panel=PEOPLE)]
Images = Annotated[int | None, typer.Option(help="Length in images.", rich_help_panel=PEOPLE)]
Minutes = Annotated[float | None, typer.Option(help="Length in minutes.", rich_help_panel=PEOPLE)]
Batch = Annotated[int | None, typer.Option(help="Images per batch.", rich_help_panel=PEOPLE)]
Size = Annotated[int | None, typer.Option(help="Side of training crops in pixels.", rich_help_panel=PEOPLE)]
Seed = Annotated[int | None, typer.Option(help="Decides every random draw.", rich_help_panel=PEOPLE)]
Device = Annotated[str | None, typer.Option(help="auto, cuda, mps or cpu.", rich_help_panel=PEOPLE)]
Devices = Annotated[int | None, typer.Option(help="Devices to train on, one process each.", rich_help_panel=PEOPLE)]
Precision = Annotated[str | None, typer.Option(help="auto, fp32, tf32, bf16 or fp16.", rich_help_panel=PEOPLE)]
MaxTime = Annotated[
    str | None,
    typer.Option("--max-time", help="Stop in time and save: 90m, 1h30m, 1:30:00.", rich_help_panel=PEOPLE),
]
Wandb = Annotated[str | None, typer.Option(help="Weights & Biases: online, offline or off.", rich_help_panel=PEOPLE)]
Override = Annotated[
    bool,
    typer.Option(
        "--override", help="Continue a run with other options than it was started with.", rich_help_panel=PEOPLE
    ),
]
