"""The guard's ladder: nothing, words, a softer training, a way back, the end; each rung in its turn."""

from __future__ import annotations

import functools
import io

import lightning
import pytest
import torch
from rich.console import Console

import img2img
from img2img.errors import RunError
from img2img.training import rules
from img2img.training.checkpoints import AtomicCheckpointIO
from img2img.training.events import read_events
from img2img.training.guard import Guard, perform, restore, rungs
from img2img.training.health import Health
from img2img.training.rules import Check
from img2img.training.verdicts import Judge
from tests.test_health import HEALTHY, SICK, Skip, check, data_of, failures, fit, small

SATURATED = HEALTHY | SICK[rules.SATURATED, "real_accuracy"]
COLLAPSED = HEALTHY | SICK[rules.COLLAPSED, "diversity"]
LEVERS = {"instance_noise", "cycle_noise", "augment"}


def walk(guard, series, *, judge=None, start=0, progress=0.5, step=0.0):
    """Give the guard a series of checks; return (number, action) of what it did."""
    judge = judge or Judge(paired=True)
    done = []
    for number, signals in enumerate(series, start):
        one = check(number, signals, progress + step * number)
        judge.look(one)
        done += [(number, action) for action in guard.decide(one, judge, probed=True)]
    return done


def test_a_warning_is_met_after_three_more_checks_rung_by_rung_and_no_further(tmp_path):
    done = walk(Guard(tmp_path), [SATURATED] * 20)
    assert [(n, a.rates, a.levers) for n, a in done] == [
        (5, {"discriminator": 0.5}, {}),
        (8, {}, {"instance_noise": 0.05}),
        (11, {}, {"augment": 0.2}),
    ]
    assert {a.why for _, a in done} == {rules.SATURATED}


def test_a_warning_that_goes_in_time_is_not_met(tmp_path):
    assert [a.kind for _, a in walk(Guard(tmp_path), [*[SATURATED] * 5, HEALTHY])] == ["keep"]


@pytest.mark.parametrize("name", sorted({rule.name for rule in rules.RULES}))
def test_rungs_touch_real_players_and_known_levers_and_only_soften(name):
    for action in rungs(name, "discriminator_b"):
        assert action.kind == "soften"
        assert set(action.rates) <= {"discriminator_b", "generator"}
        assert all(0 < factor < 1 for factor in action.rates.values())
        assert set(action.levers) <= LEVERS


