"""Small real files for every test; no network, no GPU, one thread."""

from __future__ import annotations

import os

os.environ["WANDB_MODE"] = "offline"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["IMG2IMG_ENGINE"] = "eager"  # to measure takes seconds for each of the many small networks
os.environ.setdefault("OMP_NUM_THREADS", "1")

import contextlib
import dataclasses
import io
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from img2img.checkpoint import save_translator
from img2img.cli.app import main
from img2img.errors import DataError
from img2img.evaluate import weights
from img2img.networks.generators.resnet import ResNetGenerator

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" has children ignore Ctrl-C, and theirs too
settings.register_profile("img2img", deadline=None, max_examples=20, derandomize=True)
settings.load_profile("img2img")

ROOT = Path(__file__).resolve().parent.parent


def drawing(seed: int, size: tuple[int, int] = (48, 40)) -> tuple[Image.Image, Image.Image]:
    """A line drawing (ring and bar on white) and the same shapes filled with colour; size is (width, height)."""
    rng = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[:height, :width]
    cx, cy, r = rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * height, rng.uniform(0.2, 0.35) * min(size)
    distance = np.hypot(x - cx, y - cy)
    line = np.full((height, width, 3), 255, np.uint8)
    line[abs(distance - r) < 1.5] = 0
    colour = np.full((height, width, 3), 255, np.uint8)
    colour[distance < r] = rng.integers(30, 226, 3)
    return Image.fromarray(line), Image.fromarray(colour)


def photo(seed: int = 0, side: int = 96) -> np.ndarray:
    """Shapes in colour before a shaded ground, with some texture, as photos have."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    ground = np.stack([120 + 80 * x, 150 + 60 * y, 200 - 90 * x * y], 2)
    for _ in range(4):
        cx, cy, r = rng.uniform(0.2, 0.8, 3) * (1, 1, 0.35)
        ground[np.hypot(x - cx, y - cy) < r] = rng.uniform(20, 235, 3)
    return np.rint(ground + rng.normal(0, 4, ground.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve photos of several sizes at two depths."""
    root = tmp_path / "photos"
    (root / "deep" / "er").mkdir(parents=True)
    for i in range(12):
        folder = root if i % 2 else root / "deep" / "er"
        Image.fromarray(photo(i, 64 + 4 * i)).save(folder / f"{i:02d}.png")
    return root


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two folders of twelve pairs: ``line`` and ``colour``."""
    root = tmp_path / "pairs"
    for folder in ("line", "colour"):
        (root / folder).mkdir(parents=True)
    for i in range(12):
        line, colour = drawing(i)
        line.save(root / "line" / f"{i:02d}.png")
        colour.save(root / "colour" / f"{i:02d}.jpg", quality=95)
    return root


@pytest.fixture
def unpaired(tmp_path: Path) -> Path:
    """trainA, trainB of different sizes, and testA, testB."""
    root = tmp_path / "unpaired"
    for folder, count in (("trainA", 10), ("trainB", 14), ("testA", 2), ("testB", 2)):
        (root / folder).mkdir(parents=True)
        for i in range(count):
            drawing(100 * len(folder) + i)["AB".index(folder[-1])].save(root / folder / f"{i:02d}.png")
    return root


@pytest.fixture
def side_by_side(tmp_path: Path) -> Path:
    """train/ with ten files: colour left, line right."""
    root = tmp_path / "ab"
    (root / "train").mkdir(parents=True)
    for i in range(10):
        line, colour = drawing(i)
        both = Image.new("RGB", (96, 40))
        both.paste(colour, (0, 0))
        both.paste(line, (48, 0))
        both.save(root / "train" / f"{i}.png")
    return root


@pytest.fixture
def no_weights(tmp_path_factory, monkeypatch):
    """No weights of this machine, and no network: tests that need weights bring their own."""

    def offline(url, *_):
        raise DataError(f"{url}: cannot be reached")

    monkeypatch.setenv("IMG2IMG_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(weights, "fetch", offline)
    monkeypatch.setattr(weights.torch.hub, "get_dir", lambda: str(tmp_path_factory.getbasetemp()))
    monkeypatch.setattr(
        weights, "INCEPTIONS", tuple(dataclasses.replace(known, module="") for known in weights.INCEPTIONS)
    )


@pytest.fixture(scope="session")
def script(tmp_path_factory) -> Path:
    """A small network in TorchScript that stands in for an Inception."""

    class Small(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Conv2d(3, 24, 7, stride=5)

        def forward(self, images):
            found = self.layers(images)
            return torch.cat([found.relu().mean((2, 3)), found.amax((2, 3))], 1)

    with torch.random.fork_rng(), warnings.catch_warnings():
        torch.manual_seed(0)
        warnings.simplefilter("ignore")
        path = tmp_path_factory.mktemp("script") / "small.pt"
        torch.jit.script(Small().eval()).save(str(path))
    return path


def run_command(
    *words: object, cwd: Path | None = None, code: int | None = 0, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run ``img2img`` as a user does, in a process of its own; check its exit code unless that is None."""
    done = subprocess.run(
        [sys.executable, "-m", "img2img", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )
    if code is not None:
        assert done.returncode == code, f"exit {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A translator file of a tiny untrained ResNet, line to colour and back."""
    from tests.test_checkpoint import a_file

    path = tmp_path / "model.safetensors"
    save_translator(path, a_file(ResNetGenerator, ("line:colour", "colour:line"), num_blocks=1)[0])
    return path


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    stdout: str
    stderr: str
    returncode: int


def run_here(*words: object, code: int | None = 0) -> Said:
    """Run ``img2img`` in this process, which is seconds faster; check its exit code unless that is None."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["img2img", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        found = end.code or 0
    else:
        found = 0
    finally:
        sys.argv = before
    said = Said(out.getvalue(), err.getvalue(), int(found))
    assert code is None or found == code, f"exit {found}, expected {code}\n{said.stdout}\n{said.stderr}"
    return said


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def in_chromium(tmp_path: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Open a page in a browser without a window that asks the network for nothing of its own."""
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
    quiet += (
        "--disable-background-networking",
        "--disable-component-update",
        f"--user-data-dir={tmp_path / 'profile'}",
    )
    command = [str(CHROMIUM), *quiet, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


_TINY = (
    "--model.generator.base_channels=4",
    "--model.discriminator.base_channels=4",
    "--model.discriminator.num_layers=1",
    "--size=32",
    "--workers=0",
    "--device=cpu",
    "--precision=fp32",
)
TINY_PIX2PIX = ("--model.generator.depth=4", "--model.generator.dropout=0", *_TINY)
TINY_CYCLEGAN = ("--model.generator.num_blocks=1", *_TINY)
