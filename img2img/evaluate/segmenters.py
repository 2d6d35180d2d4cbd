"""A user's own segmentation model: a file, or the import path of whatever makes one."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from img2img.configured import find_callable
from img2img.errors import ConfigError, DataError, ModelFileError

_SCRIPTED = {".pt", ".pth", ".ts", ".torchscript"}


@dataclass(frozen=True)
class Segmenter:
    """Says of every pixel which class it is of.

    Attributes:
        name: for the record: the import path, or the file and the beginning of its hash.
        network: float32 RGB [1, 3, H, W] in [-1, 1] to class ids [H, W] or [1, H, W], or logits [1, K, h, w].
    """

    name: str
    network: Callable[[Tensor], Any]

    @torch.no_grad()
    def __call__(self, image: Tensor, num_classes: int) -> Tensor:
        """Return class ids, int64 [H, W]; logits of another size are resized to the image's (bilinear).

        Raises:
            DataError: if the model fails, or gives something else.
        """
        height, width = image.shape[-2:]
        try:
            found = torch.as_tensor(self.network(image)).cpu()
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{self.name}: the model failed on an image of {width}x{height} ({reason})") from error
        if found.is_floating_point():
            if found.ndim != 4 or found.shape[:2] != (1, num_classes):  # noqa: PLR2004 (B, K, H, W)
                raise DataError(
                    f"{self.name}: expected logits [1, {num_classes}, h, w] for {num_classes} classes, got "
                    f"{list(found.shape)}"
                )
            return F.interpolate(found.float(), (height, width), mode="bilinear", align_corners=False)[0].argmax(0)
        if found.shape not in {(height, width), (1, height, width)}:
            raise DataError(f"{self.name}: expected class ids [{height}, {width}], got {list(found.shape)}")
        ids = found.reshape(height, width).long()
        if int(ids.min()) < 0 or int(ids.max()) >= num_classes:
            seen = f"{int(ids.min())} to {int(ids.max())}"
            raise DataError(f"{self.name}: expected class ids from 0 to {num_classes - 1}, got {seen}")
        return ids


def load_segmenter(where: str, device: torch.device | None = None) -> Segmenter:
    """Load a segmentation model; it brings its own normalisation of RGB in [-1, 1].

    Args:
        where: a TorchScript file (.pt, .pth, .ts, .torchscript), an ONNX file with one input, or the full import path
            of a function that segments, of a torch module, or of a class of modules that takes no arguments.
        device: where it runs; ONNX runs on the CPU.

    Raises:
        ConfigError: if there is no such thing to import.
        ModelFileError: if a file cannot be loaded.
    """
    device, path = device or torch.device("cpu"), Path(where)
    if path.suffix in _SCRIPTED | {".onnx"}:
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        except OSError as error:
            raise ModelFileError(f"{path}: cannot be read ({error.strerror}); expected a segmentation model") from error
        return Segmenter(
            f"{path.name} (sha256 {digest})", _onnx(path) if path.suffix == ".onnx" else _scripted(path, device)
        )
    found: Any = find_callable(where)
    if isinstance(found, type) and issubclass(found, torch.nn.Module):
        found = found()
    if isinstance(found, torch.nn.Module):
        found = found.eval().to(device)
    return Segmenter(where, lambda image: found(image.to(device)))


def _scripted(path: Path, device: torch.device) -> Callable[[Tensor], Any]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*torch.jit.*deprecated")  # users' files are what they are
            network = torch.jit.load(str(path), map_location=device).eval()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelFileError(
            f"{path}: expected a TorchScript file, as torch.jit.trace(...).save writes it; it cannot be read ({reason})"
        ) from error
    return lambda image: network(image.to(device))


def _onnx(path: Path) -> Callable[[Tensor], Any]:
    try:
        import onnxruntime  # noqa: PLC0415 (an extra)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path.name} needs ONNX Runtime: pip install 'img2img-toolkit[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ModelFileError(f"{path}: expected an ONNX file; it cannot be read ({reason})") from error
    taken = session.get_inputs()[0].name
    return lambda image: np.asarray(session.run(None, {taken: image.cpu().numpy()})[0])
