"""Data sets from a server of our own: cut connections, changed files, wrong hashes, hostile archives."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections import namedtuple
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from img2img.data.tools.catalogue import catalogue
from img2img.data.tools.download import archive_name, download
from img2img.data.tools.fetch import Fetching, fetch, part_files
from img2img.data.tools.unpack import Limits, unpack
from img2img.errors import DataError
from tests.conftest import ROOT, run_here
from tests.test_data_tools import contents

IMAGES = {"trainA/1.jpg": os.urandom(70_000), "trainB/1.jpg": os.urandom(90_000), "testA/2.jpg": b""}
QUICK = Fetching(allow_http=True, pause_s=0)


class Server(ThreadingHTTPServer):
    """Serves ``body`` at any path, as badly as asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.etag, self.ranges = b"", '"1"', True
        self.status, self.to, self.length = 200, "", True
        self.cuts: list[int] = []
        self.slow_s = 0.0
        self.asked: list[tuple[str | None, str | None]] = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.asked.append((asked, self.headers.get("If-Range")))
        if server.status != 200:
            self.send_response(server.status)
            self.send_header("Location", server.to)
            self.end_headers()
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        part = asked and server.ranges and self.headers["If-Range"] == server.etag
        if part and start >= len(server.body):
            self.send_error(416)
            return
        body = server.body[start:] if part else server.body
        self.send_response(206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        body = body[: server.cuts.pop(0)] if server.cuts else body
        for at in range(0, len(body), 10_000):
            self.wfile.write(body[at : at + 10_000])
            self.wfile.flush()
            time.sleep(server.slow_s)

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    server.body = zipped(IMAGES)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def zipped(images, top="horse2zebra/"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in images.items():
            archive.writestr(top + name, data)
    return buffer.getvalue()


def tarred(members, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for member in members:
            info, data = (tarfile.TarInfo(member[0]), member[1]) if isinstance(member, tuple) else (member, b"")
            if isinstance(member, tuple):
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


# Fetching


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_set_is_fetched_unpacked_and_its_hash_recorded_and_compared(server, tmp_path, kind):
    if kind != "zip":
        members = [("facades/" + name, data) for name, data in IMAGES.items()]
        server.body = tarred(members, "w:gz" if kind == "tar.gz" else "w:")
    found = hashlib.sha256(server.body).hexdigest()
    address, out = f"{server.address}/sets/horse2zebra.{kind}?x=1", tmp_path / "h2z"
    said = run_here("data", "download", address, out, "--http").stdout
    assert f"sha256 {found} (recorded in h2z.sha256)" in said
    assert "3 files" in said
    assert contents(out) == IMAGES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h2z", "h2z.sha256"]
    assert (tmp_path / "h2z.sha256").read_text() == f"{found}  h2z.{kind}\n"
    assert "expected a new or empty folder" in run_here("data", "download", address, out, "--http", code=1).stderr
    shutil.rmtree(out)
    assert f"sha256 {found} (as expected)" in run_here("data", "download", address, out, "--http").stdout
    shutil.rmtree(out)
    server.body = zipped({"other.jpg": b"1"})
    said = run_here("data", "download", address, out, "--http", code=1).stderr
    assert f"expected sha256 {found} (as recorded in h2z.sha256), got {hashlib.sha256(server.body).hexdigest()}" in said
    assert not out.exists()


def test_a_cut_connection_is_taken_up_where_it_ended(server, tmp_path):
    server.cuts = [20_000, 30_000, 10]
    fetch(f"{server.address}/x.zip", tmp_path / "x.zip", QUICK)
    assert (tmp_path / "x.zip").read_bytes() == server.body
    assert server.asked == [(None, None), *((f"bytes={at}-", '"1"') for at in (20_000, 50_000, 50_010))]
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("kind", ["same", "no ranges", "changed", "changed and shorter", "no validator", "address"])
def test_parts_of_different_versions_are_never_put_together(server, tmp_path, kind):
    part, state = part_files(tmp_path / "x.zip")
    server.etag = None if kind == "no validator" else '"1"'
    server.ranges = kind != "no ranges"
    server.cuts = [50_000, *[0] * 10]
    kept = "; try later" if kind.startswith("no ") else "; 50,000 bytes have arrived, the same command goes on"
    with pytest.raises(DataError, match=f"the connection was lost 5 times .*{kept}"):
        fetch(f"{server.address}/x.zip", tmp_path / "x.zip", QUICK)
    assert not (tmp_path / "x.zip").exists()
    assert part.stat().st_size == (0 if kind.startswith("no ") else 50_000)
    if kind.startswith("changed"):
        server.body, server.etag = zipped({"new.jpg": os.urandom(1000 if "shorter" in kind else 200_000)}), '"2"'
    server.cuts, server.asked = [], []
    fetch(f"{server.address}/{'y' if kind == 'address' else 'x'}.zip", tmp_path / "x.zip", QUICK)
    assert (tmp_path / "x.zip").read_bytes() == server.body
    assert server.asked == [(None, None) if kind[:2] in {"no", "ad"} else ("bytes=50000-", '"1"')]
    assert not state.exists()


def test_a_failure_between_versions_leaves_no_old_part_under_the_new_name(server, tmp_path, monkeypatch):
    server.cuts = [50_000]
    with pytest.raises(KeyboardInterrupt):
        fetch(f"{server.address}/x.zip", tmp_path / "x.zip", replace(QUICK, progress=interrupt_at(50_000)))
    server.body, server.etag = zipped({"new.jpg": os.urandom(200_000)}), '"2"'
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", free(1000))
        with pytest.raises(DataError, match="of free disk space"):
            fetch(f"{server.address}/x.zip", tmp_path / "x.zip", QUICK)
    fetch(f"{server.address}/x.zip", tmp_path / "x.zip", QUICK)
    assert (tmp_path / "x.zip").read_bytes() == server.body


def free(count):
    return lambda path: namedtuple("Usage", "total used free")(count, 0, count)  # noqa: PYI024


def test_a_part_that_is_whole_already_is_taken(server, tmp_path):
    part, _ = part_files(tmp_path / "x.zip")
    server.cuts = [len(server.body) - 1]
    with pytest.raises(KeyboardInterrupt):
        fetch(f"{server.address}/x.zip", tmp_path / "x.zip", replace(QUICK, progress=interrupt_at(50_000)))
    part.write_bytes(server.body)
    server.cuts = []
    fetch(f"{server.address}/x.zip", tmp_path / "x.zip", QUICK)
    assert (tmp_path / "x.zip").read_bytes() == server.body
    assert server.asked[-1][0] == f"bytes={len(server.body)}-"


def interrupt_at(count):
    def progress(there, total):
        if there >= count:
            raise KeyboardInterrupt

    return progress


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
def test_ctrl_c_keeps_the_part_and_the_same_command_goes_on(server, tmp_path):
    server.slow_s = 2.0  # longer than a busy machine takes to send the signal
    words = ["data", "download", f"{server.address}/h2z.zip", str(tmp_path / "h2z"), "--http"]
    process = subprocess.Popen(
        [sys.executable, "-m", "img2img", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        # a shell's background job, such as a test run may be, would hand down that Ctrl-C is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no threads are held here)
    )
    part, _ = part_files(tmp_path / "h2z.zip")
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "interrupted; the same command goes on\n")
    there = part.stat().st_size
    assert 0 < there < len(server.body)
    server.slow_s = 0
    run_here(*words)
    assert server.asked[-1] == (f"bytes={there}-", '"1"')
    assert contents(tmp_path / "h2z") == IMAGES


def test_without_a_length_the_end_is_believed_only_if_the_archive_is_whole(server, tmp_path):
    server.length = False
    download(f"{server.address}/x.zip", tmp_path / "x", how=QUICK)
    assert contents(tmp_path / "x") == IMAGES
    server.cuts = [len(server.body) // 2]
    with pytest.raises(DataError, match="damaged, or no zip or tar"):
        download(f"{server.address}/y.zip", tmp_path / "y", how=QUICK)
    assert not (tmp_path / "y").exists()
    assert not (tmp_path / "y.sha256").exists()


@pytest.mark.parametrize(
    ("status", "message"),
    [(404, "answers 404 (Not Found); it is not there any more"), (403, "answers 403"), (503, "answers 503")],
)
def test_an_answer_of_no_is_one_line(server, tmp_path, status, message):
    server.status = status
    with pytest.raises(DataError) as error:
        fetch(f"{server.address}/x.zip", tmp_path / "x.zip", QUICK)
    assert message in str(error.value)
    assert len(server.asked) == (5 if status == 503 else 1)
    assert list(tmp_path.iterdir()) == []


def test_offline_full_disk_and_wrong_addresses_are_one_line(server, tmp_path, monkeypatch):
    here = ("data", "download")
    offline = run_here(*here, "http://127.0.0.1:9/x.zip", tmp_path / "x", "--http", code=1).stderr
    assert "127.0.0.1 cannot be reached" in offline
    assert "is this machine offline" in offline
    address = f"{server.address}/x.zip"
    for words, message in (
        ((address,), "http is not encrypted"),
        (("file:///etc/x.zip", "--http"), "expected an address that begins with https://"),
        ((f"{server.address}/page.html", "--http"), "expected the address of an archive"),
        ((address, "--http", "--sha256", "12"), "expected 64 hexadecimal digits"),
        (("hores2zebra",), "did you mean 'horse2zebra'"),
    ):
        said = run_here(*here, *words, tmp_path / "x", code=1) if "://" in words[0] else run_here(*here, *words, code=1)
        assert message in said.stderr
    assert server.asked == []
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", free(100_000))
        assert "of free disk space" in run_here(*here, address, tmp_path / "x", "--http", code=1).stderr

    def full(there, total):
        if there:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(
        DataError, match=r"the disk is full; free some space; .* have arrived, the same command goes on"
    ):
        fetch(address, tmp_path / "x.zip", replace(QUICK, progress=full))
    fetch(address, tmp_path / "x.zip", QUICK)
    assert (tmp_path / "x.zip").read_bytes() == server.body


def test_a_redirect_leads_to_no_file_and_not_in_circles(server, tmp_path):
    server.status, server.to = 302, "ftp://127.0.0.1/x.zip"
    with pytest.raises(DataError, match="expected an address that begins with https"):
        fetch(f"{server.address}/x.zip", tmp_path / "x.zip", QUICK)
    server.to = f"{server.address}/x.zip"
    with pytest.raises(DataError, match="answers 302"):
        fetch(f"{server.address}/x.zip", tmp_path / "x.zip", QUICK)


def test_an_archive_that_was_there_is_used_and_left(server, tmp_path):
    (tmp_path / "x.zip").write_bytes(server.body)
    done = download(
        f"{server.address}/x.zip", tmp_path / "x", sha256=hashlib.sha256(server.body).hexdigest(), how=QUICK
    )
    assert (done.files, done.compared, done.archive) == (3, True, tmp_path / "x.zip")
    assert server.asked == []


def test_every_known_set_has_an_https_archive_terms_and_domains():
    listed = run_here("data", "download").stdout
    for name, entry in catalogue().items():
        assert entry.url.startswith("https://")
        assert archive_name(entry.url)[1] in {".zip", ".tar.gz"}
        assert len(set(entry.domains)) == 2
        assert (ROOT / "configs" / f"{entry.method}.yaml").is_file()
        for text in (name, entry.about, entry.terms):
            assert text in listed


# Archives


def link(kind, name="in/link", to="../../outside"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def odd_zip(mode):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("in/link")
        info.external_attr = mode << 16
        archive.writestr(info, "../../outside")
        archive.writestr("in/link/file", b"through it")
    return buffer.getvalue()


def patched_zip(at, value):
    """A zip whose list of contents says something else than is so; ``at`` counts from the entry's signature."""
    body = bytearray(zipped({"x.jpg": bytes(1000)}, ""))
    start = body.index(b"PK\x01\x02") + at
    body[start : start + len(value)] = value
    return bytes(body)


def large_header():
    """2 GB of a further header, in 2 MB."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2_000_000_000
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as file:
        file.write(info.tobuf() + bytes(10_000_000))
    return buffer.getvalue()


HOSTILE = {
    "tar: ..": (lambda: tarred([("../outside", b"1")]), "hostile"),
    "tar: .. further down": (lambda: tarred([("in/../../outside", b"1")]), "hostile"),
    "tar: absolute": (lambda: tarred([("/outside", b"1")]), "hostile"),
    "tar: symbolic link": (lambda: tarred([link(tarfile.SYMTYPE), ("in/link/file", b"1")]), "hostile"),
    "tar: symbolic link inside": (
        lambda: tarred([("in/a", b"1"), link(tarfile.SYMTYPE, to="a")]),
        "is a link or a device",
    ),
    "tar: hard link": (lambda: tarred([link(tarfile.LNKTYPE, to="/etc/passwd")]), "hostile"),
    "tar: device": (lambda: tarred([link(tarfile.CHRTYPE)]), "hostile"),
    "tar: pipe": (lambda: tarred([link(tarfile.FIFOTYPE)]), "hostile"),
    "tar: bomb": (lambda: tarred([("x", bytes(60_000_000))]), "too much for its size"),
    "tar: large header": (large_header, r"a header of 2\.00 GB"),
    "tar: truncated": (lambda: tarred([("x", os.urandom(50_000))])[:-20_000], "damaged"),
    "tar: file and folder": (lambda: tarred([("x", b"1"), ("x/y", b"1")]), "damaged"),
    "zip: ..": (lambda: zipped({"../outside": b"1"}, ""), "hostile"),
    "zip: .. with backslashes": (lambda: zipped({"..\\outside": b"1"}, ""), "hostile"),
    "zip: absolute": (lambda: zipped({"/outside": b"1"}, ""), "hostile"),
    "zip: drive": (lambda: zipped({"C:\\outside": b"1"}, ""), "hostile"),
    "zip: symbolic link": (lambda: odd_zip(0o120777), "is a link or a device"),
    "zip: device": (lambda: odd_zip(0o020666), "is a link or a device"),
    "zip: size too small": (lambda: patched_zip(24, struct.pack("<I", 10)), "damaged"),
    "zip: size too large": (lambda: patched_zip(24, struct.pack("<I", 4000)), "damaged"),
    "zip: huge size": (lambda: patched_zip(24, struct.pack("<I", 4_000_000_000)), "too much for its size"),
    "zip: wrong checksum": (lambda: patched_zip(16, b"\1\2\3\4"), "damaged"),
    "zip: encrypted": (lambda: patched_zip(8, b"\1\0"), "damaged"),
    "zip: unknown compression": (lambda: patched_zip(10, b"\x63\0"), "damaged"),
    "zip: truncated": (lambda: zipped(IMAGES)[:-500], "damaged"),
    "zip: a million entries": (
        lambda: b"PK\3\4" + zipped({"x": b""}, "")[31:77] * 1_000_000,
        "more than the 500,000 files",
    ),
    "a page": (lambda: b"<!doctype html><title>Sorry</title>", "damaged, or no zip or tar"),
    "nothing": (lambda: b"", "damaged, or no zip or tar"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_and_damaged_archives_leave_nothing_behind(tmp_path, kind):
    make, message = HOSTILE[kind]
    archive = tmp_path / "inner" / "set.archive"
    archive.parent.mkdir()
    archive.write_bytes(make())
    with pytest.raises(DataError, match=message):
        unpack(archive, tmp_path / "inner" / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", "set.archive"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_limits_hold_for_both_kinds(tmp_path, kind):
    images = {f"{i}.jpg": bytes(100) for i in range(20)}
    archive = tmp_path / "x"
    archive.write_bytes(zipped(images) if kind == "zip" else tarred(list(images.items())))
    with pytest.raises(DataError, match="more than the 19 files"):
        unpack(archive, tmp_path / "out", Limits(files=19))
    with pytest.raises(DataError, match="more than 1,999 bytes would come out"):
        unpack(archive, tmp_path / "out", Limits(size=1999))
    assert unpack(archive, tmp_path / "out", Limits(files=20, size=2000)) == 20
    assert contents(tmp_path / "out") == images


def test_only_a_single_folder_around_everything_is_left_out(tmp_path):
    for top, expected in (("deep/", "trainA/1.jpg"), ("", "trainA/1.jpg")):
        archive = tmp_path / "x.zip"
        archive.write_bytes(zipped(IMAGES, top))
        unpack(archive, tmp_path / "out")
        assert expected in contents(tmp_path / "out")
        shutil.rmtree(tmp_path / "out")
