"""``img2img bench evaluate``."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    outputs: Annotated[Path, typer.Argument(help="Folder of images.")],
    references: Annotated[Path, typer.Argument(help="Folder of other images.")],
    count: Annotated[
        int, typer.Option(min=4, help="Images of both together, the first of each, again from the start if need be.")
    ] = 200,
    metrics: Annotated[str, typer.Option(help="Numbers to make, with commas.")] = "fid,kid,precision,density,mind",
    resize: Annotated[str, typer.Option(help="As of img2img evaluate.")] = "pytorch",
    weights_dir: Annotated[Path | None, typer.Option(help="As of img2img evaluate.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Counted rounds; each times all by turns.")] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Images that go through a network together.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
) -> None:
    """Time evaluating two folders against the feature networks alone, on batches that are ready in memory.

    [bold]Example[/bold]

    img2img bench evaluate horse2zebra/testA horse2zebra/testB --count 2000
    """
    from img2img.devices import keep_freed_memory, resolve_device
    from img2img.evaluate.bench import measure, repeated
    from img2img.evaluate.images import Images
    from img2img.evaluate.subject import Asked
    from img2img.training.bench import machine

    where = resolve_device(device)
    keep_freed_memory()
    resizes = tuple(resize.split(","))
    names = tuple(metrics.split(","))
    asked = Asked(names, resizes, weights_dir, batch=batch, device=where)  # type: ignore[arg-type]  # of its own kind
    sets = [repeated(Images.below(folder), count // 2) for folder in (outputs, references)]
    found = measure(sets[0], sets[1], asked, rounds)
    typer.echo(f"{found[0].images} images, {resize}, batch {batch}, median of {rounds} rounds by turns")
    typer.echo(machine(where))
    bare = statistics.median(one.bare for one in found)
    for name in ("bare", "seeing", "whole"):
        speeds = [float(getattr(one, name)) for one in found]
        ratios = [float(getattr(one, name)) / one.bare for one in found]
        words = {"bare": "networks alone", "seeing": "files to features", "whole": "files to numbers"}[name]
        ratio = statistics.median(ratios) if name != "bare" else statistics.median(speeds) / bare
        typer.echo(f"{words:18} {statistics.median(speeds):7.2f} images/s  ratio {ratio:.3f}")
