"""From a checkpoint of a run to a translator file: the weights as they were then, said as the run's translator is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from img2img.checkpoint import TranslatorFile
from img2img.errors import ModelFileError
from img2img.methods.base import CHECKPOINT_KEY
from img2img.methods.export import directions


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Open a checkpoint as plain data; tensors stay on the disk until they are used.

    Raises:
        ModelFileError: if it is damaged or not one of this program.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        checkpoint[CHECKPOINT_KEY]["images"]
    except Exception as error:
        reason = type(error).__name__
        raise ModelFileError(f"{path}: damaged or not a checkpoint of this program ({reason})") from error
    return checkpoint


def translator_of(path: Path, header: Mapping[str, Any]) -> TranslatorFile:
    """Return the translator of a checkpoint.

    Args:
        path: the checkpoint.
        header: of any translator of the same run: networks, domains and preprocessing are the same throughout.

    Raises:
        ModelFileError: if the checkpoint is damaged, or of other networks than the header describes.
    """
    checkpoint = read_checkpoint(path)
    state = checkpoint[CHECKPOINT_KEY]
    clock = {"images": state["images"], "batches": state["batches"], "seconds": round(state["seconds"], 1)}
    training = {key: value for key, value in header["training"].items() if key != "scores"} | clock
    tensors: dict[str, Tensor] = {}
    names = directions(tuple(header["domains"]))
    for short, direction in names.items():
        if direction not in header["directions"]:
            continue
        tensors |= _named(f"{direction}/raw/", _generator(checkpoint["state_dict"], short))
        tensors |= _named(f"{direction}/ema/", state["averages"].get(short, {}))
    file = TranslatorFile({**header, "training": training}, tensors)
    for direction in file.directions:
        try:
            file.generator(direction)
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}; is it of another run than the translator beside it?") from error
    return file


def _generator(state: Mapping[str, Tensor], short: str) -> dict[str, Tensor]:
    """Return the weights of a method's ``generator`` or ``generator_ab``."""
    for prefix in (f"generator_{short}.", "generator."):
        if found := {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}:
            return found
    return {}


def _named(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor.contiguous() for name, tensor in state.items()}
