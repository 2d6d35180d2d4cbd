"""From a trained translator to the config that distils it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from img2img.checkpoint import find_translator, load_translator
from img2img.configured import describe, find_class, nearest
from img2img.data.folder import find_layout
from img2img.errors import ConfigError
from img2img.methods.base import TranslationModule
from img2img.shipped import shipped

_NOT_OURS = (
    "root",
    "batch_size",
    "workers",
    "cache",
    "strict",
    "augment",
    "paired",
    "seed",
    "channels_a",
    "channels_b",
)
"""Options of the teacher's data that say nothing of how its images looked."""

_SHA256_DIGITS = 12


def distilling_words(
    model: Path,
    data: Sequence[Path],
    to: str | None = None,
    domains: tuple[str, str] | None = None,
    *,
    paired: bool | None = None,
) -> list[str]:
    """Return the words of ``img2img train`` that distil a translator.

    Sizes, resizing and what inputs are made of are the teacher's: those of its run's config, or, of a file alone, of
    its header.

    Args:
        model: the teacher's translator file or run folder.
        data: data folder, or two, one per domain.
        to: domain to translate into; by default that of the teacher's main direction.
        domains: names of the data's domains in its order, where neither the run nor the folders say them.
        paired: whether the images come in pairs; by default as the teacher's method takes them.

    Raises:
        ConfigError: for a translator of anything but plain pictures of their own size, a domain that it does not
            translate into, and domains or pairs that nothing says.
        ModelFileError: if the translator cannot be loaded.
    """
    file = load_translator(model)
    direction = _direction(model, file.directions, to)
    said = file.header["directions"][direction]
    if "columns" in said["input"] or "columns" in said["output"] or said.get("scale", 1) > 1:
        raise ConfigError(
            f"{model}: {direction} is between typed columns (label maps, arrays, several inputs) or enlarges; "
            "distill takes translators of plain pictures that keep their size"
        )
    teacher = describe(file.generator(direction))
    options = {k: v for k, v in teacher["init_args"].items() if k not in {"in_channels", "out_channels"}}
    pairs = _paired(model, file.header["training"]) if paired is None else paired
    values: dict[str, Any] = {
        "model.teacher": {"class_path": teacher["class_path"], "init_args": options},
        "model.weights": str(model),
        "model.direction": direction,
        "model.sha256": str(file.header.get("sha256", ""))[:_SHA256_DIGITS] or None,
        "model.paired": pairs,
        "data.root": [str(one) for one in data] if len(data) > 1 else str(data[0]),
        "data.channels_a": said["input"]["channels"],
        "data.channels_b": said["output"]["channels"],
        **{f"data.{key}": value for key, value in _looks(model, file.header).items()},
        "data.to": direction.split(":")[1],
    }
    if domains is not None:
        values["data.domains"] = list(domains)
    elif "data.domains" not in values:
        values["data.domains"] = _domains(data, direction, paired=pairs)
    if {*values["data.domains"]} != {*direction.split(":")}:
        raise ConfigError(
            f"--domains {' '.join(values['data.domains'])}: the teacher translates {direction}; name these two, in the "
            "order of the data"
        )
    words = [f"--{key}={_word(value)}" for key, value in values.items() if value is not None]
    return ["-c", str(shipped("configs", "distill.yaml")), *words]


def _direction(model: Path, directions: Sequence[str], to: str | None) -> str:
    targets = {direction.split(":")[1]: direction for direction in directions}
    if to is None:
        return directions[0]
    if to not in targets:
        raise ConfigError(f"--to {to}: {model} cannot translate to {to!r}{nearest(to, targets)}")
    return targets[to]


def _paired(model: Path, training: Mapping[str, Any]) -> bool:
    name = str(training.get("method", ""))
    try:
        method = find_class(name, TranslationModule)
    except ConfigError as error:
        raise ConfigError(f"{model}: does not say whether it learnt from pairs: add --paired or --unpaired") from error
    recorded = training.get("config", {}).get("model", {}).get("init_args", {})
    return bool(recorded.get("paired", method.paired))  # type: ignore[attr-defined]  # of a TranslationModule


def _looks(model: Path, header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the data that decide how images look: of the run, or what the file alone says."""
    config = find_translator(model).parent / "config.yaml"
    if model.is_dir() and config.is_file():
        section = yaml.safe_load(config.read_text(encoding="utf-8"))["data"]
        return {key: value for key, value in section.items() if key not in _NOT_OURS and value is not None}
    about = header["preprocessing"]
    found = {key: about[key] for key in ("size", "load_size", "resize") if key in about}
    return found | ({"derive": about["derived"]} if "derived" in about else {})


def _domains(data: Sequence[Path], direction: str, *, paired: bool) -> list[str]:
    """Return the data's domains in its order; guessing might swap them."""
    wanted = direction.split(":")
    domains = find_layout(list(data), paired=paired).domains
    if {*domains} != {*wanted}:
        either = f"--domains {' '.join(wanted)} or --domains {' '.join(wanted[::-1])}"
        raise ConfigError(
            f"the domains of the data are {' and '.join(domains)}, the teacher translates {direction}: say which is "
            f"which, in the order of the data, with {either}"
        )
    return list(domains)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
