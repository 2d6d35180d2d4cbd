"""Recipes and their ablation: each arm is what it says, and the verdict on a part follows from its pairs."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
from dataclasses import replace

import pytest
import torch
import yaml

from img2img.evaluate.extractors import random_extractor
from img2img.training.config import differences, resolve
from tests.conftest import ROOT, TINY_CYCLEGAN, TINY_PIX2PIX, run_here
from tests.discover import DISCRIMINATORS, GENERATORS


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[name] = module  # where its dataclasses look for their own annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ablate():
    return script("ablate")


def config_of(words):
    method, recipe = (words[words.index(option) + 1] for option in ("--method", "--recipe"))
    return resolve(["-c", str(ROOT / "configs" / f"{method}-{recipe}.yaml"), "--data.root=x", *words[4:]])


ENCO = ("content", "content_weight", "sampling", "identity", "identity_weight")
PARTS = {
    "pix2pix": {
        "without generator": {"generator"},
        "without discriminator": {"discriminator", "feature_matching_weight"},
        "without game": {"critic", "discriminator"},
        "without error": {"l1_weight", "num_l1_scales", "adversarial_from"},
        "without optimisation": {"optimization"},
        "published schedule": {"optimization"},
        "instance norm": {"critic", "discriminator"},
        "spectral norm": {"critic", "discriminator"},
        "larger discriminator": {"discriminator"},
        "one scale": {"discriminator", "feature_matching_weight"},
    },
    "cut": {
        "with source": {"generator"},
        "without identity": {"identity_weight"},
        "without spectral norm": {"discriminator"},
        "with source and consistency": {"generator", *ENCO},
        "without optimisation": {"optimization"},
        "without augmentation": {"critic"},
    },
}
"""What each arm changes of the recipe."""


@pytest.fixture(scope="module", params=[1, 2])
def built(request, ablate):
    """The arms of both methods, by method and name, with whole networks and with narrow ones."""
    found = {
        method: {name: config_of(words) for name, words in ablate.arms(method, 64, 4, request.param).items()}
        for method in PARTS
    }
    for resolved in (one for of in found.values() for one in of.values()):
        with torch.device("meta"):
            resolved.build()
    return found, request.param


@pytest.mark.parametrize("method", PARTS)
def test_every_arm_builds_and_differs_from_fast_in_its_part_alone(ablate, built, method):
    found = dict(built[0][method])
    whole = found.pop(ablate.WHOLE).tree
    assert set(found) - {"cyclegan"} == {*PARTS[method], "faithful"}
    assert {*found, *ablate.ARMS_WITHOUT_TRAINING} <= set(ablate.ABOUT)
    for name, parts in PARTS[method].items():
        assert set(differences(found[name].tree, whole)["model"]["init_args"]) == parts, name
    moves = found["without optimisation"].tree["model"]["init_args"]["optimization"]
    assert not {"rate_for_batch", "clip_norm"} & {name for name, value in moves.items() if value is not None}


def test_arms_put_back_what_was_published(built):
    of_methods, narrow = built
    paired, unpaired = (
        {name: one.tree["model"]["init_args"] for name, one in of_methods[method].items()} for method in PARTS
    )
    for name in ("generator", "discriminator"):
        assert paired[f"without {name}"][name] == paired["faithful"][name]
    enco = yaml.safe_load((ROOT / "configs" / "cut-enco.yaml").read_text())["model"]["init_args"]
    for name in ENCO:
        assert unpaired["with source and consistency"][name] == enco[name] != unpaired["fast"][name], name
    without_average = paired["published schedule"]["optimization"] | {"average": False}
    assert without_average == paired["without optimisation"]["optimization"]
    widths = {one["generator"]["init_args"]["base_channels"] for one in unpaired.values()}
    assert widths == {64 // narrow}


@pytest.mark.parametrize("file", sorted((ROOT / "configs" / "datasets").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_data_set_leaves_the_length_of_a_training_to_the_recipe(file):
    assert set(yaml.safe_load(file.read_text())) == {"data"}


def rows_of(arm, values):
    return [
        {"arm": arm, "seed": s, "l1": v, "rkid": v, "images": 10, "updates": 5, "minutes": 1}
        for s, v in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ((0.40, 0.41, 0.42), "keep"),  # each pair gains 0.1, whatever the seeds do
        ((0.20, 0.21, 0.22), ": drop"),
        ((0.30, 0.40, 0.25), "not shown: drop"),
        ((0.40,), "one seed decides nothing"),
    ],
)
def test_a_part_is_kept_where_it_wins_twice_the_deviation_of_its_pairs(ablate, others, verdict):
    rows = [*rows_of("fast", (0.30, 0.31, 0.32)), *rows_of("without game", others)]
    line = next(line for line in ablate.table(rows).splitlines()[::-1] if line.startswith("| without game"))
    assert line.count(verdict) == 2


def test_an_arm_that_is_done_is_not_trained_again_and_other_options_are_refused(ablate, tmp_path, monkeypatch):
    plan = ablate.Plan(tmp_path, ("--images", "4"), ("--data", "x"))
    trained = []

    def run(command, **_):
        trained.append(command)
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(ablate.subprocess, "run", run)
    monkeypatch.setattr(
        ablate,
        "score",
        lambda _, inception, split: {"split": split, "l1": 0.5, **({"kid": 9, "fid": 9} if inception else {})},
    )
    first = ablate.measure(plan, "fast", ["--recipe", "fast"], 1)
    assert ablate.measure(plan, "fast", ["--recipe", "fast"], 1) == first
    assert len(trained) == 1
    seeing = replace(plan, inception=("stands for it",))
    with_kid = ablate.measure(seeing, "fast", ["--recipe", "fast"], 1)
    assert with_kid == first | {"kid": 9, "fid": 9} == ablate.measure(plan, "fast", ["--recipe", "fast"], 1)
    assert len(trained) == 1, "what a finished run's scores lack is made without training it again"
    assert trained[0][-4:] == ["--seed", "1", "--out", str(tmp_path / "fast-1")]
    with pytest.raises(SystemExit, match="other options"):
        ablate.measure(plan, "fast", ["--recipe", "best"], 1)


def test_a_run_is_scored_by_what_its_translator_makes_of_the_held_out_images(ablate, pairs, tmp_path):
    run_here("train", "--data", pairs, "--method", "pix2pix", *TINY_PIX2PIX, "--images=30", "--out", tmp_path / "run")
    inception = replace(random_extractor(torch.device("cpu")), name="inception", prefix="")  # no weights here
    of_run = ablate.score(tmp_path / "run", [inception])
    of_sources = ablate.score(tmp_path / "run", [inception], copying=True)
    assert of_run.keys() == of_sources.keys() == {*ablate.METRICS, "split", "held_out", "updates", "images"} - {"lost"}
    assert all(of_run[name] != of_sources[name] for name in ablate.METRICS.keys() & of_run.keys())
    assert 0 < of_sources["l1"] < 1, "of images in [-1, 1]"
    last = ablate.score(tmp_path / "run", weights="raw")
    assert last["l1"] != of_run["l1"], "weights as they are in place of their average"


def test_an_unpaired_run_is_scored_on_every_image_once(ablate, photos, tmp_path):
    data = tmp_path / "data"
    files = iter(sorted(photos.rglob("*.png")))
    for name, count in {"trainA": 2, "trainB": 2, "testA": 3, "testB": 5}.items():
        (data / name).mkdir(parents=True)
        for file in itertools.islice(files, count):
            shutil.copy(file, data / name)
    run_here("train", "--data", data, "--method", "cyclegan", *TINY_CYCLEGAN, "--images=2", "--out", tmp_path / "run")
    of_sources = ablate.score(tmp_path / "run", copying=True, split="test")
    assert of_sources["held_out"] == 3, "a loader goes through the larger folder"
    assert of_sources["lost"] == 0
    assert "l1" not in of_sources


def test_the_document_of_networks_is_what_the_script_prints_and_names_them_all():
    made = script("network_table").document()
    assert (ROOT / "docs" / "networks.md").read_text() == made, "python scripts/network_table.py > docs/networks.md"
    for cls in (*GENERATORS, *DISCRIMINATORS):
        assert f"`{cls.__name__}`" in made
