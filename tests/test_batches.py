"""A batch of translations can be trusted: counted, resumed, never mixed up, never torn."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import img2img
from img2img.errors import DataError
from img2img.image import TEMPORARY_PREFIX
from img2img.translate import files as files_module
from img2img.translate import folder as batch
from img2img.translate.files import Files
from img2img.translate.how import How
from img2img.translate.inputs import plan
from img2img.translate.journal import PREFIX
from tests.conftest import drawing, run_command, run_here


@pytest.fixture
def images(tmp_path):
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    for number in range(4):
        drawing(number, (40, 30))[1].save(root / "sub" / f"{number}.png")
    drawing(9, (40, 30))[1].save(root / "top.jpg")
    return root


def tree(root):
    """Return the written images by name: everything but the journal and the reports."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith((".", "report"))
    }


def lines(out, name="report.jsonl"):
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


# What is there already


def test_the_same_command_goes_on_and_touches_nothing_that_is_done(model, images, tmp_path):
    out = tmp_path / "out"
    run_here("translate", model, images, out)
    before, times = tree(out), {p: p.stat().st_mtime_ns for p in out.rglob("*.png")}
    (out / "sub" / "2.png").unlink()
    drawing(7, (40, 30))[1].save(images / "sub" / "3.png")
    said = run_here("translate", model, images, out).stdout
    assert "2 translated, 0 failed, 3 skipped" in said
    after = tree(out)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"sub/3.png"}  # its source is another one now
    same = [p for p in times if p.name in {"0.png", "1.png"}]
    assert all(p.stat().st_mtime_ns == times[p] for p in same)
    assert [line["status"] for line in lines(out)] == ["skipped", "skipped", "translated", "translated", "skipped"]


def test_files_that_are_not_ours_or_were_changed_are_left_and_reported(model, images, tmp_path):
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    (out / "top.jpg").write_bytes(b"my own picture")
    run_here("translate", model, images, out, code=3)
    Image.new("RGB", (3, 3)).save(out / "sub" / "1.png")
    mine = {name: data for name, data in tree(out).items() if name in {"top.jpg", "sub/1.png"}}
    said = run_here("translate", model, images, out, code=3).stdout
    assert "top.jpg is there and was not made by this command; --existing overwrite replaces it" in said
    assert "1.png was changed after it was translated" in said
    assert {name: data for name, data in tree(out).items() if name in mine} == mine
    run_here("translate", model, images, out, "--existing", "overwrite")
    assert all(tree(out)[name] != data for name, data in mine.items())


def test_one_folder_does_not_come_to_hold_two_kinds(model, images, tmp_path):
    out = tmp_path / "out"
    run_here("translate", model, images, out)
    before = tree(out)
    said = run_here("translate", model, images, out, "--to", "line", code=1).stderr
    assert "5 outputs were made with other settings (direction line:colour, now colour:line)" in said
    assert tree(out) == before
    run_here("translate", model, images, out, "--to", "line", "--existing", "overwrite")
    assert all(tree(out)[name] != data for name, data in before.items())


def test_newer_and_error(model, images, tmp_path):
    translator, out = img2img.load(model, "cpu"), tmp_path / "out"
    out.mkdir()
    (out / "top.jpg").write_bytes(b"old")
    os.utime(out / "top.jpg", (1, 1))
    with pytest.raises(DataError, match="1 outputs are there already"):
        translator.folder(images, out, existing="error")
    assert len(translator.folder(images, out, existing="newer").translated) == 5
    assert len(translator.folder(images, out, existing="newer").skipped) == 5
    future = time.time() + 60
    os.utime(images / "sub" / "0.png", (future, future))
    assert translator.folder(images, out, existing="newer").translated == ["sub/0.png"]


def test_a_journal_that_a_kill_cut_short_still_serves(model, images, tmp_path):
    out = tmp_path / "out"
    run_here("translate", model, images, out)
    before = tree(out)
    (journal,) = out.glob(f"{PREFIX}*")
    whole = journal.read_text()
    journal.write_text(whole[: whole.rindex("done") + 9])
    said = run_here("translate", model, images, out).stdout
    assert "1 translated, 0 failed, 4 skipped" in said
    assert tree(out) == before
    assert "0 translated, 0 failed, 5 skipped" in run_here("translate", model, images, out).stdout


