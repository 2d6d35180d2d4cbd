"""Full disks, folders that vanish, files that change meanwhile, translator files of strangers: one line each."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import img2img
from img2img.checkpoint import TranslatorFile, save_translator
from img2img.image import TEMPORARY_PREFIX
from img2img.translate.files import Files
from img2img.translate.journal import PREFIX
from tests.conftest import run_here
from tests.test_batches import lines, tree
from tests.test_checkpoint import KINDS, a_file, damaged

linux = pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk of memory, as root")


@pytest.fixture
def noise(tmp_path):
    """Twelve images of about 12 kB."""
    (tmp_path / "in").mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number:02d}.png")
    return tmp_path / "in"


@pytest.fixture
def disk(tmp_path):
    """A disk of 100 kB; the function that mounts it anew with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("no right to mount")

    mount("size=100k")
    yield folder, mount
    subprocess.run(["umount", "-l", folder], check=True)


def no_torn_file(out):
    assert not [path for path in out.rglob(f"{TEMPORARY_PREFIX}*") if not path.name.startswith(PREFIX)]
    for path in out.rglob("*.png"):
        with Image.open(path) as image:
            image.load()


@linux
def test_a_full_disk_is_one_line_and_the_same_command_goes_on_when_there_is_room(model, noise, disk, tmp_path):
    folder, mount = disk
    run_here("translate", model, noise, tmp_path / "undisturbed")
    said = run_here("translate", model, noise, folder / "out", code=1).stderr
    assert said.startswith("error: No space left on device")
    assert said.count("\n") == 1
    no_torn_file(folder)
    assert 0 < len(tree(folder / "out")) < 12
    mount("remount,size=2m")
    said = run_here("translate", model, noise, folder / "out").stdout
    assert " skipped" in said
    assert "0 failed" in said
    assert tree(folder / "out") == tree(tmp_path / "undisturbed")


@linux
def test_a_read_only_disk_is_known_before_any_work(model, noise, disk, monkeypatch):
    folder, mount = disk
    mount("remount,ro")
    monkeypatch.setattr(Files, "read", None)
    said = run_here("translate", model, noise, folder / "out", code=1).stderr
    assert said.startswith("error: Read-only file system")
    assert said.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_folder_of_somebody_else_is_known_before_any_work(model, noise, tmp_path, monkeypatch):
    run_here("translate", model, noise, tmp_path / "out")  # what is imported late is imported now
    (tmp_path / "theirs").mkdir()
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path, noise):
        path.chmod(0o755)
    (tmp_path / "theirs").chmod(0o555)
    monkeypatch.setattr(Files, "read", None)
    root = not os.geteuid()
    os.seteuid(65534) if root else None
    try:
        said = run_here("translate", model.name, "in", "theirs", code=1).stderr
    finally:
        os.seteuid(0) if root else None
    assert said.startswith("error: Permission denied")
    assert said.count("\n") == 1
    assert not list((tmp_path / "theirs").iterdir())


def at_the_sixth(monkeypatch, method, disturb):
    """Let something happen before the sixth file is read or written."""
    real, left = getattr(Files, method), [6]

    def disturbed(self, path, *more, **options):
        left[0] -= 1
        if not left[0]:
            disturb(path)
        return real(self, path, *more, **options)

    monkeypatch.setattr(Files, method, disturbed)


