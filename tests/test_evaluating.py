"""A training measures what ``img2img evaluate`` would: the same numbers, at their interval, deciding what is best."""

from __future__ import annotations

import csv
import shutil

import pytest
import torch
from PIL import Image

import img2img
from img2img.evaluate import weights
from img2img.evaluate.evaluation import evaluate
from img2img.evaluate.images import Images
from img2img.evaluate.subject import Asked
from img2img.image import to_pixels
from img2img.training.candidates import curves
from img2img.training.config import resolve
from tests.conftest import TINY_CYCLEGAN, TINY_PIX2PIX, drawing, run_here
from tests.test_tracking import logged, rows

pytestmark = pytest.mark.usefixtures("no_weights")


@pytest.fixture
def inception(script, monkeypatch, tmp_path):
    """A folder with the stand-in, as if it were the Inception."""
    known = weights.Known(weights.TORCHSCRIPT.name, weights.sha256_of(script))
    monkeypatch.setattr(weights, "INCEPTIONS", (known,))
    (tmp_path / "weights").mkdir()
    shutil.copy(script, tmp_path / "weights" / known.name)
    return tmp_path / "weights"


def held_out(root, side, count, first):
    """Drawings that no training sees."""
    root.mkdir(parents=True)
    for index in range(count):
        drawing(first + index)[side].save(root / f"{index:02d}.png")


def scored(run):
    return list(csv.DictReader((run / "validation.csv").read_text().splitlines()))


def last_checkpoint(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def test_a_training_measures_what_evaluate_would_of_the_same_pictures(side_by_side, inception, tmp_path):
    """FID decides what is best; the training is bit-identical to one that measures nothing."""
    run = tmp_path / "run"
    shutil.copytree(side_by_side / "train", side_by_side / "val")
    data = ("--data", side_by_side, "--domains", "colour", "line", "--to", "colour")
    words = ("train", "--method", "pix2pix", *TINY_PIX2PIX, *data, "--images", 16, "--training.validations=4")
    asked = ("--training.evaluate.every=2", "--training.evaluate.metrics=[fid, kid, fid_clean, kid_clean]")
    asked += ("--training.evaluate.best_by=fid", f"--training.evaluate.weights={inception}", "--wandb", "offline")
    said = run_here(*words, *asked, "--out", run).stdout
    assert said.count("covariances of 48 features have rank 9") == 1
    assert said.count("% of the training's time)") == 2
    found = scored(run)
    assert [row["images"] for row in found if row["validation/fid"]] == ["8", "16"]

    _, images, _ = resolve(["-c", str(run / "config.yaml")]).build()
    images.setup()
    translator = img2img.load(run, "cpu", precision="fp32")
    for folder in ("made", "real"):
        (tmp_path / folder).mkdir()
    for batch in map(images.finished, images.val_dataloader()):
        for folder, image in (("made", translator(batch.a[0])), ("real", batch.b[0])):
            Image.fromarray(to_pixels(image)).save(tmp_path / folder / f"{batch.names_a[0]}.png")
    of = Asked(("fid", "kid"), weights=inception, download=False)
    again = evaluate(Images.below(tmp_path / "made"), Images.below(tmp_path / "real"), of)
    for number in again.numbers:
        assert float(found[-1][f"validation/{number.name}"]) == pytest.approx(number.value, rel=1e-4), number.name

    best = min((float(row["validation/fid"]), int(row["images"])) for row in found if row["validation/fid"])
    assert torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["img2img"]["images"] == best[1]
    assert [curve.score for curve in curves([run]) if curve.decides] == ["validation/fid"]
    assert "validation/fid_clean" in (run / "report.html").read_text()
    assert [row["images"] for row in rows(logged(run)[0]) if "validation/fid" in row] == [8, 16]

    run_here(*words, "--out", tmp_path / "plain")
    mine, plain = (last_checkpoint(folder)["state_dict"] for folder in (run, tmp_path / "plain"))
    assert all(torch.equal(value, plain[name]) for name, value in mine.items() if isinstance(value, torch.Tensor))


def test_both_directions_are_measured_on_each_image_once(unpaired, inception, tmp_path):
    held_out(unpaired / "valA", 0, 5, 500)
    held_out(unpaired / "valB", 1, 7, 600)
    words = ("train", "--method", "cyclegan", *TINY_CYCLEGAN, "--data", unpaired)
    asked = ("--training.evaluate.every=1", f"--training.evaluate.weights={inception}", "--images", 2)
    said = run_here(*words, *asked, "--training.validations=1", "--out", tmp_path / "run").stdout
    assert "against held-out images: 7 of B and 5 of A" in said
    (row,) = scored(tmp_path / "run")
    for name in ("fid", "kid"):
        mean = (float(row[f"validation/{name}_a"]) + float(row[f"validation/{name}_b"])) / 2
        assert float(row[f"validation/{name}"]) == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["every=1"], "or a folder that --training.evaluate.weights names"),
        (["every=1", "weights=nowhere"], "--training.evaluate.weights nowhere: no such folder"),
        (["every=1", "weights={}", "metrics=[density]", "best_by=density"], "expected one where lower is better"),
        (["every=1", "weights={}", "metrics=[fid]", "images=1"], "images: expected 2 or more, got 1"),
        (["every=1", "metrics=[fidd]"], "did you mean 'fid'"),
        (["every=1", "metrics=[]"], "expected some of fid, fid_clean"),
        (["every=1", "best_by=mind"], "expected one that is measured: fid, kid"),
        (["every=0"], "every: expected 1 or more, got 0"),
        (["best_by=fid"], "add --training.evaluate.every 1"),
    ],
)
def test_what_cannot_be_measured_is_said_before_the_training(
    side_by_side, inception, tmp_path, monkeypatch, options, message
):
    asked = [f"--training.evaluate.{word}".format(inception) for word in options]
    if "{}" not in "".join(options):
        monkeypatch.setattr(weights, "INCEPTIONS", (weights.TORCH_FIDELITY,))
    out = tmp_path / "run"
    shutil.copytree(side_by_side / "train", side_by_side / "val")
    words = ("train", "--method", "pix2pix", *TINY_PIX2PIX, "--data", side_by_side, "--images", 4, "--out", out)
    done = run_here(*words, *asked, code=1)
    assert message in done.stderr
    assert not (out / "metrics.csv").exists()