# Stopped and killed


def start(model, source, out, *more):
    words = [sys.executable, "-m", "img2img", "translate", model, source, out, "--device", "cpu", *more]
    return subprocess.Popen(
        list(map(str, words)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for_outputs(out, count):
    deadline = time.monotonic() + 60
    while len(list(out.rglob("*.png"))) < count and time.monotonic() < deadline:
        time.sleep(0.005)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_kills_and_signals_cost_nothing_but_time(model, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(150):
        drawing(number, (90, 90))[1].save(source / f"{number:03d}.png")
    run_command("translate", model, source, tmp_path / "undisturbed", "--device", "cpu")
    for turn, number in enumerate((signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)):
        process = start(model, source, out)
        try:
            wait_for_outputs(out, 10 + 20 * turn)
            process.send_signal(number)
            said, complained = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
        assert "Traceback" not in complained
        for path in out.glob("*.png"):
            with Image.open(path) as image:
                image.load()
        if number != signal.SIGKILL:
            assert "the same command does the rest" in complained
            statuses = [line["status"] for line in lines(out)]
            assert len(statuses) == 150
            assert "not reached" in statuses
            assert f"{statuses.count('translated')} translated, 0 failed" in said
    said = run_command("translate", model, source, out, "--device", "cpu").stdout
    assert " skipped" in said
    assert tree(out) == tree(tmp_path / "undisturbed")
    assert not list(out.rglob(f"{TEMPORARY_PREFIX}*.tmp"))


def test_fail_fast_stops_and_counts_what_was_not_reached(model, images, tmp_path):
    for name in ("a.png", "b.png"):
        (images / name).write_bytes(b"nonsense")
    for number in range(30):
        drawing(number, (40, 30))[1].save(images / f"c{number}.png")
    run_here("translate", model, images, tmp_path / "out", "--fail-fast", "--threads", "1", code=1)
    statuses = [line["status"] for line in lines(tmp_path / "out")]
    assert len(statuses) == 37
    assert statuses[0] == "failed"
    assert statuses.count("not reached") > 20


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_ends_the_batch_in_one_line_and_it_goes_on_later(
    model, images, tmp_path, monkeypatch, number
):
    translator, real, left = img2img.load(model, "cpu"), Files.write, [2]

    def full(self, path, pictures, **more):
        if not left[0]:
            raise OSError(number, os.strerror(number), str(path))
        left[0] -= 1
        return real(self, path, pictures, **more)

    monkeypatch.setattr(Files, "write", full)
    with pytest.raises(OSError, match=os.strerror(number)):
        translator.folder(images, tmp_path / "out")
    monkeypatch.setattr(Files, "write", real)
    report = translator.folder(images, tmp_path / "out")
    assert (len(report.translated), len(report.skipped), len(report.failed)) == (3, 2, 0)


def test_a_source_that_vanishes_in_between_is_one_failure(model, images, tmp_path, monkeypatch):
    real = Files.read

    def vanishing(self, path, name, *more):
        if name == "sub/1.png":
            path.unlink()
        return real(self, path, name, *more)

    monkeypatch.setattr(Files, "read", vanishing)
    report = img2img.load(model, "cpu").folder(images, tmp_path / "out")
    assert report.failed == {"sub/1.png": "no such file"}
    assert len(report.translated) == 4


# What is translated to where


def test_inputs_are_outputs_failures_and_skips_in_every_place(model, images, tmp_path):
    (images / "bad.png").write_bytes(b"nonsense")
    (images / "text.txt").write_text("no image")
    (images / ".DS_Store").write_text("no image")
    (images / "photo").write_bytes((images / "top.jpg").read_bytes())  # an image by its first bytes
    out = tmp_path / "out"
    said = run_here("translate", model, images, out, code=3).stdout
    assert "6 translated, 1 failed, 2 other files left alone" in said
    found = lines(out)
    assert [line["input"] for line in found] == ["bad.png", "photo", *[f"sub/{n}.png" for n in range(4)], "top.jpg"]
    assert {line["output"] for line in found if line["status"] == "translated"} == tree(out).keys()
    assert "photo.jpg" in tree(out)
    page = (out / "report.html").read_text()
    assert page.count("<figure>") == 6
    assert "not an image in one of the formats" in page


def test_several_sources_patterns_formats_and_name_endings(model, images, tmp_path, monkeypatch):
    monkeypatch.chdir(images)
    jobs = plan(["sub/[01].png", "top.jpg"], "../out", file_format="webp", suffix="_c").jobs
    assert [job.target.as_posix() for job in jobs] == ["../out/0_c.webp", "../out/1_c.webp", "../out/top_c.webp"]
    run_here("translate", model, "sub/[01].png", "top.jpg", "../out", "--format", "webp", "--suffix", "_c")
    for name in ("0_c.webp", "1_c.webp", "top_c.webp"):
        with Image.open(tmp_path / "out" / name) as image:
            assert image.format == "WEBP"


def test_a_pattern_that_is_a_name_is_the_file_of_that_name(images, tmp_path):
    drawing(1)[1].save(images / "[0].png")
    (job,) = plan([images / "[0].png"], tmp_path / "out").jobs
    assert job.source.name == "[0].png"


def test_shards_share_the_work(model, images, tmp_path):
    run_here("translate", model, images, tmp_path / "whole")
    for shard in ("1/3", "2/3", "3/3"):
        run_here("translate", model, images, tmp_path / "out", "--shard", shard)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    reports = [line["input"] for n in (1, 2, 3) for line in lines(tmp_path / "out", f"report-{n}of3.jsonl")]
    assert sorted(reports) == sorted(path.relative_to(images).as_posix() for path in images.rglob("*.*"))
    said = run_here("translate", model, images, tmp_path / "out").stdout  # all journals are read
    assert "0 translated, 0 failed, 5 skipped" in said
    for shard in ("0/3", "4/3", "x"):
        assert "expected I/N" in run_here("translate", model, images, tmp_path / "o", "--shard", shard, code=1).stderr


def test_a_dry_run_says_all_and_writes_nothing(model, images, tmp_path):
    said = run_here("translate", model, images, tmp_path / "out", "--dry-run").stdout
    assert said.count("would translate") == 5
    assert "nothing was written" in said
    assert not (tmp_path / "out").exists()


def test_standard_input_and_output(model, images, tmp_path):
    run_here("translate", model, images / "top.jpg", tmp_path / "top.jpg")
    words = [sys.executable, "-m", "img2img", "translate", str(model), "-", "-"]
    done = subprocess.run(words, input=(images / "top.jpg").read_bytes(), capture_output=True, check=True)
    assert done.stdout == (tmp_path / "top.jpg").read_bytes()
    run = subprocess.run(words, input=b"nonsense", capture_output=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith(b"error: standard input: not an image")


def test_a_tiff_beyond_what_is_read_at_once_goes_by_regions(model, tmp_path, monkeypatch):
    """With the limit made small: the same picture as whole, in float32, and the note that says how it was done."""
    (tmp_path / "in").mkdir()
    drawing(1, (150, 130))[1].save(tmp_path / "in" / "large.tif")
    drawing(2, (40, 30))[1].save(tmp_path / "in" / "small.tif")
    run_here("translate", model, tmp_path / "in", tmp_path / "whole", "--device", "cpu", "--precision", "fp32")
    monkeypatch.setattr(files_module, "MAX_PIXELS", 10_000)
    words = ["--device", "cpu", "--precision", "fp32", "--max-pixels", "1000000"]
    said = run_here("translate", model, tmp_path / "in", tmp_path / "out", *words).stdout
    assert "2 translated, 0 failed" in said
    assert "read and written by regions" in said
    for name in ("large.tif", "small.tif"):
        with Image.open(tmp_path / "whole" / name) as one, Image.open(tmp_path / "out" / name) as other:
            assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1
    assert "2 skipped" in run_here("translate", model, tmp_path / "in", tmp_path / "out", *words).stdout


def test_the_same_bytes_whatever_the_number_of_threads(model, images, tmp_path):
    translator = img2img.load(model, "cpu")
    trees = []
    for threads in (1, 3):
        how = How(threads=threads)
        batch.translate_folder(translator.translation(), plan([images], tmp_path / str(threads)), how)
        trees.append(tree(tmp_path / str(threads)))
    assert trees[0] == trees[1]
    assert np.asarray(Image.open(tmp_path / "1" / "top.jpg")).shape == (30, 40, 3)
