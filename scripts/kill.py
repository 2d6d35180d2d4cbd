"""Kill a training again and again, continue it with the same command, and compare with one that was never stopped.

Usage: python scripts/kill.py [--random 40] [--commit 16] [--images 1200] [--folder DIR] [--method cyclegan]

``--random`` SIGKILLs come at random times of a process's life, start included; ``--commit`` ones are aimed at the
commit of a checkpoint: the moment its temporary file is seen. After each, the newest checkpoint must load and hold no
less than the one before. At the end weights, optimizers, averages, pools and the table of losses must be bit-identical
to those of the undisturbed run. Exits with 1 where they are not. Small networks on the bundled drawings; some seconds
a kill.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SMALL = {
    "pix2pix": ["--model.generator.depth=5", "--model.generator.dropout=0.5"],
    "cyclegan": ["--model.generator.num_blocks=1", "--model.pool_size=8"],
}


def small_pairs(folder: Path) -> Path:
    """Write some of the bundled drawings at 40 px: reading large ones would take most of the time."""
    for domain in ("line", "flat"):
        (folder / domain).mkdir(parents=True, exist_ok=True)
        for path in sorted((ROOT / "datasets" / "line2flat" / "train" / domain).glob("*.png"))[:64]:
            with Image.open(path) as image:
                image.convert("RGB").resize((40, 40)).save(folder / domain / path.name)
    return folder


def command(method: str, images: int, data: Path, run: Path) -> list[str]:
    """Return the training's command line."""
    return [
        *(sys.executable, "-m", "img2img", "train", "--method", method, *SMALL[method]),
        *("--model.generator.base_channels=8", "--model.discriminator.base_channels=8"),
        *("--model.discriminator.num_layers=1", "--size=32", "--batch=4", "--workers=1", "--device=cpu"),
        *("--precision=fp32", "--training.save_minutes=0.01", "--training.validations=4", "--training.samples=1"),
        *("--training.log_every_batches=5", f"--images={images}", "--data", str(data)),
        *("--domains", "line", "flat", "--out", str(run)),
    ]


def start(words: list[str]) -> subprocess.Popen[bytes]:
    """Start a training in silence."""
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)


def kill_at_random(process: subprocess.Popen[bytes], draw: random.Random, life_s: float) -> str:
    """Kill at a random time of the process's expected life."""
    after = draw.uniform(0, life_s)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.kill()
    return f"{after:5.1f} s after its start"


def kill_in_commit(process: subprocess.Popen[bytes], draw: random.Random, checkpoints: Path) -> str:
    """Kill as soon as a checkpoint's temporary file is seen, or some milliseconds later."""
    delay = draw.choice((0.0, 0.0, 0.002, 0.01))
    skip = draw.randrange(3)
    while process.poll() is None:
        if checkpoints.is_dir() and any(path.name.startswith(".img2img-") for path in checkpoints.iterdir()):
            if skip:
                skip -= 1
                time.sleep(0.3)
                continue
            time.sleep(delay)
            process.kill()
            break
    return f"{1000 * delay:3.0f} ms into a commit"


def newest(run: Path) -> dict[str, Any] | None:
    """Load the newest checkpoint; raises if it is damaged."""
    path = run / "checkpoints" / "last.ckpt"
    return torch.load(path, weights_only=True) if path.exists() else None


def differences(one: Any, two: Any, where: str = "") -> list[str]:
    """Name the places where two trees of tensors differ in a single bit."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, two) else [where]
    if isinstance(one, dict):
        keys = one.keys() | two.keys()
        return [d for k in sorted(keys, key=str) for d in differences(one.get(k), two.get(k), f"{where}.{k}")]
    if isinstance(one, list | tuple):
        if len(one) != len(two):
            return [where]
        return [d for i, pair in enumerate(zip(one, two, strict=True)) for d in differences(*pair, f"{where}.{i}")]
    return [] if one == two else [where]


def comparable(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Leave out what tells of time: seconds, and what callbacks of reporting keep."""
    own = {k: v for k, v in checkpoint["img2img"].items() if k != "seconds"}
    return {"weights": checkpoint["state_dict"], "optimizers": checkpoint["optimizer_states"], "own": own}


def main() -> None:
    """Kill, continue, compare."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--random", type=int, default=40)
    words.add_argument("--commit", type=int, default=16)
    words.add_argument("--images", type=int, default=1200)
    words.add_argument("--method", choices=sorted(SMALL), default="cyclegan")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--folder", type=Path)
    given = words.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="kill-"))
    draw = random.Random(given.seed)  # noqa: S311 (times of kills)

    data, whole, run = small_pairs(folder / "data"), folder / "whole", folder / "killed"
    began = time.monotonic()
    subprocess.run(command(given.method, given.images, data, whole), check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    life = time.monotonic() - began
    print(f"undisturbed: {life:.1f} s", flush=True)

    kinds = ["random"] * given.random + ["commit"] * given.commit
    draw.shuffle(kinds)
    landed = {"random": 0, "commit": 0}
    images, restarts = 0, 0
    while any(landed[kind] < kinds.count(kind) for kind in landed):
        kind = kinds[sum(landed.values())]
        process = start(command(given.method, given.images, data, run))
        if kind == "random":
            when = kill_at_random(process, draw, life)
        else:
            when = kill_in_commit(process, draw, run / "checkpoints")
        _, said = process.communicate()
        if process.returncode == 0:  # finished before the kill: begin another run, so that every kill is a real one
            restarts += 1
            check(whole, run)
            shutil.rmtree(run)
            images = 0
            continue
        if process.returncode != -9:  # noqa: PLR2004 (SIGKILL)
            sys.exit(f"exit {process.returncode}: {said.decode()}")
        landed[kind] += 1
        saved = newest(run)
        now = saved["img2img"]["images"] if saved else 0
        if now < images:
            sys.exit(f"lost work: {images} images were saved, {now} are now")
        images = now
        print(f"{sum(landed.values()):3d} {kind:6} {when}: {now:,} images saved", flush=True)
    subprocess.run(command(given.method, given.images, data, run), check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    check(whole, run)
    print(
        f"{landed['random']} random and {landed['commit']} aimed kills over {restarts + 1} runs of {given.method}: "
        f"nothing saved was lost, every finished run is bit-identical to the undisturbed one"
    )
    if given.folder is None:
        shutil.rmtree(folder)


def check(whole: Path, run: Path) -> None:
    """Exit unless two finished runs are the same."""
    one, two = newest(whole), newest(run)
    assert one is not None
    assert two is not None
    wrong = differences(comparable(one), comparable(two))
    if (whole / "metrics.csv").read_text() != (run / "metrics.csv").read_text():
        wrong.append("metrics.csv")
    if orphans := [path.name for path in run.rglob(".img2img-*")]:
        wrong += orphans
    if wrong:
        sys.exit(f"differs from the undisturbed run: {', '.join(wrong[:10])}")


if __name__ == "__main__":
    main()
