"""What lies in the folders besides the images that are used: hidden, linked, locked, unread, oddly named."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from img2img.data.check.finding import Finding, Kind
from img2img.data.check.gallery import Gallery
from img2img.image import SUFFIXES

LOCKED = Kind(
    "locked folder",
    "warning",
    "a folder that may not be listed: its images are not used",
    "give yourself the right to read it (chmod -R u+rX)",
)
LINKED = Kind(
    "linked folder",
    "warning",
    "a symbolic link to a folder below a domain's folder (also one that leads back up): it is not followed",
    "copy the images there, or give the folder that it leads to as the domain's",
)
UNREAD = Kind(
    "format not read",
    "warning",
    "files with the name endings of pictures that are not read (HEIC, PSD, RAW, ...)",
    "convert them to PNG or JPEG, or move them away",
)
SAME_NAME = Kind(
    "same name but for case",
    "warning",
    "names in one folder that differ only in case or in how accents are composed: one file on Windows and macOS",
    "rename all but one",
)
NOT_TEXT = Kind(
    "name not UTF-8",
    "warning",
    "names whose bytes are no UTF-8: logs and other systems garble them",
    "rename them (convmv -f latin1 -t utf8 --notest -r DATA does all)",
)
HIDDEN = Kind(
    "hidden images",
    "note",
    "images whose name or folder begins with a dot (thumbnails, copies of a Mac): they are not used",
    "rename them if they are to be used",
)

_OTHER_PICTURES = frozenset(
    {
        ".heic",
        ".heif",
        ".jfif",
        ".jxl",
        ".psd",
        ".tga",
        ".exr",
        ".hdr",
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".raw",
        ".svg",
        ".ppm",
        ".pgm",
        ".ico",
        ".dds",
        ".npy",
    }
)


@dataclass
class _Seen:
    """What a walk met."""

    locked: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    alike: list[Path] = field(default_factory=list)
    not_text: list[Path] = field(default_factory=list)


def find(gallery: Gallery) -> Iterator[Finding]:
    """Walk the folders, following only those links whose images are used."""
    used = {parent for _, _, source in gallery.everything() for parent in source.path.parents}
    seen = _Seen()
    for root in gallery.roots:
        _walk(root, used, seen)
    for kind, paths, what in (
        (LOCKED, seen.locked, "folders that may not be read"),
        (LINKED, seen.links, "links to folders, not followed"),
        (SAME_NAME, seen.alike, "names in one folder that differ only in case or accents"),
        (NOT_TEXT, seen.not_text, "names that are not UTF-8"),
        (HIDDEN, seen.hidden, "hidden images, not used"),
    ):
        if paths:
            yield Finding(kind, f"{what}: {len(paths):,}", tuple(gallery.name_of(path) for path in paths))
    if seen.unread:
        endings = Counter(path.suffix.lower() for path in seen.unread)
        counts = ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common())
        yield Finding(
            UNREAD,
            f"pictures in formats that are not read: {counts}",
            tuple(gallery.name_of(path) for path in seen.unread),
        )


def _walk(root: Path, used: set[Path], seen: _Seen) -> None:
    waiting = [root]
    while waiting:
        top = waiting.pop()
        walked = os.walk(top, onerror=lambda error: seen.locked.append(Path(str(error.filename))))
        for name, folders, files in walked:
            folder = Path(name)
            hidden = any(part.startswith(".") for part in folder.relative_to(root).parts)
            if hidden:
                folders.clear()
            for link in (folder / name for name in folders if (folder / name).is_symlink()):
                (waiting if link in used else seen.links).append(link)
            _note_files(folder, files, seen, hidden=hidden)


def _note_files(folder: Path, files: list[str], seen: _Seen, *, hidden: bool) -> None:
    folded: dict[str, str] = {}
    for name in sorted(files):
        ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 (a Path for each of 100,000 names takes seconds)
        if ending in SUFFIXES and (hidden or name.startswith(".")):
            seen.hidden.append(folder / name)
        elif hidden:
            continue
        elif ending in _OTHER_PICTURES:
            seen.unread.append(folder / name)
        elif ending in SUFFIXES:
            first = folded.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
            if first is not name:
                seen.alike += [folder / first, folder / name]
            if not name.isascii() and any("\udc80" <= c <= "\udcff" for c in name):
                seen.not_text.append(folder / name)
