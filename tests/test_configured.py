"""Constructor arguments as plain data and back."""

from __future__ import annotations

import functools
import json

import pytest

import img2img
from img2img.configured import describe, factory, find_class, nearest
from img2img.errors import ConfigError
from img2img.methods.base import TranslationModule
from img2img.networks.base import Generator


def test_a_method_describes_itself_recursively_with_defaults():
    module = img2img.Pix2Pix(
        generator=functools.partial(img2img.UNetGenerator, depth=5, base_channels=2), l1_weight=7.0
    )
    tree = describe(module)
    assert json.loads(json.dumps(tree)) == tree  # plain data
    assert tree["class_path"] == "img2img.Pix2Pix"
    assert tree["init_args"]["l1_weight"] == 7.0
    assert tree["init_args"]["generator"] == {
        "class_path": "img2img.UNetGenerator",
        "init_args": {"depth": 5, "base_channels": 2},
    }
    assert tree["init_args"]["discriminator"]["class_path"] == "img2img.PatchDiscriminator"
    assert tree["init_args"]["optimization"]["learning_rate"] == 2e-4


def test_what_has_no_plain_form_is_refused():
    with pytest.raises(TypeError, match=r"functools\.partial"):
        img2img.Pix2Pix(generator=lambda i, o: img2img.ResNetGenerator(i, o, num_blocks=1, base_channels=2))


@pytest.mark.parametrize(
    "path", ["subprocess.Popen", "os.system", "img2img.Pix2Pix", "img2img.errors.DataError", "NoSuch", "img2img.NoSuch"]
)
def test_a_file_cannot_name_arbitrary_code(path):
    with pytest.raises(ConfigError):
        find_class(path, Generator)


def test_a_file_never_makes_foreign_code_be_imported(tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="import stranger first"):
        find_class("stranger.Net", Generator)


def test_unknown_options_name_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'num_blocks'"):
        factory({"class_path": "img2img.ResNetGenerator", "init_args": {"num_block": 3}}, Generator)
    assert find_class("CycleGAN", TranslationModule) is img2img.CycleGAN
    assert nearest("xyz", ["a", "b"]) == "; valid: a, b"
