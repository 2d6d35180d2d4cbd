"""Say what each part of a recipe ``fast`` is worth: train it whole and without one part at a time, and compare.

Usage: python scripts/ablate.py --out runs/ablation --size 128 (--images 20000 | --minutes 30) [--seeds 0 1 2]
                                [--method pix2pix | cut] [--arms fast faithful ...] [--weights FILE] [--narrow 2]
                                -- -c configs/datasets/facades.yaml --data facades/

What stands behind ``--`` goes to ``img2img train``, the same for every arm. Each arm is a training in a process and
folder of its own (OUT/ARM-SEED); one that is done is not trained again, one that was stopped goes on. All arms see
images prepared in the same way, train in the same precision and are judged by the last weights that their training
exports, on the images that are held out (``--split test``: on the data's test images): L1 in [-1, 1] units (of unpaired
methods the share of outputs that are more like another source than like their own, in %), and R-KID times 1000, which
is not KID (img2img/metrics/random_features.py). Where the weights of FID's Inception are at hand (``--weights``, or
wherever ``img2img evaluate`` looks) also KID times 1000 and FID: its ``kid`` and ``fid``. OUT/ARM-SEED/ablation.json
keeps all that was scored; a score that is missing there is made from the run's translator, without training.

Arms of one seed are pairs: a part is kept where leaving it out costs, over the seeds, more than twice the standard
deviation of that cost. Writes OUT/table.md and OUT/table.json. Two arms take no training: ``copying`` leaves the source
as it is, and ``last weights`` translates with the weights of ``fast`` as they are in place of their average.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

import img2img
from img2img.checkpoint import Weights
from img2img.errors import Img2ImgError
from img2img.evaluate.distribution import distances
from img2img.evaluate.extractors import Extractor, inception_extractors
from img2img.evaluate.weights import WeightsMissingError, find_inception
from img2img.image import round_to_8_bits, to_pixels, with_channels
from img2img.metrics.health import retrieval
from img2img.metrics.paired import paired_scores
from img2img.metrics.random_features import kernel_distance, random_features
from img2img.shipped import recipe_file
from img2img.training.config import resolve

WHOLE, COPYING, LAST = "fast", "copying", "last weights"
ARMS_WITHOUT_TRAINING = (COPYING, LAST)
METRICS = {"l1": "L1", "lost": "input lost %", "rkid": "R-KID x 1000", "kid": "KID x 1000", "fid": "FID"}
"""All are better where they are lower."""
OF_INCEPTION = {"kid": 1000, "fid": 1}
"""Those that need its weights, and what they are multiplied by."""

BASE_CHANNELS = 64
"""Of every network whose options do not say otherwise."""
STEADY = "--model.optimization.decay=linear"
"""The published decay moves once an epoch, so it has no steps in a short training."""
ENCO_LOSSES = ("content", "content_weight", "sampling", "identity", "identity_weight", "identity_until")
NO_PENALTY = {"r1_gamma": 0, "r2_gamma": 0, "gamma_end": 1, "penalty_every": 1}
PUBLISHED_GAME = {"relativistic": False, "augment": "none"} | NO_PENALTY


def arms(method: str, size: int, batch: int | None, narrow: int = 1) -> dict[str, list[str]]:
    """Return what each arm says to ``img2img train``; ``without X`` puts X back as it was published."""
    recipe = ["--method", method, "--recipe", "fast", *([f"--data.batch_size={batch}"] if batch else [])]
    return paired_arms(recipe, size, narrow) if method == "pix2pix" else unpaired_arms(recipe, narrow)


def paired_arms(recipe: list[str], size: int, narrow: int) -> dict[str, list[str]]:
    """Return the arms of pix2pix: five parts, then single steps of them."""
    theirs, ours = published("pix2pix", "faithful"), published("pix2pix", "fast")
    depth = min(int(math.log2(size)), 8)  # as many halvings as at 256 px leave one pixel
    theirs["generator"]["init_args"]["depth"] = depth
    generators, discriminators = (
        [_narrowed(of, name, narrow) for of in (theirs, ours)] for name in ("generator", "discriminator")
    )
    fast = [*recipe, *generators[1], *discriminators[1]]
    generator, discriminator = (_option(name, theirs[name]) for name in ("generator", "discriminator"))
    larger = theirs["discriminator"] | {"class_path": "img2img.MultiscaleDiscriminator"}
    larger["init_args"] = {**theirs["discriminator"]["init_args"], "norm": "none", "num_scales": 2}
    error = {"l1_weight": 100, "l1_end": 1, "num_l1_scales": 1, "adversarial_from": 0}
    moves = {"learning_rate": 2e-4, "rate_for_batch": None, "beta1": 0.5, "beta2": 0.999, "decay": "linear"}
    moves |= {"decay_from": 0.5, "decay_to": 0, "warmup_share": 0, "clip_norm": None}
    unpunished = [*fast, _option("critic", ours["critic"] | NO_PENALTY)]
    return {
        "faithful": [
            *("--method", "pix2pix", "--recipe", "faithful", f"--model.generator.depth={depth}", STEADY),
            *(*generators[0], *discriminators[0]),
        ],
        WHOLE: fast,
        "without generator": [*recipe, generator, *discriminators[1]],
        "without discriminator": [*recipe, *generators[1], discriminator, "--model.feature_matching_weight=0"],
        "without game": [*fast, _option("critic", PUBLISHED_GAME), "--model.discriminator.norm=instance"],
        "without error": [*fast, *(f"--model.{name}={value}" for name, value in error.items())],
        "without optimisation": [*fast, _option("optimization", moves | {"average": False}), "--data.batch_size=1"],
        "published schedule": [*fast, _option("optimization", moves | {"average": True}), "--data.batch_size=1"],
        "instance norm": [*unpunished, "--model.discriminator.norm=instance"],
        "spectral norm": [*unpunished, "--model.discriminator.spectral_norm=true"],
        "larger discriminator": [*recipe, *generators[1], _option("discriminator", larger)],
        "one scale": [*fast, "--model.discriminator.num_scales=1", "--model.feature_matching_weight=0"],
    }


def unpaired_arms(recipe: list[str], narrow: int) -> dict[str, list[str]]:
    """Return the arms of CUT, among them CycleGAN as published."""
    theirs, ours, cycle = published("cut", "faithful"), published("cut", "fast"), published("cyclegan", "faithful")
    published_networks, networks, cycles = (
        [*_narrowed(of, "generator", narrow), *_narrowed(of, "discriminator", narrow)] for of in (theirs, ours, cycle)
    )
    fast = [*recipe, *networks]
    enco = published("cut", "enco")
    content = {name: enco[name] for name in ENCO_LOSSES}
    moves = {"learning_rate": 2e-4, "beta1": 0.5, "beta2": 0.999, "decay": "linear", "decay_from": 0.5}
    moves |= {"warmup_share": 0, "init": "xavier", "average": False}
    with_source = [*fast, "--model.generator.add_source=true"]
    instance_norm = [f"--model.discriminator.{it}" for it in ("norm=instance", "spectral_norm=false")]
    return {
        "faithful": ["--method", "cut", "--recipe", "faithful", STEADY, *published_networks],
        "cyclegan": ["--method", "cyclegan", "--recipe", "faithful", STEADY, *cycles],
        WHOLE: fast,
        "with source": with_source,
        "without identity": [*fast, "--model.identity_weight=0"],
        "without spectral norm": [*fast, *instance_norm],
        "with source and consistency": [*with_source, *(f"--model.{name}={value}" for name, value in content.items())],
        "without optimisation": [*fast, _option("optimization", moves)],
        "without augmentation": [*fast, "--model.critic.augment=none"],
    }


def published(method: str, recipe: str) -> dict[str, Any]:
    """Return the method's options in a shipped recipe."""
    found: dict[str, Any] = yaml.safe_load(recipe_file(method, recipe).read_text())["model"]["init_args"]
    return found


