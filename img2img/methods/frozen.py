"""Frozen networks: found, checked and loaded when a training begins."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
from pathlib import Path

import torch
from torch import nn

from img2img.errors import ConfigError
from img2img.networks.discriminators.projected import ProjectedDiscriminator
from img2img.networks.frozen.base import FeatureNetwork


def load_backbones(method: nn.Module) -> None:
    """Give the networks that discriminators look through their weights.

    Raises:
        ConfigError: see :func:`load_frozen`.
    """
    for name, part in method.named_modules():
        if isinstance(part, ProjectedDiscriminator):
            second = name.endswith("projected")  # of a judge; else it is the method's own
            option = "critic.projected_weight" if second else "discriminator ProjectedDiscriminator"
            load_frozen(part.backbone, option, "critic.projected_file" if second else "discriminator.backbone.weights")


def load_frozen(network: FeatureNetwork, option: str, place: str = "perceptual.weights") -> FeatureNetwork:
    """Give a frozen network its weights.

    Args:
        network: as it was built.
        option: that asks for it, for the message.
        place: the one that names the file.

    Returns:
        It, in evaluation mode; no gradient reaches its weights, but one goes through it to what it is shown.

    Raises:
        ConfigError: if there is no such file or it is another one, in one line that says what to put where.
    """
    path = next((place for place in _places(network) if place.is_file()), None)
    if path is None:
        looked = ", ".join(map(str, _places(network))) or f"Python package {network.package[0]}, which is not installed"
        raise ConfigError(
            f"{option}: {type(network).__name__} needs {network.file_name}, looked for in {looked}; {network.advice} "
            f"as --model.{place}, or leave {option} {'out' if ' ' in option else 'at 0'}"
        )
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if not found.startswith(network.sha256):
        raise ConfigError(
            f"{path}: expected a file whose SHA-256 begins with {network.sha256}, got {found}; fetch it anew"
            + (f", or state the other one as --model.{place[:-7]}sha256" if place.endswith("weights") else "")
        )
    try:
        network.take(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, pickle.UnpicklingError, AttributeError, EOFError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{path}: not the weights of {type(network).__name__}: {said}") from error
    return network.eval().requires_grad_(False)  # noqa: FBT003


def _places(network: FeatureNetwork) -> list[Path]:
    if network.weights is not None:
        return [Path(network.weights).expanduser()]
    places = [Path(torch.hub.get_dir()) / "checkpoints" / network.file_name]
    package, folder = network.package
    if package:
        spec = importlib.util.find_spec(package)  # finds, and runs nothing of it
        places = [Path(root) / folder / network.file_name for root in (spec and spec.submodule_search_locations) or []]
    return places
