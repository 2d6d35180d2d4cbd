"""What a batch translates, and to where: decided and checked before any work."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path
from typing import NamedTuple

from img2img.errors import DataError
from img2img.image import SUFFIXES

_SNIFFED_BYTES = 12
_SIGNATURES: Mapping[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF8": ".gif",
    b"II*\x00": ".tif",
    b"MM\x00*": ".tif",
    b"\x00\x00\x00\x0cjP  ": ".jp2",
}
_LISTED = 3


@dataclass(frozen=True)
class Job:
    """One file to translate.

    Attributes:
        name: what messages and reports call it: its path below the folder given, with slashes.
        source: the file.
        target: the file to write.
    """

    name: str
    source: Path
    target: Path


@dataclass(frozen=True)
class Plan:
    """What will be done.

    Attributes:
        jobs: in the order of their names.
        out: the folder that is written, where the journal and the report lie; None for one file to one file.
        others: how many files are not images and are left alone.
    """

    jobs: tuple[Job, ...]
    out: Path | None
    others: int = 0

    def shard(self, index: int, count: int) -> Plan:
        """Return every ``count``-th job from the ``index``-th (from 1) on: with all shards every job is done once."""
        return Plan(self.jobs[index - 1 :: count], self.out, self.others)


def plan(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    file_format: str | None = None,
    suffix: str = "",
    kinds: frozenset[str] = SUFFIXES,
) -> Plan:
    """List what is translated to where.

    Args:
        sources: image files, folders (at any depth) and patterns such as ``photos/*.jpg``.
        out: a folder; or for one image the file to write.
        file_format: ending to write instead of each file's own, such as ``png``.
        kinds: endings of names that are taken for images.
        suffix: put behind the stem: ``_colour`` makes ``a.png`` into ``a_colour.png``.

    Returns:
        The plan. A file without an image's ending counts as one if its first bytes say so, and its translation gets
        the ending; links to folders are not followed.

    Raises:
        DataError: if there is nothing to translate, two files would be written to one name, writing would touch
            the inputs, or the format is unknown.
    """
    out = Path(out)
    ending = None if file_format is None else f".{file_format.lower().removeprefix('.')}"
    if ending is not None and ending not in kinds:
        raise DataError(f"format {file_format}: expected one of {', '.join(sorted(kind[1:] for kind in kinds))}")
    if "/" in suffix or os.sep in suffix:
        raise DataError(f"suffix {suffix}: expected a part of a file name, got a path")
    found, others = _found(sources, kinds)
    if len(found) == 1 and len(sources) == 1 and not Path(sources[0]).is_dir() and not out.is_dir() and out.suffix:
        return _one(found[0].source, out, kinds)
    if os.path.lexists(out) and not out.is_dir():
        raise DataError(f"{out}: expected a folder to write into, got a file or a link that leads nowhere")
    for source in map(Path, sources):
        if lies_within(out, source):
            raise DataError(f"{out}: the output lies in the input folder {source}; choose a folder outside it")
    jobs = [
        Job(i.name.as_posix(), i.source, out / i.whole.with_name(f"{i.whole.stem}{suffix}{ending or i.whole.suffix}"))
        for i in found
    ]
    jobs = _apart(jobs, out)
    own = {_real(job.source) for job in jobs}
    for job in jobs:
        if _real(job.target) in own:
            raise DataError(f"{job.target}: the output would replace an input; choose another folder")
    return Plan(tuple(jobs), out, others)


def _one(source: Path, target: Path, kinds: frozenset[str]) -> Plan:
    if target.suffix.lower() not in kinds:
        raise DataError(
            f"{target}: expected an existing folder or a name that ends in one of {', '.join(sorted(kinds))}"
        )
    if _real(target) == _real(source):
        raise DataError(f"{target}: the output is the input; choose another name or folder")
    return Plan((Job(source.name, source, target),), None)


def _expanded(source: str | Path) -> list[Path]:
    path = Path(source)
    if os.path.lexists(path):
        return [path]
    if has_magic(str(source)) and (matches := sorted(glob(str(source), recursive=True))):  # noqa: PTH207 (a Path has no ~ and no absolute pattern)
        return [Path(match) for match in matches]
    raise DataError(f"{source}: no such file or folder")


class _Image(NamedTuple):
    source: Path
    name: Path
    ending: str  # to put behind the name where it has none of an image

    @property
    def whole(self) -> Path:
        return self.name.with_name(self.name.name + self.ending)


def images(source: str | Path) -> list[tuple[str, Path]]:
    """Return name and place of an image, of every image below a folder, or of all that match a pattern.

    Raises:
        DataError: if there are none.
    """
    return [(image.name.as_posix(), image.source) for image in _found([source], SUFFIXES)[0]]


def _found(sources: Sequence[str | Path], kinds: frozenset[str]) -> tuple[list[_Image], int]:
    """Return each image with its name below the folder it was found in, and how many files are none."""
    images: dict[Path, _Image] = {}
    others = 0
    for path in (path for source in sources for path in _expanded(source)):
        if not path.is_dir():
            images[path] = _Image(path, Path(path.name), _missing_ending(path, kinds) or "")
            continue
        for file in sorted(_files(path)):
            name = file.relative_to(path)
            hidden = any(part.startswith(".") for part in name.parts)  # .DS_Store, ._photo.jpg, temporary files
            ending = None if hidden else _missing_ending(file, kinds)
            if ending is None:
                others += 1
            else:
                images[file] = _Image(file, name, ending)
    if not images:
        given = ", ".join(map(str, sources))
        raise DataError(f"{given}: no images found; expected files that end in {', '.join(sorted(kinds))}")
    return list(images.values()), others


def _missing_ending(file: Path, kinds: frozenset[str]) -> str | None:
    """Return what a name lacks to be an image's: nothing, the ending that its first bytes ask for, or None if none."""
    return "" if file.suffix.lower() in kinds else _sniffed(file)


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        for name in names:
            yield Path(root, name)


def _sniffed(path: Path) -> str | None:
    """Return the ending that a regular file's first bytes ask for, or None."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            start = file.read(_SNIFFED_BYTES)
    except OSError:
        return None  # it does not claim to be an image, so it is not missed
    if start[:4] == b"RIFF" and start[8:] == b"WEBP":
        return ".webp"
    if start[4:] in {b"ftypavif", b"ftypavis"}:
        return ".avif"
    return next((ending for signature, ending in _SIGNATURES.items() if start.startswith(signature)), None)


def _apart(jobs: Sequence[Job], out: Path) -> list[Job]:
    """Give jobs that would be written to one name their whole names, ``a.jpg.png`` and ``a.tif.png``, or refuse.

    On a file system that does not tell upper from lower case, names that differ by it alone are one.
    """
    same_case = _ignores_case(out)
    apart = list(jobs)
    for indices in _same(jobs, same_case=same_case):
        for i in indices:
            apart[i] = replace(jobs[i], target=out / f"{jobs[i].name}{jobs[i].target.suffix}")
    for indices in _same(apart, same_case=same_case):
        names = ", ".join(str(jobs[i].source) for i in indices[:_LISTED])
        raise DataError(
            f"{len(indices)} inputs would be written to {jobs[indices[0]].target}: {names}; "
            "translate them into folders of their own"
        )
    return apart


def _same(jobs: Sequence[Job], *, same_case: bool) -> list[list[int]]:
    """Return which jobs would be written to one name, by their numbers."""
    groups: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        groups.setdefault(_folded(job.target, same_case=same_case), []).append(number)
    return [numbers for numbers in groups.values() if len(numbers) > 1]


def _folded(path: Path, *, same_case: bool) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold() if same_case else str(path)


def _ignores_case(folder: Path) -> bool:
    """Ask the file system under the first folder that exists."""
    there = next((path for path in (folder, *folder.absolute().parents) if path.is_dir()), None)
    if there is None or not os.access(there, os.W_OK):
        return False
    with tempfile.NamedTemporaryFile(prefix=".img2img-case-", dir=there) as probe:
        return Path(probe.name.replace("img2img-case", "IMG2IMG-CASE")).exists()


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises on a link that leads to itself


def lies_within(path: Path, folder: str | Path) -> bool:
    """Tell whether a path lies in a folder that exists, or is it."""
    return Path(folder).is_dir() and _real(path).is_relative_to(_real(Path(folder)))
