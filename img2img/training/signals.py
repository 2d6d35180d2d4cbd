"""Ctrl-C, SIGTERM and a time limit end a training at the next batch boundary, with everything saved."""

from __future__ import annotations

import re
import signal
import threading
import time
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from img2img.errors import ConfigError
from img2img.methods.base import TranslationModule
from img2img.training.processes import rank_of_process


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
        if rank_of_process() == 0:
            print(f"\n{self.received.name}: finishing this batch, then saving (again to stop at once)", flush=True)  # noqa: T201

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take SIGTERM back from Lightning, whose handler ends the training without saving."""
        del trainer, pl_module
        for number in (signal.SIGINT, signal.SIGTERM) if self._before else ():
            signal.signal(number, self._note)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Wish for the end, here and not in the handler: that may run while the processes are exchanging wishes.

        And take SIGCHLD from torch, which asks for it when it first starts loader processes: its handler raises
        wherever the program happens to be when one dies, in the middle of a step or of saving a checkpoint. Without it
        the loader notices within seconds, between two batches.
        """
        del trainer, batch, batch_idx
        assert isinstance(pl_module, TranslationModule)
        if self._before and hasattr(signal, "SIGCHLD") and signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL:
            self._before.setdefault(signal.SIGCHLD, signal.signal(signal.SIGCHLD, signal.SIG_DFL))
        pl_module.wishes["stop"] |= self.received is not None


class TimeLimit(Callback):
    """Stops a training in time, as a queue of jobs asks: finish the batch, save, leave with code 0.

    Args:
        seconds: from now on; None is no limit.

    Attributes:
        reached: whether it ended the training.
    """

    def __init__(self, seconds: float | None) -> None:
        self.until = None if seconds is None else time.monotonic() + seconds
        self.reached = False

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stop after this batch when the time is up; the first process's clock decides for all."""
        del batch, batch_idx
        assert isinstance(pl_module, TranslationModule)
        if trainer.is_global_zero and self.until is not None and time.monotonic() > self.until:
            pl_module.wishes["stop"] = self.reached = True


def seconds_of(text: str) -> float:
    """Read a time: ``90m``, ``1h30m``, ``1:30:00``, ``5400s``, or plain minutes.

    Raises:
        ConfigError: for anything else.
    """
    text = text.strip()
    if match := re.fullmatch(r"(\d+):(\d\d)(?::(\d\d))?", text):
        return int(match[1]) * 3600.0 + int(match[2]) * 60.0 + int(match[3] or 0)
    if match := re.fullmatch(r"(?:([\d.]+)d)?(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?", text):
        parts = [float(part) * unit for part, unit in zip(match.groups(), (86400, 3600, 60, 1), strict=True) if part]
        if parts and sum(parts) > 0:
            return sum(parts)
    if re.fullmatch(r"\d+(\.\d+)?", text) and float(text) > 0:
        return 60 * float(text)
    raise ConfigError(f"--max-time {text}: expected a time such as 90m, 1h30m, 1:30:00 (hours first) or minutes")
