"""What every engine is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from torch import Tensor

EngineName = Literal["eager", "compiled", "onnx", "openvino", "int8"]
"""``eager``: torch, operation by operation. ``compiled``: torch's compiler. ``onnx``: ONNX Runtime. ``openvino``:
OpenVINO. ``int8``: the same, or ONNX Runtime where there is no OpenVINO, with convolutions of 8-bit integers."""

Precision = Literal["fp32", "bf16"]


class Engine(ABC):
    """Runs a generator."""

    @abstractmethod
    def __call__(self, source: Tensor) -> Tensor:
        """Translate float32 [B, C, H, W] in [-1, 1] to float32 [B, C', H, W] on the CPU, not rounded."""
