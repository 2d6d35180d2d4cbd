"""Which engine: by name, or the fastest of those that are here, measured once on this machine and remembered."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from img2img._version import __version__
from img2img.configured import describe
from img2img.devices import cache_folder, processor_name
from img2img.errors import ConfigError
from img2img.image import atomically
from img2img.networks.base import Generator
from img2img.translate.engines.base import Engine, EngineName, Precision
from img2img.translate.engines.compiled import Compiled
from img2img.translate.engines.eager import Eager
from img2img.translate.engines.graphs import Graph, graph_of, onnx_file, onnx_session, openvino_session
from img2img.translate.engines.int8 import int8_file
from img2img.translate.memory import Memory, Say

_MEASURED_PX = 256
_REPEATS = 7
_WORTH_IT = 0.9
"""An engine beside eager must take at most this part of its time: its graph has to be made for every translator."""
_AS_CLOSE, _ROUNDING = 1.5, 1e-4
"""And be at most so many times as far from float32 as eager is in the same precision, plus this, of [-1, 1]."""

_MANY = 200
"""Images that are worth some seconds of measuring and of making a graph."""

_NEEDS = {"onnx": ("onnxruntime", "onnx", "onnxscript"), "openvino": ("openvino", "onnx", "onnxscript")}


def engine_of(
    name: EngineName,
    network: Generator,
    device: torch.device,
    precision: Precision,
    memory: Memory,
    calibration: Sequence[Tensor] = (),
) -> Engine:
    """Build an engine.

    Args:
        name: which.
        network: in evaluation mode, on the device.
        device: where it runs.
        precision: of it.
        memory: what to do with images that may not fit into it.
        calibration: images for int8, see :func:`img2img.translate.engines.int8.int8_file`.

    Raises:
        ConfigError: if the engine cannot do this.
        ModuleNotFoundError: naming what to install.
    """
    if name == "eager":
        return Eager(network, device, precision, memory)
    if name == "compiled":
        return Compiled(network, device, precision, memory)
    if device.type != "cpu":
        raise ConfigError(
            f"engine {name} runs on the CPU, not on {device.type}: take eager or compiled, or --device cpu"
        )
    if name == "onnx":
        if precision != "fp32":
            raise ConfigError("engine onnx computes in fp32 on a CPU: say --precision fp32, or take openvino for bf16")
        return Graph(onnx_session(onnx_file(network)), Eager(network, device, precision, memory))
    eager = Eager(network, device, precision, memory)
    if name == "openvino":
        return Graph(openvino_session(onnx_file(network), precision), eager)
    assert name == "int8"
    if not calibration:
        raise ConfigError("engine int8 is calibrated on the images of a batch: translate a folder, not one image")
    file = int8_file(network, calibration)
    return Graph(openvino_session(file, precision) if _installed("openvino") else onnx_session(file), eager)


def fastest(network: Generator, device: torch.device, precision: Precision, images: int, say: Say) -> EngineName:
    """Return the fastest engine that is installed, measured on noise of 256x256 px the first time.

    Few images do not wait for that, nor for a graph that is not there yet: they go by eager.

    ``compiled`` is not among them: seconds of compiling for sizes that it has not met. ``$IMG2IMG_ENGINE`` names one
    without measuring.

    Args:
        network: in evaluation mode, on the device.
        device: where it runs.
        precision: of it.
        images: that are to be translated.
        say: called with what was measured.
    """
    if (given := os.environ.get("IMG2IMG_ENGINE")) is not None:
        if given not in get_args(EngineName):
            raise ConfigError(f"IMG2IMG_ENGINE={given}: expected one of {', '.join(get_args(EngineName))}")
        return given  # type: ignore[return-value]  # one of them
    names = [name for name in _candidates(device, precision) if _installed(name)]
    if names == ["eager"]:
        return "eager"
    known = _Remembered(cache_folder() / "engines.json")
    versions = [
        torch.__version__,
        __version__,
        *(_version(module) for name in names for module in _NEEDS.get(name, ())[:1]),
    ]
    question = [describe(network), processor_name(device), precision, names, versions]
    key = hashlib.sha256(json.dumps(question, default=str).encode()).hexdigest()[:24]
    found = known.get(key)
    if found in names and (images >= _MANY or found == "eager" or graph_of(network).exists()):
        return found
    if images < _MANY:
        return "eager"
    seconds = measured(names, network, device, precision)
    best = min(seconds, key=lambda name: seconds[name] / (1 if name == "eager" else _WORTH_IT))
    say(
        f"measured once for this network here: {', '.join(f'{n} {s:.3f} s' for n, s in seconds.items())} "
        f"an image of 256x256 px; engine {best} from now on"
    )
    known.put(key, best)
    return best


def measured(
    names: Sequence[EngineName], network: Generator, device: torch.device, precision: Precision
) -> dict[EngineName, float]:
    """Return the seconds an image takes, of eager and of the other engines that are as close to float32.

    By turns, and the least of several: other programs can only make it longer.
    """
    side = network.fit(_MEASURED_PX)
    noise = torch.rand(1, network.in_channels, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact = Eager(network, device, "fp32")(noise)
    engines = {name: engine_of(name, network, device, precision, Memory()) for name in names}
    gaps = {name: float((engine(noise) - exact).abs().mean()) for name, engine in engines.items()}
    close = [name for name in names if gaps[name] <= _AS_CLOSE * gaps["eager"] + _ROUNDING]
    seconds = dict.fromkeys(close, math.inf)
    for _ in range(_REPEATS):
        for name in close:
            began = time.perf_counter()
            engines[name](noise)
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    return seconds


def _candidates(device: torch.device, precision: Precision) -> list[EngineName]:
    if device.type != "cpu":
        return ["eager"]
    return ["eager", "openvino"] if precision == "bf16" else ["eager", "onnx", "openvino"]


def _installed(name: EngineName) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in _NEEDS.get(name, ()))


def _version(module: str) -> str:
    from importlib.metadata import version  # noqa: PLC0415 (only where something is measured)

    return f"{module} {version(module)}"


class _Remembered:
    """Answers by key, in a file that may be missing, damaged or shared by processes: then it is asked again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _all(self) -> dict[str, EngineName]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def get(self, key: str) -> EngineName | None:
        return self._all().get(key)

    def put(self, key: str, name: EngineName) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomically(self.path) as file:
            file.write(json.dumps({**self._all(), key: name}, indent=1).encode())
