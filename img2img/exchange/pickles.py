"""Weights of other programs, out of files that could run code: read as tensors and plain values, or not at all."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from img2img.configured import nearest
from img2img.errors import ModelFileError

Tensors = dict[str, Tensor]
"""Tensors by name, in the order of the file."""

_MAX_DEPTH = 4
"""Mappings in mappings that are looked into: {"state_dict": {...}} and the like."""


def read_networks(path: Path, key: str | None = None) -> dict[str, Tensors]:
    """Read every group of named tensors of a PyTorch file.

    Args:
        path: ``.pth``, ``.pt`` or ``.ckpt``, of ``torch.save``, in today's format (a zip) or the one before 1.6.
        key: take the tensors under this name alone (``netG_A``), or those whose names begin with it.

    Returns:
        By the name of the mapping that holds them ("" for the outermost) the tensors; optimizers left out.

    Raises:
        ModelFileError: if it is missing, damaged, holds no tensors, or holds anything that could run code.
    """
    content = _content(path)
    if not isinstance(content, Mapping):
        raise ModelFileError(f"{path}: expected named tensors (a state_dict), got {_article(type(content).__name__)}")
    groups = {name: group for name, group in _groups(content, "", _MAX_DEPTH) if "optim" not in name.lower()}
    if not groups:
        raise ModelFileError(f"{path}: expected named tensors (a state_dict), got none; keys: {_some(content)}")
    if key is None:
        return groups
    chosen = {}
    for name, group in groups.items():
        if name == key:
            chosen[name] = group
        elif begins := {n.removeprefix(f"{key}."): t for n, t in group.items() if n.startswith(f"{key}.")}:
            chosen[f"{name}.{key}".lstrip(".")] = begins
    if not chosen:
        names = {n for n in groups if n} | {n.partition(".")[0] for group in groups.values() for n in group}
        raise ModelFileError(f"{path}: holds nothing under {key!r}{nearest(key, names)}")
    return chosen


def _content(path: Path) -> Any:
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file")
    with path.open("rb") as file:
        start = file.read(4)
    # a zip, or a pickle of protocol 2 or later; anything else is not even handed to the unpickler
    if start != b"PK\x03\x04" and start[:1] != b"\x80":
        raise ModelFileError(f"{path}: not a PyTorch file; expected what torch.save wrote (.pth, .pt, .ckpt)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on the age of the format
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f" ({found[1]})" if found else ""
        raise ModelFileError(
            f"{path}: holds more than tensors{what}, which could run code, so nothing of it was run or read; "
            "ask its author for a state_dict"
        ) from error
    except Exception as error:  # a damaged file makes readers of zips and pickles raise every kind of error
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ModelFileError(f"{path}: damaged, truncated or not a file of tensors ({reason})") from error


def _groups(content: Mapping[Any, Any], name: str, depth: int) -> Iterator[tuple[str, Tensors]]:
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if tensors:
        yield name, tensors
    if depth:
        for key, value in content.items():
            if isinstance(value, Mapping):
                yield from _groups(value, f"{name}.{key}".lstrip("."), depth - 1)


def _some(names: Mapping[Any, Any]) -> str:
    return ", ".join(str(name) for name in list(names)[:8]) or "none"


def _article(word: str) -> str:
    return f"an {word}" if word[:1].lower() in "aeiou" else f"a {word}"
