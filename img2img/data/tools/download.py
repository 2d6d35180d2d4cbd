"""A data set from its address to a folder: fetched, compared with its hash, unpacked."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from img2img.data.tools.fetch import Fetching, check_address, fetch
from img2img.data.tools.placing import refuse_filled
from img2img.data.tools.unpack import Limits, unpack
from img2img.errors import DataError
from img2img.image import atomically

ENDINGS = (".tar.gz", ".tgz", ".tar", ".zip")
_ROOM = 2.2
"""Disk space for the archive and for its images, which are about as large: in archive sizes."""


@dataclass(frozen=True)
class Downloaded:
    """What became of it.

    Attributes:
        files: in the folder.
        sha256: of the archive.
        compared: whether it was compared with a hash that was known.
        record: where the hash stands.
        archive: where it is kept: as asked for, or because it was there before; None if it is not.
    """

    files: int
    sha256: str
    compared: bool
    record: Path
    archive: Path | None


def archive_name(url: str) -> tuple[str, str]:
    """Return the name that an address gives to a data set, and the ending of its archive.

    Raises:
        DataError: if the address does not name an archive.
    """
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    for ending in ENDINGS:
        if name.lower().endswith(ending) and name[: -len(ending)].strip("."):
            return name[: -len(ending)], ending
    raise DataError(f"{url}: expected the address of an archive that ends in {', '.join(ENDINGS)}")


def download(
    url: str,
    out: Path,
    *,
    sha256: str | None = None,
    how: Fetching | None = None,
    limits: Limits | None = None,
    keep_archive: bool = False,
) -> Downloaded:
    """Fetch an archive and unpack it into a folder.

    The archive stands beside the folder until it is unpacked, and so does what has arrived of it if anything goes
    wrong; the same call goes on from there. ``OUT.sha256`` records its hash, in the form that ``sha256sum`` reads, and
    a later download into the same place must have the same one.

    Args:
        url: of a zip or tar; see :func:`archive_name`.
        out: the folder; absent or empty.
        sha256: 64 hexadecimal digits that the archive must have.
        how: see :class:`Fetching`.
        limits: of unpacking.
        keep_archive: leave the archive beside the folder.

    Raises:
        DataError: if there is something in ``out``, the file cannot be fetched, has another hash, or is no archive
            that can be unpacked safely.
    """
    how = how or Fetching()
    check_address(url, allow_http=how.allow_http)
    refuse_filled(out)
    out = out.absolute()
    archive = out.with_name(f"{out.name}{archive_name(url)[1]}")
    record = out.with_name(f"{out.name}.sha256")
    expected, said = _expected(sha256, record)
    out.parent.mkdir(parents=True, exist_ok=True)
    fetched = not archive.exists()
    if fetched:
        fetch(url, archive, Fetching(how.allow_http, how.pause_s, _ROOM, how.progress))
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if expected not in {None, found}:
        raise DataError(
            f"{archive}: expected sha256 {expected} ({said}), got {found}; nothing was unpacked: delete the archive to "
            "fetch it again, or correct the hash if the set has been renewed"
        )
    files = unpack(archive, out, limits)
    with atomically(record) as file:
        file.write(f"{found}  {archive.name}\n".encode("utf-8", "surrogateescape"))
    if fetched and not keep_archive:
        archive.unlink()
    return Downloaded(files, found, expected is not None, record, None if not archive.exists() else archive)


def _expected(given: str | None, record: Path) -> tuple[str | None, str]:
    """Return the hash to compare with, and where it is from."""
    if given is not None:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", given):
            raise DataError(f"--sha256 {given}: expected 64 hexadecimal digits, got {len(given)} letters")
        return given.lower(), "as given with --sha256"
    if not record.exists():
        return None, ""
    found = re.match(r"[0-9a-f]{64}\b", record.read_text(encoding="utf-8", errors="replace"))
    if found is None:
        raise DataError(f"{record}: expected a line of sha256sum in it; delete or mend it")
    return found[0], f"as recorded in {record.name}"
