"""``img2img train``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from img2img.cli import flags
from img2img.cli.flags import PEOPLE

_RESEARCH = "For researchers: any option as --model.x, --data.x or --training.x, see configs/README.md"


def train(
    ctx: typer.Context,
    out: Annotated[
        Path,
        typer.Option("--out", help="Run folder; the same command again continues the run.", rich_help_panel=PEOPLE),
    ],
    method: Annotated[
        str | None,
        typer.Option(
            help="pix2pix, pix2pixhd, spade, multimodal (pairs); cyclegan, cut, dclgan (two unrelated sets).",
            rich_help_panel=PEOPLE,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Settings for a task, see configs/README.md: sketch2photo, ...", rich_help_panel=PEOPLE),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data", help="Data folder or list (.csv, .jsonl); or twice, one per domain.", rich_help_panel=PEOPLE
        ),
    ] = None,
    domains: flags.Domains = None,
    to: Annotated[
        str | None, typer.Option(help="Domain to translate into; the second by default.", rich_help_panel=PEOPLE)
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
    guard: Annotated[
        str | None,
        typer.Option(help="off, warn when a training goes wrong, or act on it.", rich_help_panel=PEOPLE),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Loader processes.", rich_help_panel=PEOPLE)] = None,
    wandb: flags.Wandb = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            "--init-from", "--init_from", help="Start from another translator's weights.", rich_help_panel=PEOPLE
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse faults in the data instead of warning.", rich_help_panel=PEOPLE)
    ] = False,
    allow_orphans: Annotated[
        bool, typer.Option("--allow-orphans", help="Leave out images without a partner.", rich_help_panel=PEOPLE)
    ] = False,
    override: flags.Override = False,
    recipe: Annotated[
        str,
        typer.Option(help="default; faithful: as published; fast, best: see docs/recipes.md.", rich_help_panel=PEOPLE),
    ] = "default",
    config: Annotated[
        list[Path] | None,
        typer.Option("-c", "--config", help="YAML config; later ones win.", rich_help_panel=_RESEARCH),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the resolved config and stop.", rich_help_panel=_RESEARCH)
    ] = False,
    diff: Annotated[
        bool,
        typer.Option(
            "--diff",
            help="With --print-config: only what the method's default has otherwise.",
            rich_help_panel=_RESEARCH,
        ),
    ] = False,
) -> None:
    """Train a translator on a folder of images, or on a list of files by typed columns (docs/data.md).

    Pairs (pix2pix): files with source and target side by side, or two folders with the same file names.
    No pairs (cyclegan, cut, dclgan): trainA/ and trainB/, or any two folders.
    Photos alone: a preset draws, greys or shrinks them to make the pairs.

    [bold]Examples[/bold]

    img2img train --method pix2pix --data drawings/ --domains line colour --to colour --out runs/colour

    img2img train --method cyclegan --data horse2zebra/ --domains horse zebra --out runs/h2z

    img2img train --preset sketch2photo --data photos/ --out runs/sketch

    img2img train -c cyclegan.yaml --data horse2zebra/ --model.cycle_weight 5 --out runs/c5
    """
    from img2img.errors import ConfigError
    from img2img.shipped import config_file

    refuse_unknown(ctx)
    if diff and not print_config:
        raise ConfigError("--diff says what --print-config is to print: add --print-config, or leave it out")
    if preset is None and method is None and not config:
        raise ConfigError("expected --method pix2pix, --method cyclegan, a --preset, or a config with -c")
    method, words = _shipped_configs(method, recipe, preset)
    for path in config or []:
        words += ["-c", str(config_file(path))]
    given: dict[str, object] = {
        "data.to": to,
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
        "training.guard": guard,
        "data.workers": workers,
        "training.wandb.mode": wandb,
        "training.init_from": init_from,
        "data.strict": True if strict else None,
        "data.allow_orphans": True if allow_orphans else None,
    }
    if data:
        words.append(f"--data.root={data[0]}" if len(data) == 1 else f"--data.root=[{', '.join(map(_quoted, data))}]")
    if domains is not None:
        words.append(f"--data.domains=[{', '.join(map(_quoted, domains))}]")
    words += flag_words(given) + ctx.args
    if print_config:
        _print_config(words, method, diff=diff)
    else:
        run(words, _of_this_trial(out), override=override)


def refuse_unknown(ctx: typer.Context) -> None:
    """Refuse options that are neither of the command nor of a section; raises ConfigError, naming the nearest."""
    from img2img.configured import nearest
    from img2img.errors import ConfigError

    known = [option for parameter in ctx.command.params for option in parameter.opts]
    for word in ctx.args:
        if word.startswith("-") and "." not in word and not word[1:2].isdigit():
            raise ConfigError(f"{word}: no such option{nearest(word, known)}")


def flag_words(flags: Mapping[str, object]) -> list[str]:
    """Return the words of options by their place in the config; None is not given.

    Args:
        flags: with ``training.epochs``, ``training.images`` and ``training.minutes`` among them.
    """
    lengths = ("epochs", "images", "minutes")
    words = []
    if any(flags[f"training.{name}"] is not None for name in lengths):
        # a length on the command line replaces the config's, whichever of the three that is
        words = [f"--training.{name}=null" for name in lengths if flags[f"training.{name}"] is None]
    return words + [f"--{key}={value}" for key, value in flags.items() if value is not None]


def _shipped_configs(method: str | None, recipe: str, preset: str | None) -> tuple[str | None, list[str]]:
    """Return the method, also where a preset alone names it, and the words for what ships for both."""
    from img2img.errors import ConfigError
    from img2img.shipped import method_of, preset_file, shipped_words

    task = None if preset is None else preset_file(preset)
    if task is not None:
        meant = method_of(task)
        if method not in {None, meant}:
            raise ConfigError(f"--preset {preset} is for {meant}, not for --method {method}; leave one of them out")
        method = meant
    if method is None:
        if recipe != "default":
            raise ConfigError(f"--recipe {recipe}: name the --method or the --preset it belongs to")
        return None, []
    return method, shipped_words(method, recipe, preset)


def _print_config(words: list[str], method: str | None, *, diff: bool) -> None:
    import yaml

    from img2img.errors import ConfigError
    from img2img.shipped import recipe_file
    from img2img.training.config import differences, resolve

    tree = resolve(words).tree
    if diff:
        if method is None:
            raise ConfigError("--diff compares with a method's default config: give --method or --preset")
        tree = differences(tree, resolve(["-c", str(recipe_file(method, "default")), "--data.root=-"]).tree)
    typer.echo(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), nl=False)


def run(words: list[str], out: Path, *, override: bool) -> None:
    """Train, and say how it went and what continues it."""
    import sys

    from rich.console import Console

    from img2img.training.config import resolve
    from img2img.training.processes import rank_of_process
    from img2img.training.run import RESUMABLE
    from img2img.training.run import train as run_training

    resolved = resolve(words)
    console = Console(quiet=rank_of_process() > 0)
    try:
        outcome = run_training(resolved, out, console, override=override)
    except Exception as error:
        if RESUMABLE in getattr(error, "__notes__", ()):
            console.print("ended by an error; when it is mended, this continues from the last checkpoint:")
            console.print(f"  {_this_command()}", highlight=False, soft_wrap=True, markup=False)
        raise
    if not outcome.finished:
        why = "out of time" if outcome.stopped_by is None else f"stopped by {outcome.stopped_by.name}"
        console.print(
            f"{why} after {outcome.images:,} images; everything is saved, this continues it:", highlight=False
        )
        console.print(f"  {_this_command()}", highlight=False, soft_wrap=True, markup=False)
        sys.exit(0 if outcome.stopped_by is None or rank_of_process() else 128 + outcome.stopped_by)
    console.print(
        f"\ntranslator: {out / 'translator.safetensors'}\nreport:     {out / 'report.html'}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"translate:  img2img translate {out} IN OUT", highlight=False, soft_wrap=True)


def _of_this_trial(out: Path) -> Path:
    """Put the trial's id for ``$WANDB_RUN_ID``: a sweep's agent starts its trials without a shell that would."""
    import os

    from img2img.errors import ConfigError

    if "$WANDB_RUN_ID" not in str(out):
        return out
    if not (trial := os.environ.get("WANDB_RUN_ID")):
        raise ConfigError(f"--out {out}: WANDB_RUN_ID is not set here; wandb agent sets it for each trial of a sweep")
    return Path(str(out).replace("$WANDB_RUN_ID", trial))


def _this_command() -> str:
    import shlex
    import sys

    words = sys.argv[1:] if sys.argv[1:2] in (["train"], ["distill"]) else ["train", "..."]
    return shlex.join(["img2img", *words])


def _quoted(value: object) -> str:
    import json

    return json.dumps(str(value))
