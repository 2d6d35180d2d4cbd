"""``img2img translate``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from img2img.cli import watching
from img2img.cli.batch import run, say_plan, say_start
from img2img.cli.clustered import RUNNERS, refuse, run_on_cluster

if TYPE_CHECKING:
    from img2img.image import Signer
    from img2img.translate.setup import Setup

_EXISTING = ("skip", "newer", "overwrite", "error")


def translate(
    model: Annotated[Path, typer.Argument(help="Translator file or run folder.", metavar="MODEL")],
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Images, videos, folders (at any depth), patterns, a manifest (.csv, .jsonl); - for standard input.",
            metavar="IN...",
        ),
    ],
    out: Annotated[
        str, typer.Argument(help="Folder (or for one input, a file) to write; - for standard output.", metavar="OUT")
    ],
    to: Annotated[
        str | None, typer.Option(help="Domain to translate into, where the translator knows both ways.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Resize the shorter side to this first; by default the size is kept.")
    ] = None,
    restore_size: Annotated[
        bool, typer.Option("--restore-size", help="With --size: resize results back to the images' own sizes.")
    ] = False,
    existing: Annotated[
        str | None,
        typer.Option(help="For outputs that are there: skip what was completed (default), newer, overwrite, error."),
    ] = None,
    file_format: Annotated[
        str | None,
        typer.Option("--format", help="Write this instead of each image's own format (png) or video's (mp4)."),
    ] = None,
    suffix: Annotated[str, typer.Option(help="Put behind each name: _colour makes a.png into a_colour.png.")] = "",
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first image that fails.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    shard: Annotated[
        str | None, typer.Option(help="2/5: only every 5th image from the 2nd; five such commands share the work.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Then wait for new and changed images in the folders IN, until Ctrl-C.")
    ] = False,
    runner: Annotated[
        str, typer.Option(help="local, or ray: a cluster (RAY_ADDRESS) whose machines all see MODEL, IN and OUT.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Of --runner ray; by default as many as there is room for.")
    ] = None,
    worker_cpus: Annotated[float | None, typer.Option(min=0.1, help="Of each worker; by default up to 4.")] = None,
    worker_gpus: Annotated[
        float | None, typer.Option(min=0, help="Of each worker, such as 0.5; by default 1 where there are some.")
    ] = None,
    normalise: Annotated[
        str,
        typer.Option(
            help="auto or off: for translators of drawings, light lines on dark are inverted and paper made white."
        ),
    ] = "auto",
    strength: Annotated[float, typer.Option(min=0, max=1, help="1 is the translation, 0 the source.")] = 1.0,
    keep_color: Annotated[
        bool, typer.Option("--keep-color", help="Lightness of the translation, colours of the source.")
    ] = False,
    mask: Annotated[
        Path | None, typer.Option(help="Folder of masks with the inputs' names: white is translated, black stays.")
    ] = None,
    frames: Annotated[str, typer.Option(help="all frames and pages of GIF, PNG, WebP and TIFF, or the first.")] = "all",
    icc: Annotated[
        str, typer.Option(help="Of files with a colour profile: srgb, or keep (converted back to the source's).")
    ] = "srgb",
    no_mark: Annotated[bool, typer.Option("--no-mark", help="Leave out the XMP that says: generated.")] = False,
    c2pa_cert: Annotated[
        Path | None,
        typer.Option(help="Sign outputs with C2PA: certificates in PEM, yours first.", envvar="IMG2IMG_C2PA_CERT"),
    ] = None,
    c2pa_key: Annotated[
        Path | None, typer.Option(help="Private key of the first, in PEM.", envvar="IMG2IMG_C2PA_KEY")
    ] = None,
    strip_metadata: Annotated[bool, typer.Option("--strip-metadata", help="Leave out EXIF and XMP.")] = False,
    background: Annotated[str, typer.Option(help="Colour under alpha where a format has none.")] = "white",
    max_pixels: Annotated[int | None, typer.Option(min=1, help="Refuse larger images; 89 million by default.")] = None,
    value_range: Annotated[
        tuple[float, float] | None, typer.Option(help="Lowest and highest value of float TIFF and NPY files.")
    ] = None,
    video_crf: Annotated[
        int, typer.Option(help="Quality of videos, 0 to 51 as H.264 counts it; lower is better and larger.")
    ] = 18,
    video_statistics: Annotated[
        str, typer.Option(help="Of norms in videos: clip (of all of it, against flicker), or each frame its own.")
    ] = "clip",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads that read, and as many that write; by default what suits.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, cuda:1, mps or cpu.")] = "auto",
    devices: Annotated[
        str | None, typer.Option(help="Several GPUs: all, a number of them, or their names, such as cuda:0,cuda:2.")
    ] = None,
    engine: Annotated[
        str,
        typer.Option(help="auto (the fastest installed, measured once), eager, compiled, onnx, openvino or int8."),
    ] = "auto",
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Images of one size that the network takes at once; by default what suits."),
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16; auto is bf16 where the device has it.")] = "auto",
    tile: Annotated[
        str, typer.Option(help="Side of tiles in pixels; auto tiles only what does not fit into memory; off never.")
    ] = "auto",
    overlap: Annotated[int | None, typer.Option(min=0, help="Of tiles in pixels; by default what is needed.")] = None,
    statistics: Annotated[
        str,
        typer.Option(help="Of norms in tiles: exact, pooled, reduced, none; auto is exact where one pass does."),
    ] = "auto",
    weights: Annotated[str | None, typer.Option(help="ema (averaged, the default) or raw.")] = None,
    stochastic: Annotated[
        bool, typer.Option("--stochastic", help="Leave dropout on, as in the pix2pix paper.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Of --stochastic, and of the style: each number another one, where a translator has several."
        ),
    ] = None,
) -> None:
    """Translate an image, a video, or all of a folder: same names, same folders, same sizes.

    A batch that was stopped goes on with the same command. OUT gets report.jsonl (a line for each input) and
    report.html (pictures before and after).

    Exit code 0: all translated or completed before; 3: some failed (each is named); 1: none; 130 and 143: stopped by
    Ctrl-C and by SIGTERM.

    [bold]Examples[/bold]

    img2img translate runs/colour drawings/ coloured/

    img2img translate horse2zebra.safetensors photos/ out/ --to zebra

    img2img translate horse2zebra.safetensors clip.mp4 zebras.mp4

    img2img translate runs/photos sketch.png second.png --seed 2

    img2img translate runs/colour 'scans/**/*.tif' more/ out/ --format png
    """
    from dataclasses import replace
    from functools import partial

    from rich.console import Console

    from img2img.checkpoint import read_header
    from img2img.configured import nearest
    from img2img.devices import keep_freed_memory
    from img2img.errors import ConfigError
    from img2img.translate.cluster import Pool
    from img2img.translate.controls import Controls
    from img2img.translate.files import Files
    from img2img.translate.folder import translate_folder
    from img2img.translate.formats import planned
    from img2img.translate.how import How
    from img2img.translate.inputs import job_below, plan
    from img2img.translate.memory import Memory
    from img2img.translate.setup import Setup

    for name, value, known in (
        ("weights", weights, ("ema", "raw")),
        ("existing", existing, _EXISTING),
        ("runner", runner, RUNNERS),
        ("precision", precision, ("auto", "fp32", "bf16")),
        ("engine", engine, ("auto", "eager", "compiled", "onnx", "openvino", "int8")),
        ("frames", frames, ("all", "first")),
        ("normalise", normalise, ("auto", "off")),
        ("icc", icc, ("srgb", "keep")),
        ("statistics", statistics, ("auto", "exact", "pooled", "reduced", "none")),
        ("video-statistics", video_statistics, ("clip", "frame")),
    ):
        if value is not None and value not in known:
            raise ConfigError(f"--{name} {value}: expected {', '.join(known)}{nearest(value, known)}")
    setup = Setup(
        model,
        to=to,
        size=size,
        restore_size=restore_size,
        device=device,
        devices=_devices(devices),
        precision=precision,  # type: ignore[arg-type]
        engine=engine,  # type: ignore[arg-type]
        batch=batch,
        weights=weights,  # type: ignore[arg-type]
        stochastic=stochastic,
        seed=seed,
        memory=Memory(_tile(tile), overlap, statistics),  # type: ignore[arg-type]
        files=Files(
            frames=frames,  # type: ignore[arg-type]
            icc=icc,  # type: ignore[arg-type]
            metadata=not strip_metadata,
            background=_colour(background),
            max_pixels=max_pixels,
            value_range=value_range,
            signer=_signer(c2pa_cert, c2pa_key),
            video_crf=video_crf,
        ),
        mark=not no_mark,
        controls=Controls(strength, keep_color, mask),
        video_statistics=video_statistics,  # type: ignore[arg-type]
        normalise=normalise == "auto",
    )
    pool = Pool(workers, worker_cpus, worker_gpus)
    stdio = "-" in sources or out == "-"
    refuse(runner, pool, watch=watch, shard=shard, dry_run=dry_run, standard_input=stdio)
    if watch:
        sources = watching.waited_on(sources, out, shard=shard, dry_run=dry_run, fail_fast=fail_fast)
    if stdio:
        if setup.controls != Controls():
            raise ConfigError("--strength, --keep-color and --mask need files, not standard input and output")
        _through(sources, out, file_format, setup)
        return
    keep_freed_memory()
    console = Console()
    kinds = planned(read_header(model), to, value_range)
    named = partial(job_below, out=Path(out), file_format=file_format, suffix=suffix, **kinds)
    whole = plan(sources, may_be_empty=watch, **named.keywords)
    part = _part(shard)
    todo = whole.shard(*part) if part else whole
    if dry_run and not todo.jobs:
        console.print("nothing falls to this shard")
        return
    asked: dict[str, Any] = {"existing": existing, "fail_fast": fail_fast, "threads": threads}
    if runner == "ray":
        run_on_cluster(console, todo, setup, How(**asked), pool)
        return
    translator = setup.load(_say_once())
    how = replace(
        setup.how(translator, whole, afresh=existing == "overwrite"),
        **asked,
        part=f"{part[0]}of{part[1]}" if part else "",
    )
    if dry_run:
        say_plan(console, todo, how)
        return
    say_start(console, todo, translator.direction(to), translator.directions, str(translator))
    translation = setup.translation(translator)
    if watch:
        watching.run(console, todo, how, translation, sources, named)
        return
    run(console, todo, how, lambda how: translate_folder(translation, todo, how))


def _devices(given: str | None) -> tuple[str, ...]:
    if given is None:
        return ()
    import torch

    from img2img.errors import ConfigError

    if given == "all" or given.isdecimal():
        there = torch.cuda.device_count()
        count = there if given == "all" else int(given)
        if not 1 <= count <= there:
            raise ConfigError(f"--devices {given}: this machine's torch sees {there} CUDA devices")
        return tuple(f"cuda:{number}" for number in range(count))
    return tuple(name.strip() for name in given.split(","))


def _tile(side: str) -> int | str | None:
    from img2img.errors import ConfigError

    if side in {"auto", "off"}:
        return "auto" if side == "auto" else None
    if not side.isdecimal() or not int(side):
        raise ConfigError(f"--tile {side}: expected auto, off or a number of pixels such as 1024")
    return int(side)


def _signer(certificates: Path | None, key: Path | None) -> Signer | None:
    from img2img.errors import ConfigError
    from img2img.image import Signer

    if certificates is None or key is None:
        if certificates is not key:
            missing = "--c2pa-key" if key is None else "--c2pa-cert"
            raise ConfigError(f"{missing} is missing: signing takes a certificate and its private key")
        return None
    signer = Signer(certificates, key)
    signer.check()
    return signer


def _say_once() -> Callable[[str], None]:
    said: set[str] = set()

    def say(message: str) -> None:
        if message not in said:
            said.add(message)
            typer.echo(f"note: {message}", err=True)

    return say


def _part(shard: str | None) -> tuple[int, int] | None:
    from img2img.errors import ConfigError

    if shard is None:
        return None
    index, _, count = shard.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise ConfigError(f"--shard {shard}: expected I/N with I from 1 to N, such as 2/5")
    return int(index), int(count)


def _through(sources: list[str], out: str, file_format: str | None, setup: Setup) -> None:
    """Translate one image from standard input, to standard output, or both."""
    import io

    from img2img.errors import ConfigError
    from img2img.image import format_of

    if len(sources) != 1:
        raise ConfigError("- stands for one image: give it alone, and one OUT")
    if out != "-" and Path(out).is_dir():
        raise ConfigError(f"{out}: expected the name of a file to write; an image from standard input has none")
    piped = sources[0] == "-"
    source = io.BytesIO(sys.stdin.buffer.read()) if piped else Path(sources[0])
    say = _say_once()
    translator = setup.load(say)
    files = setup.marked(translator)
    pictures = files.read(source, "standard input" if piped else sources[0]).each(setup.translation(translator))
    data = io.BytesIO()
    target = data if out == "-" else Path(out)
    ending = file_format or (files.formats and files.formats.output.endings[0].removeprefix("."))
    known = format_of(Path(f"x.{ending}")) if ending and out == "-" else None
    for note in files.write(target, pictures, known, source):
        say(note)
    if out == "-":
        sys.stdout.buffer.write(data.getvalue())


def _colour(name: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    from img2img.errors import ConfigError

    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError as error:
        raise ConfigError(f"--background {name}: expected a colour such as white or #ff8000") from error
