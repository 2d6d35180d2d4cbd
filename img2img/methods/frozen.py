"""Frozen networks: found, checked and loaded when a training begins."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
from pathlib import Path

import torch

from img2img.errors import ConfigError
from img2img.networks.frozen.base import FeatureNetwork


def load_frozen(network: FeatureNetwork, option: str) -> FeatureNetwork:
    """Give a frozen network its weights.

    Args:
        network: as it was built.
        option: that asks for it, for the message.

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
            f"as --model.perceptual.weights, or leave {option} at 0"
        )
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if not found.startswith(network.sha256):
        raise ConfigError(
            f"{path}: expected a file whose SHA-256 begins with {network.sha256}, got {found}; fetch it anew, or state "
            "the other one as --model.perceptual.sha256"
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
