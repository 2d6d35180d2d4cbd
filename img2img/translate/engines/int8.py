"""Convolutions of 8-bit integers, calibrated on the images themselves: for processors without bf16.

Static quantisation in the QDQ form (Jacob et al. 2018, arXiv 1712.05877): weights by channel, symmetric; activations by
tensor, over the range seen on calibration images. The first and the last convolution stay in floats, as they work on
pixels: there an error is seen as it is.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from img2img.image import atomically
from img2img.networks.base import Generator
from img2img.translate.engines.graphs import onnx_file, require

_CONVOLUTIONS = ("Conv", "ConvTranspose")


def int8_file(network: Generator, images: Sequence[Tensor]) -> Path:
    """Return the network as an ONNX file with convolutions of 8-bit integers, made once for these images and kept.

    Args:
        network: in evaluation mode.
        images: float32 [1, C, H, W] in [-1, 1], of what will be translated; eight are enough.

    Raises:
        ModuleNotFoundError: naming what to install.
    """
    exact = onnx_file(network)
    file = exact.with_name(f"{exact.stem}-int8-{digest(images)}.onnx")
    if file.exists():
        file.touch()
        return file
    require("onnx", "onnx", "onnxruntime")
    import onnx  # noqa: PLC0415 (an extra, and not cheap)
    from onnxruntime import quantization  # noqa: PLC0415
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # of a library without types
        """Hands out the images."""

        left: Iterator[Tensor] = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.left, None)
            return None if image is None else {"image": image.numpy()}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        folded, made = Path(folder) / "folded.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(exact), str(folded), skip_symbolic_shape=True)
        nodes = [node.name for node in onnx.load(folded).graph.node if node.op_type in _CONVOLUTIONS]
        quantization.quantize_static(
            str(folded),
            str(made),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=list(_CONVOLUTIONS),
            nodes_to_exclude=[nodes[0], nodes[-1]],
        )
        data = made.read_bytes()
    with atomically(file) as handle:
        handle.write(data)
    return file


def digest(images: Sequence[Tensor]) -> str:
    """Return a name for calibration images."""
    found = hashlib.sha256()
    for image in images:
        found.update(image.contiguous().numpy().tobytes())
    return found.hexdigest()[:12]


class _quiet:  # noqa: N801 (used as a word)
    """The quantiser's remarks on its own ways are not for users."""

    def __enter__(self) -> None:
        self.before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self.before)
