"""Ctrl-C and SIGTERM end a training at the next batch boundary, with everything saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Signals(Callback):
    """Turns the first SIGINT or SIGTERM into a clean stop: finish the batch, save, leave.

    A second one ends the program at once.

    Attributes:
        received: the signal that stopped the training, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def install(self) -> None:
        """Listen from now on; only a program's main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)

    def remove(self) -> None:
        """Put the former handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received is not None:
            self.remove()
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        print(f"\n{self.received.name}: finishing this batch, then saving (again to stop at once)", flush=True)  # noqa: T201

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take SIGTERM back from Lightning, whose handler ends the training without saving."""
        del trainer, pl_module
        for number in self._before:
            signal.signal(number, self._note)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop; :class:`Checkpoints`, which comes later, saves whenever the training stops."""
        del pl_module, outputs, batch, batch_idx
        if self.received is not None:
            trainer.should_stop = True
