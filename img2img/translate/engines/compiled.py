"""torch's compiler: faster where it is warm, after seconds of compiling for a size that it has not met."""

from __future__ import annotations

import copy
import logging

import torch
from torch import Tensor

from img2img.errors import ConfigError
from img2img.networks.base import Generator
from img2img.translate.engines.base import Engine, Precision
from img2img.translate.engines.eager import Eager
from img2img.translate.memory import Memory


class Compiled(Engine):
    """Runs a generator through ``torch.compile``; tiles go operation by operation.

    The first size is compiled for itself, the second for sizes in general (torch's automatic dynamic shapes). What is
    compiled stays in torch's cache on the disk.

    Args:
        network: see :class:`Eager`, as the others.
        device: where it runs.
        precision: of it.
        memory: what to do with images that may not fit into it.
    """

    def __init__(self, network: Generator, device: torch.device, precision: Precision, memory: Memory) -> None:
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # remarks that there is no CUDA
        self.eager = Eager(copy.deepcopy(network), device, precision, memory)
        self.eager.network.compile()

    def __call__(self, source: Tensor) -> Tensor:
        """Translate; see :class:`Engine`.

        Raises:
            ConfigError: if there is no C++ compiler.
        """
        try:
            return self.eager(source)
        except RuntimeError as error:
            if "compiler" not in str(error).lower():
                raise
            raise ConfigError("engine compiled needs a C++ compiler such as g++: install one, or take eager") from error
