"""Configs on top of one another: a class that a later one names brings its own options alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from img2img.errors import ConfigError

_NAMES = {"-c", "--config"}


def without_replaced(words: Sequence[str]) -> list[str]:
    """Take out of each config what a later one replaces by another class, which the parser would keep in part.

    It takes over every option that both classes know by one name: the ``norm`` that the first config chose for a U-Net
    would become that of the later one's ResNet.

    Args:
        words: ``-c FILE`` and ``--a.b value``.

    Returns:
        The words, with the text of a config that was changed in place of its file.
    """
    kept = list(words)
    places = [
        (number, word.partition("=")[2]) if "=" in word else (number + 1, kept[number + 1])
        for number, word in enumerate(kept)
        if word.partition("=")[0] in _NAMES and ("=" in word or number + 1 < len(kept))
    ]
    trees = [read_yaml(Path(file)) for _, file in places]
    for number, (place, _) in enumerate(places):
        left = trees[number]
        for later in trees[number + 1 :]:
            left = _without(left, later)
        if left != trees[number]:
            start = "--config=" if kept[place].partition("=")[0] in _NAMES else ""
            kept[place] = start + json.dumps(left)
    return kept


def _without(earlier: dict[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Return an earlier config without the options of what a later one names by another class."""
    found = dict(earlier)
    for key, before in earlier.items():
        after = later.get(key)
        if not isinstance(before, dict) or not isinstance(after, dict | str):
            continue
        now = class_name(after if isinstance(after, dict) else {"class_path": after})
        if class_name(before) is not None and now not in {None, class_name(before)}:
            found[key] = {"class_path": before["class_path"]}
        elif isinstance(after, dict):
            found[key] = _without(before, after)
    return found


def class_name(part: Mapping[str, Any]) -> str | None:
    """Return the name of the class that a part of a config names, without its module; None where it names none."""
    path = part.get("class_path")
    return None if path is None else str(path).rpartition(".")[2]


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a config file.

    Raises:
        ConfigError: naming the file, if it cannot be read or is no config.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"-c {path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"-c {path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"-c {path}: expected sections model, data and training, got {type(tree).__name__}")
    return tree
