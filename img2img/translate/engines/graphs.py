"""Engines that run an exported graph on the CPU: ONNX Runtime and OpenVINO."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from img2img._version import __version__
from img2img.configured import describe
from img2img.devices import cache_folder
from img2img.image import atomically
from img2img.networks.base import Generator
from img2img.translate.engines.base import Engine, Precision
from img2img.translate.engines.eager import Eager
from img2img.translate.fitting import is_out_of_memory, release_memory

Session = Callable[[NDArray[Any]], NDArray[Any]]
"""Float32 [B, C, H, W] to the same."""

_KEPT_FILES = 8


class Graph(Engine):
    """Runs a session; what goes in tiles, and what the session has no memory for, goes operation by operation.

    Args:
        session: that translates.
        eager: the same network, in the same precision.
    """

    def __init__(self, session: Session, eager: Eager) -> None:
        self.session, self.eager = session, eager

    def __call__(self, source: Tensor) -> Tensor:
        """Translate; see :class:`Engine`."""
        memory, (batch, _, height, width) = self.eager.memory, source.shape
        if memory.at_once(self.eager.network, height * width, batch) < batch:
            return self.eager(source)
        try:
            return torch.from_numpy(self.session(source.contiguous().numpy()))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        release_memory()
        memory.say("out of memory: going on operation by operation")
        return self.eager(source)


def onnx_session(file: Path) -> Session:
    """Return a session of ONNX Runtime, in float32.

    Raises:
        ModuleNotFoundError: naming what to install.
    """
    require("onnx", "onnxruntime")
    import onnxruntime  # noqa: PLC0415 (an extra, and not cheap)

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})[0]


def openvino_session(file: Path, precision: Precision) -> Session:
    """Return a session of OpenVINO.

    Args:
        file: an ONNX file; its 8-bit operations stay such.
        precision: of the other operations.

    Raises:
        ModuleNotFoundError: naming what to install.
    """
    require("openvino", "openvino")
    import openvino  # noqa: PLC0415 (an extra, and not cheap)

    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,  # reading and writing run on the same cores
    }
    request = openvino.Core().compile_model(str(file), "CPU", options).create_infer_request()
    return lambda image: request.infer([image])[0].copy()


def onnx_file(network: Generator) -> Path:
    """Return the network as an ONNX file, float32 in and out, made once and kept.

    Raises:
        ModuleNotFoundError: naming what to install to make it.
    """
    file = graph_of(network)
    if file.exists():
        file.touch()
        return file
    require("openvino", "onnx", "onnxscript")
    from img2img.exchange.exporting import onnx_bytes  # noqa: PLC0415 (slow, and made once)
    from img2img.exchange.graph import captured  # noqa: PLC0415

    data = onnx_bytes(captured(network, "float"), {"target": "translation"})
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomically(file) as handle:
        handle.write(data)
    for old in sorted(file.parent.glob("*.onnx"), key=lambda path: path.stat().st_mtime)[:-_KEPT_FILES]:
        old.unlink(missing_ok=True)
    return file


def graph_of(network: Generator) -> Path:
    """Return where the network's ONNX file is, or will be."""
    return cache_folder() / "graphs" / f"{fingerprint(network)}.onnx"


def fingerprint(network: Generator) -> str:
    """Return a name for what a network computes: architecture, weights, and who makes its graph."""
    digest = hashlib.sha256(json.dumps([describe(network), __version__, torch.__version__], default=str).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


def require(extra: str, *modules: str) -> None:
    """Ask for modules of an extra.

    Raises:
        ModuleNotFoundError: naming what to install.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(
                f"this engine needs {module}: pip install 'img2img-toolkit[{extra}]'", name=module
            )
