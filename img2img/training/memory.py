"""Whether a training's memory grows: samples of it over some minutes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console

from img2img.errors import RunError
from img2img.training.config import resolve
from img2img.training.run import train

_SAMPLES = 10


class Sampler(Callback):
    """Notes the memory in use ten times, evenly over a training.

    Args:
        seconds: how long the training is.

    Attributes:
        found: (minutes, MB) each.
    """

    def __init__(self, seconds: float) -> None:
        self.every = seconds / _SAMPLES
        self.found: list[tuple[float, float]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        del trainer, pl_module
        self.began = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take a sample when it is due."""
        del trainer, outputs, batch, batch_idx
        passed = time.monotonic() - self.began
        if passed >= self.every * (len(self.found) + 1):
            self.found.append((passed / 60, memory_mb(pl_module.device)))


def memory_mb(device: torch.device) -> float:
    """Return the memory in use, in MB: tensors on the GPU, else what the system gives this process.

    Raises:
        RunError: on a system that does not tell.
    """
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if not status.exists():
        raise RunError("bench memory reads /proc or a cuda device; this system has neither")
    lines = status.read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) / 1e3 for line in lines if line.startswith("VmRSS"))


def watch_memory(words: Sequence[str], minutes: float) -> list[tuple[float, float]]:
    """Train for some minutes, validations and checkpoints included, and return (minutes, MB) ten times.

    Args:
        words: of the config, as for ``img2img train``; their length is replaced.
        minutes: how long.
    """
    sampler = Sampler(60 * minutes)
    length = ["--training.epochs=null", "--training.images=null", f"--training.minutes={minutes}"]
    resolved = resolve(
        [*words, *length, "--model.optimization.decay=constant", f"--training.save_minutes={minutes / 8}"]
    )
    with tempfile.TemporaryDirectory() as folder:
        train(resolved, Path(folder) / "run", Console(stderr=True), callbacks=[sampler])
    return sampler.found
