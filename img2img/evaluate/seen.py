"""Images as metrics see them: what a user saved, rounded integers of any depth, brought to [-1, 1]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from img2img.errors import DataError
from img2img.image import Picture, Pixels, on_white, read_picture, to_tensor, with_channels

Image = Path | Picture | Pixels
"""A file, a decoded file, or pixels [H, W, C] with C 1 or 3: uint8, uint16, or float32 in [-1, 1]."""


def pixels_of(image: Image, name: str) -> Pixels:
    """Return the pixels of an image at its own depth; one that is transparent somewhere as it looks on white.

    Args:
        image: 16-bit files keep their 16 bits.
        name: for messages.

    Raises:
        DataError: naming an image that cannot be read whole, or is no image.
    """
    if isinstance(image, Path):
        image = read_picture(image, keep_16_bits=True)
    if isinstance(image, Picture):
        alpha = image.alpha
        if alpha is not None and alpha.size and alpha.min() < np.iinfo(alpha.dtype).max:
            return np.asarray(on_white(image))
        image = image.pixels
    if image.ndim != 3 or image.shape[2] not in {1, 3} or image.dtype.name not in {"uint8", "uint16", "float32"}:  # noqa: PLR2004
        came = f"{image.dtype} {list(image.shape)}"
        raise DataError(f"{name}: expected pixels [H, W, 1 or 3] of uint8, uint16 or float32, got {came}")
    if image.dtype == np.float32 and not bool((np.abs(image) <= 1).all()):
        raise DataError(f"{name}: expected floats in [-1, 1], got values outside or NaN")
    return image


def unit(pixels: Pixels) -> Tensor:
    """Return float32 [1, C, H, W] in [-1, 1]."""
    return to_tensor(pixels)[None]


def both(name: str, output: Image, target: Image) -> tuple[Tensor, Tensor]:
    """Read an output and its target, float32 [1, C, H, W] in [-1, 1] each; grey beside RGB as the RGB that looks so.

    Raises:
        DataError: if one cannot be read, or their sizes differ: to resize would change the number.
    """
    a, b = pixels_of(output, name), pixels_of(target, name)
    if a.shape[:2] != b.shape[:2]:
        sizes = f"{a.shape[1]}x{a.shape[0]} and {b.shape[1]}x{b.shape[0]}"
        raise DataError(f"{name}: expected output and target of one size, got {sizes}; save both at one size")
    channels = max(a.shape[2], b.shape[2])
    return unit(with_channels(a, channels)), unit(with_channels(b, channels))
