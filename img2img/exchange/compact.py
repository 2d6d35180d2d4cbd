"""A translator file of the least size: one direction, the weights that translate, kernels in half precision."""

from __future__ import annotations

import torch
from torch import Tensor

from img2img.checkpoint import TranslatorFile, Weights
from img2img.errors import ModelFileError

SUFFIX = ".safetensors"


def compact(file: TranslatorFile, direction: str, weights: Weights | None = None, licence: str = "") -> TranslatorFile:
    """Return what is needed of a translator for one direction.

    Kernels are kept as float16, 11 of float32's 24 significant bits, and become float32 again when the file is loaded;
    biases and norms, which are few, stay as they are.

    Args:
        file: the translator.
        direction: that is kept.
        weights: ``ema`` or ``raw``; by default ema where the translator has it.
        licence: note on the right to use it; by default the translator's own.

    Raises:
        ModelFileError: if there are no such weights, or one of them is beyond float16.
    """
    file.generator(direction, weights)  # whole, or an error that says what is not
    prefix = f"{direction}/{weights or file.weights(direction)[0]}/"
    tensors = {name: _half(name, tensor) for name, tensor in file.tensors.items() if name.startswith(prefix)}
    header = {**file.header, "directions": {direction: file.header["directions"][direction]}}
    return TranslatorFile(header | ({"licence": licence} if licence else {}), tensors)


def _half(name: str, tensor: Tensor) -> Tensor:
    if tensor.ndim < 2 or not tensor.is_floating_point():  # noqa: PLR2004 (biases, norms, counts)
        return tensor
    half = tensor.half()
    if not bool(torch.isfinite(half).all()):
        raise ModelFileError(
            f"{name}: expected weights up to 65,504, which float16 holds, got {float(tensor.abs().max()):g}; "
            "use the translator file as it is"
        )
    return half
