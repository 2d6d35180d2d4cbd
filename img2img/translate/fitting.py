"""How large an image may be for the memory there is: measured on the network, not guessed."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from img2img.networks.base import Generator

_PROBE_PX = 512
_KERNELS_OWN = 2.0
"""Convolution kernels keep copies in an order of their own: 1.2 to 1.9 times what is counted, see docs/tiles.md."""
_SHARE = 0.5
"""Of the free memory that is used: other programs want some too, and Linux ends the process that takes the last."""

_SHORTAGES = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "could not create a memory",  # oneDNN
    "could not create a primitive",  # likewise, seen under RLIMIT_AS
    "bad_alloc",
    "alloc_failed",  # cuDNN and cuBLAS
)

_bytes_per_px: weakref.WeakKeyDictionary[nn.Module, float] = weakref.WeakKeyDictionary()


def bytes_per_px(network: Generator) -> float:
    """Return the largest amount of activations that are alive at once, in bytes per pixel of the image.

    Counted in one pass of a 512 px image on the meta device, where tensors have sizes and no values, so it takes
    milliseconds and no memory, and counts what every layer really makes. Remembered per network.

    Counted in float32, under autocast too: there the converted copies and the last layer, which stays in float32, need
    as much (docs/tiles.md).
    """
    if network not in _bytes_per_px:
        side = network.fit(_PROBE_PX)
        tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        # weights rounded to bf16 do not fit a float32 image where there is no autocast, as on the meta device
        on_meta = {
            name: torch.empty_like(tensor, device="meta", dtype=torch.float32 if tensor.is_floating_point() else None)
            for name, tensor in tensors.items()
        }
        image = torch.empty(1, network.in_channels, side, side, device="meta")
        with torch.no_grad(), _NoScores(), AliveBytes() as alive:
            alive.count(image)
            torch.func.functional_call(network, on_meta, (image,))
        _bytes_per_px[network] = alive.peak / side**2
    return _bytes_per_px[network]


def fitting_px(network: Generator, free_bytes: float) -> int:
    """Return how many pixels the network can translate at once.

    Args:
        network: the one that will run.
        free_bytes: memory that is free, see :func:`free_bytes_of`; half of it is used.
    """
    return int(free_bytes * _SHARE / (bytes_per_px(network) * _KERNELS_OWN))


def free_bytes_of(device: torch.device) -> int:
    """Return the memory that is free on a device: what CUDA tells, else what the system and its control group leave."""
    if device.type == "cuda":
        kept_for_reuse = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept_for_reuse
    available = int(psutil.virtual_memory().available)
    limited = control_group_bytes(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return available if limited is None else min(available, limited)


def control_group_bytes(root: Path, own: Path) -> int | None:
    """Return what the control groups of this process (a container, a batch job) leave, or None where none sets a limit.

    Args:
        root: where Linux shows control groups: version 2, or version 1 with ``memory/`` in it.
        own: the file that names this process's groups, lines of ``number:controllers:path``.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    left = []
    for _, controllers, path in lines:
        for (top, controller), names in _GROUP_FILES.items():
            if controllers.split(",").count(controller):
                group = Path(path.strip("/"))
                left += [_left(root / top / each, *names) for each in (group, *group.parents)]
    return min((each for each in left if each is not None), default=None)


_GROUP_FILES = {
    ("", ""): ("memory.max", "memory.current", "inactive_file"),
    ("memory", "memory"): ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""By folder and controller: the files of the limit and the use, and the row that counts what the system may drop."""


def _left(group: Path, limit: str, used: str, droppable: str) -> int | None:
    try:
        most = (group / limit).read_text(encoding="ascii").strip()
        taken = int((group / used).read_text(encoding="ascii"))
        rows = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return None
    return None if most == "max" else max(int(most) - taken + int(rows.get(droppable, 0)), 0)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out: Python's, torch's, or its CPU allocator's or kernels' text."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _SHORTAGES)


def release_memory() -> None:
    """Give back what a failed attempt left, so that the next one finds it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class _NoScores(TorchFunctionMode):
    """Attention without its scores of all pairs, which the meta device alone writes out: no kernel holds them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if func is F.scaled_dot_product_attention:
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


class AliveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that are alive while it is on.

    Attributes:
        now: bytes alive.
        peak: the most there were at once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()

    def count(self, tensor: Tensor) -> None:
        """Count a tensor, once for all its views, until it is freed."""
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count what it made."""
        del types
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self.count(tensor)
        return made
