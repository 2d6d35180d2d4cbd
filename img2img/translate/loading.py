"""From a translator file to a :class:`Translator` on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from img2img.checkpoint import TranslatorFile, Weights, load_translator
from img2img.devices import resolve_device, resolve_precision
from img2img.networks.layers.convolutions import as_torch_does
from img2img.translate.engines.base import EngineName, Precision
from img2img.translate.memory import Memory
from img2img.translate.translator import Translator


def load(
    path: str | Path,
    device: str = "auto",
    *,
    weights: Weights | None = None,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    memory: Memory | None = None,
    engine: EngineName | Literal["auto"] = "auto",
    batch: int | None = None,
    stochastic: bool = False,
    seed: int | None = None,
    normalise: bool = True,
) -> Translator:
    """Load a translator file or the translator of a run folder.

    Args:
        path: the file or folder.
        device: auto, cuda, mps or cpu.
        weights: ``ema`` or ``raw``; by default ema where the file has it.
        precision: ``fp32``, with torch's kernels alone, so that imported weights give the original's bits, or the
            faster ``bf16``; ``auto`` is bf16 where the device multiplies it in hardware.
        memory: what to do with images that may not fit into it; by default tiles where they do not.
        engine: that runs the networks; ``auto`` is the fastest that is installed, measured once and remembered, and
            eager for ``fp32`` that is asked for.
        batch: images of one size that go through the network together, see :class:`Translator`.
        stochastic: leave dropout on.
        seed: of dropout and style, see :class:`Translator`.
        normalise: bring drawings nearer to those of the training, see :class:`Translator`.

    Raises:
        ModelFileError: if it is missing, truncated, foreign, newer than this version, or a pickle.
    """
    file: TranslatorFile = load_translator(Path(path))
    networks = {direction: file.generator(direction, weights) for direction in file.directions}
    where = resolve_device(device)
    chosen: Precision = "bf16" if resolve_precision(precision, where) == "bf16" else "fp32"
    if precision == "fp32":  # what is asked for is exactness, so bit for bit what the published networks give
        engine = "eager" if engine == "auto" else engine
        for network in networks.values():
            as_torch_does(network)
    return Translator(
        networks,
        file.header,
        where,
        weights=weights,
        precision=chosen,
        memory=memory,
        engine=engine,
        batch=batch,
        stochastic=stochastic,
        seed=seed,
        normalise=normalise,
    )
