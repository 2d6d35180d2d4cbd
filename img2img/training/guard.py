"""The ladder of what a guard does about verdicts: soften, go back, stop."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from lightning.pytorch import Trainer

from img2img.errors import RunError
from img2img.methods.base import CHECKPOINT_KEY, TranslationModule
from img2img.training import rules
from img2img.training.checkpoints import LAST, AtomicCheckpointIO
from img2img.training.rules import Check
from img2img.training.verdicts import Judge

GuardMode = Literal["off", "warn", "act"]
"""``off``: no monitor. ``warn``: verdicts, nothing is touched. ``act``: the ladder of :class:`Guard`."""

HEALTHY = "healthy-*.ckpt"

_PATIENCE = 3
"""Checks that a warning must persist after it was raised before the training is touched, and between two rungs."""

_KEPT, _KEEP_EVERY = 3, 0.1
_MAX_RETURNS = 3
_NON_FINITE, _NON_FINITE_WITHIN = 3, 100
_ALARMS = tuple(dict.fromkeys(rule.name for rule in rules.RULES if rule.level == "alarm"))


class Action(NamedTuple):
    """Something done to a training; plain data, so that every process can do the same.

    Attributes:
        kind: ``soften`` (rates and levers), ``keep`` a healthy state, go ``back`` to one, or ``stop``.
        why: name of the verdict.
        words: for people.
        rates: factors on the learning rates of players; ``*`` means all.
        levers: values of levers.
        state: file of a healthy state.
    """

    kind: Literal["soften", "keep", "back", "stop"]
    why: str
    words: str
    rates: dict[str, float]
    levers: dict[str, float]
    state: str = ""


def _rate(player: str, factor: float) -> Action:
    return Action("soften", "", f"learning rate of the {player} x {factor:g}", {player: factor}, {})


def _lever(name: str, value: float, words: str) -> Action:
    return Action("soften", "", words, {}, {name: value})


def rungs(name: str, subject: str) -> tuple[Action, ...]:
    """Return what is tried against a warning, in order; nothing for those that no lever treats."""
    return {
        rules.SATURATED: (
            _rate(subject, 0.5),
            _lever("instance_noise", 0.05, "noise of 0.05 on what the discriminators see"),
            _lever("augment", 0.2, "augmentation of what the discriminators see, with probability 0.2"),
        ),
        rules.DEAD: (_rate("generator", 0.5),),
        rules.HIDDEN: (_lever("cycle_noise", 0.02, "noise of 0.02 on the fakes before the way back"),),
        rules.SPIKES: (_rate(subject, 0.7), _rate(subject, 0.7)),
    }.get(name, ())


class Guard:
    """Decides, check by check, what to do about a training.

    A warning that persists is met with the next of its :func:`rungs`, at most one in three checks. An alarm, or more
    than 3 batches in 100 that were not finite, goes back to the newest healthy state with halved rates; the clock is
    not turned back, so the data goes on with other samples. The fourth time the training is stopped. Healthy states
    are kept while no fault shows at all, the newest three.

    Args:
        run: the run folder.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.returns = 0
        self._rungs: dict[str, int] = {}
        self._touched_at: dict[str, int] = {}
        self._looks = 0
        self._kept_at = -1.0
        self._used: list[str] = []
        self._skipped: deque[int] = deque(maxlen=_NON_FINITE + 1)

    def skipped(self, batches: int) -> bool:
        """Note a batch that was left out; tell whether that is an alarm."""
        self._skipped.append(batches)
        return len(self._skipped) > _NON_FINITE and batches - self._skipped[0] < _NON_FINITE_WITHIN

    def decide(self, check: Check, judge: Judge, *, probed: bool) -> list[Action]:
        """Return what to do after a check.

        Args:
            check: the check.
            judge: after it has looked.
            probed: whether images were looked at in this check; only then is a state called healthy.
        """
        self._looks += 1
        active = judge.active()
        limits = {rule.name: rule.checks for rule in rules.RULES}
        for name in _ALARMS:
            if active.get(name, 0) >= limits[name]:
                return [self.alarm(name)]
        actions = []
        for name, count in active.items():
            done = self._rungs.get(name, 0)
            ladder = rungs(name, judge.subjects(name)[0])
            waited = self._looks - self._touched_at.get(name, self._looks - _PATIENCE) >= _PATIENCE
            if count >= limits[name] + _PATIENCE and done < len(ladder) and waited:
                self._rungs[name], self._touched_at[name] = done + 1, self._looks
                actions.append(ladder[done]._replace(why=name))
        due = check.progress >= rules.YOUNG_PROGRESS and check.images >= rules.YOUNG_IMAGES
        if not active and probed and due and check.progress + 1e-9 >= self._kept_at + _KEEP_EVERY:
            self._kept_at = check.progress
            state = f"checkpoints/healthy-{check.images:09d}.ckpt"
            actions.append(Action("keep", "", f"healthy state kept in {state}", {}, {}, state))
        return actions

    def alarm(self, name: str) -> Action:
        """Return the way back, or the end."""
        self._skipped.clear()
        found = sorted(path.relative_to(self.run).as_posix() for path in (self.run / "checkpoints").glob(HEALTHY))
        unused = [state for state in found if state not in self._used] or found[:1]
        state = unused[-1] if unused else ""
        if self.returns >= _MAX_RETURNS:
            kept = f"the healthy state {state}" if state else "no healthy state: look at the data first;"
            words = f"{name} came back after {_MAX_RETURNS} returns; kept {kept}"
            return Action("stop", name, words, {}, {}, state)
        self.returns += 1
        self._used = [*self._used, state] if state else self._used
        where = f"back to {state}" if state else "no healthy state to go back to"
        return Action("back", name, f"{where}, all learning rates x 0.5", {"*": 0.5}, {}, state)

    def state_dict(self) -> dict[str, Any]:
        """Return plain data for a checkpoint."""
        return {
            "returns": self.returns,
            "rungs": dict(self._rungs),
            "touched_at": dict(self._touched_at),
            "looks": self._looks,
            "kept_at": self._kept_at,
            "used": list(self._used),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on as :meth:`state_dict` left off."""
        self.returns, self._looks, self._kept_at = state["returns"], state["looks"], state["kept_at"]
        self._rungs, self._touched_at, self._used = dict(state["rungs"]), dict(state["touched_at"]), list(state["used"])


def perform(action: Action, run: Path, trainer: Trainer, module: TranslationModule) -> None:
    """Do what was decided; every process does it, since saving waits for all.

    Args:
        action: what.
        run: the run folder.
        trainer: in training.
        module: its method.

    Raises:
        RunError: when the training is stopped; the healthy state is in the networks and in the last checkpoint then.
    """
    if action.kind == "keep":
        trainer.save_checkpoint(run / action.state)
        if trainer.is_global_zero:
            for old in sorted((run / "checkpoints").glob(HEALTHY))[:-_KEPT]:
                old.unlink()
        return
    if action.kind in {"back", "stop"} and action.state:
        restore(run / action.state, trainer, module)
    for player, factor in action.rates.items():
        for name in [p.name for p in module.players()] if player == "*" else [player]:
            module.rates[name] = module.rates.get(name, 1.0) * factor
    for lever, value in action.levers.items():
        module.levers[lever] = max(module.levers.get(lever, 0.0), value)
    if action.kind == "stop":
        trainer.save_checkpoint(run / "checkpoints" / LAST)


def stopped(action: Action, run: Path, cause: str) -> RunError:
    """Return the one line with which a training ends."""
    return RunError(f"--guard act stopped this training: {action.words}; {cause}. See {run / 'report.html'}")


def restore(path: Path, trainer: Trainer, module: TranslationModule) -> None:
    """Put networks, averages and optimizers back to a saved state; the clock goes on.

    Raises:
        RunError: if the file is damaged.
    """
    state = AtomicCheckpointIO().load_checkpoint(path)
    module.load_state_dict(state["state_dict"])
    for optimizer, saved in zip(trainer.optimizers, state["optimizer_states"], strict=True):
        optimizer.load_state_dict(_finite(saved))
    module.restore_averages(state[CHECKPOINT_KEY]["averages"])


def _finite(saved: dict[str, Any]) -> dict[str, Any]:
    """Leave out the moments of parameters that are not finite: those begin anew."""
    kept = {
        index: moments
        for index, moments in saved["state"].items()
        if all(bool(torch.isfinite(m).all()) for m in moments.values() if isinstance(m, torch.Tensor))
    }
    return {**saved, "state": kept}
