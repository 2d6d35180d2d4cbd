"""``img2img data pair``, ``split``, ``sheet`` and ``download``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

_SOME_FAILED, _INTERRUPTED = 3, 130


def pair(
    a: Annotated[Path, typer.Argument(help="Folder of the sources.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="Folder of the targets, with the same stems.", metavar="B")],
    out: Annotated[Path | None, typer.Argument(help="Folder to write into.", metavar="OUT")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Write this list of the pairs instead, a .csv or .jsonl file.")
    ] = None,
    order: Annotated[Literal["ab", "ba"] | None, typer.Option(help="ab (A on the left, the default) or ba.")] = None,
    resize: Annotated[bool, typer.Option("--resize", help="Bring images of A to the size of B's.")] = False,
    file_format: Annotated[str | None, typer.Option("--format", help="Of the files: png (default), jpg ...")] = None,
    existing: Annotated[
        Literal["error", "skip", "overwrite"], typer.Option(help="For files that are there: error, skip, overwrite.")
    ] = "error",
    allow_orphans: Annotated[
        bool, typer.Option("--allow-orphans", help="Leave out images without a partner instead of refusing.")
    ] = False,
) -> None:
    """Put images of the same stem side by side, one file for each pair; or list them.

    Folders below A and B (train/, val/) are kept; 16 bits and alpha too, where the format has them.

    Exit code 3: some pairs failed (each is named).

    [bold]Examples[/bold]

    img2img data pair line/ colour/ pairs/

    img2img data pair line/ colour/ --manifest drawings.csv
    """
    from img2img.data.tools.pair import pair_in_list, pair_side_by_side
    from img2img.errors import ConfigError

    if (out is None) == (manifest is None):
        raise ConfigError("expected a folder OUT, or a list with --manifest drawings.csv; one of the two")
    if manifest is not None:
        set_too = [name for name, value in _names(order=order, resize=resize, format=file_format).items() if value]
        if set_too:
            raise ConfigError(f"{', '.join(set_too)}: a list names the images as they are; leave it out")
        done = pair_in_list(a, b, manifest, existing=existing, allow_orphans=allow_orphans)
    else:
        assert out is not None
        with progress_bar("pairs") as progress:
            done = pair_side_by_side(
                a,
                b,
                out,
                order=order or "ab",
                resize=resize,
                file_format=file_format or "png",
                existing=existing,
                allow_orphans=allow_orphans,
                progress=progress,
            )
    for source in done.left_out:
        say(f"left out, no partner: {source.label}")
    _say_notes(done.notes)
    for name, reason in done.failed.items():
        say(f"failed: {name}: {reason}")
    counts = {"pairs": done.written, "there already": done.skipped, "failed": done.failed, "left out": done.left_out}
    said = [f"{len(of):,} {what}" for what, of in counts.items() if of or what == "pairs"]
    say(f"{', '.join(said)}: {out or manifest}")
    if done.failed:
        sys.exit(_SOME_FAILED if done.written or done.skipped else 1)


def split(
    data: Annotated[list[Path], typer.Argument(help="Data folder, or the two folders of the domains.", metavar="DATA")],
    out: Annotated[Path, typer.Argument(help="New folder with train/, val/, test/.", metavar="OUT")],
    val: Annotated[float | None, typer.Option(min=0, max=1, help="Share to validate on; 0.1.")] = None,
    test: Annotated[float | None, typer.Option(min=0, max=1, help="Share to test on; 0.1.")] = None,
    seed: Annotated[int, typer.Option(help="Decides which.")] = 0,
    how: Annotated[
        Literal["copy", "link", "move", "list"],
        typer.Option(help="copy, link (hard links), move, or list (only the list)."),
    ] = "copy",
    domains: Annotated[
        tuple[str, str] | None, typer.Option(help="The two folders to use, where there are more.")
    ] = None,
) -> None:
    """Divide a data folder into training, validation and test images.

    Copies of a picture, and the two images of a pair, stay together. Images that are added later leave the others
    where they were. What DATA has of val/ and test/ stays as it is. OUT is there whole or not at all.

    [bold]Examples[/bold]

    img2img data split drawings/ divided/ --val 0.1 --test 0.1

    img2img data split drawings/ divided/ --how list
    """
    from img2img.data.tools.divide import SPLITS, divide
    from img2img.data.tools.placing import LIST_NAME, place_files, refuse_filled
    from img2img.errors import DataError

    refuse_filled(out)
    if inside := next((root for root in data if out.resolve().is_relative_to(root.resolve())), None):
        raise DataError(f"{out}: the output lies in the data folder {inside}; choose a folder outside it")
    division = divide(data, validation=val, test=test, seed=seed, domains=domains)
    with progress_bar("files") as progress:
        place_files(division.places, out, how, progress)
    for name, by_domain in division.counts().items():
        say(f"{SPLITS[name]:6}" + ", ".join(f"{count:,} {domain}".rstrip() for domain, count in by_domain.items()))
    families: dict[int, int] = {}
    for place in division.places:
        families[place.family] = families.get(place.family, 0) + 1
    say(f"{len(families):,} families of copies and partners, the largest of {max(families.values())} files")
    _say_some("looks like an image to validate or test on, and is for training all the same", division.leaks)
    _say_some("outside the layout, left where it is", division.others)
    say(f"{out} ({division.kind}); which file is where: {out / LIST_NAME}")


def sheet(
    folders: Annotated[list[Path], typer.Argument(help="Folder of images at any depth.", metavar="FOLDER")],
    out: Annotated[Path, typer.Argument(help="The picture to write.", metavar="OUT.png")],
    pairs: Annotated[bool, typer.Option("--pairs", help="FOLDER is a data set: source and target by side.")] = False,
    count: Annotated[int, typer.Option(min=1, help="Pictures, or pairs; evenly spaced over the list.")] = 24,
    columns: Annotated[
        int | None, typer.Option(min=1, help="Beside each other; by default what makes it about square.")
    ] = None,
    size: Annotated[int, typer.Option(min=16, help="Longest side of a picture in pixels.")] = 160,
    existing: Annotated[
        Literal["error", "overwrite"], typer.Option(help="If OUT is there: error, overwrite.")
    ] = "error",
) -> None:
    """Draw a contact sheet: many pictures on one, with their names.

    Exit code 3: some could not be read (each is named).

    [bold]Examples[/bold]

    img2img data sheet horse2zebra/trainA/ horses.png --count 40

    img2img data sheet drawings/ pairs.png --pairs
    """
    from img2img.data.tools.sheet import contact_sheet
    from img2img.errors import DataError
    from img2img.image import format_of, picture_of, write_picture

    format_of(out)
    if out.exists() and existing == "error":
        raise DataError(f"{out} is there already; choose another name, or --existing overwrite")
    drawn, failed = contact_sheet(folders, pairs=pairs, count=count, columns=columns, size_px=size)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_picture(out, picture_of(drawn, out.name))
    for reason in failed:
        say(f"failed: {reason}")
    say(f"{out}: {drawn.width}x{drawn.height} px")
    if failed:
        sys.exit(_SOME_FAILED)


def download(
    name: Annotated[str | None, typer.Argument(help="Data set, or the https address of an archive.")] = None,
    out: Annotated[Path | None, typer.Argument(help="New folder; NAME by default.")] = None,
    sha256: Annotated[str | None, typer.Option(help="That the archive must have.")] = None,
    http: Annotated[bool, typer.Option("--http", help="Allow addresses that are not encrypted.")] = False,
    keep_archive: Annotated[bool, typer.Option("--keep-archive", help="Leave the archive beside OUT.")] = False,
) -> None:
    """Fetch a classic data set and unpack it; without a name, list them.

    None is bundled, and each has terms of its own. A download that stopped goes on with the same command.

    [bold]Examples[/bold]

    img2img data download

    img2img data download horse2zebra
    """
    from img2img.data.tools.catalogue import catalogue, entry_of
    from img2img.data.tools.download import archive_name, download
    from img2img.data.tools.fetch import Fetching

    if name is None:
        for known, entry in catalogue().items():
            say(f"{known:24}{entry.about}\n{'':24}{entry.terms}")
        return
    if "://" in name:
        url, folder = name, archive_name(name)[0]
        say("terms: unknown here; the page that the address is from should state them")
    else:
        entry = entry_of(name)
        url, folder = entry.url, name
        say(f"{name}: {entry.about}\nterms: {entry.terms}")
    if url.startswith("http:") and http:
        say("not encrypted: compare the sha256 below with one from a source that you trust")
    out = out or Path(folder)
    try:
        with progress_bar(folder, in_bytes=True) as progress:
            done = download(url, out, sha256=sha256, how=Fetching(http, progress=progress), keep_archive=keep_archive)
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on", err=True)
        sys.exit(_INTERRUPTED)
    say(f"sha256 {done.sha256} ({'as expected' if done.compared else f'recorded in {done.record.name}'})")
    say(f"{done.files:,} files: {out}" + (f"; the archive is kept: {done.archive}" if done.archive else ""))
    if "://" not in name:
        words = f"--method {entry.method} --data {out} --domains {' '.join(entry.domains)}"
        say(f"next: img2img train {words} --out runs/{name}")


@contextmanager
def progress_bar(what: str, *, in_bytes: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """Show how far it is, on a terminal only: a callable that is told what is done and how much there is."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TransferSpeedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    console = Console()
    if not console.is_terminal:
        yield lambda _done, _total: None
        return
    counted = (DownloadColumn(), TransferSpeedColumn()) if in_bytes else (MofNCompleteColumn(),)
    with Progress(TextColumn("{task.description}"), BarColumn(), *counted, Remaining(), console=console) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def say(text: str) -> None:
    """Print a line; bytes of a name that are no UTF-8 as escapes."""
    typer.echo(text.encode("utf-8", "backslashreplace").decode())


def _say_notes(notes: Mapping[str, str]) -> None:
    for note in sorted(set(notes.values())):
        names = [name for name, found in notes.items() if found == note]
        say(f"note: {note}: {names[0]}" + (f" and {len(names) - 1:,} more" if len(names) > 1 else ""))


def _say_some(what: str, paths: Sequence[Path]) -> None:
    if paths:
        say(f"{what}: {paths[0]}" + (f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""))


def _names(**options: object) -> dict[str, object]:
    return {f"--{name}": value for name, value in options.items()}
