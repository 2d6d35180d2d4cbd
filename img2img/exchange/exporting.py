"""A translator as one file for other programs: ONNX, or torch.export's."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from img2img._version import __version__
from img2img.checkpoint import TranslatorFile, Weights
from img2img.configured import nearest
from img2img.errors import ConfigError, ModelFileError
from img2img.exchange.agreement import LARGEST_LEVELS, MEAN_LEVELS, Difference, Run, differences
from img2img.exchange.graph import Range, captured
from img2img.image import atomically
from img2img.translate.draws import choose_style

OPSET = 18
"""Of ONNX: the exporter's own, understood by ONNX Runtime from 1.14 (February 2023) on."""

SUFFIXES = (".onnx", ".pt2")

_LARGEST_ONNX = 2**31 - 2**24
"""Bytes of weights: protobuf ends at 2**31, the graph needs some itself."""

_SHAPES: dict[Range, str] = {
    "uint8": "uint8 [batch, height, width, channels], 0 to 255",
    "float": "float32 [batch, channels, height, width], -1 to 1",
}

METADATA_FILE = "img2img.json"
"""What a ``.pt2`` file holds the metadata under (``torch.export.load(..., extra_files=...)``)."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        direction: such as ``horse:zebra``.
        bytes: size of the file.
        metadata: what the file says about itself.
        differences: to eager execution; empty where the check was left out.
    """

    direction: str
    bytes: int
    metadata: dict[str, str]
    differences: list[Difference]


def export(
    file: TranslatorFile,
    out: Path,
    *,
    to: str | None = None,
    weights: Weights | None = None,
    seed: int | None = None,
    values: Range = "uint8",
    licence: str = "",
    check: bool = True,
) -> Exported:
    """Write one direction of a translator; the file is checked before it gets its name.

    Args:
        file: the translator.
        out: ``NAME.onnx`` or ``NAME.pt2`` (torch.export).
        to: target domain; the main direction by default.
        weights: ``ema`` or ``raw``; by default ema where the translator has it.
        seed: of the one style that the file translates in, where the translator has several; by default their mean.
        values: what goes in and comes out.
        licence: note on the right to use it; by default the translator's own.
        check: run the graph and compare.

    Raises:
        ConfigError: for a suffix or domain that is not known, and a seed that would change nothing.
        ModelFileError: if the graph does not do what the network does; nothing is written then.
        ModuleNotFoundError: naming what to install.
    """
    if out.suffix not in SUFFIXES:
        raise ConfigError(f"{out}: expected a name that ends in {' or '.join(SUFFIXES)}")
    needed = ("onnx", "onnxscript", *(["onnxruntime"] if check else [])) if out.suffix == ".onnx" else ()
    for module in needed:
        _require(module)
    direction = direction_to(file, to)
    ends = (file.header["directions"][direction].get(end, {}) for end in ("input", "output"))
    if values == "uint8" and any("columns" in end for end in ends):
        raise ConfigError(f"{direction}: its files are no plain pictures of 8 bits; export it with --range float")
    generator = file.generator(direction, weights)
    if seed is not None and not choose_style(generator, seed):
        raise ConfigError(f"--seed {seed}: this translator has one style; leave it out")
    size = sum(tensor.numel() * tensor.element_size() for tensor in generator.state_dict().values())
    if out.suffix == ".onnx" and size > _LARGEST_ONNX:
        raise ConfigError(f"{out}: one ONNX file holds less than 2 GB, the weights are {size / 1e9:.1f}; use NAME.pt2")
    metadata = _metadata(file.header, direction, values, licence)
    if "latent" in file.header["directions"][direction]:
        metadata["style"] = "the mean of the training" if seed is None else f"of seed {seed}"
    program = captured(generator, values)
    data = onnx_bytes(program, metadata) if out.suffix == ".onnx" else _pt2(program, metadata)
    found: list[Difference] = []
    if check:
        found = differences((_onnx_run if out.suffix == ".onnx" else _pt2_run)(data), generator, values)
        for difference in found:
            if not difference.within:
                raise ModelFileError(
                    f"{out}: the graph differs from the network by up to {difference.largest:.3g} levels, "
                    f"{difference.mean:.3g} on average, at {difference.width}x{difference.height} px and batch "
                    f"{difference.batch}; allowed are {LARGEST_LEVELS:g} and {MEAN_LEVELS:.3g}; nothing was written"
                )
    with atomically(out) as handle:
        handle.write(data)
    return Exported(direction, len(data), metadata, found)


def direction_to(file: TranslatorFile, to: str | None) -> str:
    """Return the direction into a domain, by default the main one; ConfigError for a domain that is not known."""
    targets = {direction.split(":")[1]: direction for direction in file.directions}
    if to is None:
        return file.directions[0]
    if to not in targets:
        raise ConfigError(f"--to {to}: this translator cannot translate to {to!r}{nearest(to, targets)}")
    return targets[to]


def _metadata(header: Mapping[str, Any], direction: str, values: Range, licence: str) -> dict[str, str]:
    said = header["directions"][direction]
    source, target = direction.split(":")
    shape = _SHAPES[values]
    return {
        "img2img": __version__,
        "source": source,
        "target": target,
        "input": shape,
        "output": shape,
        "channels_in": str(said["input"]["channels"]),
        "channels_out": str(said["output"]["channels"]),
        "sizes": "any height and width; mirrored up and cropped back inside",
        "size_multiple": str(said["size_multiple"]),
        "smallest_side": str(said["smallest_side"]),
        "norm_statistics": str(said["norm_statistics"]),
        "generator": json.dumps(said["generator"]),
        "training": json.dumps(header.get("training", {})),
        "licence": licence or str(header.get("licence", "")) or "not stated; ask who trained it",
    }


def onnx_bytes(program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """Return a captured graph as an ONNX file.

    Args:
        program: of :func:`img2img.exchange.graph.captured`.
        metadata: what the file says about itself; ``target`` is the graph's name.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks of the exporter on its own ways
        made = torch.onnx.export(
            program,
            input_names=["image"],
            output_names=["translation"],
            opset_version=OPSET,
            verbose=False,
            external_data=False,
        )
    assert made is not None
    model = made.model_proto
    # the exporter's notes on each node: paths of this machine, and names of sizes that say nothing
    for noted in (*model.graph.node, *model.graph.input, *model.graph.output):
        del noted.metadata_props[:]
    del model.graph.value_info[:], model.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        open_sides = [dim for dim in value.type.tensor_type.shape.dim if dim.dim_param]
        for dim, name in zip(open_sides, ("batch", "height", "width"), strict=True):
            dim.dim_param = name
    for key, text in metadata.items():
        model.metadata_props.add(key=key, value=text)
    model.producer_name, model.producer_version, model.graph.name = "img2img", __version__, metadata["target"]
    data: bytes = model.SerializeToString()
    return data


def _onnx_run(data: bytes) -> Run:
    import onnxruntime  # noqa: PLC0415 (an extra, and not cheap)

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})[0]


def _pt2(program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA_FILE: json.dumps(metadata)})
    return buffer.getvalue()


def _pt2_run(data: bytes) -> Run:
    module = torch.export.load(io.BytesIO(data)).module()
    return lambda image: module(torch.from_numpy(image)).numpy()


def _require(module: str) -> None:
    try:
        __import__(module)
    except ModuleNotFoundError as error:
        alone = " (or leave the check out with --no-check)" if module == "onnxruntime" else ""
        raise ModuleNotFoundError(
            f"export to ONNX needs {module}: pip install 'img2img-toolkit[onnx]'{alone}", name=module
        ) from error
