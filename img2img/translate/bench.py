"""How fast a folder is translated, files to files: the as-published loop and our engine, each in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from PIL import Image

from img2img.configured import nearest
from img2img.devices import keep_freed_memory
from img2img.errors import ConfigError, RunError
from img2img.networks.base import Generator
from img2img.networks.layers.convolutions import as_torch_does
from img2img.translate.engines.base import EngineName, Precision
from img2img.translate.files import Files
from img2img.translate.folder import translate_folder
from img2img.translate.how import How
from img2img.translate.inputs import Plan, plan
from img2img.translate.loading import load
from img2img.translate.report import Entry
from img2img.translate.translator import Translator

PUBLISHED = "published"
ARMS = (PUBLISHED, "auto", *(f"{e}-{p}" for e in get_args(EngineName) for p in get_args(Precision)))
"""The as-published loop, the command's default, and each engine in each precision."""


@dataclass(frozen=True)
class Measured:
    """One pass over a folder.

    Attributes:
        images: how many were translated.
        seconds: from the second image written to the last, so that loading and warming up are not in it.
        first_image_s: from the start of the process to the first image written.
        network_s: of the network alone, each image, median; NaN where it was not taken apart.
    """

    images: int
    seconds: float
    first_image_s: float
    network_s: float

    @property
    def images_per_s(self) -> float:
        """Over the images after the first."""
        return (self.images - 1) / self.seconds


def measure(arm: str, model: Path, source: Path, count: int, out: Path) -> Measured:
    """Translate the first ``count`` images below a folder in a process of its own.

    Args:
        arm: see :data:`ARMS`.
        model: translator file or run folder.
        source: folder with images.
        count: how many of them.
        out: folder to write; must be empty.

    Raises:
        ConfigError: for an unknown arm.
        RunError: if the process failed.
    """
    if arm not in ARMS:
        raise ConfigError(f"--arms {arm}: expected some of {', '.join(ARMS)}{nearest(arm, ARMS)}")
    words = ["-m", "img2img.translate.bench", arm, str(model), str(source), str(count), str(out)]
    env = {**os.environ, "IMG2IMG_STARTED": repr(time.time())}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=env)  # noqa: S603
    if done.returncode:
        raise RunError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return Measured(**json.loads(done.stdout.strip().splitlines()[-1]))


def difference(one: Path, other: Path) -> tuple[float, int]:
    """Return mean and largest difference of the images of two folders, in 8-bit levels."""
    total, largest, values = 0.0, 0, 0
    for path in sorted(one.rglob("*.png")):
        with Image.open(path) as a, Image.open(other / path.relative_to(one)) as b:
            gap = np.abs(np.asarray(a).astype(int) - np.asarray(b))
        total, largest, values = total + float(gap.sum()), max(largest, int(gap.max())), values + gap.size
    return total / values, largest


def _loaded(arm: str, model: Path) -> Translator:
    engine, _, precision = arm.partition("-")
    return load(model, engine=engine, precision=precision or "auto")  # type: ignore[arg-type]  # of ARMS


def _published(translator: Translator, todo: Plan) -> list[float]:
    """Translate as the published scripts do: eager fp32, one image at a time, one process, Pillow at both ends."""
    network: Generator = next(iter(translator.networks.values()))
    as_torch_does(network)
    ends = []
    for job in todo.jobs:
        with Image.open(job.source) as image:
            pixels = np.asarray(image.convert("RGB"), np.float32) / 127.5 - 1
        with torch.no_grad():
            made = network(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]
        levels = ((made.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        job.target.parent.mkdir(parents=True, exist_ok=True)
        result = Image.fromarray(levels)
        if job.target.suffix.lower() in {".jpg", ".jpeg"}:
            result.save(job.target, quality=95)
        else:
            result.save(job.target)
        ends.append(time.time())
    return ends


def _ours(translator: Translator, todo: Plan) -> list[float]:
    translator.calibrate(todo.jobs, Files())
    ends: list[float] = []

    def note(entry: Entry) -> None:
        if entry.status != "translated":
            raise RunError(f"{entry.name}: {entry.reason}")
        ends.append(time.time())

    translate_folder(translator.translation(), todo, How(progress=note))
    return ends


def main() -> None:
    """Translate once and print :class:`Measured` as JSON: ARM MODEL IN COUNT OUT."""
    arm, model, source, count, out = sys.argv[1:]
    began = float(os.environ["IMG2IMG_STARTED"])
    todo = plan([source], out)
    todo = Plan(todo.jobs[: int(count)], todo.out)
    if arm == PUBLISHED:
        translator = load(model, "cpu" if not torch.cuda.is_available() else "cuda", precision="fp32")
        ends = _published(translator, todo)
    else:
        keep_freed_memory()
        translator = _loaded(arm, Path(model))
        ends = _ours(translator, todo)
    network_s = _network_s(translator, todo)
    print(json.dumps(asdict(Measured(len(ends), ends[-1] - ends[0], ends[0] - began, network_s))))  # noqa: T201


def _network_s(translator: Translator, todo: Plan, repeats: int = 9) -> float:
    with Image.open(todo.jobs[0].source) as image:
        width, height = image.size
    source = torch.rand(1, next(iter(translator.networks.values())).in_channels, height, width) * 2 - 1
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        translator.tensor(source)
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)[repeats // 2]


def compare(
    model: Path, source: Path, count: int, arms: Sequence[str], rounds: int
) -> tuple[dict[str, list[Measured]], dict[str, tuple[float, int]]]:
    """Measure every arm by turns, and how far the outputs of each are from those of fp32.

    Returns:
        Per arm what each round took; and per arm the mean and largest difference in 8-bit levels, of PNGs.
    """
    found: dict[str, list[Measured]] = {arm: [] for arm in arms}
    gaps: dict[str, tuple[float, int]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            for arm in arms:
                found[arm].append(measure(arm, model, source, count, Path(scratch) / f"{arm}-{number}"))
        exact = Path(scratch) / "exact"
        todo = plan([source], exact, file_format="png")
        todo = Plan(todo.jobs[: min(count, 20)], exact)
        translate_folder(load(model, precision="fp32").translation(), todo)
        for arm in (arm for arm in arms if arm != PUBLISHED):
            other = plan([source], Path(scratch) / f"{arm}-png", file_format="png")
            _ours(_loaded(arm, model), Plan(other.jobs[: len(todo.jobs)], other.out))
            gaps[arm] = difference(exact, Path(scratch) / f"{arm}-png")
    return found, gaps


if __name__ == "__main__":
    main()
