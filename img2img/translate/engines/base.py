"""What every engine is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from torch import Tensor

EngineName = Literal["eager", "compiled", "onnx", "openvino"]
"""``eager``: torch, operation by operation. ``compiled``: torch's compiler. ``onnx``: ONNX Runtime. ``openvino``:
OpenVINO."""

Precision = Literal["fp32", "bf16"]


class Engine(ABC):
    """Runs a generator."""

    @abstractmethod
    def __call__(self, source: Tensor) -> Tensor:
        """Translate float32 [B, C, H, W] in [-1, 1] to float32 [B, C', H, W] on the CPU, not rounded."""
