"""Training as a user does it: commands, run folders, stopping, continuing."""

from __future__ import annotations

import csv
import functools
import json
import os
import signal
import subprocess
import sys
import time
import types

import lightning
import pytest
import torch
import yaml
from PIL import Image

import img2img
from img2img.checkpoint import load_translator
from tests.conftest import TINY_CYCLEGAN, TINY_PIX2PIX, run_command, run_here

PIX2PIX = ("train", "--method", "pix2pix", *TINY_PIX2PIX, "--domains", "line", "colour")


def last_checkpoint(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def test_train_then_translate_pairs(pairs, tmp_path):
    run = tmp_path / "run"
    done = run_command(
        *PIX2PIX, "--data", pairs, "--out", run, "--epochs", 2, "--batch", 2, "--training.tensorboard=true"
    )
    assert "Pix2Pix line -> colour on cpu" in done.stdout
    assert "10 pairs to train on; validating on 2 pairs held out of them by seed 0" in done.stdout
    for name in (
        "translator.safetensors",
        "config.yaml",
        "metrics.csv",
        "validation.csv",
        "report.html",
        "checkpoints/last.ckpt",
    ):
        assert (run / name).is_file(), name
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    assert {
        "batches",
        "images",
        "generator/l1",
        "generator/adversarial",
        "discriminator/adversarial",
        "learning_rate",
    } <= rows[0].keys()
    assert rows[-1]["images"] == "20"
    scored = list(csv.DictReader((run / "validation.csv").read_text().splitlines()))
    assert [row["images"] for row in scored] == sorted({row["images"] for row in scored}, key=int)
    assert 0 < float(scored[-1]["validation/l1"]) < 2
    page = (run / "report.html").read_text()
    assert "line to colour" in page
    panels = sorted((run / "samples").glob("*.png"))
    assert panels[-1].name in page
    with Image.open(panels[0]) as panel:
        size = panel.size
    assert size == (3 * 36 - 4, 2 * 36 - 4)  # source, result, target of both held-out pairs
    assert any((run / "tensorboard").iterdir())

    run_command("translate", run, pairs / "line", tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.png"))) == 12
    assert "line -> colour" in run_command("info", run).stdout
    header = json.loads(run_command("info", run, "--json").stdout)
    assert header["training"]["images"] == 20


def test_previews_come_from_the_code_that_translates(pairs, tmp_path):
    """The logged panel and a translation of the same image by the saved file are the same pixels."""
    run = tmp_path / "run"
    run_command(
        *PIX2PIX, "--data", pairs, "--out", run, "--epochs", 1, "--data.resize", "none", "--training.validations", 1
    )
    config = yaml.safe_load((run / "config.yaml").read_text())["data"]
    data = img2img.ImageData(**{k: v for k, v in config.items() if k != "paired"}, paired=True)
    data.setup()
    batch = data.finished(next(iter(data.val_dataloader())))
    from img2img.image import to_pixels

    result = to_pixels(img2img.load(run, "cpu", precision="fp32").tensor(batch.a)[0])
    with Image.open(max((run / "samples").glob("*.png"))) as panel:
        assert panel.crop((36, 0, 68, 32)).tobytes() == result.tobytes()


def test_train_then_translate_unpaired_both_ways(unpaired, tmp_path):
    run = tmp_path / "run"
    done = run_command(
        "train",
        "--method",
        "cyclegan",
        *TINY_CYCLEGAN,
        "--data",
        unpaired,
        "--domains",
        "horse",
        "zebra",
        "--out",
        run,
        "--images",
        6,
    )
    assert "CycleGAN horse <-> zebra" in done.stdout
    for to, other in (("zebra", "horse"), ("horse", "zebra")):
        done = run_command("translate", run, unpaired / "testA", tmp_path / to, "--to", to)
        assert f"{other} -> {to}" in done.stdout
    first, second = ((tmp_path / to / "00.png").read_bytes() for to in ("zebra", "horse"))
    assert first != second
    assert "and back" in (run / "report.html").read_text()


def test_flags_for_people_and_configs_for_researchers_give_the_same_run(pairs, tmp_path):
    common = ("--data", pairs, "--images", 4, "--seed", 7)
    run_command(*PIX2PIX, *common, "--out", tmp_path / "people")
    words = ["-c", img2img_config("pix2pix.yaml"), *TINY_PIX2PIX, "--data.domains=[line, colour]"]
    run_command("train", *words, *common, "--out", tmp_path / "research")
    run_command("train", "-c", tmp_path / "people" / "config.yaml", "--out", tmp_path / "again")
    reference = load_translator(tmp_path / "people").tensors
    for other in ("research", "again"):
        found = load_translator(tmp_path / other).tensors
        assert all(torch.equal(reference[name], found[name]) for name in reference)
        assert (tmp_path / other / "config.yaml").read_text() == (tmp_path / "people" / "config.yaml").read_text()


def img2img_config(name):
    from img2img.shipped import shipped

    return shipped("configs", name)


def test_options_reach_what_they_configure(pairs, tmp_path):
    words = ("--data", pairs, "--out", tmp_path / "run", "--print-config")
    printed = run_command(
        "train",
        "--method",
        "cyclegan",
        "--model.cycle_weight",
        "5",
        "--model.generator.num_blocks=6",
        "--epochs",
        3,
        *words,
    ).stdout
    tree = yaml.safe_load(printed)
    assert tree["model"]["init_args"]["cycle_weight"] == 5
    assert tree["model"]["init_args"]["generator"]["init_args"]["num_blocks"] == 6
    assert tree["training"]["epochs"] == 3
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "cyclegam"), "did you mean 'cyclegan'"),
        (("--method", "pix2pix", "--recipe", "faithfull"), "did you mean 'faithful'"),
        (("--method", "pix2pix", "--model.l1_weigth", "3"), "did you mean 'l1_weight'"),
        (("--method", "pix2pix", "--model.generator.dept", "3"), "did you mean 'depth'"),
        (("--method", "pix2pix", "--model.generator", "UnetGenerator"), "did you mean 'UNetGenerator'"),
        (("--method", "pix2pix", "--model.optimization.learning_rat", "3"), "did you mean 'learning_rate'"),
        (("--method", "pix2pix", "--data.siz", "3"), "did you mean 'size'"),
        (("--method", "pix2pix", "--training.epoch", "3"), "did you mean 'epochs'"),
        (("--method", "pix2pix", "--modle.l1_weight", "3"), "did you mean 'model'"),
        (("--method", "pix2pix", "--data.size", "big"), "--data.size: expected a whole number or list"),
        (
            ("--method", "pix2pix", "--model.adversarial", "gan"),
            "expected one of 'bce', 'lsgan', 'hinge', 'wgan-gp', got gan",
        ),
        (("--method", "pix2pix", "--model.adversarial", "wgan-gp"), "contradict"),
        (("--method", "pix2pix", "--device", "tpu"), "tpu"),
        (("--method", "pix2pix", "--precision", "fp16", "--device", "cpu"), "fp16 needs a cuda device"),
        (("--method", "pix2pix", "--epochs", "2", "--minutes", "3"), "expected one length"),
        (("--method", "cyclegan", "--data.channels_a", "1"), "identity_weight"),
        (("-c", "nowhere.yaml"), "cannot be read"),
        (("--method", "pix2pix", "--recipe", "faithful", "--epochs", "1", *TINY_PIX2PIX), "decay linear"),
        (("--methd", "pix2pix"), "did you mean '--method'"),
        (("--method", "pix2pix", "--epoch", "3"), "did you mean '--epochs'"),
        (("--method", "pix2pix", "stray"), "expected an option"),
        (
            ("--method", "pix2pix", "--model.critic.augment", "adaptive", "--model.adversarial", "wgan-gp"),
            "error: critic.augment adaptive reads the discriminator's sign",
        ),
        (("--method", "cyclegan", "--model.discriminator.num_layers", "0"), "error: num_layers: expected 1 or more"),
        (("--method", "pix2pix", "--model.l1_weight", "-1"), "error: l1_weight: expected 0 or more, got -1"),
        ((), "expected --method"),
    ],
)
def test_wrong_options_are_one_line_that_helps(pairs, tmp_path, words, message, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = run_here("train", *words, "--data", pairs, "--out", tmp_path / "run", code=None)
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr
    assert message in " ".join(done.stderr.split()), done.stderr
    assert done.stderr.count("error: ") == done.stderr.strip().count("\n") + 1, done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: None, "no such data folder"),
        (lambda root: root.mkdir(), "no images found"),
        (
            lambda root: [
                (root / n).mkdir(parents=True) or Image.new("RGB", (9, 9)).save(root / n / "1.png") for n in "ab"
            ],
            "at least two",
        ),
    ],
)
def test_data_that_cannot_be_used_is_one_line(tmp_path, prepare, message):
    prepare(tmp_path / "data")
    done = run_command("train", "--method", "pix2pix", "--data", tmp_path / "data", "--out", tmp_path / "run", code=1)
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_with_other_files_is_not_taken_for_a_run(pairs, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    done = run_command(*PIX2PIX, "--data", pairs, "--out", tmp_path / "mine", "--images", 2, code=1)
    assert "a folder with other files in it" in done.stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_continued_run_equals_one_that_never_stopped_bit_for_bit(pairs, tmp_path):
    """Weights, averages, optimizers, dropout, order of samples: the same with and without a stop in mid-epoch."""
    words = (
        *PIX2PIX,
        "--data",
        pairs,
        "--model.generator.depth=5",
        "--model.generator.dropout=0.5",
        "--model.optimization.decay=constant",
    )
    run_command(*words, "--out", tmp_path / "whole", "--images", 33)
    run_command(*words, "--out", tmp_path / "parts", "--images", 13)
    done = run_command(*words, "--out", tmp_path / "parts", "--images", 33)
    assert "13 images done before" in done.stdout
    whole, parts = last_checkpoint(tmp_path / "whole"), last_checkpoint(tmp_path / "parts")
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, parts["state_dict"][name]), name
    for mine, theirs in zip(whole["optimizer_states"], parts["optimizer_states"], strict=True):
        for index, state in mine["state"].items():
            assert all(
                torch.equal(torch.as_tensor(v), torch.as_tensor(theirs["state"][index][k])) for k, v in state.items()
            )
    for name, tensor in whole["img2img"]["averages"]["ab"].items():
        assert torch.equal(tensor, parts["img2img"]["averages"]["ab"][name])
    again = run_command(*words, "--out", tmp_path / "parts", "--images", 33)
    assert "already trained to its full length" in again.stdout