def test_an_output_folder_that_vanishes_is_made_anew_and_its_journal_too(model, noise, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run_here("translate", model, noise, tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        at_the_sixth(patch, "write", lambda path: shutil.rmtree(path.parent))
        run_here("translate", model, noise, out, "--threads", "1", code=3)  # the file being written vanished with it
    no_torn_file(out)
    left = len(tree(out))
    assert 0 < left < 12
    assert f"{12 - left} translated, 0 failed, {left} skipped" in run_here("translate", model, noise, out).stdout
    assert tree(out) == tree(tmp_path / "undisturbed")


def test_a_source_that_is_replaced_meanwhile_is_done_again(model, noise, tmp_path, monkeypatch):
    out, other = tmp_path / "out", noise / "00.png"
    with monkeypatch.context() as patch:
        at_the_sixth(patch, "write", lambda path: shutil.copy(other, noise / path.name))
        run_here("translate", model, noise, out, "--threads", "1")
    assert "1 translated, 0 failed, 11 skipped" in run_here("translate", model, noise, out).stdout
    written = tree(out)
    assert sum(data == written["00.png"] for data in written.values()) == 2


# Translator files


class Gadget:
    """A pickle that runs a command when it is loaded."""

    def __init__(self, sign):
        self.sign = sign

    def __reduce__(self):
        return os.mkdir, (str(self.sign),)


def changed(path, change):
    """A translator file whose header was edited."""
    file, _ = a_file()
    (direction,) = file.header["directions"].values()
    change(direction["generator"])
    save_translator(path, file)


MORE = {
    "unknown option": ("cannot be built", lambda path, _: changed(path, lambda g: g["init_args"].update(colour=1))),
    "path for a class": (
        "cannot be built",
        lambda path, _: changed(path, lambda g: g.update(class_path="../../etc.x")),
    ),
    "other architecture": (
        "cannot be built|expected .* of shape",
        lambda path, _: changed(path, lambda g: g.update(class_path="img2img.ResNetGenerator", init_args={})),
    ),
    "claims 20 GB": (
        "truncated",
        lambda path, _: path.write_bytes(
            (83).to_bytes(8, "little")
            + b'{"x":{"dtype":"F32","shape":[5000000000],"data_offsets":[0,20000000000]}}'.ljust(83)
        ),
    ),
    "pickle that runs": ("pickle", lambda path, sign: path.write_bytes(pickle.dumps(Gadget(sign)))),
    "old pickle that runs": ("not a", lambda path, sign: path.write_bytes(pickle.dumps(Gadget(sign), protocol=0))),
    "torch file that runs": ("pickle", lambda path, sign: torch.save({"x": Gadget(sign)}, path)),
    "header of another": ("damaged", lambda path, _: save_file({"x": torch.zeros(1)}, path, {"img2img": "[1]"})),
    "no numbers": ("damaged", lambda path, _: save_file({"x": torch.zeros(1)}, path, {"img2img": '{"format": "x"}'})),
}


@pytest.mark.parametrize("kind", [*KINDS, *MORE])
def test_a_bad_translator_file_is_one_line_and_nothing_runs_or_is_written(noise, tmp_path, kind):
    (tmp_path / "models").mkdir()
    sign, path = tmp_path / "it ran", tmp_path / "models" / "m.safetensors"
    if kind in KINDS:
        path = damaged(tmp_path / "models", kind)
    else:
        MORE[kind][1](path, sign)
    said = run_here("translate", path, noise, tmp_path / "out", code=1).stderr
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert re.search(KINDS.get(kind) or MORE[kind][0], said), said
    assert not sign.exists()
    assert not (tmp_path / "out").exists()


def test_a_network_that_gives_no_numbers_is_a_failure_and_no_picture(noise, tmp_path):
    """Finite weights that overflow: the file is sound, what it makes is not."""
    file, _ = a_file(norm="none")
    huge = {name: tensor * 1e30 if tensor.ndim == 4 else tensor for name, tensor in file.tensors.items()}
    save_translator(tmp_path / "m.safetensors", TranslatorFile(file.header, huge))
    said = run_here("translate", tmp_path / "m.safetensors", noise, tmp_path / "out", code=1).stdout
    assert "0 translated, 12 failed" in said
    assert "the network gave NaN or infinity; try --precision fp32" in said
    assert not tree(tmp_path / "out")
    assert {line["status"] for line in lines(tmp_path / "out")} == {"failed"}
    assert img2img.load(tmp_path / "m.safetensors", "cpu").directions == ["line:colour"]
