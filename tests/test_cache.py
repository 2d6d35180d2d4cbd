"""The decoded cache: the same samples sooner, whatever happens to its folder or to the files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from img2img.data import cache
from img2img.data.cache import Store
from img2img.data.source import Source
from img2img.errors import DataError
from img2img.image import RGB
from tests.conftest import drawing
from tests.test_data import data_of


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("IMG2IMG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_SHARED", tmp_path)
    return tmp_path / "cache"


def batches(root, epochs=1, **options):
    loader = data_of(root, hold_out=0.0, **options).train_dataloader()
    found = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        found += list(loader)
    return found


def assert_equal(these, those):
    assert len(these) == len(those)
    for mine, theirs in zip(these, those, strict=True):
        assert mine[2:] == theirs[2:]
        assert torch.equal(mine.a, theirs.a)
        assert torch.equal(mine.b, theirs.b)


def entries(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("where", ["ram", "disk"])
@pytest.mark.parametrize("resize", ["short-side", "stretch", "none"])
@pytest.mark.parametrize("paired", [True, False])
def test_cached_is_uncached_bit_for_bit(pairs, where, resize, paired):
    options = {"paired": paired, "resize": resize, "photometric": 0.5}
    plain = batches(pairs, 2, **options)
    for _ in range(2):
        assert_equal(batches(pairs, 2, cache=where, **options), plain)


@pytest.mark.parametrize("workers", [0, 2])
def test_halves_and_workers(side_by_side, folder, workers):
    options = {"domains": ["colour", "line"]}
    plain = batches(side_by_side, 2, **options)
    assert_equal(batches(side_by_side, 2, cache="disk", workers=workers, **options), plain)
    assert len(entries(folder)) == 2 * len(plain) // 2


def test_what_is_kept_is_not_decoded_again(pairs, monkeypatch):
    plain = batches(pairs, cache="disk")
    monkeypatch.setattr("img2img.data.loading.load_side", None)
    assert_equal(batches(pairs, cache="disk"), plain)


def test_other_sizes_have_entries_of_their_own(pairs):
    batches(pairs, cache="disk")
    assert_equal(batches(pairs, size=16, cache="disk"), batches(pairs, size=16))


def test_a_changed_file_is_noticed(pairs):
    before = batches(pairs, cache="disk")
    for path in (pairs / "line").iterdir():
        drawing(50 + int(path.stem))[0].save(path)
    after = batches(pairs, cache="disk")
    assert_equal(after, batches(pairs))
    assert not all(torch.equal(a.b, b.b) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(p.read_bytes()[:-9]), lambda p: p.write_bytes(b"")])
def test_torn_and_foreign_entries_are_made_anew(pairs, folder, damage):
    plain = batches(pairs, cache="disk")
    for path in entries(folder):
        damage(path)
    assert_equal(batches(pairs, cache="disk"), plain)


def test_two_processes_build_one_cache_and_one_is_killed(pairs, folder):
    program = (
        "import sys, img2img\n"
        "data = img2img.ImageData(sys.argv[1], True, size=32, workers=0, hold_out=0.0, cache='disk')\n"
        "data.setup()\n"
        "loader = data.train_dataloader()\n"
        "print('ready', flush=True)\n"
        "while True: list(loader)\n"
    )
    words = [sys.executable, "-c", program, str(pairs)]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for process in processes:
            assert process.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 20
        while not entries(folder) and time.monotonic() < deadline:
            time.sleep(0.001)
        processes[0].send_signal(signal.SIGKILL)
        mine = batches(pairs, cache="disk")
        assert processes[1].poll() is None
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert_equal(mine, batches(pairs))
    assert_equal(batches(pairs, cache="disk"), mine)


def test_a_full_disk_is_said_of_each_image_and_training_goes_on(pairs, folder, monkeypatch):
    full = shutil.disk_usage(pairs)._replace(free=1)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: full)
    found = batches(pairs, cache="disk")
    assert not entries(folder)
    notes = [note for batch in found for note in batch.notes]
    assert len(set(notes)) == 2 * len(found)
    assert notes[0].startswith("uncached: ")
    assert "the cache leaves a tenth or 5 GB free" in notes[0]
    assert all(torch.equal(a.a, b.a) for a, b in zip(found, batches(pairs), strict=True))


def test_a_write_that_fails_in_the_middle_leaves_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    drawing(0)[0].save(tmp_path / "x.png")
    entry = Store("disk", [tmp_path]).entry(Source(tmp_path, "whole", "x.png"), RGB, "")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        notes = entry.write(np.zeros((40, 40, 3), np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be written (File too large)" in notes[0]
    assert entry.read() is None
    assert entry.write(np.ones((40, 40, 3), np.uint8)) == []
    assert entry.read().all()


def test_a_folder_that_cannot_be_written_is_refused(pairs, folder):
    folder.write_text("a file where the cache should be")
    with pytest.raises(DataError, match=r"--data\.cache disk: .*IMG2IMG_CACHE"):
        batches(pairs, cache="disk")


def test_sets_that_nobody_opens_are_removed(pairs, folder):
    batches(pairs, cache="disk")
    (old,) = (folder / "decoded").iterdir()
    os.utime(old, (0, 0))
    Store("disk", [pairs / "line"])
    assert not old.exists()


def test_shared_memory_is_given_back_by_the_last_process(pairs, tmp_path):
    program = (
        "import sys, img2img\n"
        "from pathlib import Path\n"
        "from img2img.data import cache\n"
        "cache._SHARED = Path(sys.argv[2])\n"
        "data = img2img.ImageData(sys.argv[1], True, size=32, workers=0, hold_out=0.0, cache='ram')\n"
        "data.setup()\n"
        "list(data.train_dataloader())\n"
        "print(sum(1 for p in Path(sys.argv[2]).rglob('*') if p.is_file()))\n"
    )
    shared = tmp_path / "shared"
    shared.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program, str(pairs), str(shared)], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) == 21  # both images of the ten pairs that are not held out, and the lock
    assert not list(shared.iterdir())


def test_resume_goes_on_with_the_same_samples(pairs):
    whole = batches(pairs)
    loader = data_of(pairs, hold_out=0.0, cache="disk").train_dataloader()
    loader.load_state_dict({"samples": 5})
    assert_equal(list(loader), whole[5:])
