"""Presets: each builds with every recipe of its method, differs from it, and trains."""

from __future__ import annotations

import re

import pytest
import torch
import yaml
from PIL import Image

from img2img.checkpoint import read_header
from img2img.data.derive import Derivation
from img2img.errors import ConfigError
from img2img.shipped import method_of, preset_file, presets, recipe_file, recipes, shipped_words
from img2img.training.config import differences, resolve
from tests.conftest import ROOT, TINY_CYCLEGAN, TINY_PIX2PIX, run_here

CASES = [(name, recipe) for name, path in presets().items() for recipe in recipes()[method_of(path)]]


def config_of(name, recipe, *words):
    return resolve([*shipped_words(method_of(preset_file(name)), recipe, name), "--data.root=x", *words])


@pytest.mark.parametrize(("name", "recipe"), CASES)
def test_every_preset_builds_with_every_recipe_and_differs_from_it(name, recipe):
    resolved = config_of(name, recipe)
    with torch.device("meta"):
        resolved.build()
    plain = resolve(["-c", str(recipe_file(method_of(preset_file(name)), recipe)), "--data.root=x"]).tree
    assert differences(resolved.tree, plain), name
    assert resolve(["-c", str(recipe_file(method_of(preset_file(name)), recipe)), "--data.root=x"]).tree == plain


@pytest.mark.parametrize("name", presets())
def test_every_preset_says_what_it_is_for_and_how_long_it_takes(name):
    words = [line for line in preset_file(name).read_text().splitlines() if line.startswith("#")]
    assert len(words) >= 3
    assert re.search(r"GPU", " ".join(words))
    assert f"presets/{name}.yaml" in (ROOT / "configs" / "README.md").read_text()


def test_no_two_presets_are_the_same():
    trees = [yaml.safe_dump(config_of(name, "default").tree) for name in presets()]
    assert len(set(trees)) == len(trees)


def test_what_a_preset_sets_reaches_what_is_built():
    for name, path in presets().items():
        asked = yaml.safe_load(path.read_text())
        with torch.device("meta"):
            module, data, _ = config_of(name, "default").build()
        assert isinstance(data.derive, Derivation) == ("derive" in asked.get("data", {})), name
        for option in ("l1_weight", "identity_weight", "feature_matching_weight"):
            if option in asked["model"].get("init_args", {}):
                assert getattr(module, option) == asked["model"]["init_args"][option], name


@pytest.mark.parametrize("name", [name for name, recipe in CASES if recipe == "fast"])
def test_a_fast_recipe_keeps_its_networks_and_the_preset_its_data_and_weights(name):
    method, asked = method_of(preset_file(name)), yaml.safe_load(preset_file(name).read_text())
    plain = resolve(["-c", str(recipe_file(method, "fast")), "--data.root=x"]).tree
    found, model = config_of(name, "fast").tree, plain["model"]["init_args"]
    for part in ("generator", "discriminator", "optimization"):
        assert found["model"]["init_args"][part] == model[part]
    assert found["model"]["init_args"]["critic"]["relativistic"] == model["critic"]["relativistic"]
    for option in asked["model"].get("init_args", {}):
        if option.endswith("_weight"):
            assert found["model"]["init_args"][option] == asked["model"]["init_args"][option]
    assert differences(found["data"], plain["data"])


def test_differences_are_what_differs_and_nothing_else():
    default = {"a": 1, "b": {"class_path": "X", "init_args": {"p": 1, "q": 2}}, "c": {"d": 3}}
    assert differences(default, default) == {}
    changed = {"a": 1, "b": {"class_path": "X", "init_args": {"p": 1, "q": 5}}, "c": {"d": 3, "e": 4}}
    assert differences(changed, default) == {"b": {"init_args": {"q": 5}}, "c": {"e": 4}}
    other = {"a": 1, "b": {"class_path": "Y", "init_args": {"p": 1}}, "c": {"d": 3}}
    assert differences(other, default) == {"b": other["b"]}


