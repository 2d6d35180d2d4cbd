"""Archives of strangers into a new folder: regular files and folders only, inside it only, within limits.

Links, devices, absolute paths, ``..``, encrypted members and archives that grow beyond all proportion are refused; an
archive that is refused or damaged leaves nothing behind.
"""

from __future__ import annotations

import errno
import gzip
import lzma
import mmap
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, NamedTuple, Self

from img2img.data.tools.fetch import sized
from img2img.data.tools.placing import whole_folder
from img2img.errors import DataError
from img2img.image import TEMPORARY_PREFIX

_BLOCK = 1 << 20
_CENTRAL_ENTRY = b"PK\x01\x02"
_LARGEST_HEADER, _HEADER_BYTES = 1 << 20, 4096  # a file's headers and padding in a tar, seldom more than half of it
_FURTHER_HEADERS = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
_PLAIN_KINDS = {0, stat.S_IFREG, stat.S_IFDIR}


@dataclass(frozen=True)
class Limits:
    """What an archive may become; the largest of the classic sets has 137,000 images and 2 GB.

    Attributes:
        files: members.
        size: bytes of all members.
        ratio: bytes of all members to bytes of the archive; images hardly shrink.
        always: bytes that may come of any archive, however small.
    """

    files: int = 500_000
    size: int = 100_000_000_000
    ratio: float = 50
    always: int = 50_000_000


class Member(NamedTuple):
    """One entry of an archive: its name, its bytes (None for a folder), and how many there should be."""

    name: str
    data: IO[bytes] | None
    size: int = 0


def unpack(
    archive: Path,
    out: Path,
    limits: Limits | None = None,
) -> int:
    """Unpack a zip, or a tar as it is or compressed with gzip; a single folder around everything is left out.

    Args:
        archive: told apart by what is in it, not by its name.
        out: the folder; absent or empty.
        limits: see :class:`Limits`.

    Returns:
        Number of files.

    Raises:
        DataError: if the archive is damaged, hostile or too large; ``out`` is as before.
    """
    limits = limits or Limits()
    allowed = min(limits.size, max(round(archive.stat().st_size * limits.ratio), limits.always))
    files = 0
    with (
        whole_folder(out) as building,
        tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=building.parent) as aside,
        _named(archive.name),
        _members(archive, limits, allowed) as members,
    ):
        inside, left = Path(aside), allowed
        for number, member in enumerate(members, 1):
            if number > limits.files:
                raise DataError(_too_many(archive.name, limits.files))
            path = inside / _safe(member.name, archive.name)
            if member.data is None:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            before = left
            with path.open("wb") as file:
                while block := member.data.read(_BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise DataError(_too_large(archive.name, allowed))
                    file.write(block)
            if before - left != member.size:
                raise zipfile.BadZipFile(f"{member.name} has {before - left:,} bytes, {member.size:,} were announced")
            files += 1
        found = list(inside.iterdir())
        top = found[0] if len(found) == 1 and found[0].is_dir() else inside
        for path in list(top.iterdir()):
            path.rename(building / path.name)
    return files


@contextmanager
def _members(archive: Path, limits: Limits, allowed: int) -> Iterator[Iterator[Member]]:
    with archive.open("rb") as file:
        start = file.read(2)
        file.seek(0)
        if start == b"PK":
            _count_entries(file, archive.name, limits)
            with zipfile.ZipFile(file) as opened:
                yield _of_zip(opened, archive, allowed)
            return
        plain = gzip.GzipFile(fileobj=file) if start == b"\x1f\x8b" else file
        stream: Any = _Bounded(plain, archive.name, allowed, allowed + limits.files * _HEADER_BYTES)
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Modest) as tar:
            yield _of_tar(tar, archive.name)


def _of_zip(opened: zipfile.ZipFile, archive: Path, allowed: int) -> Iterator[Member]:
    total = sum(info.file_size for info in opened.infolist())
    if total > allowed:
        raise DataError(_too_large(archive.name, allowed))
    free = shutil.disk_usage(archive.parent).free
    if total > free:
        raise DataError(
            f"{archive.name}: expected {sized(total)} of free disk space for its images, there are {sized(free)}; "
            "free some space, and the same command goes on"
        )
    for info in opened.infolist():
        if stat.S_IFMT(info.external_attr >> 16) not in _PLAIN_KINDS:
            raise DataError(_not_plain(archive.name, info.filename))
        if info.is_dir():
            yield Member(info.filename, None)
        else:
            with opened.open(info) as data:  # reads no more than the size stated, and checks the checksum
                yield Member(info.filename, data, info.file_size)


def _of_tar(tar: tarfile.TarFile, name: str) -> Iterator[Member]:
    for info in tar:
        tar.members.clear()  # type: ignore[attr-defined]  # a list of all of them is kept for links, which are refused
        if info.isdir():
            yield Member(info.name, None)
        elif info.isreg() and not info.issparse():
            yield Member(info.name, tar.extractfile(info), info.size)
        else:
            raise DataError(_not_plain(name, info.name))


class _Modest(tarfile.TarInfo):
    """A tar's entry whose further headers (long names and the like) are short: they are read into memory whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header, and refuse one that announces a large further header."""
        info = super().frombuf(buf, encoding, errors)
        if info.type in _FURTHER_HEADERS and info.size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {sized(info.size)}")
        return info


class _Bounded:
    """A stream that ends in an error where more comes out of it than is allowed."""

    def __init__(self, stream: Any, name: str, allowed: int, left: int) -> None:
        self.stream, self.name, self.allowed, self.left = stream, name, allowed, left

    def read(self, size: int) -> bytes:
        """Read at most ``size`` bytes."""
        block: bytes = self.stream.read(size)
        self.left -= len(block)
        if self.left < 0:
            raise DataError(_too_large(self.name, self.allowed))
        return block


def _count_entries(file: IO[bytes], name: str, limits: Limits) -> None:
    """Refuse a zip of too many entries before its list is read into memory, which takes a kilobyte for each."""
    count = 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        at = mapped.find(_CENTRAL_ENTRY)
        while at >= 0:
            count += 1
            if count > limits.files:
                raise DataError(_too_many(name, limits.files))
            at = mapped.find(_CENTRAL_ENTRY, at + len(_CENTRAL_ENTRY))


def _safe(member: str, archive: str) -> PurePosixPath:
    path = PurePosixPath(member.replace("\\", "/"))
    windows = PureWindowsPath(member)
    if path.is_absolute() or windows.drive or windows.root or ".." in path.parts or "\0" in member:
        raise DataError(f"{archive}: hostile: {member!r} would be written outside the folder; nothing was unpacked")
    return path


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Turn whatever reading an archive raises into one line."""
    try:
        yield
    except (
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
        lzma.LZMAError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        text = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{name}: damaged, or no zip or tar archive ({text}); nothing was unpacked: delete it to fetch it again"
        ) from error


def _too_many(name: str, limit: int) -> str:
    return f"{name}: more than the {limit:,} files that are unpacked; nothing was unpacked"


def _too_large(name: str, allowed: int) -> str:
    return f"{name}: more than {sized(allowed)} would come out of it, too much for its size; nothing was unpacked"


def _not_plain(archive: str, member: str) -> str:
    return f"{archive}: hostile: {member!r} is a link or a device, expected files and folders; nothing was unpacked"
