"""Every shipped config builds; the faithful ones are what the papers say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from img2img.checkpoint import load_translator
from img2img.configured import describe
from img2img.shipped import bundled, method_of, recipe_file, recipes, shipped
from img2img.training.config import differences, resolve
from tests.discover import METHODS

CONFIGS = sorted(shipped("configs").glob("*.yaml"))
DATASETS = sorted(shipped("configs", "datasets").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_builds_and_its_resolved_form_is_the_same(path, tmp_path):
    with torch.device("meta"):
        resolved = resolve(["-c", str(path), "--data.root=x"])
        module, _, _ = resolved.build()
    import yaml

    (tmp_path / "again.yaml").write_text(yaml.safe_dump(resolved.tree))
    again = resolve(["-c", str(tmp_path / "again.yaml")])
    assert again.tree == resolved.tree
    with torch.device("meta"):
        assert describe(again.build()[0]) == describe(module)


@pytest.mark.parametrize("data", DATASETS, ids=lambda p: p.stem)
@pytest.mark.parametrize("method", recipes())
def test_every_data_set_combines_with_every_method(method, data):
    tree = resolve(["-c", str(shipped("configs", f"{method}.yaml")), "-c", str(data), "--data.root=x"]).tree
    assert len(tree["data"]["domains"]) == 2


def test_every_method_has_a_config():
    """One named after its class, with the published recipe; others are configs of one, under names of their own."""
    names = {m.__name__.lower() for m in METHODS} - {"distill"}  # a command of its own, which names its config
    assert names == {method_of(found["default"]) for found in recipes().values()}
    assert all({"default", "faithful"} <= set(recipes()[name]) for name in names)


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_faithful_pix2pix_is_the_published_one():
    with torch.device("meta"):
        module, data, training = resolve(
            ["-c", str(shipped("configs", "pix2pix-faithful.yaml")), "--data.root=x"]
        ).build()
    assert parameters(module.generator) == 54_413_955
    assert parameters(module.discriminator) == 2_768_705
    assert (module.l1_weight, module.optimization.learning_rate, module.optimization.beta1) == (100, 2e-4, 0.5)
    assert (data.preprocessing.load_size, data.preprocessing.size, data.preprocessing.resize) == (
        (286, 286),
        (256, 256),
        "stretch",
    )
    assert (data.batch_size, training.epochs, training.precision) == (1, 200, "fp32")


def test_best_is_fast_and_three_times_as_long():
    fast, best = (resolve(["-c", str(recipe_file("pix2pix", name)), "--data.root=x"]).tree for name in ("fast", "best"))
    assert differences(best, fast) == {"training": {"epochs": 3 * fast["training"]["epochs"]}}


def test_every_change_of_fast_is_one_option_of_the_published_recipe():
    """Set one after the other on the command line of the published recipe, they come to the fast one."""
    words = ["-c", str(recipe_file("pix2pix", "faithful")), "--data.root=x"]
    fast = resolve(["-c", str(recipe_file("pix2pix", "fast")), "--data.root=x"]).tree
    for section in fast:
        arguments = fast["model"]["init_args"] if section == "model" else fast[section]
        before = _section(resolve(words).tree, section)
        changed = differences(arguments, before) | dict.fromkeys(before.keys() - arguments.keys())
        assert changed
        for option, value in changed.items():
            words.append(f"--{section}.{option}={value if isinstance(value, str) else json.dumps(value)}")
    assert resolve(words).tree == fast


def _section(tree, name):
    return tree["model"]["init_args"] if name == "model" else tree[name]


def test_faithful_cyclegan_is_the_published_one():
    with torch.device("meta"):
        module, data, _ = resolve(["-c", str(shipped("configs", "cyclegan-faithful.yaml")), "--data.root=x"]).build()
    assert (
        sum(map(parameters, (module.generator_ab, module.generator_ba, module.discriminator_a, module.discriminator_b)))
        == 28_285_832
    )
    assert (module.cycle_weight, module.identity_weight, module.pool_a.size) == (10, 5, 50)
    assert data.preprocessing.load_size == (286, 286)


def test_seed_and_channels_have_one_owner():
    module, data, _ = resolve(
        ["-c", str(shipped("configs", "demo.yaml")), "--data.root=x", "--training.seed=9", "--data.channels_a=1"]
    ).build()
    assert (module.seed, data.seed, module.channels_a) == (9, 9, 1)
    assert data.paired


def test_the_sample_is_small_licensed_and_paired():
    folder = shipped("datasets", "line2flat")
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 4_000_000
    assert "MIT License" in (folder / "LICENSE").read_text()
    for split in ("train", "val"):
        line, flat = ({p.name for p in (folder / split / d).iterdir()} for d in ("line", "flat"))
        assert line == flat


def test_every_translator_that_ships_is_small_and_is_what_its_page_says():
    """None is there before it has been trained; the page names those that will be."""
    page = shipped("translators", "README.md").read_text()
    for name, path in bundled().items():
        assert f"| `{name}` |" in page
        assert path.stat().st_size <= 8_000_000
        assert load_translator(Path(name)).header["licence"]


def test_no_drawing_of_the_sample_is_a_copy_across_splits():
    from img2img.data.folder import find_layout
    from img2img.data.split import copies

    layout = find_layout([shipped("datasets", "line2flat")], paired=True, domains=["line", "flat"])
    groups = copies(layout.train.a + layout.validation.a)
    count = len(layout.train.a)
    assert not set(groups[:count]) & set(groups[count:])
