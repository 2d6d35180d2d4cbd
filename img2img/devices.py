"""Choosing where to compute, and how precisely."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path
from typing import Literal

import torch

from img2img.configured import nearest
from img2img.errors import ConfigError

DeviceName = Literal["auto", "cuda", "mps", "cpu"]
PrecisionName = Literal["auto", "fp32", "tf32", "bf16", "fp16"]


def resolve_device(name: str) -> torch.device:
    """Return the device of a name; ``auto`` prefers cuda, then mps, then cpu.

    Raises:
        ConfigError: if this machine does not have it.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there))
    kind, _, number = name.partition(":")
    if kind not in available or (number and not (kind == "cuda" and number.isdecimal())):
        raise ConfigError(f"--device {name}: unknown{nearest(name, ['auto', *available])}")
    if not available[kind] or (number and int(number) >= torch.cuda.device_count()):
        there = ", ".join(device for device, yes in available.items() if yes)
        raise ConfigError(f"--device {name}: this machine's torch has no {name} device; available: {there}")
    return torch.device(name)


def resolve_precision(name: PrecisionName, device: torch.device) -> Literal["fp32", "tf32", "bf16", "fp16"]:
    """Return the precision of a name; ``auto`` takes bf16 where the device multiplies it in hardware, else fp32.

    Raises:
        ConfigError: for fp16 or tf32 on a CPU, which would silently become something else.
    """
    if name == "auto":
        if device.type == "cuda":
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
        return "bf16" if device.type == "cpu" and _cpu_multiplies_bf16() else "fp32"
    if name in {"fp16", "tf32"} and device.type != "cuda":
        raise ConfigError(f"--precision {name} needs a cuda device, this is {device.type}: use bf16 or fp32")
    return name


def _cpu_multiplies_bf16() -> bool:
    capabilities: dict[str, object] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # torch 2.11 cannot tell yet: fp32 there
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


_GLIBC_TRIM_THRESHOLD, _GLIBC_MMAP_MAX = -1, -4  # of malloc.h


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees; return whether the system's allocator could be told.

    glibc gives large blocks back as soon as they are free, so on the CPU every activation of every step is fetched from
    the system and zeroed anew: 7 % of a step of pix2pix at 256 px. The process stays at its highest use instead.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    system = ctypes.CDLL(None)
    return bool(system.mallopt(_GLIBC_MMAP_MAX, 0) and system.mallopt(_GLIBC_TRIM_THRESHOLD, -1))


def cache_folder() -> Path:
    """Return the folder for what can be made again: ``$IMG2IMG_CACHE``, else where the system keeps such things."""
    if given := os.environ.get("IMG2IMG_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "img2img"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/img2img"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "img2img"


def processor_name(device: torch.device) -> str:
    """Return what a device's speed depends on: the model of a GPU, or of the CPU and the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {torch.get_num_threads()} threads"
