"""Say what each part of ``pix2pix-fast`` is worth: train it whole and without one part at a time, and compare.

Usage: python scripts/ablate.py --out runs/ablation --size 128 (--images 20000 | --minutes 30) [--seeds 0 1 2]
                                [--arms fast faithful ...] -- -c configs/datasets/facades.yaml --data facades/

What stands behind ``--`` goes to ``img2img train``, the same for every arm. Each arm is a training in a process and
folder of its own (OUT/ARM-SEED); one that is done is not trained again, one that was stopped goes on. All arms see
images prepared in the same way, train in the same precision and are judged by the last weights that their training
exports, on the images that are held out: L1 in [-1, 1] units, and R-KID times 1000, which is not KID
(img2img/metrics/random_features.py).

Arms of one seed are pairs: a part is kept where leaving it out costs, over the seeds, more than twice the standard
deviation of that cost. Writes OUT/table.md and OUT/table.json. To copy the source unchanged is an arm too: ``copying``.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

import img2img
from img2img.image import round_to_8_bits
from img2img.metrics.paired import paired_scores
from img2img.metrics.random_features import kernel_distance, random_features
from img2img.shipped import recipe_file
from img2img.training.config import resolve

WHOLE, COPYING = "fast", "copying"
METRICS = {"l1": "L1", "rkid": "R-KID x 1000"}
"""All are better where they are lower."""


def arms(size: int, batch: int) -> dict[str, list[str]]:
    """Return what each arm says to ``img2img train``; ``without X`` puts X back as it was published."""
    published = yaml.safe_load(recipe_file("pix2pix", "faithful").read_text())["model"]["init_args"]
    depth = min(int(math.log2(size)), 8)  # as many halvings as at 256 px leave one pixel
    published["generator"]["init_args"]["depth"] = depth
    generator, discriminator = (
        f"--model.{name}={json.dumps(published[name])}" for name in ("generator", "discriminator")
    )
    faithful = ["--recipe", "faithful", f"--model.generator.depth={depth}", "--model.optimization.decay=linear"]
    fast = ["--recipe", "fast", f"--data.batch_size={batch}"]
    game = {"relativistic": False, "r1_gamma": 0, "r2_gamma": 0, "gamma_end": 1, "penalty_every": 1, "augment": "none"}
    error = {"l1_weight": 100, "l1_end": 1, "num_l1_scales": 1, "adversarial_from": 0}
    moves = {"learning_rate": 2e-4, "rate_for_batch": None, "beta1": 0.5, "beta2": 0.999, "decay": "linear"}
    moves |= {"decay_from": 0.5, "decay_to": 0, "warmup_share": 0, "clip_norm": None, "average": False}
    return {
        "faithful": faithful,
        WHOLE: fast,
        "without generator": [*fast, generator],
        "without discriminator": [*fast, discriminator, "--model.feature_matching_weight=0"],
        "without game": [*fast, f"--model.critic={json.dumps(game)}", "--model.discriminator.norm=instance"],
        "without error": [*fast, *(f"--model.{name}={value}" for name, value in error.items())],
        "without optimisation": [*fast, f"--model.optimization={json.dumps(moves)}", "--data.batch_size=1"],
    }


ABOUT = {
    COPYING: "the source unchanged",
    "faithful": "the published recipe; its linear decay without steps, its U-Net as deep as the size takes",
    WHOLE: "pix2pix-fast",
    "without generator": "U-Net of the published recipe",
    "without discriminator": "PatchGAN 70x70 at one scale, no feature matching",
    "without game": "cross-entropy and instance norm, no penalty and no augmentation",
    "without error": "L1 at full size, weight 100 throughout, no warm-up by it alone",
    "without optimisation": "batch 1, Adam (0.5, 0.999) at 2e-4, linear decay from half, no averaging",
}


@dataclass(frozen=True)
class Plan:
    """What all arms share.

    Attributes:
        out: folder of the runs and tables.
        length: ``--images N`` or ``--minutes N``.
        words: for ``img2img train``.
    """

    out: Path
    length: tuple[str, str]
    words: tuple[str, ...]


def measure(plan: Plan, arm: str, words: list[str], seed: int) -> dict[str, Any]:
    """Train one arm with one seed and score it; return what is kept of it, from the file where it is done."""
    run = plan.out / f"{arm.replace(' ', '-')}-{seed}"
    kept = run / "ablation.json"
    told = [*words, *plan.words, *plan.length, "--seed", str(seed)]
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        if found["words"] == told:
            return found
        sys.exit(f"error: {run} was trained with other options: {' '.join(found['words'])}; give another --out")
    began = time.monotonic()
    print(f"{arm}, seed {seed}", flush=True)
    command = [sys.executable, "-m", "img2img", "train", "--method", "pix2pix", *told, "--out", str(run)]
    run.mkdir(parents=True, exist_ok=True)
    with (run.parent / f"{run.name}.log").open("a") as log:
        if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
            sys.exit(f"error: {arm}, seed {seed} failed: see {log.name}; the same command goes on from here")
    found = {"arm": arm, "seed": seed, "words": told, "minutes": (time.monotonic() - began) / 60, **score(run)}
    kept.write_text(json.dumps(found, indent=2))
    return found


@torch.inference_mode()
def score(run: Path, *, copying: bool = False) -> dict[str, float]:
    """Score the last translator of a run on all of its held-out images, or the sources themselves."""
    resolved = resolve(["-c", str(run / "config.yaml")])
    _, data, _ = resolved.build()
    data.setup("fit")
    translator = img2img.load(run / "translator.safetensors", "cpu")
    sums: dict[str, list[float]] = {}
    fakes, reals = [], []
    for batch in data.val_dataloader():
        fake = round_to_8_bits(batch.a if copying else translator.tensor(batch.a))
        sums.setdefault("l1", []).append(float(paired_scores(fake, batch.b)["l1"]))
        fakes.append(random_features(fake))
        reals.append(random_features(batch.b))
    last = (run / "metrics.csv").read_text().splitlines()[-1].split(",")
    return {
        "l1": statistics.mean(sums["l1"]),
        "rkid": 1000 * float(kernel_distance(torch.cat(fakes), torch.cat(reals))),
        "held_out": len(reals),
        "updates": float(last[0]),
        "images": float(last[1]),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the measurements as Markdown: one line an arm, and what each part gains, paired by seed."""
    lines = [
        "| arm | what | seeds | " + " | ".join(METRICS.values()) + " | images | updates |",
        "|---|---|---|" + "---|" * (len(METRICS) + 2),
    ]
    by_arm: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        by_arm.setdefault(row["arm"], {})[row["seed"]] = row
    for arm, of_seed in by_arm.items():
        scores = [_spread([row[name] for row in of_seed.values()]) for name in METRICS]
        counts = [f"{statistics.mean(row[name] for row in of_seed.values()):,.0f}" for name in ("images", "updates")]
        lines.append(f"| {arm} | {ABOUT[arm]} | {len(of_seed)} | " + " | ".join([*scores, *counts]) + " |")
    if WHOLE in by_arm:
        lines += ["", f"What `{WHOLE}` gains over each arm, by pairs of one seed (positive: `{WHOLE}` is better):", ""]
        lines += ["| arm | " + " | ".join(METRICS.values()) + " |", "|---|" + "---|" * len(METRICS)]
        for arm, of_seed in by_arm.items():
            if arm not in {WHOLE, COPYING}:
                lines.append(f"| {arm} | " + " | ".join(_gain(of_seed, by_arm[WHOLE], name) for name in METRICS) + " |")
    return "\n".join(lines) + "\n"


