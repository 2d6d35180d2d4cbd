"""Distillation: a student comes nearer to its teacher, is smaller, and is a usual run; and translators by name."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import img2img
from img2img import shipped
from img2img.checkpoint import load_translator, read_header, save_translator
from img2img.data.module import ImageData
from img2img.errors import ConfigError, ModelFileError
from img2img.exchange.compact import compact
from img2img.losses.distillation import feature_distillation
from img2img.methods.judge import Judge
from img2img.methods.optimization import Optimization
from img2img.methods.scoring import evaluating
from img2img.networks.cost import cost
from img2img.networks.places import places_of, watched
from img2img.training import distilled
from img2img.training.distilled import Row, compare, table
from img2img.training.distilling import distilling_words
from tests.conftest import drawing, run_here
from tests.discover import GENERATORS
from tests.test_checkpoint import a_file
from tests.test_methods import SMALL_G, batch_of, build, loader, losses_of, step_at, teacher_file, trainer
from tests.test_networks import small

TINY = (
    "--model.generator.widths=[4,8]",
    "--model.generator.num_blocks=1",
    "--model.discriminator.base_channels=4",
    "--model.discriminator.num_layers=1",
    "--size=32",
    "--batch=2",
    "--data.workers=0",
    "--data.load_size=36",
    "--device=cpu",
    "--precision=fp32",
    "--training.validations=1",
)


def test_the_student_has_an_eighth_of_the_multiplications_of_every_published_generator():
    with torch.device("meta"):
        student = cost(img2img.SeparableGenerator(3, 3).eval(), 256)
        teachers = [img2img.UNetGenerator(3, 3), img2img.UNetGenerator(3, 3, depth=7), img2img.ResNetGenerator(3, 3)]
        assert all(cost(teacher.eval(), 256)[1] >= 8 * student[1] for teacher in teachers)
    convolution = img2img.PixelDiscriminator(3, base_channels=4)  # 1x1: 3 to 4 to 8 to 1 channels, 4 x 4 px
    assert cost(convolution, 4)[1] == 16 * (3 * 4 + 4 * 8 + 8 * 1)


@pytest.mark.parametrize("cls", GENERATORS)
def test_every_generator_has_places_at_matching_resolutions_with_the_stated_channels(cls):
    network = small(cls, 3, 3).eval()
    places = places_of(network)
    assert places
    side = network.fit(64)
    with torch.no_grad(), watched(network, places) as features:
        network(torch.zeros(1, 3, side, side))
    assert {name: f.shape[1] for name, f in features.items()} == {name: p.channels for name, p in places.items()}
    assert all(side // f.shape[-1] == int(name.partition("/")[2]) for name, f in features.items())
    with torch.no_grad():  # nothing is kept, and nothing watched, once the block has ended
        kept = dict(features)
        network(torch.ones(1, 3, side, side))
    assert all(features[name] is f for name, f in kept.items())


def test_places_are_the_last_layer_before_the_resolution_changes():
    found = {name: place.layer for name, place in places_of(img2img.ResNetGenerator(3, 3, 2, 4)).items()}
    # ReLU of the first halving; the second residual block; ReLU of the first doubling
    assert found == {"down/2": "layers.5", "up/4": "layers.10", "up/2": "layers.13"}


def test_the_loss_of_features_is_0_for_the_teachers_own_and_1_for_their_mean_at_any_scale():
    features = torch.randn(2, 3, 8, 8)
    for scale in (1.0, 1000.0):
        wanted = {"up/4": scale * features}
        assert feature_distillation(wanted, wanted) == 0
        mean = {"up/4": (scale * features).mean((1, 2, 3), keepdim=True).expand_as(features)}
        assert feature_distillation(wanted, mean).item() == pytest.approx(1)
    larger = torch.nn.functional.pad(features, (0, 4, 0, 2), value=9.0)  # mirrored up further than the other
    assert feature_distillation({"a": larger}, {"a": features}) == 0


def distance(module):
    with torch.no_grad(), evaluating(module):
        images = module.generate(batch_of(), step_at())
    return (images.fake - images.taught).abs().mean().item()


@pytest.mark.parametrize("teacher", sorted(SMALL_G))
def test_a_student_comes_nearer_to_any_teacher_and_leaves_it_as_it_is(teacher):
    optimization = Optimization(learning_rate=5e-3, init="xavier", init_gain=1.0)
    module = build(
        img2img.Distill,
        "SeparableGenerator",
        **teacher_file(teacher),
        optimization=optimization,
        adversarial_weight=0.0,
    )
    module.setup("fit")
    taught = module._teacher[0]
    before = {name: tensor.clone() for name, tensor in taught.state_dict().items()}
    first = distance(module)
    trainer(max_epochs=4).fit(module, loader(8, batch_size=2))
    assert distance(module) < 0.8 * first
    assert all(torch.equal(before[name], tensor) for name, tensor in taught.state_dict().items())
    assert not any("teacher" in name for name in module.state_dict())
    assert not taught.training


def test_every_weight_is_a_loss_and_0_takes_it_out():
    module = build(img2img.Distill, target_weight=1.0)
    weights = {"output": "output_weight", "l1": "target_weight", "features": "feature_weight"}
    weights["adversarial"] = "adversarial_weight"
    found = losses_of(module, 0.5)
    assert set(found["generator"]) == {f"generator/{name}" for name in weights}
    for name, option in weights.items():
        module = build(img2img.Distill, **{"target_weight": 1.0, option: 0.0})
        found = losses_of(module, 0.5)
        assert set(found["generator"]) == {f"generator/{other}" for other in weights if other != name}
        assert bool(found["discriminator"]) == (name != "adversarial")


def test_without_pairs_the_teachers_translation_is_the_real_one(monkeypatch):
    seen = []
    monkeypatch.setattr(Judge, "fool", lambda j, d, real, *_: seen.append(real) or {"adversarial": real.sum()})
    for paired in (True, False):
        module = build(img2img.Distill, paired=paired)
        batch, step = batch_of(), step_at()
        images = module.generate(batch, step)
        module.turn(module.players()[1], batch, images, step)
        assert torch.equal(seen.pop(), batch.b if paired else images.taught)


REFUSED = [
    ({"paired": False, "target_weight": 1.0}, ValueError, "no targets"),
    ({"weights": None}, ConfigError, "expected the teacher's translator file"),
    ({"sha256": "0123"}, ConfigError, "begun with"),
    ({"direction": "a:c"}, ConfigError, "does not translate a:c"),
    ({"teacher": functools.partial(img2img.UNetGenerator, depth=5)}, ConfigError, "another than --model.teacher"),
]


@pytest.mark.parametrize(("options", "error", "words"), REFUSED)
def test_refuses(options, error, words):
    with pytest.raises(error, match=words):
        build(img2img.Distill, **{**teacher_file(), **options}).setup("fit")


def test_the_command_trains_continues_and_compares(pairs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file, _ = a_file(dropout=0.0)
    file.header["training"]["method"] = "Pix2Pix"
    save_translator(Path("teacher.safetensors"), file)
    asked = []  # what it prints is tested below; here it would take six processes
    monkeypatch.setattr(distilled, "compare", lambda *given: asked.append(given) or [Row("parameters", 800, 100)])
    words = ("distill", "teacher.safetensors", "--data", pairs, "--out", "small", *TINY, "--rounds=1", "--compared=2")
    said = run_here(*words, "--images=8").stdout
    assert "validation at 8 images" in said
    again = run_here(*words, "--images=12").stdout  # longer, so it goes on
    assert "12 images" in again
    assert "8.0 times fewer" in again
    assert asked[1][:3] == (Path("teacher.safetensors"), Path("small"), "line:colour")
    assert asked[1][4:] == (2, 1)
    header = read_header(Path("small"))
    assert list(header["directions"]) == ["line:colour"]
    assert header["directions"]["line:colour"]["generator"]["class_path"] == "img2img.SeparableGenerator"
    # another teacher under the same name is noticed
    file.tensors.update({name: tensor + 1 for name, tensor in file.tensors.items()})
    save_translator(Path("teacher.safetensors"), file)
    assert "other options" in run_here(*words, "--images=16", code=1).stderr


def words_of(model, *data, **options):
    words = distilling_words(model, data, **options)
    return dict(word[2:].split("=", 1) for word in words if "=" in word)


def test_domains_pairs_and_looks_are_the_teachers(model, unpaired, pairs, tmp_path):
    file = load_translator(model)
    file.header["training"]["method"] = "CycleGAN"
    file.header["preprocessing"] = {"size": [32, 32], "load_size": [40, 40], "resize": "stretch"}
    save_translator(model, file)
    found = words_of(model, pairs, to="line")
    assert (found["data.domains"], found["data.to"], found["model.paired"]) == ('["colour", "line"]', "line", "false")
    assert (found["data.size"], found["data.resize"]) == ("[32, 32]", "stretch")
    assert found["model.direction"] == "colour:line"
    with pytest.raises(ConfigError, match="say which is which, in the order of the data"):
        words_of(model, unpaired)
    assert words_of(model, unpaired, domains=("colour", "line"))["data.domains"] == '["colour", "line"]'
    with pytest.raises(ConfigError, match="name these two"):
        words_of(model, unpaired, domains=("a", "b"))
    with pytest.raises(ConfigError, match="cannot translate to 'pencil'"):
        words_of(model, pairs, to="pencil")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda header: header["training"].clear(), "add --paired or --unpaired"),
        (lambda header: header["directions"]["line:colour"]["input"].update(columns=[]), "plain pictures"),
        (lambda header: header["directions"]["line:colour"].update(scale=4), "plain pictures"),
    ],
)
def test_what_cannot_be_distilled_is_refused_in_one_line(model, pairs, change, words):
    file = load_translator(model)
    change(file.header)
    save_translator(model, file)
    with pytest.raises(ConfigError, match=words) as refused:
        words_of(model, pairs)
    assert "\n" not in str(refused.value)


def test_the_table_says_how_much_worse_and_never_of_a_score_below_0():
    assert Row("l1", 0.2, 0.21, "lower").gap == pytest.approx(0.05)
    assert Row("ssim", 0.5, 0.4, "higher").gap == pytest.approx(0.2)
    assert Row("rkid", -0.1, 0.2, "lower").gap is None
    lines = table([Row("parameters", 800, 100), Row("images/s", 2.0, 9.0), Row("l1", 0.2, 0.21, "lower")])
    assert "8.0 times fewer" in lines[1]
    assert "4.5 times as many" in lines[2]
    assert "5.0% worse" in lines[3]


def test_a_translator_compared_with_itself_has_no_gap(model, pairs):
    data = ImageData(str(pairs), paired=True, domains=["line", "colour"], size=32, load_size=32, workers=0)
    data.setup()
    rows = compare(model, model, "line:colour", data, 2, 1)
    names = ["parameters", "multiplications at 256 px", "bytes of the file", "images/s", "l1", "ssim", "rkid"]
    assert sorted(row.name for row in rows) == sorted(names)
    assert all(row.teacher == row.student for row in rows if row.name != "images/s")


# Small files, and names that ship


def test_a_compact_file_translates_alike_at_a_quarter_of_the_size(tmp_path):
    file, _ = a_file(base_channels=16)
    paths = tmp_path / "whole.safetensors", tmp_path / "small.safetensors"
    file.tensors.update({name.replace("/raw/", "/ema/"): tensor for name, tensor in file.tensors.items()})
    save_translator(paths[0], file)
    said = run_here("export", paths[0], paths[1]).stdout
    assert "line -> colour, translator in half precision" in said
    assert paths[1].stat().st_size < 0.3 * paths[0].stat().st_size
    drawn = drawing(0)[0]
    one, other = (np.asarray(img2img.load(path, precision="fp32")(drawn), float) for path in paths)
    assert abs(one - other).mean() <= 0.1  # of 255 levels; the weights are of noise, which amplifies
    assert {p.dtype for p in load_translator(paths[1]).generator("line:colour").parameters()} == {torch.float32}
    assert "weights: ema" in run_here("info", paths[1]).stdout
    assert "leave them out" in run_here("export", paths[0], paths[1], "--seed=1", code=1).stderr
    name = next(name for name, tensor in file.tensors.items() if tensor.ndim > 1)
    file.tensors[name.replace("/raw/", "/ema/")][0] = 1e6
    with pytest.raises(ModelFileError, match="65,504"):
        compact(file, "line:colour")


def test_a_translator_that_ships_is_found_by_name(model, tmp_path, monkeypatch):
    shelf = tmp_path / "shelf"
    (shelf / "translators").mkdir(parents=True)
    (shelf / "translators" / "sketchy.safetensors").write_bytes(model.read_bytes())
    monkeypatch.setattr(shipped, "shipped", shelf.joinpath)
    monkeypatch.chdir(tmp_path)
    assert "line -> colour" in run_here("info", "sketchy").stdout
    drawing(0)[0].save("a.png")
    run_here("translate", "sketchy", "a.png", "out")
    with Image.open(next(Path("out").glob("*.png"))) as made:
        assert made.size == (48, 40)
    assert "by name there is sketchy" in run_here("info", "sketch", code=1).stderr
    with pytest.raises(ModelFileError, match="no such translator"):
        load_translator(Path("elsewhere/sketchy"))
