"""Constructor arguments as plain data: the same tree in YAML, checkpoint, translator file and W&B."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Self

from img2img.errors import ConfigError

_LEAST = {
    "num_blocks": 0,
    "num_halvings": 0,
    "num_": 1,
    "base_channels": 1,
    "in_channels": 1,
    "out_channels": 1,
    "channels_": 1,
    "pool_size": 0,
}
"""By the beginnings of names: the least number that an argument of that name can be. A weight is never negative."""


def _check_sizes(arguments: Mapping[str, Any]) -> None:
    """Refuse numbers that would build something else than asked, or nothing, without a word from torch."""
    for name, value in arguments.items():
        least = (
            0 if name.endswith("_weight") else next((n for start, n in _LEAST.items() if name.startswith(start)), None)
        )
        if least is not None and isinstance(value, int | float) and not value >= least:
            raise ValueError(f"{name}: expected {least} or more, got {value}")


class Configured:
    """Mixin that records the bound constructor arguments of an instance as plain data.

    ``describe(instance)`` gives ``{"class_path": ..., "init_args": {...}}``, defaults included, recursively.
    Nothing is pickled: numbers, strings, lists and dicts only.
    """

    _description: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Bind the arguments before ``__init__`` runs; a wrong call is left for ``__init__`` to refuse."""
        self = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(self, *args, **kwargs)
        except TypeError:  # a wrong call (``__init__`` says so next) or copy and pickle, which restore the attribute
            return self
        bound.apply_defaults()
        arguments = dict(list(bound.arguments.items())[1:])
        _check_sizes(arguments)
        description = {"class_path": class_path(cls), "init_args": {k: plain(v) for k, v in arguments.items()}}
        object.__setattr__(self, "_description", description)
        return self


def class_path(cls: type) -> str:
    """Return the public name where there is one (``img2img.CycleGAN``), else the full import path."""
    package = cls.__module__.partition(".")[0]
    exported = getattr(sys.modules.get(package), "__all__", ())
    return f"{package}.{cls.__name__}" if cls.__name__ in exported else f"{cls.__module__}.{cls.__qualname__}"


def describe(part: Any) -> dict[str, Any]:
    """Describe a configured instance, a class, or a ``functools.partial`` of a class.

    Returns:
        ``{"class_path": str, "init_args": dict}`` of plain data.

    Raises:
        TypeError: if the part is none of these.
    """
    if isinstance(part, Configured):
        return part._description  # noqa: SLF001 (the one reader of the record)
    if isinstance(part, type):
        return {"class_path": class_path(part), "init_args": {}}
    if isinstance(part, functools.partial):
        # jsonargparse wraps its factories: the class is then the last positional argument of the partial
        classes = [item for item in (part.func, *part.args) if isinstance(item, type)]
        if len(classes) == 1:
            return {"class_path": class_path(classes[0]), "init_args": plain(part.keywords)}
    raise TypeError(f"expected a class or functools.partial(Class, option=value), got {part!r}")


def plain(value: Any) -> Any:
    """Turn a constructor argument into YAML- and JSON-ready data.

    Raises:
        TypeError: if a value has no plain form (a lambda, an open file, a tensor).
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [plain(v) for v in value]
    return describe(value)


def find_class(path: str, base: type) -> type:
    """Import a class by its path and check its kind; a bare name means one of this package's public names.

    A translator file may come from a stranger, so a package that is not ours is used only when the program has
    already imported it: naming a class in a file never makes this function import foreign code.

    Raises:
        ConfigError: if there is no such class, it is of another kind, or its package has not been imported.
    """
    module_name, _, name = (path if "." in path else f"img2img.{path}").rpartition(".")
    package = module_name.partition(".")[0]
    if package != "img2img" and module_name not in sys.modules:
        raise ConfigError(f"{path} is outside img2img: import {package} first if you trust it, then try again")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError):
        found = None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"expected the name of a {base.__name__}, got {path!r}")
    return found


def find_callable(path: str) -> Callable[..., Any]:
    """Import the longest part of a path that is a module, and take the rest as attributes of it.

    For paths that a user types: whatever they name is imported. See :func:`find_class` for those in files.

    Raises:
        ConfigError: if there is no such class or function.
    """
    names = path.split(".")
    for count in range(len(names) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(names[:count]))
        except ModuleNotFoundError as error:
            if error.name is None or not f"{path}.".startswith(f"{error.name}."):
                raise  # the module is there and something that it needs is not
            continue
        for name in names[count:]:
            found = getattr(found, name, None)
        if callable(found):
            return found  # type: ignore[no-any-return]
        break
    raise ConfigError(f"{path}: no such class or function; expected a full import path, and its package installed")


def factory(description: Mapping[str, Any], base: type) -> functools.partial[Any]:
    """Turn a description back into something to call: the class with its recorded options bound.

    Raises:
        ConfigError: if the class is unknown or does not know one of the options.
    """
    cls = find_class(str(description["class_path"]), base)
    options = dict(description.get("init_args", {}))
    known = inspect.signature(cls).parameters
    for option in options:
        if option not in known:
            raise ConfigError(f"{cls.__name__} has no option {option!r}{nearest(option, known)}")
    made = {
        k: factory(v, Configured) if isinstance(v, Mapping) and "class_path" in v else v for k, v in options.items()
    }
    return functools.partial(cls, **made)


def nearest(word: str, choices: Any) -> str:
    """Return ``"; did you mean 'x'?"`` or, with nothing near, the list of valid choices."""
    names = sorted(str(c) for c in choices)
    near = difflib.get_close_matches(word, names, n=2, cutoff=0.6)
    if near:
        return "; did you mean " + " or ".join(repr(n) for n in near) + "?"
    return "; valid: " + ", ".join(names)
