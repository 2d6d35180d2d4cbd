"""Every image of a folder tree into the same tree elsewhere: nothing lost, nothing torn, failures named."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from img2img.data.folder import list_images
from img2img.errors import DataError
from img2img.image import SUFFIXES, Picture, read_picture, write_picture

_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass
class FolderReport:
    """What became of the inputs: ``translated + failed == inputs``, always.

    Attributes:
        inputs: image files found.
        translated: names written.
        failed: name to reason.
        notes: name to what the file held that the translation does not.
        others: files that are not images and were left alone.
        seconds: time taken.
    """

    inputs: int
    translated: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    others: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """One image to translate."""

    name: str
    source: Path
    target: Path


def plan(source: Path, out: Path) -> tuple[list[Job], int]:
    """List what will be translated to where, before any work.

    Args:
        source: an image file or a folder.
        out: for a folder the folder to write; for a file the file to write, or an existing folder.

    Returns:
        The jobs, and how many files are not images.

    Raises:
        DataError: if there is nothing to translate, or writing would touch the inputs.
    """
    if source.is_dir():
        images = list_images(source)
        if out.exists() and not out.is_dir():
            raise DataError(f"{out}: expected a folder to write into, got a file")
        if _within(out, source):
            raise DataError(f"{out}: the output lies in the input folder {source}; choose a folder outside it")
        if not images:
            raise DataError(f"{source}: no images found; expected files that end in {', '.join(sorted(SUFFIXES))}")
        names = [path.relative_to(source) for path in images]
        others = sum(1 for path in source.rglob("*") if path.is_file()) - len(images)
        return [Job(n.as_posix(), p, out / n) for n, p in zip(names, images, strict=True)], others
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    target = out / source.name if out.is_dir() else out
    if target.suffix.lower() not in SUFFIXES:
        raise DataError(
            f"{target}: expected an existing folder or a name that ends in one of {', '.join(sorted(SUFFIXES))}"
        )
    if target.resolve() == source.resolve():
        raise DataError(f"{target}: the output is the input; choose another name or folder")
    return [Job(source.name, source, target)], 0


def translate_folder(
    translate: Callable[[Picture], Picture],
    source: Path,
    out: Path,
    progress: Callable[[FolderReport], None] | None = None,
) -> FolderReport:
    """Translate every image, keeping names, tree and formats; a broken image is reported and passed over.

    Each file is written under a temporary name and renamed, so that an interrupted run leaves no torn file.

    Args:
        translate: one picture to another.
        source: an image file or a folder.
        out: where the results go.
        progress: called after every image.

    Raises:
        DataError: if there is nothing to do or the output would touch the input.
        OSError: if the disk is full or read-only: the next image would fail alike.
    """
    began = time.monotonic()
    jobs, others = plan(source, out)
    report = FolderReport(inputs=len(jobs), others=others)
    for job in jobs:
        try:
            picture = read_picture(job.source, job.name)
            translated = translate(picture)
            job.target.parent.mkdir(parents=True, exist_ok=True)
            write_picture(job.target, translated)
        except DataError as error:
            report.failed[job.name] = str(error).removeprefix(f"{job.name}: ")
        except OSError as error:
            if error.errno in _HOPELESS:
                raise
            report.failed[job.name] = f"cannot be written ({error.strerror or error})"
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
                raise
            report.failed[job.name] = "too large for the memory there is; translate it smaller with --size"
        else:
            report.translated.append(job.name)
            if picture.reduced:
                report.notes[job.name] = picture.reduced
        report.seconds = time.monotonic() - began
        if progress is not None:
            progress(report)
    return report


def _within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
