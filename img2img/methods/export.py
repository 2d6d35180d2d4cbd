"""From a method in training to a translator file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from img2img.checkpoint import TranslatorFile, header_of, save_translator, tensors_of
from img2img.configured import describe
from img2img.errors import ConfigError
from img2img.methods.base import TranslationModule
from img2img.methods.turns import Direction


def directions(domains: tuple[str, str]) -> dict[Direction, str]:
    """Name the directions: ``{"ab": "horse:zebra", "ba": "zebra:horse"}``."""
    a, b = domains
    return {"ab": f"{a}:{b}", "ba": f"{b}:{a}"}


def translator_file(
    module: TranslationModule,
    domains: tuple[str, str],
    preprocessing: Mapping[str, Any],
    summary: Mapping[str, Any],
    formats: Mapping[str, Any] | None = None,
) -> TranslatorFile:
    """Gather averaged and raw weights and everything that is said about them.

    Args:
        module: the method, at any point of its training.
        domains: names of source and target.
        preprocessing: how training images were prepared.
        summary: what to say about the training beyond method, images, batches and seconds.
        formats: of the files, by domain ``a`` and ``b``, see ``ImageData.formats``; by default pictures.
    """
    names = directions(domains)
    raw = {names[d]: g for d, g in module.generators().items()}
    best = {names[d]: g for d, g in module.best_generators().items()}
    training = {
        "method": type(module).__name__,
        "images": module.images,
        "batches": module.batches,
        "seconds": round(module.seconds, 1),
        **summary,
    }
    header = header_of(
        domains, raw, {name: describe(network) for name, network in raw.items()}, preprocessing, training, formats
    )
    tensors: dict[str, Tensor] = {}
    for name, network in raw.items():
        tensors |= tensors_of(name, network, "raw")
        if best[name] is not network:
            tensors |= tensors_of(name, best[name], "ema")
    return TranslatorFile(header, tensors)


def save(
    module: TranslationModule,
    path: str | Path,
    domains: tuple[str, str] = ("a", "b"),
    formats: Mapping[str, Any] | None = None,
) -> None:
    """Write the translator of a method that was trained with a plain Trainer.

    >>> img2img.save(module, "horse2zebra.safetensors", domains=("horse", "zebra"))

    Args:
        module: the trained method.
        path: file to write.
        domains: names of source and target.
        formats: of files that are no plain pictures: ``ImageData.formats`` of a manifest's data.

    Raises:
        ConfigError: for names that cannot be told apart in ``source:target``.
    """
    check_domains(domains)
    save_translator(Path(path), translator_file(module, domains, {}, {}, formats))


def check_domains(domains: tuple[str, str]) -> None:
    """Refuse domain names that are equal, empty, or hold what separates them in files.

    Raises:
        ConfigError: naming the bad one.
    """
    for name in domains:
        if not name or set(name) & set(":/\\"):
            raise ConfigError(f"domain name {name!r}: expected a name without : / and \\")
    if domains[0] == domains[1]:
        raise ConfigError(f"expected two different domain names, got {domains[0]} twice")