def test_the_command_shows_a_preset_and_flags_win():
    shown = ("train", "--data", "x", "--out", "y", "--print-config", "--preset", "sketch2photo")
    whole = yaml.safe_load(run_here(*shown).stdout)
    assert whole["data"]["derive"]["class_path"].endswith("Sketch")
    assert whole["model"]["init_args"]["l1_weight"] == 100
    flags = ("--batch", 2, "--data.derive", "Canny", "--model.l1_weight", 50)
    words = yaml.safe_load(run_here(*shown, "--diff", *flags).stdout)
    assert words["data"]["batch_size"] == 2
    assert words["data"]["derive"]["class_path"].endswith("Canny")
    assert words["model"] == {"init_args": {"l1_weight": 50.0, "discriminator": {"init_args": {"norm": "instance"}}}}
    faithful = yaml.safe_load(run_here(*shown, "--diff", "--recipe", "faithful").stdout)
    assert faithful["data"]["resize"] == "stretch"
    assert faithful["data"]["derive"]["class_path"].endswith("Sketch")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--preset", "sketch2foto"), "did you mean 'sketch2photo'"),
        (("--preset", "season", "--method", "pix2pix"), "is for cyclegan"),
        (("--preset", "colorize", "--recipe", "fats"), "did you mean 'fast'"),
        (("--preset", "colorize", "--diff"), "add --print-config"),
        (("--recipe", "faithful", "-c", "pix2pix.yaml"), "--method or the --preset"),
        ((), "a --preset"),
        (("-c", "pix2pix.yaml", "--print-config", "--diff"), "give --method or --preset"),
        (("--method", "cyclegan", "--data.derive", "Sketch", "--device", "cpu"), "makes pairs"),
        (("--preset", "sketch2photo", "--data.derive", "Skech"), "did you mean 'Sketch'"),
        (("--preset", "sketch2photo", "--data.derive.gap", "[0,1]"), "did you mean 'gaps'"),
        (("--preset", "sketch2photo", "--to", "photo"), "to photo"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(words, said, tmp_path):
    error = run_here("train", "--data", tmp_path, "--out", tmp_path / "run", *words, code=1).stderr
    assert said in error
    assert error.count("\n") == 1


def test_an_unknown_preset_is_refused_by_the_library_too():
    with pytest.raises(ConfigError, match="unknown"):
        preset_file("nothing")


def test_photos_alone_become_a_translator_that_knows_its_drawings(photos, tmp_path):
    run = tmp_path / "run"
    words = ("--preset", "sketch2photo", "--data", photos, "--out", run, "--images", 8, *TINY_PIX2PIX)
    said = run_here("train", *words)
    assert "sketch -> photo" in said.stdout
    assert "Sketch makes its sketch" in said.stdout
    header = read_header(run)
    assert header["domains"] == ["sketch", "photo"]
    about = header["preprocessing"]
    assert about["derived"]["class_path"].endswith("Sketch")
    assert set(about["drawings"]) == {"lowest", "highest"}
    assert re.search(r"made of the photos by Sketch: \d+% to \d+% ink, lines of", run_here("info", run).stdout)
    run_here("data", "sketch", photos, tmp_path / "drawn")
    run_here("translate", run, tmp_path / "drawn", tmp_path / "out", "--device", "cpu", "--precision", "fp32")
    assert len(list((tmp_path / "out").rglob("*.png"))) == 12


def test_drawings_are_normalised_where_the_translator_was_trained_on_drawings(tmp_path):
    from img2img.checkpoint import TranslatorFile, save_translator
    from img2img.networks.generators.resnet import ResNetGenerator
    from img2img.translate.journal import last_settings
    from tests.test_checkpoint import a_file
    from tests.test_derive import lines, trained_on

    file, _ = a_file(ResNetGenerator, ("sketch:photo",), num_blocks=1)
    file = TranslatorFile({**file.header, "preprocessing": {"drawings": trained_on().plain()}}, file.tensors)
    save_translator(tmp_path / "m.safetensors", file)
    (tmp_path / "in").mkdir()
    for name, pixels in (("clean", lines(3)), ("inverted", 255 - lines(3)), ("thick", lines(11))):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    found = {}
    for switch in ("auto", "off"):
        out = tmp_path / switch
        where = ("--device", "cpu", "--precision", "fp32", "--normalise", switch)
        said = run_here("translate", tmp_path / "m.safetensors", tmp_path / "in", out, *where).stdout
        found[switch] = {path.stem: path.read_bytes() for path in out.glob("*.png")}
        assert ("note: light lines on dark, inverted: inverted.png" in said) == (switch == "auto")
        assert ("line width above that of the training's drawings" in said) == (switch == "auto")
        assert ("drawings" in last_settings(out)) == (switch == "auto")
    assert found["auto"]["clean"] == found["off"]["clean"]
    assert found["auto"]["inverted"] == found["auto"]["clean"]
    assert found["off"]["inverted"] != found["off"]["clean"]


@pytest.mark.parametrize("name", ["colorize", "superres", "restore"])
def test_other_presets_train_on_photos_alone(name, photos, tmp_path):
    tiny = TINY_PIX2PIX if name == "colorize" else TINY_CYCLEGAN
    run = tmp_path / "run"
    said = run_here("train", "--preset", name, "--data", photos, "--out", run, "--images", 4, "--batch", 2, *tiny)
    assert "-> photo on cpu" in said.stdout
    assert "drawings" not in read_header(run)["preprocessing"]