def test_cyclegan_continues_bit_for_bit_with_its_pools(unpaired, tmp_path):
    words = (
        "train",
        "--method",
        "cyclegan",
        *TINY_CYCLEGAN,
        "--data",
        unpaired,
        "--model.pool_size=3",
        "--model.optimization.decay=constant",
    )
    run_command(*words, "--out", tmp_path / "whole", "--images", 20)
    run_command(*words, "--out", tmp_path / "parts", "--images", 9)
    run_command(*words, "--out", tmp_path / "parts", "--images", 20)
    whole, parts = last_checkpoint(tmp_path / "whole")["state_dict"], last_checkpoint(tmp_path / "parts")["state_dict"]
    for name, value in whole.items():
        if isinstance(value, dict):
            assert all(torch.equal(x, y) for x, y in zip(value["images"], parts[name]["images"], strict=True))
        else:
            assert torch.equal(value, parts[name]), name


def test_a_plain_trainer_takes_method_and_data_module(unpaired, tmp_path):
    """What the README shows: no command, no callback of ours, and the averages are there all the same."""
    data = img2img.ImageData(str(unpaired), paired=False, size=32, workers=0)
    module = img2img.CycleGAN(
        functools.partial(img2img.ResNetGenerator, num_blocks=1, base_channels=4),
        functools.partial(img2img.PatchDiscriminator, num_layers=1, base_channels=4),
    )
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", **quiet)
    trainer.fit(module, data)
    assert trainer.global_step == module.batches == len(data.train_dataloader())
    assert 0 < trainer.callback_metrics["validation/cycle_a"] < 2
    assert module.best_generators()["ab"] is not module.generator_ab
    img2img.save(module, tmp_path / "saved.safetensors", domains=("horse", "zebra"))
    translator = img2img.load(tmp_path / "saved.safetensors", "cpu", precision="fp32")
    image = torch.rand(1, 3, 20, 24) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(translator.tensor(image, to="horse"), module.best_generators()["ba"](image))
    with pytest.raises(img2img.ConfigError, match="without :"):
        img2img.save(module, tmp_path / "x.safetensors", domains=("a:b", "c"))


