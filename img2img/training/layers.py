"""Configs and flags on top of one another: a class that a later one names brings its own options alone."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from img2img.errors import ConfigError

_NAMES = {"-c", "--config"}
_PLAIN = (bool, int, float, str, tuple)


@dataclass(frozen=True)
class Named:
    """A class that configs or flags name.

    Attributes:
        where: ``model.generator``.
        name: as it was written.
        cls: itself.
        default: what the option is where nothing names a class; None where it must be named.
    """

    where: str
    name: str
    cls: type
    default: type | None


def split(words: Sequence[str]) -> tuple[list[Path], list[tuple[str, str]]]:
    """Split ``-c FILE`` and ``--a.b value`` (or ``--a.b=value``) into configs and flags, each in order.

    Returns:
        The files, and of each flag its name without dashes and its value.

    Raises:
        ConfigError: for a word that is no option, or one without a value.
    """
    files, flags, remaining = [], [], list(words)
    while remaining:
        word = remaining.pop(0)
        name, equals, value = word.partition("=")
        if not name.startswith("--") and name not in _NAMES:
            raise ConfigError(f"{word}: expected an option such as --model.cycle_weight 5")
        if not equals:
            if not remaining:
                raise ConfigError(f"{word}: expected a value after it")
            value = remaining.pop(0)
        if name in _NAMES:
            files.append(Path(value))
        else:
            flags.append((name[2:], value))
    return files, flags


def flag_tree(name: str, value: str) -> dict[str, Any]:
    """Return flag ``a.b`` as config ``{"a": {"b": value}}``, the value as it was written unless it is a mapping."""
    tree: Any = yaml.safe_load(value) if value[:1] == "{" else value
    for part in reversed(name.split(".")):
        tree = {part: tree}
    found: dict[str, Any] = tree
    return found


def lay(trees: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Lay configs on top of one another, the last on top."""
    found: dict[str, Any] = {}
    for tree in trees:
        merge(found, copy.deepcopy(dict(tree)))
    return found


def merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Lay a config on top of another, in place; where it names another class, that one's options are gone."""
    for key, value in new.items():
        before = into.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            if class_name(value) not in {None, class_name(before)}:
                into[key] = {}
            merge(into[key], value)
        elif isinstance(value, dict) and isinstance(before, str):
            into[key] = {"class_path": before, **value}
        elif not (isinstance(value, str) and isinstance(before, dict) and class_name(before) == _last(value)):
            into[key] = value


def state_class(tree: dict[str, Any], named: Named) -> None:
    """Make a config name a class, and no option of another class that was there before, in place.

    The parser alone would keep what both call by one name, of an earlier config or of the default class: the ``norm``
    of a U-Net for a ResNet (https://github.com/mauvilsa/jsonargparse/issues/460).

    Args:
        tree: of a config; what it says of the same class stays.
        named: the class and its place.
    """
    node, (*above, key) = tree, named.where.split(".")
    for step in above:
        node = node.setdefault(step, {})
        node = node.setdefault("init_args", {}) if "class_path" in node else node
    before = node.get(key)
    part = before if isinstance(before, dict) else {}
    default = named.default.__name__ if named.default else None
    if (class_name(part) or default) != named.cls.__name__:
        part = {}
    options = (part.get("init_args") or {}) | {k: v for k, v in part.items() if k not in {"class_path", "init_args"}}
    if named.default not in {None, named.cls}:
        for name, parameter in inspect.signature(named.cls).parameters.items():
            if parameter.default is None or isinstance(parameter.default, _PLAIN):
                options.setdefault(name, parameter.default)
    node[key] = {"class_path": named.name, "init_args": options}


def class_name(part: Mapping[str, Any]) -> str | None:
    """Return the name of the class that a part of a config names, without its module; None where it names none."""
    path = part.get("class_path")
    return None if path is None else _last(str(path))


def _last(path: str) -> str:
    return path.rpartition(".")[2]


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