def _gain(arm: dict[int, dict[str, Any]], whole: dict[int, dict[str, Any]], name: str) -> str:
    gains = [arm[seed][name] - whole[seed][name] for seed in arm if seed in whole]
    if len(gains) < 2:  # noqa: PLR2004 (a spread takes two)
        return f"{_spread(gains)}: one seed decides nothing" if gains else "no seed in common"
    mean, spread = statistics.mean(gains), statistics.stdev(gains)
    wins = "keep" if mean > 2 * spread else "drop" if mean < -2 * spread else "not shown: drop"
    return f"{_spread(gains)}: {wins}"


def _spread(values: list[float]) -> str:
    mean = f"{statistics.mean(values):.4g}"
    return f"{mean} +- {statistics.stdev(values):.2g}" if len(values) > 1 else mean


def main() -> None:
    """Train what is missing and write the tables after every arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=128)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--images", help="length of every training in images")
    length.add_argument("--minutes", help="or in minutes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch", type=int, default=4, help="images per batch of fast (4 suits a CPU, 16 a GPU)")
    parser.add_argument("--arms", nargs="+", help="some of them; by default all")
    parser.add_argument("words", nargs="*", help="for img2img train, behind --")
    given = parser.parse_args()
    every = arms(given.size, given.batch)
    wanted = given.arms or list(every)
    if unknown := [name for name in wanted if name not in every]:
        sys.exit(f"error: {', '.join(unknown)}: no such arm; there are {', '.join(every)}")
    same = ["--precision", "auto", "--data.resize=stretch", "--data.load_size=null", "--training.validations=1"]
    budget = ("--images", given.images) if given.images else ("--minutes", given.minutes)
    plan = Plan(given.out, budget, (*same, "--size", str(given.size), *given.words))
    rows: list[dict[str, Any]] = []
    for seed in given.seeds:
        for arm in wanted:
            rows.append(measure(plan, arm, every[arm], seed))
            if len(rows) == 1:
                run = plan.out / f"{arm.replace(' ', '-')}-{seed}"
                rows.insert(0, rows[0] | {"arm": COPYING, "images": 0, "updates": 0} | _scores_of_copying(run))
            (plan.out / "table.json").write_text(json.dumps(rows, indent=2))
            (plan.out / "table.md").write_text(table(rows))
    print(table(rows), end="")


def _scores_of_copying(run: Path) -> dict[str, float]:
    found = score(run, copying=True)
    return {name: found[name] for name in METRICS}


if __name__ == "__main__":
    main()