def _option(name: str, value: dict[str, Any]) -> str:
    return f"--model.{name}={json.dumps(value)}"


def _narrowed(method: dict[str, Any], name: str, narrow: int) -> list[str]:
    """Divide the channels of a method's network, in place, and return the words that do."""
    if narrow == 1:
        return []
    network = method[name]["init_args"]
    network |= {"base_channels": network.get("base_channels", BASE_CHANNELS)}
    for key in network.keys() & {"base_channels", "widths"}:
        value = network[key]
        network[key] = [width // narrow for width in value] if isinstance(value, list) else value // narrow
    return [f"--model.{name}.{key}={network[key]}" for key in ("base_channels", "widths") if key in network]


ABOUT = {
    COPYING: "the source unchanged",
    "faithful": "the published recipe; its linear decay without steps, a U-Net as deep as the size takes",
    "cyclegan": "CycleGAN's published recipe, decay likewise",
    WHOLE: "the recipe",
    LAST: "its weights as they are at the end, without averaging",
    "without generator": "U-Net of the published recipe",
    "without discriminator": "PatchGAN 70x70 at one scale, no feature matching",
    "without game": "cross-entropy and instance norm, no penalty and no augmentation",
    "without error": "L1 at full size, weight 100 throughout, no warm-up by it alone",
    "without optimisation": "batch 1, Adam (0.5, 0.999) at 2e-4, linear decay from half, no averaging",
    "published schedule": "batch 1, Adam (0.5, 0.999) at 2e-4, linear decay from half, no clipping",
    "instance norm": "instance norm in the discriminators, no penalty",
    "spectral norm": "spectral norm in the discriminators, no penalty",
    "larger discriminator": "PatchGAN 70x70 at both scales, no norm",
    "one scale": "one discriminator, no feature matching",
    "with source": "a generator that adds to its source what it makes",
    "without identity": "nothing holds what is already a target, so half of the work in the first half",
    "without spectral norm": "instance norm in the discriminator",
    "with source and consistency": "the same, and EnCo's content, sampling and identity in place of CUT's",
    "without augmentation": "the discriminator sees images as they are",
}


@dataclass(frozen=True)
class Plan:
    """What all arms share.

    Attributes:
        out: folder of the runs and tables.
        length: ``--images N`` or ``--minutes N``.
        words: for ``img2img train``.
        inception: who sees the images for KID and FID; empty leaves them out.
        split: ``val``, the held-out images of a training, or ``test``.
    """

    out: Path
    length: tuple[str, str]
    words: tuple[str, ...]
    inception: tuple[Extractor, ...] = ()
    split: str = "val"

    def has_all(self, found: dict[str, Any]) -> bool:
        """Say whether scores are of this split, and KID and FID among them where they can be."""
        return found.get("split", "val") == self.split and (not self.inception or OF_INCEPTION.keys() <= found.keys())


def measure(plan: Plan, arm: str, words: list[str], seed: int) -> dict[str, Any]:
    """Train one arm with one seed and score it; where it is done return what is kept, with the scores that lack."""
    run = plan.out / f"{arm.replace(' ', '-')}-{seed}"
    kept = run / "ablation.json"
    told = [*words, *plan.words, *plan.length, "--seed", str(seed)]
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        if found["words"] != told:
            sys.exit(f"error: {run} was trained with other options: {' '.join(found['words'])}; give another --out")
        if not plan.has_all(found):
            print(f"{arm}, seed {seed}: scored again", flush=True)
            found |= score(run, plan.inception, split=plan.split)
            kept.write_text(json.dumps(found, indent=2))
        return found
    began = time.monotonic()
    print(f"{arm}, seed {seed}", flush=True)
    command = [sys.executable, "-m", "img2img", "train", *told, "--out", str(run)]
    run.mkdir(parents=True, exist_ok=True)
    with (run.parent / f"{run.name}.log").open("a") as log:
        if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
            sys.exit(f"error: {arm}, seed {seed} failed: see {log.name}; the same command goes on from here")
    found = {"arm": arm, "seed": seed, "words": told, "minutes": (time.monotonic() - began) / 60}
    found |= score(run, plan.inception, split=plan.split)
    kept.write_text(json.dumps(found, indent=2))
    return found


@torch.inference_mode()
def score(
    run: Path,
    inception: Sequence[Extractor] = (),
    *,
    copying: bool = False,
    weights: Weights | None = None,
    split: str = "val",
) -> dict[str, Any]:
    """Score the last translator of a run on all images of a split, or the sources themselves."""
    resolved = resolve(["-c", str(run / "config.yaml")])
    _, data, _ = resolved.build()
    data.setup("fit")
    assert data.layout is not None
    if split == "test":
        if data.layout.test is None:
            sys.exit("error: the data have no test images: leave out --split test")
        data.layout = replace(data.layout, validation=data.layout.test)
    assert data.layout.validation is not None
    counts = len(data.layout.validation.a), len(data.layout.validation.b)  # a loader repeats those of the smaller
    translator = img2img.load(run / "translator.safetensors", "cpu", weights=weights)
    errors: list[float] = []
    fakes: list[dict[str, Tensor]] = []
    reals: list[dict[str, Tensor]] = []
    pictures: list[tuple[Tensor, Tensor]] = []
    for index, batch in enumerate(map(data.finished, data.val_dataloader())):
        if index < counts[0]:
            fake = round_to_8_bits(batch.a if copying else translator.tensor(batch.a))
            fakes.append(_features(fake, inception))
            pictures.append((fake, batch.a))
            if data.paired:
                errors.append(float(paired_scores(fake, batch.b)["l1"]))
        if index < counts[1]:
            reals.append(_features(batch.b, inception))
    made, real = ({name: torch.cat([one[name] for one in of]) for name in of[0]} for of in (fakes, reals))
    last = (run / "metrics.csv").read_text().splitlines()[-1].split(",")
    found = distances(inception, made, real, OF_INCEPTION.__contains__)
    if found.missing:
        sys.exit(f"error: {run}: {'; '.join(found.missing.values())}")
    own = {"l1": statistics.mean(errors)} if data.paired else {"lost": 100 - 100 * float(retrieval(*_sets(pictures)))}
    return {
        **own,
        "rkid": 1000 * float(kernel_distance(made["random"], real["random"])),
        **{number.name: OF_INCEPTION[number.name] * number.value for number in found.numbers},
        "split": split,
        "held_out": len(fakes),
        "updates": float(last[0]),
        "images": float(last[1]),
    }


def _sets(pictures: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    outputs, sources = zip(*pictures, strict=True)
    return torch.cat(outputs), torch.cat(sources)


def _features(images: Tensor, inception: Sequence[Extractor]) -> dict[str, Tensor]:
    """Return what the networks see in images [B, C, H, W], by the name of each."""
    found = {"random": random_features(images)}
    for one in inception:
        arrays = [one.prepare(np.asarray(with_channels(to_pixels(image), 3), np.uint8)) for image in images]
        found[one.name] = one.features(torch.from_numpy(np.stack(arrays)))
    return found


def inception_at(weights: Path | None) -> tuple[Extractor, ...]:
    """Return FID's Inception after pytorch-fid's resizing, as a 1-tuple; empty where its weights are not at hand."""
    try:
        found = find_inception(weights, download=False)
    except WeightsMissingError as error:
        print(f"without KID and FID: {error}", file=sys.stderr)
        return ()
    except Img2ImgError as error:
        sys.exit(f"error: {error}")
    return tuple(inception_extractors(found, ["pytorch"], torch.device("cpu")))


def table(rows: list[dict[str, Any]]) -> str:
    """Return the measurements as Markdown: one line an arm, and what each part gains, paired by seed."""
    metrics = {name: head for name, head in METRICS.items() if all(name in row for row in rows)}
    lines = [
        "| arm | what | seeds | " + " | ".join(metrics.values()) + " | images | updates | minutes |",
        "|---|---|---|" + "---|" * (len(metrics) + 3),
    ]
    by_arm: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        by_arm.setdefault(row["arm"], {})[row["seed"]] = row
    for arm, of_seed in by_arm.items():
        scores = [_spread([row[name] for row in of_seed.values()]) for name in metrics]
        counts = [f"{statistics.mean(row[name] for row in of_seed.values()):,.0f}" for name in ("images", "updates")]
        counts.append(f"{statistics.mean(row['minutes'] for row in of_seed.values()):.1f}")
        lines.append(f"| {arm} | {ABOUT[arm]} | {len(of_seed)} | " + " | ".join([*scores, *counts]) + " |")
    if WHOLE in by_arm:
        lines += ["", f"What `{WHOLE}` gains over each arm, by pairs of one seed (positive: `{WHOLE}` is better):", ""]
        lines += ["| arm | " + " | ".join(metrics.values()) + " |", "|---|" + "---|" * len(metrics)]
        for arm, of_seed in by_arm.items():
            if arm not in {WHOLE, COPYING}:
                lines.append(f"| {arm} | " + " | ".join(_gain(of_seed, by_arm[WHOLE], name) for name in metrics) + " |")
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
    parser.add_argument("--batch", type=int, help="images per batch of fast; by default the recipe's")
    parser.add_argument("--arms", nargs="+", help="some of them; by default all")
    parser.add_argument("--narrow", type=int, default=1, help="divide the channels of all networks by it")
    parser.add_argument("--weights", type=Path, help="file or folder of FID's Inception, looked at first")
    parser.add_argument("--split", choices=["val", "test"], default="val", help="images to score")
    parser.add_argument("--method", choices=["pix2pix", "cut"], default="pix2pix")
    parser.add_argument("words", nargs="*", help="for img2img train, behind --")
    given = parser.parse_args()
    every = arms(given.method, given.size, given.batch, given.narrow)
    wanted = given.arms or [*every, LAST]
    if unknown := [name for name in wanted if name not in {*every, LAST}]:
        sys.exit(f"error: {', '.join(unknown)}: no such arm; there are {', '.join([*every, LAST])}")
    if LAST in wanted and WHOLE not in wanted:
        sys.exit(f"error: {LAST} is scored of the run of {WHOLE}: ask for both")
    same = ["--precision", "auto", "--data.resize=stretch", "--data.load_size=null", "--training.validations=1"]
    budget = ("--images", given.images) if given.images else ("--minutes", given.minutes)
    words = (*same, "--size", str(given.size), *given.words)
    plan = Plan(given.out, budget, words, inception_at(given.weights), given.split)
    rows: list[dict[str, Any]] = []
    for seed in given.seeds:
        for arm in (name for name in every if name in wanted):
            rows.append(measure(plan, arm, every[arm], seed))
            if len(rows) == 1:
                rows.insert(0, untrained(plan, COPYING, rows[0]))
            if arm == WHOLE and LAST in wanted:
                rows.append(untrained(plan, LAST, rows[-1]))
            (plan.out / "table.json").write_text(json.dumps(rows, indent=2))
            (plan.out / "table.md").write_text(table(rows))
    print(table(rows), end="")


def untrained(plan: Plan, arm: str, of: dict[str, Any]) -> dict[str, Any]:
    """Return the row of an arm that is scored of another's run; the scores are kept beside that run's."""
    run = plan.out / f"{of['arm'].replace(' ', '-')}-{of['seed']}"
    kept = run / f"{arm.replace(' ', '-')}.json"
    if not kept.exists() or not plan.has_all(json.loads(kept.read_text())):
        copying = arm == COPYING
        found = score(run, plan.inception, copying=copying, weights=None if copying else "raw", split=plan.split)
        kept.write_text(json.dumps(found, indent=2))
    cost = {"images": 0, "updates": 0, "minutes": 0} if arm == COPYING else {}
    return of | json.loads(kept.read_text()) | {"arm": arm} | cost


if __name__ == "__main__":
    main()
