"""Decoded images kept between epochs: a file each, whole or not there, and made anew when its source changes."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil

from img2img.data.source import Source
from img2img.devices import cache_folder
from img2img.errors import DataError
from img2img.image import Pixels, Side, atomically

CacheName = Literal["off", "ram", "disk"]
"""``ram``: in the memory that processes share, until the run ends (Linux). ``disk``: in the cache folder, for later
runs as well; the system keeps its files in memory as far as there is room."""

_END = struct.Struct("<8sQQIII")
_MAGIC = b"img2img2"
_SHARED = Path("/dev/shm")  # noqa: S108 (the system's shared memory; the folder in it is checked to be ours)
_KEPT_FREE, _KEPT_FREE_BYTES = 0.1, 5_000_000_000
_UNUSED_DAYS = 30
_SET_NAME, _SHELF = 16, 2


class Store:
    """The decoded images of one data set.

    A tenth of the file system (for ``ram`` of the memory too), or 5 GB if that is less, stays free: what does not fit
    is decoded every time.
    Sets on the disk that no run has opened for 30 days are removed.

    Args:
        name: where.
        roots: the data folders.

    Raises:
        DataError: if it cannot be written.
    """

    def __init__(self, name: Literal["ram", "disk"], roots: list[Path]) -> None:
        base = _shared_folder() if name == "ram" else cache_folder() / "decoded"
        self.in_memory = name == "ram"
        where = "\n".join(str(root.absolute()) for root in roots)
        self.folder = base / _digest(where)[:_SET_NAME]
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.utime(self.folder)
        except OSError as error:
            raise DataError(
                f"--data.cache {name}: {self.folder} cannot be written ({error.strerror}); "
                "name another folder in IMG2IMG_CACHE, or --data.cache off"
            ) from error
        for other in base.iterdir():
            with contextlib.suppress(OSError):  # another run was faster
                if time.time() - other.stat().st_mtime > _UNUSED_DAYS * 86400:
                    shutil.rmtree(other)

    def entry(self, source: Source, side: Side, rule: str) -> Entry:
        """Return where an image is kept.

        Args:
            source: the image.
            side: kinds of its planes.
            rule: how they were made from the file.

        Raises:
            DataError: if the image's file is not there.
        """
        size, changed = source.stamp()
        name = _digest(f"{source.place()}\n{source.half}\n{side}\n{rule}")
        kept = f"{self.folder}/{name[:_SHELF]}/{name[_SHELF:]}"
        dtype = np.result_type(*(kind.dtype for kind in side))
        return Entry(self, kept, source, size, changed, dtype)

    def has_room(self) -> bool:
        """Return whether more may be kept."""
        disk = shutil.disk_usage(self.folder)
        room = [(disk.free, disk.total)]
        if self.in_memory:
            memory = psutil.virtual_memory()
            room.append((memory.available, memory.total))
        return all(free > min(_KEPT_FREE * total, _KEPT_FREE_BYTES) for free, total in room)


@dataclass(frozen=True)
class Entry:
    """One image of a store: its pixels, plane by plane, then the size and time of the file they were made from.

    Attributes:
        store: whose.
        file: of the pixels.
        source: the image.
        size: bytes of the image's files, before they were decoded.
        mtime_ns: when they changed last, in nanoseconds, summed.
        dtype: of the pixels.
    """

    store: Store
    file: str
    source: Source
    size: int
    mtime_ns: int
    dtype: np.dtype[Any]

    def read(self) -> Pixels | None:
        """Return the pixels, as a view of planes; None where there are none, or of a file that has changed since."""
        try:
            data = np.fromfile(self.file, np.uint8)
        except OSError:
            return None
        pixels, end = data[: -_END.size], data[-_END.size :].tobytes()
        if len(end) != _END.size:
            return None
        magic, size, mtime_ns, height, width, channels = _END.unpack(end)
        if (magic, size, mtime_ns) != (_MAGIC, self.size, self.mtime_ns):
            return None
        if height * width * channels * self.dtype.itemsize != len(pixels):
            return None
        return pixels.view(self.dtype).reshape(channels, height, width).transpose(1, 2, 0)

    def write(self, pixels: Pixels) -> list[str]:
        """Keep the pixels; return a note if that was not possible, or nothing."""
        end = _END.pack(_MAGIC, self.size, self.mtime_ns, *pixels.shape)
        try:
            if not self.store.has_room():
                return [
                    f"uncached: {self.source.label}: the cache leaves a tenth or 5 GB free where {self.store.folder} is"
                ]
            Path(self.file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomically(Path(self.file)) as out:
                out.write(np.ascontiguousarray(pixels.transpose(2, 0, 1)).data)
                out.write(end)
        except OSError as error:  # full, or taken away
            return [f"uncached: {self.source.label}: {self.store.folder} cannot be written ({error.strerror})"]
        return []


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _shared_folder() -> Path:
    """Return this user's folder in shared memory; the last process that uses it takes it away as it ends.

    Each process holds a lock on it, which the system takes back from one that is killed: what that one left is used and
    taken away by the next.
    """
    if sys.platform != "linux":
        raise DataError("--data.cache ram needs the shared memory of Linux; expected --data.cache disk here")
    import fcntl  # noqa: PLC0415 (not on every platform)

    folder = _SHARED / f"img2img-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid != os.getuid() or folder.is_symlink():
            raise DataError(f"--data.cache ram: {folder} belongs to somebody else; expected --data.cache disk")
        lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError as error:
        raise DataError(
            f"--data.cache ram: {folder} cannot be written ({error.strerror}); expected --data.cache disk"
        ) from error
    owner = os.getpid()

    def leave() -> None:
        if os.getpid() != owner:
            return  # a loader process: the lock is its parent's
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)

    atexit.register(leave)
    return folder
