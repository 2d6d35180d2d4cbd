"""The health monitor: watches every batch, looks at fixed images now and then, and says what is wrong."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console

from img2img.batch import Batch
from img2img.data.module import ImageData
from img2img.methods.base import TranslationModule
from img2img.metrics.logits import Window
from img2img.training.events import Events
from img2img.training.guard import Action, Guard, GuardMode, perform, stopped
from img2img.training.probes import PROBED, Picture, Probe, decision_threshold, picture_of_batch
from img2img.training.rules import NON_FINITE, RULES, Check
from img2img.training.verdicts import Judge, Verdict

WINDOW_BATCHES = 25
"""Batches between two readings of the device."""

_CHECKS = 40
_MOST_BATCHES_BETWEEN = 2000
_MAX_SHARE = 0.015
"""Looking at images is put off while it would have taken more than this share of the time."""

_FEWEST_NORMS, _KEPT_NORMS = 8, 200
_MOST_SKIPPED_WRITTEN = 20


class Health(Callback):
    """Watches a training; changes nothing in it unless it is told to act.

    Batches are watched through what their turns observed, without waiting for the device; every 25 batches that is
    read. Forty times over the training, and every 2000 batches at the latest, the signals are held against the rules
    of :mod:`img2img.training.verdicts`, with a look at fixed images where that costs less than ``max_share`` of the
    time. With several processes only the first watches; the others do what it decides.

    Args:
        run: the run folder.
        data: whose images are looked at.
        mode: ``warn`` says what is wrong, ``act`` also does something about it (see :class:`Guard`).
        console: where to say it.
        finish: called as (trainer, module) with the healthy state restored, before a training is stopped: writes
            translator and page.
        max_share: of the time, for looking at images.

    Attributes:
        seconds: what all of this has taken so far.
    """

    def __init__(
        self,
        run: Path,
        data: ImageData,
        mode: GuardMode,
        console: Console,
        finish: Callable[[Trainer, TranslationModule], None] | None = None,
        max_share: float = _MAX_SHARE,
    ) -> None:
        self.run, self.data, self.mode, self.console = run, data, mode, console
        self.finish, self.max_share = finish, max_share
        self.seconds = 0.0
        self.judge = Judge(paired=data.paired)
        self.guard = Guard(run)
        self._next, self._checked_at = 1 / _CHECKS, 0
        self._looking = self._last_look = 0.0
        self._norms: dict[str, deque[float]] = {}
        self._windows: list[dict[str, float]] = []
        self._skipped: dict[str, int] = {}
        self._skips_written = 0
        self._alarmed = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Load the images to look at and open the records."""
        assert isinstance(pl_module, TranslationModule)
        self._window = Window(decision_threshold(pl_module))
        if trainer.is_global_zero:
            self._events = Events(self.run, pl_module.batches)
            self._probe = Probe(self.data, paired=pl_module.paired)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Watch a batch; check when the time has come."""
        del outputs, batch_idx
        assert isinstance(pl_module, TranslationModule)
        began = time.perf_counter()
        actions: list[Action] = []
        if trainer.is_global_zero:
            actions = self._watch(trainer, pl_module, batch)
        if pl_module.batches % WINDOW_BATCHES == 0 and trainer.world_size > 1 and self.mode == "act":
            actions = trainer.strategy.broadcast(actions)
        self.seconds += time.perf_counter() - began
        if self.mode == "act":
            for action in actions:
                self._act(action, trainer, pl_module)

    def _watch(self, trainer: Trainer, module: TranslationModule, batch: Batch) -> list[Action]:
        if module.skipped is not None and not module.skipped.overflow:  # which fp16 is there to find
            self._note_skip(trainer, module, batch)
        elif module.skipped is None:
            self._window.add(module.observed, module.gradient_norms)
        if module.batches % WINDOW_BATCHES:
            return []
        if found := self._window.read():
            self._windows.append(found)
        if self._alarmed:
            self._alarmed = False
            return [self.guard.alarm(NON_FINITE)]
        assert module.length is not None
        progress = module.length.progress(module.images, module.seconds)
        if progress < self._next and module.batches < self._checked_at + _MOST_BATCHES_BETWEEN:
            return []
        self._next = (math.floor(progress * _CHECKS + 1e-9) + 1) / _CHECKS
        self._checked_at = module.batches
        return self._check(trainer, module, progress, len(batch.a))

    def _note_skip(self, trainer: Trainer, module: TranslationModule, batch: Batch) -> None:
        """Say at once that a batch was left out, and write down which."""
        assert module.skipped is not None
        assert module.length is not None
        player, names = module.skipped.player, tuple(module.skipped.names)
        self._skipped[player] = self._skipped.get(player, 0) + 1
        self._alarmed = self.guard.skipped(module.batches) or self._alarmed
        progress = module.length.progress(module.images, module.seconds)
        check = Check(module.batches, module.images, progress, {f"skipped/{player}": 1.0}, names)
        new = self.judge.look(check)
        self._tell(trainer, new, picture_of_batch(batch, paired=module.paired) if new else None)
        if not new and self._skips_written < _MOST_SKIPPED_WRITTEN:
            self._events.add(NON_FINITE, "again", *check[:2], subject=player, seen=", ".join(names))
        self._skips_written += 1

    def _check(self, trainer: Trainer, module: TranslationModule, progress: float, batch_size: int) -> list[Action]:
        signals = self._of_batches()
        probed = self._may_look(module, batch_size)
        if probed:
            began = time.perf_counter()
            signals |= self._probe.look(module, batch_size)
            self._last_look = time.perf_counter() - began
            self._looking += self._last_look
        check = Check(module.batches, module.images, progress, signals)
        verdicts = self.judge.look(check)
        self._events.row(module.batches, module.images, signals | {"monitor/share_of_time": self.share(module)})
        self._tell(trainer, verdicts)
        for logger in trainer.loggers:
            if type(logger).__name__ in {"WandbLogger", "TensorBoardLogger"}:
                finite = {f"health/{key}": value for key, value in signals.items() if math.isfinite(value)}
                logger.log_metrics({**finite, "images": float(module.images)}, step=module.batches)
        return self.guard.decide(check, self.judge, probed=probed) if self.mode == "act" else []

    def _may_look(self, module: TranslationModule, batch_size: int) -> bool:
        """Tell whether another look stays within the share; the first is taken to cost what batches of it would."""
        if module.device.type == "cuda":
            torch.cuda.synchronize(module.device)  # else the look would be charged with the batches before it
        first = module.seconds / module.batches * max(PROBED / batch_size, 1.0)
        return self._looking + (self._last_look or first) <= self.max_share * module.seconds

    def share(self, module: TranslationModule) -> float:
        """Return what the monitor has taken of the training's time."""
        return self.seconds / max(module.seconds, 1e-9)

    def _of_batches(self) -> dict[str, float]:
        """Join the windows since the last check: the least accuracy, else the median; gradients over their median."""
        signals: dict[str, float] = {}
        for key in dict.fromkeys(key for window in self._windows for key in window):
            values = [window[key] for window in self._windows if key in window]
            name, _, player = key.partition("/")
            if not all(map(math.isfinite, values)):
                self._skipped.setdefault(player, 0)
                self._skipped[player] += 1
                continue
            signals[key] = min(values) if name.endswith("accuracy") else statistics.median(values)
            if name == "gradient":
                past = self._norms.setdefault(player, deque(maxlen=_KEPT_NORMS))
                usual = statistics.median(past) if len(past) >= _FEWEST_NORMS else 0.0
                signals[f"gradient_ratio/{player}"] = signals[key] / usual if usual else math.nan
                past.extend(values)
        signals |= {f"skipped/{player}": float(count) for player, count in self._skipped.items()}
        self._windows, self._skipped = [], dict.fromkeys(self._skipped, 0)
        return signals

    def _tell(self, trainer: Trainer, verdicts: list[Verdict], picture: Picture | None = None) -> None:
        for verdict in verdicts:
            shown = picture or self._picture_of(verdict)
            path = self._events.picture(verdict.name, verdict.batches, shown) if shown else ""
            self._events.add(
                verdict.name,
                "follows" if verdict.follows else verdict.level,
                verdict.batches,
                verdict.images,
                **{k: v for k, v in verdict._asdict().items() if k not in {"name", "level", "batches", "images"}},
                picture=path,
                columns=list(shown.columns) if shown else [],
            )
            if verdict.follows:
                continue
            self._say(verdict.line)
            for logger in trainer.loggers:
                if type(logger).__name__ == "WandbLogger":
                    logger.experiment.alert(title=verdict.name, text=verdict.line)  # type: ignore[attr-defined]

    def _picture_of(self, verdict: Verdict) -> Picture | None:
        pictures = self._probe.picture
        return pictures.get(verdict.subject) or next(iter(pictures.values()), None)

    def _say(self, words: str) -> None:
        self.console.print(f"health: {words}", style="yellow", highlight=False, soft_wrap=True, markup=False)

    def _act(self, action: Action, trainer: Trainer, module: TranslationModule) -> None:
        """Do what was decided, and say so."""
        perform(action, self.run, trainer, module)
        if action.kind in {"back", "stop"}:
            self.judge.forget()
            self._windows, self._norms = [], {}
        if trainer.is_global_zero:
            self._events.add(action.why or "healthy", action.kind, module.batches, module.images, seen=action.words)
            if action.kind != "keep":
                self._say(f"guard: {action.words} (because of: {action.why})")
        if action.kind == "stop":
            if trainer.is_global_zero and self.finish is not None:
                self.finish(trainer, module)
            cause = next(rule.cause for rule in RULES if rule.name == action.why)
            raise stopped(action, self.run, cause)

    def state_dict(self) -> dict[str, Any]:
        """Return plain data for the checkpoint: what was said and tried, and how long it took."""
        return {
            "judge": self.judge.state_dict(),
            "guard": self.guard.state_dict(),
            "checked_at": self._checked_at,
            "next": self._next,
            "seconds": self.seconds,
            "looking": self._looking,
            "norms": {player: list(norms) for player, norms in self._norms.items()},
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on as a checkpoint left off."""
        self.judge.load_state_dict(state_dict["judge"])
        self.guard.load_state_dict(state_dict["guard"])
        self._checked_at, self._next = state_dict["checked_at"], state_dict["next"]
        self.seconds, self._looking = state_dict["seconds"], state_dict["looking"]
        self._norms = {player: deque(norms, _KEPT_NORMS) for player, norms in state_dict["norms"].items()}
