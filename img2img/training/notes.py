"""What the data is warned about: each file once, every kind counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console

from img2img.batch import Batch

_SHOWN_PER_KIND = 5


class DataNotes(Callback):
    """Prints the notes that come with batches, once a file and five of a kind, and counts the rest.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.files: dict[str, set[str]] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Read the notes of a batch."""
        del trainer, pl_module, batch_idx
        if isinstance(batch, Batch):
            self.take(batch.notes)

    def take(self, notes: list[str]) -> None:
        """Print notes that are new."""
        for note in notes:
            kind, _, text = note.partition(": ")
            seen = self.files.setdefault(kind, set())
            if text in seen:
                continue
            seen.add(text)
            if len(seen) <= _SHOWN_PER_KIND:
                self.console.print(
                    f"warning: {kind} image: {text}", style="yellow", highlight=False, soft_wrap=True, markup=False
                )
            elif len(seen) == _SHOWN_PER_KIND + 1:
                self.console.print(f"warning: more {kind} images follow; they are counted at the end", style="yellow")

    def summary(self) -> str:
        """Return the counts in words, or "" if there was nothing to warn about."""
        counts = Counter({kind: len(files) for kind, files in self.files.items()})
        return ", ".join(f"{count} {kind}" for kind, count in counts.items())
