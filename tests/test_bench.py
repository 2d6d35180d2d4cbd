"""The as-published loop is the published algorithm; the bench times every arm with it."""

from __future__ import annotations

import importlib.util
import json
import tomllib

import pytest
import torch

from img2img.data.bench import waiting
from img2img.data.folder import find_layout
from img2img.errors import ConfigError
from img2img.shipped import shipped
from img2img.training import bench
from img2img.training.config import resolve
from tests.conftest import ROOT, TINY_CYCLEGAN, TINY_PIX2PIX, run_command, run_here


def tiny(words):
    return [word for word in words if word.startswith("--model")]


@pytest.fixture(scope="module")
def baseline():
    spec = importlib.util.spec_from_file_location("baseline", shipped("scripts", "baseline.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_published_networks_are_those_of_the_faithful_configs(baseline):
    for method in baseline.METHODS:
        with torch.device("meta"):
            found = baseline.networks(method)
            words = ["-c", str(shipped("configs", f"{method}-faithful.yaml")), "--data.root=x"]
            wanted = resolve(words).build()[0]
        assert {k: v.shape for k, v in found.named_parameters()} == {k: v.shape for k, v in wanted.named_parameters()}


def test_pairs_are_cut_and_mirrored_alike_and_unrelated_images_are_not(baseline, pairs, side_by_side):
    layout = find_layout([pairs], paired=True)
    same = layout.train.__class__(layout.train.a, layout.train.a)
    images = baseline.Images(same, paired=True, size=32)
    assert all(torch.equal(*images[i]) for i in range(len(images)))
    images = baseline.Images(same, paired=False, size=32)
    assert not all(torch.equal(*images[i]) for i in range(len(images)))
    a, b = baseline.Images(find_layout([side_by_side], paired=True, domains=["l", "r"]).train, paired=True, size=32)[0]
    assert a.shape == b.shape == (3, 32, 32)
    assert -1 <= float(a.min()) < float(a.max()) <= 1
    assert not torch.equal(a, b)


@pytest.mark.parametrize(("method", "words"), [("pix2pix", TINY_PIX2PIX), ("cyclegan", TINY_CYCLEGAN)])
def test_the_first_step_of_the_published_loop_is_that_of_the_engine(baseline, method, words):
    """Two programs written apart agree: the same weights, batch and order of turns give the same weights after it."""
    a, b = (torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(i)) * 2 - 1 for i in (1, 2))
    published, ours = baseline.networks(method, tiny(words)), baseline.networks(method, tiny(words))
    ours.load_state_dict(published.state_dict())
    step = baseline.PublishedPix2Pix if method == "pix2pix" else baseline.PublishedCycleGAN
    step(published)(a, b)
    train_one_batch(ours, a, b)
    moved = dict(ours.named_parameters())
    found = dict(published.named_parameters())
    largest = max(float(parameter.grad.abs().max()) for parameter in found.values())
    compared = []
    for name, parameter in found.items():
        told = parameter.grad.abs() > 1e-6 * largest  # Adam makes a whole step of rounding noise: biases under a norm
        torch.testing.assert_close(parameter[told], moved[name][told], rtol=1e-4, atol=2e-6, msg=name)
        compared.append(told.flatten())
    assert torch.cat(compared).float().mean() > 0.7  # the others have a gradient of 0: 32 px do not reach every tap


def train_one_batch(module, a, b):
    from lightning import Trainer
    from torch.utils.data import DataLoader

    from img2img.data.datasets import Item, collate
    from img2img.schedule import Length

    module.length = Length(images=1000, seconds=None, images_per_epoch=1)
    loader = DataLoader([Item(a[0], b[0], "a", "b", [])], batch_size=1, collate_fn=collate)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    Trainer(max_steps=1, accelerator="cpu", **quiet).fit(module, loader)


def test_it_learns_and_reports(baseline, unpaired):
    module = baseline.networks("cyclegan", tiny(TINY_CYCLEGAN))
    before = {name: p.clone() for name, p in module.named_parameters()}
    images = baseline.Images(find_layout([unpaired], paired=False).train, paired=False, size=32)
    speed = baseline.measure(module, images, torch.device("cpu"), batch=2, steps=2, warmup=1, rounds=3)
    assert len(speed.rounds) == 3
    assert min(speed.rounds) > 0
    assert {"cycle_a", "identity_b", "adversarial_ab", "discriminator_a"} <= speed.losses.keys()
    assert any(not torch.equal(before[name], p) for name, p in module.named_parameters())


def test_bench_train_times_every_arm(pairs):
    words = ("bench", "train", "--data", pairs, "--domains", "line", "colour", *tiny(TINY_PIX2PIX))
    small = ("--size", 32, "--steps", 2, "--warmup", 1, "--rounds", 1, "--device", "cpu", "--data.workers=0")
    done = run_command(*words, *small, "--arms", "published,ours", "--batch", 2, "--json")
    found = json.loads(done.stdout)
    assert [(row["batch"], row["arm"]) for row in found["rows"]] == [(2, "published"), (2, "ours")]
    for row in found["rows"]:
        assert row["failure"] is None
        assert row["images_per_s"] > 0
        assert row["peak_memory_mb"] > 50
        assert (row["ratio"] == 1) == (row["arm"] == "published")
        assert row["waiting"] is None if row["arm"] == "published" else 0 < row["waiting"] < 1
    assert "torch" in found["machine"]


def test_an_arm_that_fails_does_not_take_the_others_with_it(pairs):
    words = ("bench", "train", "--data", pairs, "--domains", "line", "colour", *tiny(TINY_PIX2PIX))
    small = ("--size", 32, "--steps", 1, "--warmup", 1, "--rounds", 1, "--device", "cpu", "--data.workers=0")
    fp32, fp16 = run_command(*words, *small, "--arms", "fp32,fp16").stdout.strip().splitlines()[-2:]
    assert float(fp32.split()[2]) > 0
    assert "fp16 needs a cuda device" in fp16
    done = run_command(*words, *small, "--arms", "fp16", code=1)
    assert "nothing could be measured: --precision fp16 needs a cuda device" in done.stderr


def test_arms_are_words_of_the_config():
    for arm in bench.ARMS:
        if arm != bench.PUBLISHED:
            training = resolve(["-c", str(shipped("configs", "pix2pix.yaml")), "--data.root=x", *bench.switches(arm)])
            wanted = "auto" if arm == bench.OURS else arm.split("+")[0]
            assert training.tree["training"]["precision"] == wanted
    with pytest.raises(ConfigError, match="did you mean 'bf16'"):
        bench.switches("bf17")
    with pytest.raises(ConfigError, match="no switch"):
        bench.switches("bf16+warp")


def test_the_wheel_ships_the_published_loop():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["scripts/baseline.py"] == "img2img/_shipped/scripts/baseline.py"


def test_bench_train_without_data_says_what_to_give():
    done = run_command("bench", "train", code=1)
    assert "--data is missing" in done.stderr
    assert "line2flat" in done.stderr


def test_bench_data_times_every_loader_and_names_the_bound(pairs, tmp_path, monkeypatch):
    monkeypatch.setenv("IMG2IMG_CACHE", str(tmp_path / "cache"))
    said = run_here("bench", "data", pairs, "--size", 32, "--count", 4, "--rounds", 1, "--photometric", 0.5).stdout
    for kind in ("paired", "unpaired"):
        table = said[said.index(f"\n{kind} ") :].splitlines()
        names = ["published", "ours", "augment device", "cache ram", "cache disk", "ours, 1 worker", "ram, 1 worker"]
        assert [line[:15].strip() for line in table[2:9]] == names
        assert all(float(line[15:].split()[0]) > 0 for line in table[2:9])
        assert all(0 <= int(line.split()[-1].rstrip("%")) <= 100 for line in table[2:9])
        assert table[10].split()[1] in {"decode", "resize", "crop", "to", "floats"}


def test_waiting_is_what_a_step_leaves_over():
    assert waiting(100, 1, 0.01, beside=False) == pytest.approx(0.5)  # as long to load as to compute
    assert waiting(100, 1, 0.01, beside=True) == 0
    assert waiting(50, 1, 0.01, beside=True) == pytest.approx(0.5)
    assert waiting(400, 4, 0.01, beside=False) == pytest.approx(0.5)
