"""``img2img evaluate``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from img2img.cli.batch import SOME_FAILED

if TYPE_CHECKING:
    from img2img.evaluate.evaluation import Evaluation
    from img2img.evaluate.images import Images
    from img2img.evaluate.subject import Asked


def evaluate(
    outputs: Annotated[
        Path, typer.Argument(help="Folder of images that were made; or, with --data, a translator file or run.")
    ],
    references: Annotated[Path | None, typer.Argument(help="Folder of real images.")] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Data folder (or twice, one per domain), whose split the translator is to translate."),
    ] = None,
    to: Annotated[str | None, typer.Option(help="Domain to translate into, where the translator knows both.")] = None,
    domains: Annotated[
        tuple[str, str] | None, typer.Option(help="Names of the data's domains A and B, as in img2img train.")
    ] = None,
    split: Annotated[str, typer.Option(help="test, val or train; training images only if you say so.")] = "test",
    keep: Annotated[Path | None, typer.Option(help="Folder to keep the translations in, as PNG.")] = None,
    weights: Annotated[str | None, typer.Option(help="Of the translator: ema (averaged, the default) or raw.")] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Numbers to make, with commas; by default all that apply.")
    ] = None,
    resize: Annotated[
        str, typer.Option(help="To 299 px: pytorch (as pytorch-fid), clean (clean-fid), tensorflow (torch-fidelity).")
    ] = "pytorch,clean",
    features: Annotated[
        list[Path] | None,
        typer.Option(help="Also by your own network: TorchScript, [B, 3, 224, 224] as ImageNet's to [B, d]."),
    ] = None,
    weights_dir: Annotated[
        Path | None, typer.Option(help="Folder (or file) of the Inception's weights, looked into first.")
    ] = None,
    segmenter: Annotated[
        str | None,
        typer.Option(help="Segmentation model (TorchScript, ONNX, import path) that scores translated label maps."),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="With it: folder of label maps with the outputs' names.")] = None,
    classes: Annotated[
        Path | None, typer.Option(help="With it: text, a class a line in the order of ids: name, or name R G B.")
    ] = None,
    kid_subset: Annotated[
        int | None, typer.Option(min=2, help="KID of 100 random subsets of so many images; by default of all pairs.")
    ] = None,
    paired: Annotated[
        bool,
        typer.Option(
            "--paired", help="Outputs and references of one name belong together; known of pix2pix and the like."
        ),
    ] = False,
    draws: Annotated[
        int | None,
        typer.Option(min=2, help="Of translators that draw: outputs of each input whose diversity is measured."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="File to write numbers and protocol to.")] = None,
    page: Annotated[Path | None, typer.Option(help="HTML page to write.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="JSON of another evaluation: says which differences are more than noise.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Images that go through a network together.")] = 16,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads that read; by default what suits.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, cuda:1, mps or cpu.")] = "auto",
) -> None:
    """Measure images against real ones: FID, KID and the rest, with the protocol beside the numbers.

    Two folders are compared as they are; or a translator translates the test split of a data folder first. Exit code 0:
    all measured; 3: some images could not be read or translated (each is named), or some of --metrics not made; 1:
    nothing measured.

    [bold]Examples[/bold]

    img2img evaluate translated/ horse2zebra/testB

    img2img evaluate runs/zebra --data horse2zebra/ --to zebra --json zebra.json --page zebra.html

    img2img evaluate runs/newer --data horse2zebra/ --to zebra --against zebra.json
    """
    from dataclasses import replace

    from img2img.devices import keep_freed_memory
    from img2img.errors import ConfigError, DataError
    from img2img.evaluate.evaluation import evaluate as measure
    from img2img.evaluate.images import Images, partners
    from img2img.evaluate.record import read_json
    from img2img.evaluate.scenes import segmented
    from img2img.evaluate.translating import Task, translated
    from img2img.image.atomic import refuse_unwritable

    if (references is None) == (not data):
        raise ConfigError("expected OUTPUTS and REFERENCES (two folders), or a translator and --data, and not both")
    for name, value, known in (("split", split, ("test", "val", "train")), ("weights", weights, ("ema", "raw", None))):
        if value not in known:
            raise ConfigError(f"--{name} {value}: expected {', '.join(filter(None, known))}")
    keep_freed_memory()
    asked = _asked(metrics, resize, features, weights_dir, kid_subset, seed, batch, threads, device)
    asked = replace(asked, draws=draws, paired=paired)
    if segmenter is not None and labels is not None and classes is not None:
        asked = replace(asked, segmented=segmented(segmenter, labels, classes))
    elif (segmenter, labels, classes) != (None, None, None):
        raise ConfigError("--segmenter, --labels and --classes: expected all three, or none")
    other = None if against is None else read_json(against)
    for option, path in (("--json", json_file), ("--page", page)):
        if path is not None:
            refuse_unwritable(path, option)
    more = {"command": _command()}
    if references is not None:
        if (to, domains, keep, weights, draws, split) != (None, None, None, None, None, "test"):
            raise ConfigError("--to, --domains, --split, --keep, --weights and --draws are for a translator and --data")
        made, real = Images.below(outputs), Images.below(references)
        if paired and not partners(made.sources, real.sources)[0]:
            raise DataError(f"--paired: no image of {outputs} has the name of one of {references}, endings aside")
        with _bar(len(made.sources) + len(real.sources)) as advance:
            found = measure(made, real, asked, say=_say, progress=advance, more=more)
        _give(found, made, real, json_file, page, other, named=metrics is not None)
        return
    task = Task(outputs, tuple(data or ()), to, domains, split, keep, weights, device)  # type: ignore[arg-type]
    with translated(task) as done:
        record = {**more, "made_by": done.record}
        sets = (done.outputs, done.references)
        with _bar(sum(len(one.sources) for one in sets)) as advance:
            found = measure(
                *sets,
                replace(asked, paired=paired or done.paired),
                say=_say,
                progress=advance,
                more=record,
                translator=done.translator,
                inputs=done.inputs,
                to=to,
                draw=done.draw,
                untranslated=done.failed,
            )
        _give(found, *sets, json_file, page, other, named=metrics is not None)


def _asked(
    metrics: str | None,
    resize: str,
    features: list[Path] | None,
    weights_dir: Path | None,
    kid_subset: int | None,
    seed: int,
    batch: int,
    threads: int | None,
    device: str,
) -> Asked:
    from img2img.configured import nearest
    from img2img.devices import resolve_device
    from img2img.errors import ConfigError
    from img2img.evaluate.measurements import check_names
    from img2img.evaluate.resizing import RESIZES
    from img2img.evaluate.subject import Asked

    resizes = tuple(dict.fromkeys(word.strip() for word in resize.split(",")))
    for word in resizes:
        if word not in RESIZES:
            raise ConfigError(f"--resize {word}: no such way{nearest(word, RESIZES)}")
    names = None if metrics is None else tuple(word.strip() for word in metrics.split(","))
    if names is not None:
        check_names(names)
    return Asked(
        names,
        resizes,  # type: ignore[arg-type]  # of RESIZES
        weights_dir,
        tuple(features or ()),
        seed,
        kid_subset,
        batch,
        threads,
        resolve_device(device),
    )


def _command() -> str:
    import shlex

    return shlex.join(["img2img", *sys.argv[1:]])


def _say(words: str) -> None:
    from img2img.report import printable

    typer.echo(printable(words), err=True)


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


def _give(
    found: Evaluation,
    outputs: Images,
    references: Images,
    json_file: Path | None,
    page: Path | None,
    other: Evaluation | None,
    *,
    named: bool,
) -> None:
    """Print, write, and leave with the exit code; ``named``: whether every number was asked for by its name."""
    from img2img.evaluate.against import differences
    from img2img.evaluate.page import write_page
    from img2img.evaluate.record import lines, write_json

    compared = [] if other is None else differences(found, other)
    for line in [*lines(found), *(one.words for one in compared)]:
        typer.echo(line)
    if json_file is not None:
        write_json(json_file, found)
    if page is not None:
        write_page(page, found, outputs, references, compared)
    if not found.numbers:
        sys.exit(1)
    if found.failed or (named and found.missing):
        sys.exit(SOME_FAILED)
