"""From pixels to features: FID's Inception after each way of resizing, a user's own network, a random one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from img2img.errors import ConfigError, ModelFileError
from img2img.evaluate.resizing import WORDS, Resize, resized_bilinear, resized_clean
from img2img.evaluate.weights import TORCH_FIDELITY, WeightsFile, sha256_of
from img2img.metrics.random_features import random_features

INCEPTION_PX, RANDOM_PX, OWN_PX = 299, 256, 224
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

EXTRA = "pip install 'img2img-toolkit[evaluate]'"


@dataclass(frozen=True)
class Extractor:
    """One way to see an image.

    Attributes:
        name: of the features, for messages and records.
        prefix: before the names of numbers: ``r`` makes ``fid`` into ``rfid``.
        suffix: behind them: ``_clean`` makes ``fid`` into ``fid_clean``.
        prepare: uint8 pixels [H, W, 3] to the array that goes into a batch; called in threads, so without torch.
        features: batch of such arrays to features [B, d] on the CPU.
        about: for the definition beside each number.
        record: for the protocol: weights, their hash, the resizing.
        everything: whether all distances are measured on them, or FID and KID alone.
    """

    name: str
    prefix: str
    suffix: str
    prepare: Callable[[NDArray[np.uint8]], NDArray[Any]]
    features: Callable[[Tensor], Tensor]
    about: str
    record: Mapping[str, Any] = field(default_factory=dict)
    everything: bool = True

    def called(self, number: str) -> str:
        """Return what a number of these features is called."""
        return f"{self.prefix}{number}{self.suffix}"


def suffix_of(resize: Resize) -> str:
    """Return what stands behind the names of numbers after a way of resizing: nothing after pytorch-fid's."""
    return "" if resize == "pytorch" else f"_{resize}"


def inception_extractors(weights: WeightsFile, resizes: Sequence[Resize], device: torch.device) -> list[Extractor]:
    """Return FID's Inception after each way of resizing; the network is loaded once.

    Pixels become x / 127.5 - 1 after ``pytorch`` and (x - 128) / 128 after the others, as the libraries do.

    Raises:
        ModelFileError: if the file cannot be loaded.
        ModuleNotFoundError: naming what to install.
    """
    network = _inception(weights, device)

    def seen(scale: float, middle: float, before: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda images: network(before(images.to(device).float()).sub(middle).div(scale))

    made: list[Extractor] = []
    for resize in resizes:
        rest = not made
        record = {
            "weights": weights.path.name,
            "sha256": weights.sha256,
            "found": weights.origin,
            "resize": WORDS[resize],
        }
        about = f"Inception-v3 of 2015-12-05, 2048 features, {WORDS[resize]}"
        name, suffix = f"inception, resize {resize}", suffix_of(resize)
        if resize == "pytorch":
            features = seen(127.5, 127.5, lambda images: images)
            made.append(Extractor(name, "", suffix, _to_299_bilinear, features, about, record, rest))
        elif resize == "clean":
            features = seen(128, 128, lambda images: images)
            made.append(Extractor(name, "", suffix, _to_299_clean, features, about, record, rest))
        else:
            made.append(Extractor(name, "", suffix, _planes, seen(128, 128, tensorflow_resize()), about, record, rest))
    return made


def own_extractor(file: Path, device: torch.device) -> Extractor:
    """Return a user's own network: TorchScript from [B, 3, 224, 224] with ImageNet's mean and deviation to [B, d].

    The images are resized as clean-fid does. This is what DINOv2 takes, whose file a user can make by ``torch.jit``.

    Raises:
        ModelFileError: if the file cannot be loaded.
    """
    if not file.is_file():
        raise ModelFileError(f"--features {file}: no such file; expected a TorchScript file")
    network = _fast(_loaded_script(file), device)
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (_IMAGENET_MEAN, _IMAGENET_STD))
    sha256 = sha256_of(file)

    def features(images: Tensor) -> Tensor:
        found = network(images.to(device).float().div(255).sub(mean).div(std))
        if found.ndim != 2:  # noqa: PLR2004 (B, d)
            raise ConfigError(f"--features {file}: expected features [B, d] from it, got {list(found.shape)}")
        return found

    return Extractor(
        file.stem,
        "",
        f"_{file.stem}",
        lambda pixels: resized_clean(pixels, OWN_PX),
        features,
        f"network {file.name} (sha256 {sha256[:12]}), {WORDS['clean']} to 224 px, ImageNet's mean and deviation",
        {"weights": file.name, "sha256": sha256, "found": "given", "resize": WORDS["clean"]},
    )


def random_extractor(device: torch.device) -> Extractor:
    """Return the network of :func:`random_features`: no weights, and numbers that only rank within one data set."""
    return Extractor(
        "random",
        "r",
        "",
        lambda pixels: resized_clean(pixels, RANDOM_PX),
        lambda images: random_features(images.to(device).div(127.5).sub(1)).cpu(),
        "a fixed random network, 512 features, 256 px: ranks within one data set, comparable to no published number",
        {"weights": "none: drawn from a fixed seed", "resize": f"{WORDS['clean']} to {RANDOM_PX} px"},
    )


def tensorflow_resize() -> Callable[[Tensor], Tensor]:
    """Return torch-fidelity's resizing to 299 x 299.

    Raises:
        ModuleNotFoundError: naming what to install.
    """
    try:
        from torch_fidelity.interpolate_compat_tensorflow import (  # noqa: PLC0415 (an extra)
            interpolate_bilinear_2d_like_tensorflow1x,
        )
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"--resize tensorflow is torch-fidelity's: {EXTRA}", name=error.name) from error
    size = (INCEPTION_PX, INCEPTION_PX)
    return lambda images: interpolate_bilinear_2d_like_tensorflow1x(images, size=size, align_corners=False)


def _to_299_bilinear(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return resized_bilinear(pixels, INCEPTION_PX)


def _to_299_clean(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return resized_clean(pixels, INCEPTION_PX)


def _planes(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _inception(weights: WeightsFile, device: torch.device) -> Callable[[Tensor], Tensor]:
    if weights.known is not TORCH_FIDELITY:
        return _fast(_loaded_script(weights.path), device)
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # noqa: PLC0415 (an extra)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{weights.path.name} is torch-fidelity's: {EXTRA}", name=error.name) from error
    whole = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=weights.path)
    # its forward resizes; its layers in their order, up to the mean of the last, do not
    layers = nn.Sequential(*[layer for name, layer in whole.named_children() if name != "fc"], nn.Flatten())
    return _on(layers.eval(), device)


def _loaded_script(file: Path) -> torch.jit.ScriptModule:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch advises another format; the published file has this one
            script: torch.jit.ScriptModule = torch.jit.load(str(file), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{file}: expected a TorchScript file, it cannot be loaded ({reason})") from error
    return script


def _fast(script: torch.jit.ScriptModule, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Fold what is constant; with channels last that is a third faster on a CPU, and the same to 1e-5."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frozen = torch.jit.freeze(script.to(device))
        return _on(torch.jit.optimize_for_inference(frozen) if device.type == "cpu" else frozen, device)


def _on(network: Callable[[Tensor], Tensor], device: torch.device) -> Callable[[Tensor], Tensor]:
    moved = network.to(device) if isinstance(network, nn.Module) else network

    def features(images: Tensor) -> Tensor:
        with torch.inference_mode():
            return moved(images.contiguous(memory_format=torch.channels_last)).float().cpu()

    return features
