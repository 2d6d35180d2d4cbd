"""A class that a config or a flag names brings its own options, whatever stood there before."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import yaml

import img2img
from img2img.networks.base import Discriminator, Generator
from img2img.networks.frozen.base import FeatureNetwork
from img2img.shipped import shipped
from img2img.training.config import resolve
from tests.discover import DISCRIMINATORS, FROZEN, GENERATORS


@pytest.mark.parametrize("said", ["config", "flag", "class_path", "mapping"])
def test_another_class_brings_its_own_options(tmp_path, said):
    """Those of a U-Net are not those of a ResNet, nor where both know them by one name, such as norm and dropout."""
    path = tmp_path / "resnet.yaml"
    path.write_text("model: {init_args: {generator: {class_path: img2img.ResNetGenerator}}}")
    words = {
        "config": ["-c", str(path)],
        "flag": ["--model.generator=ResNetGenerator"],
        "class_path": ["--model.generator.class_path=img2img.ResNetGenerator"],
        "mapping": ['--model.generator={"class_path": "ResNetGenerator"}'],
    }[said]
    tree = resolve(["-c", str(shipped("configs", "pix2pix-fast.yaml")), *words, "--data.root=x"]).tree
    assert _stated(tree["model"]["init_args"]["generator"]) == _own(img2img.ResNetGenerator)
    assert tree["model"]["init_args"]["l1_weight"] == 75, "all else is the recipe's"


@pytest.mark.parametrize("cls", [*GENERATORS, *DISCRIMINATORS, *FROZEN], ids=lambda c: c.__name__)
def test_every_class_named_by_a_flag_is_as_its_own_page_says(cls):
    kinds = {"generator": Generator, "discriminator": Discriminator, "perceptual": FeatureNetwork}
    option = next(name for name, kind in kinds.items() if issubclass(cls, kind))
    words = ["-c", str(shipped("configs", "pix2pix-faithful.yaml")), "--data.root=x"]
    before, found = (
        resolve([*words, *more]).tree["model"]["init_args"][option]
        for more in ([], [f"--model.{option}={cls.__name__}"])
    )
    if before["class_path"].endswith(f".{cls.__name__}"):
        assert found == before, "the same class keeps what the recipe says of it"
    else:
        assert _stated(found) == _own(cls)


@pytest.mark.parametrize("first", [0, 1])
def test_options_of_a_class_may_stand_before_or_behind_it(first):
    words = ["--model.generator.num_blocks=4", "--model.generator=ResNetGenerator"]
    words = [words[first], words[1 - first]]
    tree = resolve(["-c", str(shipped("configs", "pix2pix.yaml")), "--data.root=x", *words]).tree
    assert _stated(tree["model"]["init_args"]["generator"]) == _own(img2img.ResNetGenerator) | {"num_blocks": 4}


def test_options_of_the_default_class_go_with_it(tmp_path):
    """A config may say options without a class; they are those of the default."""
    path = tmp_path / "wide.yaml"
    path.write_text("model: {class_path: Pix2Pix, init_args: {generator: {base_channels: 32, norm: batch}}}")
    words = ["-c", str(path), "--data.root=x"]
    assert resolve(words).tree["model"]["init_args"]["generator"]["init_args"]["base_channels"] == 32
    found = resolve([*words, "--model.generator=ResNetGenerator"]).tree["model"]["init_args"]["generator"]
    assert _stated(found) == _own(img2img.ResNetGenerator)


@pytest.mark.parametrize("written", ["UNetGenerator", "{class_path: img2img.UNetGenerator}"])
def test_the_same_class_in_a_later_config_keeps_its_options(tmp_path, written):
    path = tmp_path / "same.yaml"
    path.write_text(f"model: {{init_args: {{generator: {written}}}}}")
    words = ["-c", str(shipped("configs", "bundled.yaml"))]  # a U-Net, and none of the default size
    found, plain = (resolve([*words, *more, "--data.root=x"]).tree["model"] for more in (["-c", str(path)], []))
    assert found == plain
    assert found["init_args"]["generator"]["init_args"]["base_channels"] == 22


@pytest.mark.parametrize("path", sorted(shipped("configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_what_a_shipped_config_does_not_say_of_a_class_is_the_classs_own(path):
    """pix2pixHD's generator had the dropout and the padding of pix2pix's U-Net, the default of a method it shares."""
    given = yaml.safe_load(path.read_text(encoding="utf-8"))["model"]["init_args"]
    tree = resolve(["-c", str(path), "--data.root=x"]).tree["model"]["init_args"]
    for option in ("generator", "discriminator"):
        if option in given:
            found, said = tree[option], given[option].get("init_args", {})
            cls = getattr(img2img, found["class_path"].rpartition(".")[2])
            assert _stated(found) == _own(cls) | said


def _own(cls: type) -> dict[str, object]:
    """Return the options that a class has by itself, those of None left out, as a saved config leaves them out."""
    defaults = {name: one.default for name, one in inspect.signature(cls).parameters.items()}
    plain = {k: v for k, v in defaults.items() if isinstance(v, bool | int | float | str | tuple)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}


def _stated(part: dict[str, Any]) -> dict[str, object]:
    return {k: v for k, v in part["init_args"].items() if v is not None and not isinstance(v, dict)}
