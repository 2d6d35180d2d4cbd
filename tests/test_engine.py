"""What the base does around every method's turns: scaling, clipping, parts, taking back, stopping, keeping."""

from __future__ import annotations

import csv
import functools
import inspect
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import lightning
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.plugins.precision import MixedPrecision
from rich.console import Console
from torch.utils.data import DataLoader

import img2img
from img2img.batch import Batch
from img2img.data.datasets import collate
from img2img.errors import ConfigError, RunError
from img2img.training import checkpoints as checkpoints_module
from img2img.training.checkpoints import numbered, sweep
from img2img.training.config import resolve
from img2img.training.faults import in_one_line
from img2img.training.run import train
from img2img.training.signals import seconds_of
from img2img.training.speed import Speed
from tests.conftest import TINY_CYCLEGAN, TINY_PIX2PIX, run_command
from tests.discover import METHODS
from tests.test_methods import batch_of, build, loader, trainer

Optimization = img2img.Optimization


def fp16():
    """Mixed precision as on CUDA, on the CPU."""
    return MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=1024.0))


def state_of(module):
    """Everything that a batch may change, as one flat list of clones."""
    tensors = [*module.parameters(), *module.buffers()]
    for pool in (m for m in module.modules() if hasattr(m, "images") and isinstance(m.images, list)):
        tensors += pool.images
    for optimizer in module.trainer.optimizers:
        for state in optimizer.state.values():
            tensors += [value for value in state.values() if isinstance(value, torch.Tensor)]
    for average in module._averages.values():
        tensors += list(average.network.parameters())
    return [tensor.detach().clone() for tensor in tensors]


def equal(one, two):
    return len(one) == len(two) and all(torch.equal(x, y) for x, y in zip(one, two, strict=True))


class Watch(lightning.Callback):
    """Keeps the state after each batch."""

    def __init__(self):
        self.states, self.skipped = [], []

    def on_train_batch_end(self, trainer, pl_module, *args):
        self.states.append(state_of(pl_module))
        self.skipped.append(pl_module.skipped)


def spoilt(index, count=4):
    """A loader whose batch ``index`` holds one value that is not a number."""
    items = [item for batch in loader(count) for item in _items(batch)]
    items[index].a[0, 3, 3] = float("nan")
    return DataLoader(items, batch_size=1, collate_fn=collate)


def _items(batch):
    from img2img.data.datasets import Item

    return [Item(batch.a[0].clone(), batch.b[0].clone(), f"{id(batch)}.png", "b.png", [])]


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_that_is_not_finite_moves_nothing_and_is_named(method):
    module, watch = build(method), Watch()
    data = spoilt(2)
    names = [item.name_a for item in data.dataset]
    trainer(max_epochs=1, callbacks=[watch]).fit(module, data)
    assert [s is not None for s in watch.skipped] == [False, False, True, False]
    assert equal(watch.states[1], watch.states[2])
    assert not equal(watch.states[2], watch.states[3])
    assert names[2] in watch.skipped[2].names
    assert all(p.isfinite().all() for p in module.parameters())
    assert module.batches == 4  # it counts as seen


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("turn", [0, -1])
def test_a_gradient_that_is_not_finite_in_one_turn_takes_back_the_turns_before(method, turn):
    """The loss is finite and earlier players have moved: they are where they were, to the bit."""
    module, watch = build(method), Watch()
    parameter = next(module.players()[turn].networks[0].parameters())

    def hook(gradient):
        return gradient * float("inf") if module.batches == 2 else gradient

    parameter.register_hook(hook)
    trainer(max_epochs=1, callbacks=[watch]).fit(module, loader(4))
    assert [s.player if s else None for s in watch.skipped] == [None, None, module.players()[turn].name, None]
    assert equal(watch.states[1], watch.states[2])
    assert not equal(watch.states[2], watch.states[3])


@pytest.mark.parametrize("method", METHODS)
def test_the_very_first_batch_can_be_taken_back(method):
    module, watch = build(method), Watch()
    before = [p.detach().clone() for p in module.parameters()]
    trainer(max_steps=1, callbacks=[watch]).fit(module, spoilt(0))
    assert equal(before, [p.detach() for p in module.parameters()])
    assert not any(optimizer.state for optimizer in module.trainer.optimizers)


