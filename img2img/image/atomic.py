"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from img2img.errors import ConfigError

TEMPORARY_PREFIX = ".img2img-"
"""How the names of files begin that are being written; a killed process leaves them behind."""


@contextlib.contextmanager
def atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file in the folder of ``path``; on success flush it to the disk and rename it to ``path``.

    The folder is flushed too, so that after a power cut the name holds either the old file or the new one.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        yield file


def refuse_unwritable(path: Path, option: str) -> None:
    """Say before any work that a file could not be written; its folder is made.

    Args:
        path: of the file.
        option: that gave it, such as ``--json``.

    Raises:
        ConfigError: naming both and the reason.
    """
    if path.is_dir():
        raise ConfigError(f"{option} {path}: expected a file to write, got a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix=TEMPORARY_PREFIX, dir=path.parent):
            pass
    except OSError as error:
        in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "a file stands where its folder should be" if in_the_way else error.strerror
        raise ConfigError(f"{option} {path}: cannot be written ({reason}); choose another place") from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of an empty temporary file, as :func:`atomically` does, to what opens files by itself."""
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)  # mkstemp makes files for the owner alone; give what open() would have given
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
        _flush_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _flush_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
