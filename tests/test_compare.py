"""Comparing by eye: pages show what ``translate`` writes, blind ones tell nobody's name, votes are counted right."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image

import img2img
from img2img.checkpoint import load_translator, save_translator
from img2img.evaluate.blind import deal
from img2img.evaluate.votes import Share
from img2img.networks.generators.resnet import ResNetGenerator
from tests.conftest import TINY_PIX2PIX, run_here
from tests.test_checkpoint import a_file


@pytest.fixture
def other(model, tmp_path):
    path = tmp_path / "rival.safetensors"
    save_translator(path, load_translator(model))
    return path


def pngs(page):
    return [base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]+)", page)]


def test_a_page_shows_every_model_and_reference(model, other, pairs, tmp_path):
    (pairs / "line" / "bad.png").write_bytes(b"no picture")
    (pairs / "colour" / "bad.jpg").write_bytes(b"no picture")
    words = (model, other, pairs / "line", "--references", pairs / "colour", "--out", tmp_path / "p", "--count", "20")
    said = run_here("compare", *words, code=3).stdout
    assert "failed: bad.png: not an image" in said
    page = (tmp_path / "p" / "compare.html").read_text()
    assert len(pngs(page)) == 12 * 4
    assert page.count("<option") == 12 + 2 * 4


def test_a_blind_page_names_nobody_until_votes_are_counted(model, other, pairs, tmp_path):
    out = tmp_path / "b.html"
    run_here("compare", model, other, pairs / "line", "--blind", "better", "--trials", "6", "--out", out)
    page = out.read_text()
    study = json.loads(re.search(r'id="study">(.+?)</script>', page)[1])
    for hidden in (b"rival", b"model.safetensors", b"Img2img", b"XMP"):
        assert hidden not in page.encode()
        assert not any(hidden in png for png in pngs(page))
    key = json.loads(base64.b64decode(study["key"]))
    votes = [
        {"trial": index, "chosen": "left" if key["makers"][left] == "rival" else "right"}
        for index, (_, left, _) in enumerate(key["trials"])
    ]
    saved = {"format": 1, "kind": "img2img votes", "session": "s", "votes": votes, "question": "better"}
    saved |= {"practice": 0, "key": study["key"]}
    (tmp_path / "v.json").write_text(json.dumps(saved))
    (tmp_path / "w.json").write_text(json.dumps(saved))
    said = run_here("compare", "--votes", tmp_path / "v.json", tmp_path / "w.json").stdout
    assert "model: preferred to rival in 0.0% of 6 votes of 1 voter" in said
    assert "less often than by chance (p = 0.031)" in said
    assert "not counted" in said


def test_a_checkpoint_shows_its_averaged_weights_unless_raw_is_said(pairs, tmp_path):
    """As the translator of the same moment does, which the training wrote by another way."""
    run, shown = tmp_path / "run", {}
    words = (*TINY_PIX2PIX, "--domains", "line", "colour", "--training.validations", 1, "--images", 8, "--out", run)
    run_here("train", "--method", "pix2pix", "--data", pairs, *words)
    last, source = run / "checkpoints" / "last.ckpt", pairs / "line" / "03.png"
    for weights, more in (("ema", ()), ("ema", ("--weights", "ema")), ("raw", ("--weights", "raw"))):
        run_here("compare", last, source, "--out", tmp_path / "p.html", *more, "--precision", "fp32")
        picture = np.asarray(Image.open(io.BytesIO(pngs((tmp_path / "p.html").read_text())[1])))
        with Image.open(source) as image:
            expected = img2img.load(run, "cpu", weights=weights, precision="fp32")(image)
        assert np.array_equal(picture, np.asarray(expected)), weights
        shown[weights] = picture
    assert not np.array_equal(shown["ema"], shown["raw"])
    (last.parent / "torn.ckpt").write_bytes(last.read_bytes()[:1000])
    done = run_here("compare", last.parent / "torn.ckpt", source, "--out", tmp_path / "p.html", code=1)
    assert "torn.ckpt: damaged or not a checkpoint" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_leaves_no_page_and_says_one_word(model, pairs, tmp_path):
    words = (model, pairs / "line", "--out", tmp_path / "p.html", "--size", "1600", "--precision", "fp32")
    process = subprocess.Popen(
        [sys.executable, "-m", "img2img", "compare", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert "translating by" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, said.strip()) == (130, "interrupted")
    assert not list(tmp_path.glob("*.html*"))


def test_trials_are_fair_and_repeatable():
    dealt = deal("real", 30, 2, 40, 10, seed=3)
    assert dealt == deal("real", 30, 2, 40, 10, seed=3) != deal("real", 30, 2, 40, 10, seed=4)
    assert len({(t.row, max(t.left, t.right)) for t in dealt}) == 50
    assert Counter(max(t.left, t.right) for t in dealt) == {0: 25, 1: 25}
    assert sum(t.left < 0 for t in dealt) == 25, "the real one on the left as often as on the right"
    assert len(deal("better", 4, 3, 40, 0, seed=0)) == 12


def test_wilson_and_chance():
    """Wilson's interval in closed form, and the binomial tail by hand."""
    low, high = Share("a", None, 8, 10, 1).interval()
    assert (low, high) == pytest.approx((0.490, 0.943), abs=1e-3)
    assert Share("a", None, 9, 10, 1).chance() == pytest.approx(22 / 1024)


def test_what_cannot_be_is_one_line(model, pairs, tmp_path):
    (tmp_path / "v.json").write_text("{}")
    (tmp_path / "alone.ckpt").write_text("")
    other_way = tmp_path / "back.safetensors"
    save_translator(other_way, a_file(ResNetGenerator, ("colour:line",), num_blocks=1)[0])
    out = ("--out", tmp_path / "x.html")
    for words, message in (
        ((model, pairs / "line"), "--out is missing"),
        ((pairs / "line", *out), "expected one MODEL"),
        ((model, pairs / "line", "--blind", "real", *out), "needs --references"),
        ((model, pairs / "line", "--blind", "better", *out), "two MODELs or more"),
        ((model, pairs / "line", "--to", "zebra", *out), "cannot translate to 'zebra'"),
        (("--votes", tmp_path / "v.json"), "not votes saved by"),
        ((model, pairs / "line", "--blind", "maybe", *out), "expected real, better"),
        ((model, pairs / "line", "--weights", "mean", *out), "expected ema, raw"),
        ((model, model, pairs / "line", *out), "one is given twice"),
        ((model, other_way, pairs / "line", *out), "expected one direction for all"),
        ((tmp_path / "alone.ckpt", pairs / "line", *out), "a checkpoint is read beside its run's translator"),
        ((model, pairs / "line", "--references", tmp_path, *out), "expected references named as the inputs"),
    ):
        done = run_here("compare", *words, code=1)
        assert message in done.stderr.replace("\n", " "), done.stderr
    assert not (tmp_path / "x.html").exists()