def test_an_alarm_goes_back_to_the_newest_healthy_state_then_to_older_ones_then_ends(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for images in (100, 200):
        (tmp_path / "checkpoints" / f"healthy-{images:09d}.ckpt").touch()
    guard, judge, done = Guard(tmp_path), Judge(paired=True), []
    for number in range(8):
        one = check(number, COLLAPSED)
        judge.look(one)
        for action in guard.decide(one, judge, probed=True):
            done.append((number, action.kind, action.state[-8:-5], action.rates))
            judge.forget()
    half = {"*": 0.5}
    assert done == [
        (1, "back", "200", half),
        (3, "back", "100", half),
        (5, "back", "100", half),
        (7, "stop", "100", {}),
    ]


def test_more_than_three_batches_in_a_hundred_that_are_not_finite_are_an_alarm(tmp_path):
    guard = Guard(tmp_path)
    assert [guard.skipped(n) for n in (10, 40, 70, 105)] == [False, False, False, True]
    guard = Guard(tmp_path)
    assert not any(guard.skipped(n) for n in range(0, 1000, 40))


def test_healthy_states_are_kept_each_tenth_while_nothing_shows(tmp_path):
    done = walk(Guard(tmp_path), [HEALTHY] * 40, progress=0.0, step=0.025)
    assert {a.kind for _, a in done} == {"keep"}
    assert [n for n, _ in done] == list(range(2, 40, 4))
    assert walk(Guard(tmp_path), [HEALTHY | {"hidden/a to b": 9.0}] * 2, progress=0.5) == []  # a first sign is enough
    guard, judge = Guard(tmp_path), Judge(paired=True)
    assert guard.decide(check(0, HEALTHY), judge, probed=False) == []
    assert guard.decide(Check(5, 40, 0.5, HEALTHY), judge, probed=True) == []  # too young


def test_the_ladder_goes_on_across_a_checkpoint(tmp_path):
    guard, judge = Guard(tmp_path), Judge(paired=True)
    walk(guard, [SATURATED] * 7, judge=judge)
    again = Guard(tmp_path)
    again.load_state_dict(guard.state_dict())
    done = walk(again, [SATURATED] * 4, judge=judge, start=7)
    assert [(n, a.levers) for n, a in done] == [(8, {"instance_noise": 0.05})]


# In a training


class GoBack(lightning.Callback):
    """Keeps a state at one batch and goes back to it at another."""

    def __init__(self, path, keep, back):
        self.path, self.keep, self.back, self.seen = path, keep, back, {}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if module.batches == self.keep:
            trainer.save_checkpoint(self.path)
        if module.batches == self.back:
            before = module.batches, module.images, module.seconds
            moved = self.state(module, trainer)
            restore(self.path, trainer, module)
            self.seen = {"moved": moved, "back": self.state(module, trainer), "clock": before}
            assert before == (module.batches, module.images, module.seconds)

    @staticmethod
    def state(module, trainer):
        weights = [p.detach().clone() for p in module.parameters()]
        averages = [p.clone() for p in module.best_generators()["ab"].parameters()]
        moments = [s["exp_avg"].clone() for o in trainer.optimizers for s in o.state.values()]
        return weights + averages + moments


def test_going_back_restores_weights_averages_and_moments_and_not_the_clock(pairs, tmp_path):
    watcher = GoBack(tmp_path / "checkpoints" / "healthy-000000006.ckpt", keep=3, back=8)
    module = small(img2img.Pix2Pix)
    fit(module, data_of(pairs), watcher, batches=10)
    saved = AtomicCheckpointIO().load_checkpoint(watcher.path)
    wanted = [saved["state_dict"][name] for name, _ in module.named_parameters()]
    wanted += [saved["img2img"]["averages"]["ab"][n] for n, _ in module.best_generators()["ab"].named_parameters()]
    wanted += [s["exp_avg"] for o in saved["optimizer_states"] for s in o["state"].values()]
    assert all(torch.equal(a, b) for a, b in zip(watcher.seen["back"], wanted, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(watcher.seen["moved"], wanted, strict=True))
    assert module.batches == 10  # and the training went on


def monitor(run, data, mode, said, **options):
    return Health(run, data, mode, Console(file=said, width=400), max_share=1.0, **options)


def collapsing(tmp_path):
    module, data = failures().pairs(0, tmp_path, 32, failures().Constant)
    data.setup()
    return module, data


def test_a_training_that_stays_ill_is_stopped_in_one_line_that_says_where_to_look(tmp_path):
    module, data = collapsing(tmp_path)
    said, finished = io.StringIO(), []
    guard = monitor(tmp_path, data, "act", said, finish=lambda trainer, module: finished.append(module.batches))
    with pytest.raises(RunError) as stopped:
        fit(module, data, guard, batches=1000)
    line = str(stopped.value)
    assert "\n" not in line
    assert rules.COLLAPSED in line
    assert "report.html" in line
    assert "healthy state" in line
    assert said.getvalue().count("guard:") == 4
    assert [e["level"] for e in read_events(tmp_path) if e["level"] in {"back", "stop"}] == ["back"] * 3 + ["stop"]
    assert module.rates == {"discriminator": 0.125, "generator": 0.125}
    assert finished == [module.batches]
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()


def test_warning_touches_nothing(tmp_path):
    module, data = collapsing(tmp_path)
    said = io.StringIO()
    fit(module, data, monitor(tmp_path, data, "warn", said), batches=400)
    assert said.getvalue().count(rules.COLLAPSED) == 1
    assert "guard" not in said.getvalue()
    assert module.rates == module.levers == {}
    assert not (tmp_path / "checkpoints").exists()


def test_many_batches_that_are_not_finite_bring_the_training_back(pairs, tmp_path):
    data = data_of(pairs)
    said = io.StringIO()
    module = small(img2img.Pix2Pix)
    fit(module, data, Skip(2, 4, 6, 8), monitor(tmp_path, data, "act", said), batches=30)
    assert [e["level"] for e in read_events(tmp_path)] == ["warning", "again", "again", "again", "back"]
    assert module.rates == {"discriminator": 0.5, "generator": 0.5}


def test_healthy_states_are_files_and_only_the_newest_three_stay(tmp_path):
    class Trainer:
        is_global_zero = True

        def save_checkpoint(self, path):
            path.parent.mkdir(exist_ok=True)
            path.touch()

    keep = functools.partial(Guard, tmp_path)
    judge = Judge(paired=True)
    guard = keep()
    for number in range(5):
        one = Check(number, 1000 * (number + 1), 0.1 + 0.15 * number, HEALTHY)
        for action in guard.decide(one, judge, probed=True):
            perform(action, tmp_path, Trainer(), None)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == [f"healthy-{images:09d}.ckpt" for images in (3000, 4000, 5000)]
