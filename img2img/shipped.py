"""Where configs, sample, translators and as-published loop are: inside the wheel, or beside the package in a clone."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from img2img.configured import nearest
from img2img.errors import ConfigError

_AS_PUBLISHED = ("default", "faithful")
_TOGETHER = ("generator", "discriminator", "adversarial", "critic", "optimization")


def shipped(*parts: str) -> Path:
    """Return a file or folder that ships with the package, such as ``shipped("configs", "pix2pix.yaml")``."""
    package = Path(__file__).parent
    for root in (package / "_shipped", package.parent):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise ConfigError(f"{'/'.join(parts)}: does not ship with this installation of img2img")


def recipes() -> dict[str, dict[str, Path]]:
    """List the shipped configs: method, then recipe (``configs/METHOD.yaml`` is the default one), to file."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(shipped("configs").glob("*.yaml")):
        method, _, recipe = path.stem.partition("-")
        found.setdefault(method, {})[recipe or "default"] = path
    for own in ("demo", "bundled", "distill"):  # of one data set and time, or of a command of its own
        found.pop(own, None)
    return found


def bundled() -> dict[str, Path]:
    """List the translators that ship with the package, by the name that stands for them where a file is asked for."""
    try:
        return {path.stem: path for path in sorted(shipped("translators").glob("*.safetensors"))}
    except ConfigError:
        return {}


def presets() -> dict[str, Path]:
    """List the shipped presets: settings for a task, on top of a method's config."""
    return {path.stem: path for path in sorted(shipped("configs", "presets").glob("*.yaml"))}


def preset_file(name: str) -> Path:
    """Return the config of a preset.

    Raises:
        ConfigError: naming the nearest.
    """
    known = presets()
    if name not in known:
        raise ConfigError(f"--preset {name}: unknown{nearest(name, known)}")
    return known[name]


def method_of(preset: Path) -> str:
    """Return the method that a preset is for: the class that its section ``model`` names, in small letters."""
    tree = yaml.safe_load(preset.read_text(encoding="utf-8"))
    return str(tree["model"]["class_path"]).rpartition(".")[2].lower()


def shipped_words(method: str, recipe: str, preset: str | None) -> list[str]:
    """Return the words of ``img2img train`` that stand for a recipe and a preset.

    A preset says what a task changes in its method's default recipe. A recipe of another kind than the published one
    (``fast``) brings networks, discriminators' judgement and optimisation that belong together: those stay the
    recipe's, and the data and the weights of the losses are the preset's.
    """
    recipe_path = recipe_file(method, recipe)
    words = ["-c", str(recipe_path)]
    if preset is None:
        return words
    words += ["-c", str(preset_file(preset))]
    if recipe not in _AS_PUBLISHED:
        arguments = yaml.safe_load(recipe_path.read_text(encoding="utf-8"))["model"]["init_args"]
        kept = {part: arguments[part] for part in _TOGETHER if part in arguments}
        words += [f"--model.{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in kept.items()]
    return words


def config_file(path: Path) -> Path:
    """Return a config file: as given, or by the name under which it ships (``configs/datasets/facades.yaml``)."""
    if path.exists() or path.is_absolute():
        return path
    parts = path.parts[1:] if path.parts[:1] == ("configs",) else path.parts
    ours = shipped("configs").joinpath(*parts)
    return ours if ours.is_file() else path


def recipe_file(method: str, recipe: str) -> Path:
    """Return the config of a method and recipe.

    Raises:
        ConfigError: naming the nearest methods or recipes.
    """
    known = recipes()
    if method not in known:
        raise ConfigError(f"--method {method}: unknown{nearest(method, known)}")
    if recipe not in known[method]:
        raise ConfigError(f"--recipe {recipe}: {method} has none of that name{nearest(recipe, known[method])}")
    return known[method][recipe]
