"""Choosing where to compute, and how precisely."""

from __future__ import annotations

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
    if name not in available:
        raise ConfigError(f"--device {name}: unknown{nearest(name, ['auto', *available])}")
    if not available[name]:
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