def test_fp16_has_a_scaler_for_each_player():
    """One player's overflow lowers its own scale alone, moves nothing, and is no fault of the data."""
    module, watch = build(img2img.Pix2Pix), Watch()
    parameter = next(module.generator.parameters())
    parameter.register_hook(lambda g: g * float("inf") if module.batches == 1 else g)
    fitter = trainer(max_steps=3, callbacks=[watch], plugins=[fp16()])
    fitter.fit(module, loader(4))
    assert fitter.precision_plugin.scaler is None
    scales = {name: scaler.get_scale() for name, scaler in module._scalers.items()}
    assert set(scales) == {"discriminator", "generator"}
    assert scales["generator"] == 0.5 * scales["discriminator"]
    assert [s is not None for s in watch.skipped] == [False, True, False]
    assert watch.skipped[1].overflow
    assert equal(watch.states[0], watch.states[1])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_clipping_sees_unscaled_gradients(precision, monkeypatch):
    """The optimizer is handed gradients of exactly the norm that was asked for, whatever scale the loss had."""
    norms = []

    class Spy(torch.optim.Adam):
        def step(self, closure=None):
            if closure is not None:
                closure()
            gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
            norms.append(float(torch.nn.utils.get_total_norm(gradients)))
            return super().step()

    monkeypatch.setattr(torch.optim, "Adam", Spy)
    module = build(img2img.Pix2Pix, optimization=Optimization(clip_norm=0.01))
    how = {"plugins": [fp16()]} if precision == "16-mixed" else {"precision": precision}
    trainer(max_steps=2, **how).fit(module, loader(2))
    assert len(norms) == 4
    assert norms == pytest.approx([0.01] * 4, rel=1e-3)
    assert all(float(norm) > 0.01 for norm in module.gradient_norms.values())  # before clipping


@pytest.mark.parametrize("method", METHODS)
def test_parts_of_a_batch_come_to_the_same_step(method):
    """Weights after three steps are those of whole batches; Adam turns rounding into at most a small difference."""
    results = []
    for accumulate in (1, 2, 3):
        extra = {"pool_size": 0} if "pool_size" in inspect.signature(method).parameters else {}
        module = build(method, optimization=Optimization(accumulate=accumulate), **extra).double()
        batches = [Batch(*(t.double() for t in b[:2]), *b[2:]) for b in (batch_of(6, seed=i) for i in range(3))]
        trainer(max_steps=3, precision="64-true").fit(module, DataLoader(batches, batch_size=None))
        results.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    for other in results[1:]:
        torch.testing.assert_close(results[0], other, rtol=0, atol=1e-6)


def test_parts_use_the_same_fakes_in_both_turns():
    """With dropout, a part's images are made again for the generator's turn with the same random numbers."""
    module = img2img.Pix2Pix(
        functools.partial(img2img.UNetGenerator, depth=5, base_channels=4, dropout=0.5),
        functools.partial(img2img.PatchDiscriminator, num_layers=1, base_channels=4),
        optimization=Optimization(accumulate=2),
    )
    seen = {}
    turn = img2img.Pix2Pix.turn

    def spy(self, player, batch, images, step):
        seen.setdefault(player.name, []).append((images.fake.detach().clone(), images.fake.requires_grad))
        return turn(self, player, batch, images, step)

    module.turn = functools.partial(spy, module)
    trainer(max_steps=1).fit(module, DataLoader([batch_of(4)], batch_size=None))
    for (judged, graph), (moved, with_graph) in zip(seen["discriminator"], seen["generator"], strict=True):
        assert torch.equal(judged, moved)
        assert (graph, with_graph) == (False, True)
    assert not torch.equal(seen["generator"][0][0], seen["generator"][1][0])


