"""One file from a web server: resumed where it stopped, and never taken for whole when it is not.

A download is ``NAME.part``, and beside it ``NAME.part.json`` says of which version of the file it is a part. The rest
is asked for by Range with If-Range (RFC 9110, sections 13.1.5 and 14.2): a server whose file has changed, or that
knows no ranges, sends the whole file, and the part is written anew.
"""

from __future__ import annotations

import errno
import http.client
import json
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from img2img.errors import DataError

_BLOCK, _TIMEOUT_S, _TRIES = 1 << 18, 30.0, 5
_PARTIAL, _SATISFIED = 206, 416
_FULL = {errno.ENOSPC, errno.EDQUOT}
_AGAIN = "the same command goes on from here"


@dataclass(frozen=True)
class Fetching:
    """How a file is fetched.

    Attributes:
        allow_http: follow addresses that are not encrypted.
        pause_s: before the second try; doubled for each further one.
        room: how many times the file's size must be free on the disk.
        progress: called with bytes there and all bytes, or None where the server does not say.
    """

    allow_http: bool = False
    pause_s: float = 1.0
    room: float = 1.0
    progress: Callable[[int, int | None], None] = lambda _there, _total: None


def fetch(url: str, target: Path, how: Fetching) -> None:
    """Bring a file from a server; what has arrived is kept whatever happens.

    Args:
        url: https, or http where it is allowed.
        target: the file; its folder is there.
        how: see :class:`Fetching`.

    Raises:
        DataError: if the address is refused, the server cannot be reached or answers no, or the disk is full.
    """
    check_address(url, allow_http=how.allow_http)
    part, state = part_files(target)
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _once(url, part, state, how)
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "filename", None) and not isinstance(error, urllib.error.URLError):
                raise  # our own file
            there = part.stat().st_size if part.exists() else 0
            if not _may_pass(error):
                raise DataError(_said(url, error, there)) from error
            failures = 1 if there > before else failures + 1
            if failures >= _TRIES:
                raise DataError(_said(url, error, there)) from error
            time.sleep(how.pause_s * 2 ** (failures - 1))
        else:
            break
    part.replace(target)
    state.unlink(missing_ok=True)


def part_files(target: Path) -> tuple[Path, Path]:
    """Return where a download grows, and where it is written of which version of the file it is a part."""
    return target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.json")


def check_address(url: str, *, allow_http: bool) -> None:
    """Refuse what is no web address, and http where it is not allowed.

    Raises:
        DataError: naming the address and what to do.
    """
    scheme = urlsplit(url).scheme
    if scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise DataError(f"{url}: expected an address that begins with https://")
    if scheme == "http" and not allow_http:
        raise DataError(
            f"{url}: http is not encrypted, anybody on the way can change the file; look for an https address, or "
            "allow it with --http and compare the sha256"
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects go where the first address might have gone."""

    def __init__(self, *, allow_http: bool) -> None:
        self.allow_http = allow_http

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        check_address(newurl, allow_http=self.allow_http)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _once(url: str, part: Path, state: Path, how: Fetching) -> None:
    """Ask once, from where the part ends; returns when the file is whole."""
    known = _read_state(state, url)
    there = part.stat().st_size if part.exists() and known.get("validator") else 0
    request = urllib.request.Request(url, headers={"User-Agent": "img2img", "Accept-Encoding": "identity"})  # noqa: S310 (checked)
    if there:
        request.add_header("Range", f"bytes={there}-")
        request.add_header("If-Range", known["validator"])
    opener = urllib.request.build_opener(_Redirects(allow_http=how.allow_http))
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            start, total = _extent(answer, there)
            if start == 0:
                part.unlink(missing_ok=True)  # before it is noted that the part is of this version
            validator = _validator(answer.headers) if start == 0 else known["validator"]
            state.write_text(json.dumps({"url": url, "validator": validator, "total": total}), encoding="utf-8")
            _ask_for_room(part.parent, start, total, how.room)
            _receive(answer, part, start, total, how)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != _SATISFIED or not there:
                raise
        if there == known.get("total"):  # it was cut off after the last byte
            return
        part.unlink()
        raise ConnectionError("the server's file has become shorter") from error


def _extent(answer: Any, there: int) -> tuple[int, int | None]:
    """Return where the answer's bytes begin in the file, and the size of the file where it is said."""
    if there and answer.status == _PARTIAL:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != there:
            raise ConnectionError(f"the server sent another part than was asked for ({found and found[0]})")
        return there, None if found[2] == "*" else int(found[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _receive(answer: Any, part: Path, start: int, total: int | None, how: Fetching) -> None:
    with part.open("r+b" if part.exists() else "wb") as file:
        file.truncate(start)
        file.seek(start)
        how.progress(start, total)
        while block := answer.read1(_BLOCK):  # what is there: an interruption loses nothing that has arrived
            file.write(block)
            how.progress(file.tell(), total)
        arrived = file.tell()
    if total is not None and arrived != total:
        raise ConnectionError(f"the connection ended after {arrived:,} of {total:,} bytes")


def _validator(headers: Any) -> str | None:
    """Return what If-Range may hold: a strong entity tag, or a date."""
    tag, date = headers.get("ETag"), headers.get("Last-Modified")
    found: str | None = tag if tag and not tag.startswith("W/") else date
    return found


def _read_state(state: Path, url: str) -> dict[str, Any]:
    try:
        known = json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) and known.get("url") == url else {}


def _ask_for_room(folder: Path, start: int, total: int | None, room: float) -> None:
    free = shutil.disk_usage(folder).free
    if total is not None and (needed := round(total * room) - start) > free:
        raise DataError(
            f"{folder}: expected {sized(needed)} of free disk space for the archive and its images, there are "
            f"{sized(free)}; free some space or choose another place"
        )


def _may_pass(error: Exception) -> bool:
    """Return whether to try again: a connection that was lost, a server that is busy; not an answer of no."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in {408, 429} or error.code >= 500  # noqa: PLR2004 (the server's own faults)
    if isinstance(error, urllib.error.URLError):  # no connection came about
        return isinstance(error.reason, TimeoutError)
    return not (isinstance(error, OSError) and error.errno in _FULL)


def _said(url: str, error: Exception, there: int) -> str:
    kept = f"; {sized(there)} have arrived, {_AGAIN}" if there else ""
    if isinstance(error, urllib.error.HTTPError):
        gone = error.code in {404, 410}
        what = "it is not there any more: look for another address of the set" if gone else "try later"
        return f"{url}: the server answers {error.code} ({error.reason}); {what}{kept}"
    if isinstance(error, urllib.error.URLError):
        host = urlsplit(url).hostname
        return f"{url}: {host} cannot be reached ({error.reason}); is this machine offline, or behind a proxy?{kept}"
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"{url}: the disk is full; free some space{kept}"
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{url}: the connection was lost {_TRIES} times ({text}){kept or '; try later'}"


def sized(count: float) -> str:
    """Return bytes for people."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:.2f} {name}"
    return f"{count:,.0f} bytes"
