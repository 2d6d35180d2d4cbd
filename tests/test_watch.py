"""Folders that are waited on: what comes is translated once it is whole, and nothing that is somebody's is touched."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial

import pytest
from rich.console import Console

import img2img
from img2img.cli.batch import leave, save
from img2img.errors import DataError
from img2img.translate import report
from img2img.translate import watch as watching
from img2img.translate.inputs import job_below, plan
from img2img.translate.journal import Journal, last_settings
from img2img.translate.report import Entry, FolderReport
from img2img.translate.watch import Settling, Watch
from tests.conftest import drawing, run_here
from tests.test_batches import lines, start, tree

pytest.importorskip("watchfiles", reason="an extra")


@contextlib.contextmanager
def waited_on(model, source, out, existing=None, file_format=None):
    """Wait on a folder in a thread; yields a list of (status, name) that grows and a dict that gets the report."""
    translator, named = img2img.load(model, "cpu"), partial(job_below, out=out, file_format=file_format)
    stop, heard, ended = threading.Event(), [], {}
    translator.settle(last_settings(out))
    how = replace(translator.how(), existing=existing, stop=stop.is_set, progress=heard.append)
    todo = plan([source], may_be_empty=True, **named.keywords)
    watch = Watch(translator.translation(), todo, how, [source], named, partial(save, out), Settling(0.3))

    def run():
        try:
            ended["report"] = watch.run()
        except Exception as error:  # noqa: BLE001 (for the test to see)
            ended["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield heard, ended
    finally:
        stop.set()
        thread.join(30)


def until(said, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not said():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def heard_of(heard, status, name):
    return lambda: any((entry.status, entry.name) == (status, name) for entry in list(heard))


def encoded(seed, kind="PNG"):
    data = io.BytesIO()
    drawing(seed, (40, 30))[1].save(data, kind)
    return data.getvalue()


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "first.png").write_bytes(encoded(1))
    return tmp_path / "in"


def test_what_comes_changes_and_is_mended_is_translated_as_a_batch_would(model, source, tmp_path):
    out = tmp_path / "out"
    with waited_on(model, source, out) as (heard, ended):
        until(heard_of(heard, "translated", "sub/first.png"))
        before = (out / "sub" / "first.png").read_bytes()
        (source / "sub" / "first.png").write_bytes(encoded(2))
        (source / "mended.png").write_bytes(encoded(3)[:100])
        (source / "text.txt").write_text("no image")
        (source / ".hidden.png").write_bytes(encoded(3))
        until(heard_of(heard, "failed", "mended.png"))
        (source / "mended.png").write_bytes(encoded(3))
        (tmp_path / "dropped" / "deep").mkdir(parents=True)
        (tmp_path / "dropped" / "deep" / "a.jpg").write_bytes(encoded(4, "JPEG"))
        (tmp_path / "dropped").rename(source / "dropped")
        until(heard_of(heard, "translated", "dropped/deep/a.jpg"))
        until(heard_of(heard, "translated", "mended.png"))
        until(lambda: [entry.name for entry in heard].count("sub/first.png") == 2)
        until(lambda: len(lines(out)) == 3)  # while it waits
    assert [(entry.name, entry.status) for entry in ended["report"].entries] == [
        (name, "translated") for name in ("dropped/deep/a.jpg", "mended.png", "sub/first.png")
    ]
    assert (out / "report.html").read_text().count("<figure>") == 3
    assert (out / "sub" / "first.png").read_bytes() != before
    run_here("translate", model, source, tmp_path / "batch")
    assert tree(out) == tree(tmp_path / "batch")
    assert "0 translated, 0 failed, 3 skipped" in run_here("translate", model, source, out).stdout


def test_deleted_and_renamed_inputs_and_an_output_folder_that_is_deleted(model, source, tmp_path):
    out = tmp_path / "out"
    with waited_on(model, source, out) as (heard, ended):
        until(heard_of(heard, "translated", "sub/first.png"))
        (source / "broken.png").write_bytes(b"nonsense")
        until(heard_of(heard, "failed", "broken.png"))
        (source / "broken.png").unlink()
        out.rename(tmp_path / "deleted")
        (source / "sub").rename(source / "other")
        until(heard_of(heard, "translated", "other/first.png"))
    assert tree(out).keys() == {"other/first.png"}  # made anew for what comes
    assert [line["input"] for line in lines(out)] == ["other/first.png", "sub/first.png"]
    assert ended["report"].failed == {}  # gone, as it would be for a batch
    assert "0 translated, 0 failed, 1 skipped" in run_here("translate", model, source, out).stdout


def test_an_output_folder_that_is_deleted_while_it_is_written_costs_nothing(model, source, tmp_path, monkeypatch):
    out, left = tmp_path / "out", ["report", "image"]
    real_lines, real_begin = report.write_lines, Journal.begin

    def deleting(what, real):
        def run(*arguments):
            if what in left:
                left.remove(what)
                shutil.rmtree(out)
            return real(*arguments)

        return run

    monkeypatch.setattr(report, "write_lines", deleting("report", real_lines))
    monkeypatch.setattr(Journal, "begin", deleting("image", real_begin))
    with waited_on(model, source, out) as (heard, ended):
        until(heard_of(heard, "failed", "sub/first.png"))
        until(heard_of(heard, "translated", "sub/first.png"))
        until(lambda: not left)
        (source / "next.png").write_bytes(encoded(2))
        until(heard_of(heard, "translated", "next.png"))
    assert [entry.status for entry in ended["report"].entries] == ["translated", "translated"]
    assert len(lines(out)) == 2


@pytest.mark.parametrize("existing", [None, "overwrite"])
def test_no_input_takes_the_output_of_another_and_the_rules_are_those_of_a_batch(model, source, tmp_path, existing):
    out = tmp_path / "out"
    out.mkdir()
    with waited_on(model, source, out, existing, "png") as (heard, _):
        (source / "a.jpg").write_bytes(encoded(5, "JPEG"))
        until(heard_of(heard, "translated", "a.jpg"))
        before = tree(out)["a.png"]
        (source / "a.webp").write_bytes(encoded(6, "WEBP"))
        (out / "mine.png").write_bytes(b"my own picture")
        (source / "mine.jpg").write_bytes(encoded(7, "JPEG"))
        until(heard_of(heard, "failed", "a.webp"))
        until(lambda: any(entry.name == "mine.jpg" for entry in heard))
    failed = {line["input"]: line["reason"] for line in lines(out) if line["status"] == "failed"}
    assert "two inputs cannot share an output; rename one of them" in failed["a.webp"]
    assert tree(out)["a.png"] == before
    assert (tree(out)["mine.png"] == b"my own picture") == (existing is None) == ("mine.jpg" in failed)


def test_a_folder_of_another_kind_is_refused_before_any_work(model, source, tmp_path):
    run_here("translate", model, source, tmp_path / "out", "--to", "line")
    with waited_on(model, source, tmp_path / "out") as (heard, ended):
        until(lambda: ended)
    assert "made with other settings (direction colour:line, now line:colour)" in str(ended["error"])
    assert not heard


def test_what_has_not_settled_is_not_read_and_is_left_when_stopped(model, source, tmp_path):
    with waited_on(model, source, tmp_path / "out") as (heard, ended):
        until(heard_of(heard, "translated", "sub/first.png"))
        whole, path = encoded(8), source / "slow.png"
        for end in range(0, len(whole), -(-len(whole) // 6)):
            path.write_bytes(whole[:end])
            time.sleep(0.15)
        path.write_bytes(whole)
    assert [entry.name for entry in heard] == ["sub/first.png"]
    assert ended["report"].not_reached == ["slow.png"]


def test_a_file_rests_once_size_and_time_have_not_changed_for_a_moment(tmp_path):
    settling, path = Settling(1.0), tmp_path / "in" / "a.png"
    path.parent.mkdir()
    settling.touch(path.parent, 0.0)
    path.write_bytes(b"1")  # before the system reports on the new folder: found when it is looked through again
    assert settling.rested(1.0) == []
    os.utime(path, (1, 1))
    assert settling.rested(1.9) == []
    assert settling.rested(2.8) == []
    assert settling.rested(2.9) == [path]
    assert settling.rested(9.0) == []
    settling.touch(path, 9.0)
    path.unlink()
    assert settling.rested(10.0) == []
    assert not settling.waiting


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="names that other file systems refuse")
def test_names_that_are_no_utf_8_are_found_too(model, source, tmp_path):
    name = os.fsdecode(b"\xff\xfe.png")
    with waited_on(model, source, tmp_path / "out") as (heard, _):
        until(heard_of(heard, "translated", "sub/first.png"))
        (source / name).write_bytes(encoded(9))
        until(heard_of(heard, "translated", name))
        (source / "then.png").write_bytes(encoded(9))
        until(heard_of(heard, "translated", "then.png"))


def test_an_input_folder_that_goes_ends_it_in_one_line_once_all_is_reported(model, source, tmp_path):
    with waited_on(model, source, tmp_path / "out") as (heard, ended):
        until(heard_of(heard, "translated", "sub/first.png"))
        source.rename(tmp_path / "elsewhere")
        until(lambda: ended)
    assert isinstance(ended["error"], DataError)
    assert "is gone; start again" in str(ended["error"])
    assert len(lines(tmp_path / "out")) == 1


def test_pictures_on_the_page_are_the_newest_and_bounded(model, source, tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "PICTURES_ON_PAGE", 2)
    with waited_on(model, source, tmp_path / "out") as (heard, ended):
        for number in range(4):
            (source / f"{9 - number}.png").write_bytes(encoded(number))
            until(heard_of(heard, "translated", f"{9 - number}.png"))
    assert [entry.name for entry in ended["report"].entries if entry.pictures] == ["6.png", "7.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_command_says_a_line_an_image_and_ends_well_on_a_signal(model, source, tmp_path):
    process = start(model, source, tmp_path / "out", "--watch")
    try:
        until((tmp_path / "out" / "report.jsonl").exists, 60)
        (source / "new.png").write_bytes(encoded(2))
        until(lambda: len(lines(tmp_path / "out")) == 2)
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    finally:
        process.kill()
    assert process.returncode == 0, complained  # nothing was left to do
    assert "once it has not changed for 1 s" in said
    assert "translated: new.png -> new.png\n" in said
    assert "2 translated, 0 failed" in said
    assert "Traceback" not in complained


def test_stopped_with_something_left_is_another_exit_code_than_stopped_with_all_done(tmp_path):
    console = Console(file=io.StringIO())
    done, left = Entry("a.png", "a.png", "translated"), Entry("b.png", "b.png", "not reached")
    leave(console, tmp_path, FolderReport(1, [done]), [signal.SIGTERM], waited=True)
    with pytest.raises(SystemExit, match="143"):
        leave(console, tmp_path, FolderReport(2, [done, left]), [signal.SIGTERM], waited=True)
    with pytest.raises(SystemExit, match="130"):
        leave(console, tmp_path, FolderReport(1, [done]), [signal.SIGINT])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-", "out"), "--watch needs folders: - stands for one image"),
        (("in", "-"), "--watch needs folders"),
        (("in/sub/first.png", "out"), "expected an existing folder to wait on"),
        (("nowhere", "out"), "--watch nowhere: expected an existing folder"),
        (("in", "in/out"), "the output lies in the input folder"),
        (("in", "out", "--shard", "1/2"), "--watch does not go with --shard"),
        (("in", "out", "--dry-run"), "--watch does not go with --dry-run"),
        (("in", "out", "--fail-fast"), "--watch does not go with --fail-fast"),
    ],
)
def test_what_cannot_be_waited_on_is_refused_in_one_line(model, source, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    said = run_here("translate", model, *words, "--watch", code=1).stderr
    assert message in said
    assert said.count("\n") == 1


def test_what_is_not_installed_is_named(model, source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    said = run_here("translate", model, source, tmp_path / "out", "--watch", code=1).stderr
    assert said == "error: --watch needs watchfiles: pip install 'img2img-toolkit[watch]'\n"