@given(size=st.integers(1, 9), count=st.integers(1, 9))
def test_a_batch_is_cut_into_parts_that_join_to_it(size, count):
    batch = batch_of(size, side=2)._replace(names_a=[f"a{i}" for i in range(size)])
    if count > size:
        with pytest.raises(ValueError, match=f"accumulate {count} needs a batch of {count} or more images, got {size}"):
            batch.parts(count)
        return
    parts = batch.parts(count)
    assert len(parts) == count
    assert torch.equal(torch.cat([part.a for part in parts]), batch.a)
    assert torch.equal(torch.cat([part.b for part in parts]), batch.b)
    assert [name for part in parts for name in part.names_a] == batch.names_a
    assert {len(part.a) for part in parts} <= {size // count, size // count + 1}


@pytest.mark.parametrize("method", METHODS)
def test_discriminators_may_learn_at_their_own_rate_and_the_guard_may_lower_any(method):
    module = build(method, optimization=Optimization(2e-4, discriminator_learning_rate=8e-4, decay="constant"))
    module.rates["generator"] = 0.5
    trainer(max_steps=1).fit(module, loader(2))
    rates = {
        player.name: optimizer.param_groups[0]["lr"]
        for player, optimizer in zip(module.players(), module.trainer.optimizers, strict=True)
    }
    assert rates.pop("generator") == pytest.approx(1e-4)
    assert list(rates.values()) == pytest.approx([8e-4] * len(rates))


def test_images_are_made_once_a_step(monkeypatch):
    calls = {"Pix2Pix": [], "CycleGAN": []}
    for method in METHODS:
        if method.__name__ not in calls:
            continue
        module = build(method)
        for network in module.generators().values():
            network.register_forward_hook(lambda *_, name=method.__name__: calls[name].append(1))
        trainer(max_steps=1).fit(module, loader(1))
    assert len(calls["Pix2Pix"]) == 1
    assert len(calls["CycleGAN"]) == 4  # six translations


@pytest.mark.parametrize("method", METHODS)
def test_discriminators_collect_no_gradients_in_the_generators_turn(method, monkeypatch):
    module = build(method)
    wrong = []
    turn = type(module).turn

    def look(self, player, batch, images, step):
        if player.name == "generator":
            discriminators = [n for n in self.modules() if isinstance(n, img2img.Discriminator)]
            wrong.extend(p.requires_grad for n in discriminators for p in n.parameters())
        return turn(self, player, batch, images, step)

    monkeypatch.setattr(type(module), "turn", look)
    trainer(max_steps=1).fit(module, loader(1))
    assert wrong
    assert not any(wrong)


@pytest.mark.parametrize("method", METHODS)
def test_speed_switches_keep_keys_and_translators(method, tmp_path):
    """channels_last and compile change no name in checkpoint or translator; channels_last only rounding."""
    plain = build(method)
    keys = list(plain.state_dict())
    trainer(max_steps=2).fit(plain, loader(2))
    other = build(method)
    trainer(max_steps=2, callbacks=[Speed(channels_last=True, compile=False)]).fit(other, loader(2))
    assert list(other.state_dict()) == keys
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-3)
    img2img.save(other, tmp_path / "t.safetensors", domains=("x", "y"))
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        theirs = other.best_generators()["ab"].eval()(image)
        torch.testing.assert_close(
            img2img.load(tmp_path / "t.safetensors", "cpu", precision="fp32").tensor(image, to="y"), theirs
        )
    compiled = build(method)
    Speed(channels_last=False, compile=True).setup(None, compiled, "fit")
    networks = {n for player in compiled.players() for n in player.networks}
    assert all(network._compiled_call_impl is not None for network in networks)
    assert list(compiled.state_dict()) == keys


def words_for(pairs, run, *more):
    options = [
        *("--config", str(config("pix2pix.yaml")), *map(str, TINY_PIX2PIX)),
        *(f"--data.root={pairs}", "--data.domains=[line, colour]", "--training.epochs=null"),
    ]
    people = {"--size": "--data.size", "--workers": "--data.workers", "--device": "--training.device"}
    people["--precision"] = "--training.precision"
    parts = [word.partition("=") for word in options]
    return [*(people.get(name, name) + equals + value for name, equals, value in parts), *more]


def config(name):
    from img2img.shipped import shipped

    return shipped("configs", name)


