"""Time what a stabiliser costs: a batch of pix2pix with it over a batch without it, by turns.

Usage: python scripts/stabilisers.py [--size 256] [--batch 1] [--rounds 5] [--threads 2] [--device cpu]
                                     [--precision bf16]

Networks of ``configs/pix2pix-faithful.yaml`` with the discriminator's norm off (penalties of a normalised one are of
something else), random images. A round trains every variant in turn for eight batches, the first two uncounted; printed
are the medians of the rounds as ratios to plain. The averages of the weights are off. Penalties are taken every batch
here; with ``--model.critic.penalty_every 16`` a sixteenth of their part remains.
"""

from __future__ import annotations

import argparse
import functools
import gc
import logging
import statistics
import time
import warnings
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

import img2img
from img2img.batch import Batch

Critic = img2img.Critic
_BATCHES = 8
_PATCH = functools.partial(img2img.PatchDiscriminator, norm="none")
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "spectral norm": {"discriminator": functools.partial(img2img.PatchDiscriminator, norm="none", spectral_norm=True)},
    "R1, exact": {"critic": Critic(r1_gamma=1.0)},
    "R1, finite differences": {"critic": Critic(r1_gamma=1.0, penalty_form="differences")},
    "R1 + R2, exact": {"critic": Critic(r1_gamma=1.0, r2_gamma=1.0)},
    "R1 + R2, exact, every 16": {"critic": Critic(r1_gamma=1.0, r2_gamma=1.0, penalty_every=16)},
    "WGAN-GP": {"adversarial": "wgan-gp"},
    "label smoothing": {"critic": Critic(label_smoothing=0.1)},
    "instance noise": {"critic": Critic(instance_noise=0.1)},
    "relativistic": {"critic": Critic(relativistic=True)},
    "DiffAugment": {"critic": Critic(augment="fixed")},
    "adaptive augmentation": {"critic": Critic(augment="adaptive")},
    "feature matching": {"feature_matching_weight": 10.0},
    "2 scales": {"discriminator": functools.partial(img2img.MultiscaleDiscriminator, norm="none")},
}


class Clock(Callback):
    """Keeps the time of each batch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start."""
        del trainer, batch, batch_idx
        _wait(pl_module)
        self.began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop."""
        del trainer, outputs, batch, batch_idx
        _wait(pl_module)
        self.seconds.append(time.perf_counter() - self.began)


def _wait(module: LightningModule) -> None:
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)


def main() -> None:
    """Time every variant and print the table."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--size", type=int, default=256)
    words.add_argument("--batch", type=int, default=1)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--threads", type=int)
    words.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    words.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    given = words.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # seventy trainings would each say hello
    warnings.simplefilter("ignore")
    if given.threads:
        torch.set_num_threads(given.threads)
    shape = (given.batch, 3, given.size, given.size)
    names = [""] * given.batch
    batches = [Batch(torch.rand(shape) * 2 - 1, torch.rand(shape) * 2 - 1, names, names, []) for _ in range(_BATCHES)]
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for number in range(given.rounds + 1):
        for name, options in VARIANTS.items():
            if not number and name != "plain":
                continue  # the first training of a process is slower than the others and is not counted
            module = img2img.Pix2Pix(
                **{"discriminator": _PATCH, **options},
                optimization=img2img.Optimization(decay="constant", average=False),
            )
            clock = Clock()
            Trainer(
                max_steps=len(batches),
                accelerator="gpu" if given.device == "cuda" else "cpu",
                devices=1,
                precision="bf16-mixed" if given.precision == "bf16" else "32-true",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                callbacks=[clock],
            ).fit(module, DataLoader(batches, batch_size=None))
            if number:
                found[name].append(statistics.median(clock.seconds[2:]))
            del module
            gc.collect()  # a trainer and its module refer to each other, and each holds a gigabyte
    plain = statistics.median(found["plain"])
    print(
        f"pix2pix at {given.size} px, batch {given.batch}, {given.precision} on {given.device}: {plain:.3f} s a batch"
    )
    for name, seconds in found.items():
        ratio = statistics.median(seconds) / plain
        print(f"{name:26} {ratio:5.2f}   ({min(seconds) / plain:.2f} to {max(seconds) / plain:.2f})")


if __name__ == "__main__":
    main()