def test_shipped_configs_are_found_by_name_anywhere(pairs, tmp_path):
    words = (
        "-c",
        "configs/pix2pix.yaml",
        "-c",
        "datasets/facades.yaml",
        "--data",
        pairs,
        "--out",
        "run",
        "--print-config",
    )
    assert "Pix2Pix" in run_command("train", *words, cwd=tmp_path).stdout


def test_a_disk_without_room_for_the_run_is_refused_at_the_start(pairs, tmp_path, monkeypatch):
    from rich.console import Console

    from img2img.errors import RunError
    from img2img.training import run as run_module
    from img2img.training.config import resolve

    monkeypatch.setattr(run_module.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=1))
    resolved = resolve(
        [
            "-c",
            str(img2img_config("demo.yaml")),
            f"--data.root={pairs}",
            "--data.domains=[line, colour]",
            "--data.to=colour",
        ]
    )
    with pytest.raises(RunError, match="MB are free"):
        run_module.train(resolved, tmp_path / "run", Console(quiet=True))
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_other_options_on_a_continued_run_are_shown_and_refused(pairs, tmp_path):
    words = (*PIX2PIX, "--data", pairs, "--out", tmp_path / "run")
    run_command(*words, "--images", 2)
    done = run_command(*words, "--images", 4, "--model.l1_weight", "5", code=1)
    assert "- l1_weight: 100.0" in done.stderr
    assert "+ l1_weight: 5.0" in done.stderr
    run_command(*words, "--images", 4, "--model.l1_weight", "5", "--override")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_same_command_goes_on(pairs, tmp_path, number, code):
    run = tmp_path / "run"
    words = [*map(str, PIX2PIX), "--data", str(pairs), "--out", str(run), "--images", "100000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "img2img", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    try:
        metrics = run / "metrics.csv"
        deadline = time.monotonic() + 120
        while not (metrics.exists() and metrics.read_text().count("\n") > 2) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, said
    assert "everything is saved" in said
    assert "Traceback" not in said
    images = last_checkpoint(run)["img2img"]["images"]
    assert (run / "translator.safetensors").exists()
    done = run_command("train", *words[1:-1], images + 3)
    assert f"{images:,} images done before" in done.stdout


def test_init_from_starts_with_the_weights_of_another(pairs, tmp_path):
    words = (*PIX2PIX, "--data", pairs)
    run_command(*words, "--out", tmp_path / "first", "--images", 4)
    run_command(
        *words,
        "--out",
        tmp_path / "second",
        "--images",
        1,
        "--init-from",
        tmp_path / "first",
        "--model.optimization.learning_rate=0",
    )
    first = load_translator(tmp_path / "first").generator("line:colour")
    second = load_translator(tmp_path / "second").generator("line:colour")
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
    done = run_command(
        *words,
        "--out",
        tmp_path / "x",
        "--images",
        1,
        "--init-from",
        tmp_path / "first",
        "--model.generator.base_channels=8",
        code=1,
    )
    assert "has other layers" in done.stderr


def test_wandb_offline_holds_config_losses_and_panels(pairs, tmp_path):
    run = tmp_path / "run"
    run_command(*PIX2PIX, "--data", pairs, "--out", run, "--images", 20, "--wandb", "offline")
    folders = list((run / "wandb").glob("offline-run-*"))
    assert len(folders) == 1
    assert (run / "wandb_id.txt").read_text() in folders[0].name
    assert list(folders[0].glob("files/media/images/samples/*.png"))
    assert next(folders[0].glob("*.wandb")).stat().st_size > 1000


def test_wandb_online_without_a_key_goes_offline_and_says_so(pairs, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    done = run_command(*PIX2PIX, "--data", pairs, "--out", tmp_path / "run", "--images", 2, "--wandb", "online")
    assert "no key on this machine" in done.stdout
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))