def last(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def test_an_error_in_a_batch_saves_what_came_before_and_the_run_goes_on_exactly(pairs, tmp_path, monkeypatch):
    """The discriminator has moved when the generator's turn fails: it is taken back, saved, and done again."""
    more = ("--model.generator.depth=5", "--model.generator.dropout=0.5", "--training.images=16")
    quiet = Console(quiet=True)
    train(resolve(words_for(pairs, None, *more)), tmp_path / "whole", quiet)
    turn = img2img.Pix2Pix.turn

    def fail(self, player, batch, images, step):
        if step.batches == 13 and player.name == "generator":
            raise ZeroDivisionError("a bug in somebody's loss")
        return turn(self, player, batch, images, step)

    monkeypatch.setattr(img2img.Pix2Pix, "turn", fail)
    with pytest.raises(ZeroDivisionError):
        train(resolve(words_for(pairs, None, *more)), tmp_path / "parts", quiet)
    assert last(tmp_path / "parts")["img2img"]["batches"] == 13
    monkeypatch.undo()
    train(resolve(words_for(pairs, None, *more)), tmp_path / "parts", quiet)
    whole, parts = last(tmp_path / "whole"), last(tmp_path / "parts")
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, parts["state_dict"][name]), name
    for name, tensor in whole["img2img"]["averages"]["ab"].items():
        assert torch.equal(tensor, parts["img2img"]["averages"]["ab"][name]), name
    rows = [(tmp_path / run / "metrics.csv").read_text() for run in ("whole", "parts")]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("stops", [(10, 13), (10, 20, 21), (9, 10, 11, 12)])
def test_any_stops_at_and_around_the_end_of_an_epoch_change_nothing(pairs, tmp_path, stops):
    """Ten images an epoch; found by killing: a second stop in an epoch that began with a resume lost its position."""
    more = ("--model.optimization.decay=constant",)
    for images in (*stops, 24):
        train(
            resolve(words_for(pairs, None, *more, f"--training.images={images}")),
            tmp_path / "parts",
            Console(quiet=True),
        )
    train(resolve(words_for(pairs, None, *more, "--training.images=24")), tmp_path / "whole", Console(quiet=True))
    whole, parts = last(tmp_path / "whole"), last(tmp_path / "parts")
    assert whole["loops"]["fit_loop"]["state_dict"] == parts["loops"]["fit_loop"]["state_dict"]
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, parts["state_dict"][name]), name


def test_out_of_memory_says_how_to_need_less(pairs, tmp_path, monkeypatch):
    def fail(self, *words):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(img2img.Pix2Pix, "turn", fail)
    with pytest.raises(RunError, match=r"--batch or --size.*accumulate 2.*the same command continues"):
        train(resolve(words_for(pairs, None, "--training.images=4")), tmp_path / "run", Console(quiet=True))


