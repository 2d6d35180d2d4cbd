"""Checkpoints of one's own run: written so that they are whole or not there, read without running code."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import CheckpointIO

from img2img.errors import RunError
from img2img.image import atomically

LAST = "checkpoints/last.ckpt"


class AtomicCheckpointIO(CheckpointIO):
    """Writes to a temporary name in the same folder, flushes to the disk and renames.

    Lightning's own goes through the system's temporary folder; where that is another file system a kill at the wrong
    moment destroys the previous good checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises:
            RunError: if the disk is full or the folder cannot be written; the previous checkpoint is kept then.
        """
        del storage_options
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomically(path) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            raise RunError(f"{path}: cannot be written ({error}); free some space or choose another --out") from error

    def load_checkpoint(
        self,
        path: Any,
        map_location: Any | None = None,
        weights_only: bool | None = None,  # noqa: ARG002 (never less than safe)
    ) -> dict[str, Any]:
        """Read a checkpoint as plain data.

        Raises:
            RunError: if it is damaged.
        """
        try:
            checkpoint: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except Exception as error:
            raise RunError(f"{path}: damaged or not a checkpoint of this program ({type(error).__name__})") from error
        return checkpoint

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint."""
        Path(path).unlink(missing_ok=True)


class Checkpoints(Callback):
    """Saves the last state of the run every few minutes, at the end, and when training stops for any reason.

    Args:
        run: the run folder.
        minutes: between two saves.
    """

    def __init__(self, run: Path, minutes: float) -> None:
        self.path = run / LAST
        self.every = minutes * 60
        self._saved_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when the time has come, and at the last batch: after it Lightning counts the epoch as whole."""
        del pl_module, outputs, batch, batch_idx
        if trainer.should_stop or time.monotonic() - self._saved_at > self.every:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save now."""
        trainer.save_checkpoint(self.path)
        self._saved_at = time.monotonic()
