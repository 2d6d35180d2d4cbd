"""What a batch translates, and to where: decided and checked before any work."""

from __future__ import annotations

import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path
from typing import NamedTuple

from img2img.errors import DataError
from img2img.image import SUFFIXES, VIDEO_SUFFIXES

_SNIFFED_BYTES = 64
_SIGNATURES: Mapping[bytes, str] = {
    rb"\x89PNG\r\n\x1a\n": ".png",
    rb"\xff\xd8\xff": ".jpg",
    rb"GIF8": ".gif",
    rb"II\*\x00|MM\x00\*": ".tif",
    rb"\x00\x00\x00\x0cjP  ": ".jp2",
    rb"RIFF....WEBP": ".webp",
    rb"RIFF....AVI ": ".avi",
    rb"....ftypavi[fs]": ".avif",
    rb"....ftypqt  ": ".mov",
    rb"....ftyp(iso[m2-6]|mp4[12]|avc1|M4V )": ".mp4",
    rb"\x1a\x45\xdf\xa3.*webm": ".webm",  # EBML (RFC 8794), and the kind of document within
    rb"\x1a\x45\xdf\xa3": ".mkv",
}
"""First bytes of files, as patterns, and the ending of their kind."""
_LISTED = 3
_LISTS = {".csv", ".jsonl"}

Rows = Callable[[Path], Sequence[tuple[Path, str, tuple[Path, ...]]]] | None
"""From a list of files to each row's first file, its name, and the row's further files."""


@dataclass(frozen=True)
class Job:
    """One file to translate.

    Attributes:
        name: what messages and reports call it: its path below the folder given, with slashes.
        source: the file.
        target: the file to write.
        beside: further files that are translated together with it.
    """

    name: str
    source: Path
    target: Path
    beside: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What will be done.

    Attributes:
        jobs: in the order of their names.
        out: the folder that is written, where the journal and the report lie; None for one file to one file.
        others: how many files are neither images nor videos and are left alone.
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
    written: tuple[str, ...] = (),
    rows: Rows = None,
    may_be_empty: bool = False,
) -> Plan:
    """List what is translated to where.

    Args:
        sources: image and video files, folders (at any depth) and patterns such as ``photos/*.jpg``.
        out: a folder; or for one input the file to write.
        file_format: ending to write instead of each image's own, such as ``png``, or of each video's, such as ``mp4``.
        kinds: endings of names that are taken for images.
        suffix: put behind the stem: ``_colour`` makes ``a.png`` into ``a_colour.png``.
        written: endings that outputs may have, the usual one first; by default each has its input's.
        rows: called for a source that is a list of files.
        may_be_empty: whether folders without images are no mistake.

    Returns:
        The plan. A file without such an ending counts as one if its first bytes say so, and its translation gets
        the ending; links to folders are not followed.

    Raises:
        DataError: if there is nothing to translate, two files would be written to one name, writing would touch
            the inputs, or the format is unknown.
    """
    out = Path(out)
    ending = _ending(file_format)
    images, kinds = frozenset(written) or kinds, kinds | VIDEO_SUFFIXES
    if ending is not None and ending not in (written or kinds):
        kinds = frozenset(written) or kinds
        raise DataError(f"format {file_format}: expected one of {', '.join(sorted(kind[1:] for kind in kinds))}")
    if "/" in suffix or os.sep in suffix:
        raise DataError(f"suffix {suffix}: expected a part of a file name, got a path")
    listed = rows is not None and len(sources) == 1 and Path(sources[0]).suffix.lower() in _LISTS
    if listed and rows is not None:
        found, others = [_Found(path, _inside(name), "", more) for path, name, more in rows(Path(sources[0]))], 0
    else:
        found, others = _found(sources, kinds, may_be_empty=may_be_empty)
    if (
        not listed
        and len(found) == len(sources) == 1
        and not Path(sources[0]).is_dir()
        and not out.is_dir()
        and out.suffix
    ):
        return _one(found[0], out, images)
    if os.path.lexists(out) and not out.is_dir():
        raise DataError(f"{out}: expected a folder to write into, got a file or a link that leads nowhere")
    for source in map(Path, sources):
        if lies_within(out, source):
            raise DataError(f"{out}: the output lies in the input folder {source}; choose a folder outside it")
    jobs = _apart([one.job(out, suffix, ending, written) for one in found], out)
    if ending is not None and jobs and not any(job.target.suffix == ending for job in jobs):
        raise DataError(f"format {file_format}: there are no {'videos' if ending in VIDEO_SUFFIXES else 'images'}")
    own = {_real(path) for job in jobs for path in (job.source, *job.beside)}
    for job in jobs:
        if _real(job.target) in own:
            raise DataError(f"{job.target}: the output would replace an input; choose another folder")
    return Plan(tuple(jobs), out, others)