def test_faults_in_the_data_are_warned_about_once_and_counted(pairs, tmp_path):
    broken = pairs / "line" / "03.png"
    broken.write_bytes(broken.read_bytes()[:80])
    Image.new("RGB", (48, 40), "white").save(pairs / "line" / "04.png")
    words = (*PIX2PIX, "--data", pairs, "--data.hold_out=0.01", "--seed", 5)
    done = run_command(*words, "--out", tmp_path / "run", "--epochs", 3)
    assert done.stdout.count("unreadable image: line/03.png") == 1
    assert done.stdout.count("constant image: line/04.png") == 1
    assert "warnings in the data: " in done.stdout
    done = run_command(*words, "--out", tmp_path / "strict", "--epochs", 3, "--strict", code=1)
    assert done.stderr.startswith(("error: line/03.png", "error: line/04.png"))


def test_a_full_disk_is_one_line_and_keeps_the_previous_checkpoint(pairs, tmp_path, monkeypatch):
    """The save fails as on a full disk; what was there before still loads."""
    from img2img.errors import RunError
    from img2img.training import checkpoints

    target = tmp_path / "last.ckpt"
    checkpoints.AtomicCheckpointIO().save_checkpoint({"x": torch.ones(3)}, target)

    def full(obj, file):
        file.write(b"x" * 100)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(RunError, match="No space left"):
        checkpoints.AtomicCheckpointIO().save_checkpoint({"x": torch.zeros(3)}, target)
    monkeypatch.undo()
    assert torch.equal(checkpoints.AtomicCheckpointIO().load_checkpoint(target)["x"], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["last.ckpt"]


def test_a_fault_in_a_loader_process_is_one_line_too(pairs, tmp_path):
    for path in (pairs / "line").iterdir():
        path.write_bytes(path.read_bytes()[:-40])
    words = [w for w in PIX2PIX if w != "--workers=0"]
    done = run_command(*words, "--workers=1", "--data", pairs, "--out", tmp_path / "run", "--images", 4, code=1)
    assert "Traceback" not in done.stderr
    assert "unreadable images in a row: line/" in done.stderr


def test_a_checkpoint_cut_short_is_replaced_by_the_one_before_it(pairs, tmp_path):
    words = (*PIX2PIX, "--data", pairs, "--out", tmp_path / "run")
    run_command(*words, "--images", 2)
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:1000])
    done = run_command(*words, "--images", 4)
    assert "damaged" in done.stdout
    assert "going on from previous.ckpt" in done.stdout
    for path in (checkpoint, checkpoint.with_name("previous.ckpt"), checkpoint.with_name("best.ckpt")):
        path.write_bytes(whole[:1000])
    done = run_command(*words, "--images", 6, code=1)
    assert "nor can any before it be read" in done.stderr


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([0.5, 0.4, 0.3, 0.25, 0.2, 0.18, 0.17, 0.16, 0.15, 0.14], "still gaining"),
        ([0.5, 0.4, 0.3, 0.2, 0.25, 0.26, 0.27, 0.28, 0.29, 0.3], "no gain in the last 60 % of the run"),
        ([0.5, 0.3, 0.4], ""),
    ],
)
def test_advice_tells_gain_from_standstill(scores, said):
    from img2img.training.page import advice

    points = [(100.0 * (i + 1), score) for i, score in enumerate(scores)]
    words = advice(points)
    assert words.startswith(said)
    if "no gain" in said:
        assert "0.2, was after 400 images, and is 0.3 now" in words
        assert "best.safetensors" in words
    assert bool(words) == bool(said)


def test_unpaired_runs_are_judged_by_r_kid_and_keep_the_best(unpaired, tmp_path):
    run = tmp_path / "run"
    words = ("train", "--method", "cyclegan", *TINY_CYCLEGAN, "--data", unpaired, "--out", run, "--images", 8)
    run_command(*words, "--training.validations", 4)
    rows = list(csv.DictReader((run / "validation.csv").read_text().splitlines()))
    assert {"validation/rkid", "validation/rkid_a", "validation/rkid_b", "validation/cycle_a"} <= rows[0].keys()
    means = [(float(r["validation/rkid_a"]) + float(r["validation/rkid_b"])) / 2 for r in rows]
    assert [float(r["validation/rkid"]) for r in rows] == pytest.approx(means, rel=1e-5)
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["img2img"]["images"]
    assert best == int(rows[means.index(min(means))]["images"])
    assert (run / "best.safetensors").exists()