def test_a_time_limit_saves_and_ends_with_0_and_the_line_that_goes_on(pairs, tmp_path):
    run = tmp_path / "run"
    words = (
        "train",
        "--method",
        "pix2pix",
        *TINY_PIX2PIX,
        "--data",
        pairs,
        "--domains",
        "line",
        "colour",
        "--out",
        run,
    )
    done = run_command(*words, "--images", 1_000_000, "--max-time", "1s", code=0)
    assert "out of time after" in done.stdout
    assert f"img2img train --method pix2pix {TINY_PIX2PIX[0]}" in done.stdout
    assert (run / "translator.safetensors").exists()
    images = last(run)["img2img"]["images"]
    assert images > 0
    done = run_command(*words, "--images", images + 2)
    assert f"{images:,} images done before" in done.stdout


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90m", 5400), ("1h30m", 5400), ("1:30:00", 5400), ("01:30", 5400), ("45s", 45), ("2", 120), ("1d", 86400)],
)
def test_times_are_read_as_people_write_them(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-5m", "1:2:3", "5x"])
def test_other_times_are_refused(text):
    with pytest.raises(ConfigError, match="expected a time such as 90m"):
        seconds_of(text)


def test_checkpoints_are_kept_and_pruned_and_orphans_swept(pairs, tmp_path):
    run = tmp_path / "run"
    words = ("train", "--method", "pix2pix", *TINY_PIX2PIX, "--data", pairs, "--out", run)
    keep = ("--training.keep_every_images=4", "--training.keep=2")
    run_command(*words, *keep, "--images", 18)
    folder = run / "checkpoints"
    assert [path.name for path in numbered(folder)] == ["000000012.ckpt", "000000016.ckpt"]
    assert {"last.ckpt", "previous.ckpt", "best.ckpt"} <= {path.name for path in folder.iterdir()}
    assert (run / "best.safetensors").exists()
    rows = list(csv.DictReader((run / "validation.csv").read_text().splitlines()))
    scores, images = [float(row["validation/l1"]) for row in rows], [int(row["images"]) for row in rows]
    best = torch.load(folder / "best.ckpt", weights_only=True)["img2img"]["images"]
    assert best == images[scores.index(min(scores))]
    (folder / ".img2img-abc.tmp").write_bytes(b"x")
    (run / ".img2img-def.tmp").write_bytes(b"x")
    run_command(*words, *keep, "--images", 20)
    assert not list(run.rglob(".img2img-*"))
    assert sweep(run) == []


def test_a_full_disk_in_mid_training_is_one_line_and_the_checkpoint_before_loads(pairs, tmp_path, monkeypatch):
    calls = []
    save = checkpoints_module.torch.save

    def full(obj, file):
        calls.append(1)
        if len(calls) > 1:
            file.write(b"x" * 1000)
            raise OSError(28, "No space left on device")
        save(obj, file)

    monkeypatch.setattr(checkpoints_module.torch, "save", full)
    with pytest.raises(RunError, match=r"No space left on device.*free some space"):
        train(
            resolve(words_for(pairs, None, "--training.images=40", "--training.validations=8")),
            tmp_path / "run",
            Console(quiet=True),
        )
    assert len(calls) == 2  # not tried again on the way out
    assert last(tmp_path / "run")["img2img"]["images"] == 5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_killed_loader_process_is_one_line_and_the_run_goes_on(pairs, tmp_path):
    from tests.test_ranks import children, start, wait_for_rows

    words = [w for w in TINY_PIX2PIX if w != "--workers=0"]
    words = ["train", "--method", "pix2pix", *words, "--workers=1", "--data", pairs, "--out", tmp_path / "run"]
    process = start([*words, "--images", 10**6, "--training.log_every_batches=1"])
    try:
        wait_for_rows(tmp_path / "run", process)
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "Traceback" not in said
    assert "a loader process" in said
    assert "img2img train --method pix2pix" in said  # the line that goes on
    images = last(tmp_path / "run")["img2img"]["images"]
    assert f"{images:,} images done before" in run_command(*words, "--images", images + 1).stdout


def test_a_loader_process_that_dies_while_it_hands_over_a_batch_is_named(tmp_path):
    def cut_short():
        ours, theirs = multiprocessing.Pipe()
        theirs.close()
        ours.recv()  # as torch does for each tensor of a loader process

    with pytest.raises(EOFError) as caught:
        cut_short()
    said = in_one_line(caught.value, tmp_path, several=False)
    assert "a loader process was killed" in str(said)
    assert in_one_line(EOFError("of a file"), tmp_path, several=False) is None


def test_an_image_deleted_in_mid_epoch_is_passed_over_and_named(pairs, tmp_path, monkeypatch):
    (tmp_path / "said").touch()
    turn = img2img.Pix2Pix.turn

    def delete(self, player, batch, images, step):
        if step.batches == 2:
            (pairs / "line" / "07.png").unlink(missing_ok=True)
        return turn(self, player, batch, images, step)

    monkeypatch.setattr(img2img.Pix2Pix, "turn", delete)
    with (tmp_path / "said").open("w") as file:
        outcome = train(
            resolve(words_for(pairs, None, "--training.epochs=3", "--data.hold_out=0.01")),
            tmp_path / "run",
            Console(file=file, width=200),
        )
    assert outcome.finished
    assert (tmp_path / "said").read_text().count("unreadable image: line/07.png") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kills_cost_nothing_that_was_saved(tmp_path):
    """The short form of scripts/kill.py: the finished run is bit-identical to one that was never killed."""
    from tests.conftest import ROOT

    words = [sys.executable, str(ROOT / "scripts" / "kill.py"), "--random=1", "--commit=1", "--images=400"]
    done = subprocess.run([*words, "--folder", str(tmp_path)], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 random and 1 aimed kills" in done.stdout


def test_a_second_signal_ends_at_once(pairs, tmp_path):
    from tests.test_ranks import start, wait_for_rows

    words = ["train", "--method", "cyclegan", *TINY_CYCLEGAN, "--data", pairs, "--out", tmp_path / "run"]
    process = start([*words, "--images", 10**6, "--training.log_every_batches=1"])
    try:
        wait_for_rows(tmp_path / "run", process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.communicate(timeout=30)
        assert time.monotonic() - began < 20
    finally:
        process.kill()
    assert process.returncode == 130