def job_below(
    file: Path,
    folder: Path,
    out: Path,
    *,
    file_format: str | None = None,
    suffix: str = "",
    kinds: frozenset[str] = SUFFIXES,
    written: tuple[str, ...] = (),
    rows: Rows = None,
) -> Job | None:
    """Return what :func:`plan` makes of one file below a folder, as far as other files do not matter; None if no image.

    Args:
        file: the file.
        folder: that was given to translate.
        out: as for :func:`plan`, as the rest.
        file_format: see there.
        suffix: see there.
        kinds: see there.
        written: see there.
        rows: not used, as a folder is no list.
    """
    del rows
    found = _below(file, folder, kinds | VIDEO_SUFFIXES)
    return found and found.job(out, suffix, _ending(file_format), written)


def _ending(file_format: str | None) -> str | None:
    return None if file_format is None else f".{file_format.lower().removeprefix('.')}"


def _one(found: _Found, target: Path, images: frozenset[str]) -> Plan:
    kinds = VIDEO_SUFFIXES if found.is_video else images
    if target.suffix.lower() not in kinds:
        raise DataError(
            f"{target}: expected an existing folder or a name that ends in one of {', '.join(sorted(kinds))}"
        )
    if _real(target) == _real(found.source):
        raise DataError(f"{target}: the output is the input; choose another name or folder")
    return Plan((Job(found.source.name, found.source, target),), None)


def _expanded(source: str | Path) -> list[Path]:
    path = Path(source)
    if os.path.lexists(path):
        return [path]
    if has_magic(str(source)) and (matches := sorted(glob(str(source), recursive=True))):  # noqa: PTH207 (a Path has no ~ and no absolute pattern)
        return [Path(match) for match in matches]
    raise DataError(f"{source}: no such file or folder")


class _Found(NamedTuple):
    source: Path
    name: Path
    ending: str  # to put behind the name where it has none of an image or a video
    beside: tuple[Path, ...] = ()

    @property
    def whole(self) -> Path:
        return self.name.with_name(self.name.name + self.ending)

    @property
    def is_video(self) -> bool:
        return self.whole.suffix.lower() in VIDEO_SUFFIXES

    def job(self, out: Path, suffix: str, ending: str | None, written: tuple[str, ...] = ()) -> Job:
        of_its_kind = ending is not None and (ending in VIDEO_SUFFIXES) == self.is_video
        kept = self.whole.suffix if not written or self.whole.suffix.lower() in written else written[0]
        name = f"{self.whole.stem}{suffix}{ending if of_its_kind else kept}"
        return Job(self.name.as_posix(), self.source, out / self.whole.with_name(name), self.beside)


def _inside(name: str) -> Path:
    """Return the name that a listed file gets below the folder that is written: never outside of it."""
    path = Path(name)
    return Path(path.name) if path.is_absolute() or ".." in path.parts else path


def images(source: str | Path) -> list[tuple[str, Path]]:
    """Return name and place of an image, of every image below a folder, or of all that match a pattern.

    Raises:
        DataError: if there are none.
    """
    return [(image.name.as_posix(), image.source) for image in _found([source], SUFFIXES)[0]]


def _found(
    sources: Sequence[str | Path], kinds: frozenset[str], *, may_be_empty: bool = False
) -> tuple[list[_Found], int]:
    """Return images and videos with their names below the folder they were in, and how many files are neither."""
    images: dict[Path, _Found] = {}
    others = 0
    for path in (path for source in sources for path in _expanded(source)):
        if not path.is_dir():
            images[path] = _Found(path, Path(path.name), _missing_ending(path, kinds) or "")
            continue
        for file in sorted(files_below(path)):
            found = _below(file, path, kinds)
            if found is None:
                others += 1
            else:
                images[file] = found
    if not images and not may_be_empty:
        given = ", ".join(map(str, sources))
        what = "images or videos" if kinds & VIDEO_SUFFIXES else "images"
        raise DataError(f"{given}: no {what} found; expected files that end in {', '.join(sorted(kinds))}")
    return list(images.values()), others


def _below(file: Path, folder: Path, kinds: frozenset[str]) -> _Found | None:
    name = file.relative_to(folder)
    hidden = any(part.startswith(".") for part in name.parts)  # .DS_Store, ._photo.jpg, temporary files
    ending = None if hidden else _missing_ending(file, kinds)
    return None if ending is None else _Found(file, name, ending)


def _missing_ending(file: Path, kinds: frozenset[str]) -> str | None:
    """Return what a name lacks: nothing, the ending that its first bytes ask for, or None if it is none of these."""
    return "" if file.suffix.lower() in kinds else _sniffed(file)


def files_below(folder: Path) -> Iterator[Path]:
    """List the files of a tree; links to folders are not followed."""
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
    return next((ending for pattern, ending in _SIGNATURES.items() if re.match(pattern, start, re.DOTALL)), None)


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
