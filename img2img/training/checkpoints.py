"""Checkpoints of one's own run: written so that they are whole or not there, read without running code."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import CheckpointIO
from rich.console import Console

from img2img.errors import RunError
from img2img.image import TEMPORARY_PREFIX, atomically
from img2img.methods.base import CHECKPOINT_KEY, TranslationModule
from img2img.training.validation import Validation

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


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
    """Saves the last state of the run every few minutes, at each validation, at the end, and when training stops.

    ``checkpoints/last.ckpt`` is the newest, ``previous.ckpt`` the one before it, ``best.ckpt`` the one that validated
    best, ``000012000.ckpt`` and the like those that are kept every so many images. Files of equal content are links of
    one another, so the best costs no room until the newest has moved on.

    Args:
        run: the run folder.
        minutes: between two saves.
        keep_every_images: keep one every that many images; None keeps none.
        keep: the newest so many of these.
        validation: whose verdict makes one the best.
    """

    def __init__(
        self, run: Path, minutes: float, keep_every_images: int | None, keep: int, validation: Validation
    ) -> None:
        self.folder = run / "checkpoints"
        self.every = minutes * 60
        self.keep_every, self.keep, self.validation = keep_every_images, keep, validation
        self._saved_at = time.monotonic()
        self._kept = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count what was kept from the images that were seen before."""
        del trainer
        assert isinstance(pl_module, TranslationModule)
        self._kept = pl_module.images // self.keep_every if self.keep_every else 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Wish for a save when the time has come; the first process's clock decides for all."""
        del batch, batch_idx
        assert isinstance(pl_module, TranslationModule)
        if trainer.is_global_zero and time.monotonic() - self._saved_at > self.every:
            pl_module.wishes["save"] = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is wished for, and at the last batch: after it Lightning counts the epoch as whole."""
        del outputs, batch, batch_idx
        assert isinstance(pl_module, TranslationModule)
        due = self.keep_every is not None and pl_module.images // self.keep_every > self._kept
        if trainer.should_stop or pl_module.wishes["save"] or self.validation.just_validated or due:
            self.save(trainer)
        if trainer.is_global_zero and self.validation.just_improved:
            link(self.folder / LAST, self.folder / BEST)
        if due and self.keep_every is not None:
            self._kept = pl_module.images // self.keep_every
            if trainer.is_global_zero:
                link(self.folder / LAST, self.folder / f"{pl_module.images:09d}.ckpt")
                for old in numbered(self.folder)[: -self.keep]:
                    old.unlink()
        pl_module.wishes["save"] = False

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save before an error ends the training; the batch that it interrupted has been taken back.

        Not with several processes: the others may be anywhere. Not when saving is what failed.
        """
        assert isinstance(pl_module, TranslationModule)
        ours = isinstance(exception, RunError | KeyboardInterrupt)
        if trainer.world_size == 1 and trainer.fit_loop.epoch_loop.batch_progress.total.ready and not ours:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save now; every process must call it."""
        if trainer.is_global_zero and (self.folder / LAST).exists():
            link(self.folder / LAST, self.folder / PREVIOUS)
        trainer.save_checkpoint(self.folder / LAST)
        self._saved_at = time.monotonic()


def link(existing: Path, name: Path) -> None:
    """Give a file a second name, in place of what had it; a copy where the file system has no links."""
    temporary = name.with_name(f"{TEMPORARY_PREFIX}{name.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(existing, temporary)
    except OSError:
        shutil.copyfile(existing, temporary)
    temporary.replace(name)
    temporary.unlink(missing_ok=True)  # renaming one of two names of the same file onto the other leaves both


def numbered(folder: Path) -> list[Path]:
    """Return the checkpoints kept every so many images, oldest first."""
    return sorted(path for path in folder.glob("*.ckpt") if path.stem.isdigit())


def sweep(run: Path) -> list[str]:
    """Remove the temporary files that a killed process left in a run folder, and name them."""
    orphans = [*run.glob(f"{TEMPORARY_PREFIX}*.tmp"), *(run / "checkpoints").glob(f"{TEMPORARY_PREFIX}*.tmp")]
    for orphan in orphans:
        orphan.unlink(missing_ok=True)
    return [orphan.name for orphan in orphans]


def newest_whole(run: Path, console: Console) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest checkpoint that can be read and its clock, saying so when that is not the last one.

    Raises:
        RunError: if there are some and none can be read.
    """
    folder = run / "checkpoints"
    candidates = [path for path in (folder / LAST, folder / PREVIOUS) if path.exists()]
    candidates += [path for path in [*reversed(numbered(folder)), folder / BEST] if path.exists()]
    reasons = []
    for path in candidates:
        try:
            state = AtomicCheckpointIO().load_checkpoint(path)[CHECKPOINT_KEY]
        except RunError as error:
            reasons.append(str(error))
            continue
        if reasons:
            console.print(
                f"warning: {reasons[0]}; going on from {path.name}, after {state['images']:,} images",
                style="yellow",
                highlight=False,
                soft_wrap=True,
            )
        return path, state
    if reasons:
        raise RunError(f"{reasons[0]}, nor can any before it be read; start anew with another --out")
    return None
