"""Files into a new folder, which is there whole or not at all: linked, copied, moved, or only listed."""

from __future__ import annotations

import csv
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from img2img.data.tools.divide import SPLITS, Place
from img2img.errors import DataError
from img2img.image import TEMPORARY_PREFIX

How = Literal["copy", "link", "move", "list"]
"""``copy``: files of their own. ``link``: hard links, which take no space, or symbolic links to another disk. ``move``:
the originals are removed once all is in place. ``list``: no images, only the list."""

LIST_NAME = "split.csv"
"""The list in the new folder: split, file in the new folder, original, family."""


def place_files(
    places: Sequence[Place],
    out: Path,
    how: How = "copy",
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Bring files to their places below a new folder.

    Args:
        places: of all files.
        out: the folder; absent or empty.
        how: see :data:`How`. A failure leaves every original where it was and no new folder.
        progress: called with files done and all files.

    Raises:
        DataError: if ``out`` holds something.
        OSError: if the disk is full or may not be written.
    """
    with whole_folder(out) as building:
        for number, place in enumerate(places, 1):
            if how != "list":
                target = building / place.target
                target.parent.mkdir(parents=True, exist_ok=True)
                _bring(place.source, target, how)
            progress(number, len(places))
        with (building / LIST_NAME).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = ((SPLITS[p.split], p.target.as_posix(), p.source, p.family) for p in places)
            csv.writer(file, lineterminator="\n").writerows([("split", "file", "original", "family"), *rows])
    if how == "move":
        if hasattr(os, "sync"):
            os.sync()  # the copies of another disk must be there before the originals go
        for place in places:
            place.source.unlink()


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Build a folder beside ``out``, and rename it to ``out`` at the end; after a failure nothing is left of it.

    Raises:
        DataError: if ``out`` is a file or a folder that holds something.
    """
    refuse_filled(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = out.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    building.mkdir()
    try:
        yield building
        if out.is_dir():
            out.rmdir()  # an empty one; Windows renames nothing onto it
        building.rename(out)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def refuse_filled(out: Path) -> None:
    """Refuse a place for a new folder where there is something.

    Raises:
        DataError: if ``out`` is a file or a folder that holds something.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise DataError(f"{out}: expected a new or empty folder, got a file or a link")
    if out.is_dir() and (inside := next(out.iterdir(), None)) is not None:
        raise DataError(f"{out}: expected a new or empty folder, but there is {inside.name} in it; choose another")


def _bring(source: Path, target: Path, how: How) -> None:
    if how == "copy":
        shutil.copy2(source, target)
        return
    original = source.resolve()
    try:
        target.hardlink_to(original)
    except OSError:  # another disk, or a file system without hard links
        if how == "link":
            target.symlink_to(original)
        else:
            shutil.copy2(original, target)
