"""How fast it goes, how long it waits for data, how long it will take: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from img2img.methods.base import TranslationModule

_PLAIN_EVERY_S = 20.0
_BAR_EVERY_S = 0.2
_WINDOW = 0.98


class Throughput(Callback):
    """Measures images/s and the share of time spent waiting for data, and shows them.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.images_per_s = 0.0
        self.waiting = 0.0
        self.waited_s = 0.0
        self._bar: Progress | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to measure."""
        del trainer
        assert isinstance(pl_module, TranslationModule)
        self._began = self._batch_ended = self._shown = time.monotonic()
        self._progress_at_start = _progress(pl_module)
        self._images_at_start = pl_module.images
        self.waited_s = 0.0
        if self.console.is_terminal:
            self._bar = Progress(
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.description}"),
                console=self.console,
            )
            self._task = self._bar.add_task("", total=1.0)
            self._bar.start()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Count the time since the last batch as waiting."""
        del trainer, pl_module, batch, batch_idx
        self.waited_s += time.monotonic() - self._batch_ended

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the figures and show them now and then."""
        del outputs, batch, batch_idx
        assert isinstance(pl_module, TranslationModule)
        now = time.monotonic()
        elapsed = now - self._began
        self.images_per_s = (pl_module.images - self._images_at_start) / elapsed
        self.waiting = self.waited_s / elapsed
        if now - self._shown > (_BAR_EVERY_S if self._bar else _PLAIN_EVERY_S):
            self._shown = now
            self._show(trainer, pl_module, elapsed)

    def batch_done(self) -> None:
        """Note that the next batch is waited for from now on; called by the last callback."""
        self._batch_ended = time.monotonic()

    def _show(self, trainer: Trainer, module: TranslationModule, elapsed: float) -> None:
        done = _progress(module)
        gained = done - self._progress_at_start
        left = elapsed / gained * (1 - done) if gained > 0 else 0.0
        losses = {
            k.rpartition("/")[2]: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("generator/")
        }
        shown = " ".join(f"{name} {value:.3g}" for name, value in list(losses.items())[:3])
        text = (
            f"{module.images:,} images, {self.images_per_s:.1f} images/s, {100 * self.waiting:.0f} % waiting for data, "
            f"{_clock(left)} left, {shown}"
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=text)
        else:
            self.console.print(f"{100 * done:3.0f} %  {text}", highlight=False, soft_wrap=True)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the bar away, whatever ended the training."""
        del trainer, pl_module, stage
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class BatchEnd(Callback):
    """Stands last among the callbacks, so that what they do does not count as waiting for data."""

    def __init__(self, throughput: Throughput) -> None:
        self.throughput = throughput

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Start the waiting."""
        del trainer, pl_module, outputs, batch, batch_idx
        self.throughput.batch_done()


def _progress(module: TranslationModule) -> float:
    return module.length.progress(module.images, module.seconds) if module.length else 0.0


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
