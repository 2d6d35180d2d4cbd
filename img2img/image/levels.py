"""THE range, and the only place where pixels and tensors meet.

Inside the package an image is a float32 tensor [C, H, W] in [-1, 1]; outside it is 8 or 16-bit integers, or planes
whose range somebody stated.
"""

from __future__ import annotations

from typing import Any, overload

import cv2
import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from PIL import Image
from torch import Tensor

from img2img.errors import DataError

Pixels = NDArray[np.uint8 | np.uint16 | np.float32]
"""[H, W, C] with C 1 (grey) or 3 (RGB): uint8 or uint16 from black 0 to white 255 or 65535, or float32 in [-1, 1]."""

Plane = NDArray[np.uint8 | np.uint16]
"""[H, W], such as alpha."""

_LUMA = (0.299, 0.587, 0.114)
_UNIT = torch.arange(256, dtype=torch.float32).div_(255 / 2).sub_(1).numpy()
"""What each 8-bit level is in [-1, 1]."""


def to_tensor(pixels: Pixels) -> Tensor:
    """Turn pixels [H, W, C] into float32 [C, H, W] in [-1, 1]: 0 becomes -1, 255 (or 65535) becomes 1."""
    if pixels.dtype == np.uint8:  # one pass a plane: the loader spends what is left of its time here
        image = np.empty((pixels.shape[2], *pixels.shape[:2]), np.float32)
        for plane, out in zip(cv2.split(np.ascontiguousarray(pixels)), image, strict=True):
            cv2.LUT(plane, _UNIT, out)
        return torch.from_numpy(image)
    # NumPy, here and below: torch would start threads of its own in each thread that reads or writes files
    planes = np.array(pixels.transpose(2, 0, 1), np.float32, order="C")
    if pixels.dtype != np.float32:
        planes /= np.float32(highest_level(pixels.dtype) / 2)
        planes -= np.float32(1)
    return torch.from_numpy(planes)


def as_tensor(pixels: Pixels) -> Tensor:
    """Copy pixels [H, W, C] to a tensor [C, H, W] of the same levels, plane by plane in memory.

    What worker processes send: a quarter of the bytes of floats; :func:`to_unit` makes floats of it on the device, in
    the training's own process, where it is fastest if the planes lie apart already.
    """
    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))


def mirrored(pixels: Pixels) -> Pixels:
    """Mirror pixels [H, W, C] left to right; planes that lie apart in memory stay apart."""
    return torch.from_numpy(np.require(pixels, requirements="W")).flip(1).numpy()


def to_unit(levels: Tensor, highest: int | None = None) -> Tensor:
    """Turn uint8 or uint16 levels [..., C, H, W] into float32 in [-1, 1], bit for bit as :func:`to_tensor` does.

    Args:
        levels: integers; floats are in that range already and stay as they are.
        highest: level of white, of levels in a wider type; by default that of the type.
    """
    if highest is None:
        if levels.is_floating_point():
            return levels
        highest = 255 if levels.dtype == torch.uint8 else 65535
    image = levels.to(torch.float32, memory_format=torch.contiguous_format)
    # by a tensor: a GPU divides by a number as a product with its rounded reciprocal
    return image.div_(torch.full((), highest / 2, device=levels.device)).sub_(1)


def highest_level(dtype: DTypeLike) -> int:
    """Return the level of white: 255 or 65535."""
    return {"uint8": 255, "uint16": 65535}[np.dtype(dtype).name]


@overload
def to_pixels(image: Tensor) -> NDArray[np.uint8]: ...
@overload
def to_pixels(image: Tensor, dtype: DTypeLike) -> Pixels: ...
def to_pixels(image: Tensor, dtype: DTypeLike = np.uint8) -> Pixels:
    """Turn float [C, H, W] in [-1, 1] into pixels [H, W, C], rounded to the nearest level and clipped.

    Args:
        image: float, any device; what is not a number becomes black.
        dtype: uint8, uint16, or float32 (which is clipped and not rounded).
    """
    values = np.nan_to_num(image.detach().float().cpu().numpy(), nan=-1.0).transpose(1, 2, 0)
    if np.dtype(dtype) == np.float32:
        return np.ascontiguousarray(values.clip(-1, 1))
    highest = highest_level(dtype)
    levels = values + np.float32(1)
    levels *= np.float32(highest / 2)
    np.rint(levels, out=levels)
    return np.ascontiguousarray(levels.clip(0, highest, out=levels).astype(dtype))


def round_to_8_bits(image: Tensor) -> Tensor:
    """Round values in [-1, 1] to what an 8-bit file would give back; metrics see what a user would save."""
    return image.float().add(1).mul(127.5).round().clamp(0, 255).div(127.5).sub(1)


def to_8_bits(levels: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale 16-bit levels to 8, to the nearest: 65535 / 255 = 257."""
    return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """Turn grey into RGB or RGB into grey (ITU-R 601 luma) where the network asks for it."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3 and pixels.shape[2] == 1:  # noqa: PLR2004 (RGB)
        return np.repeat(pixels, 3, axis=2)
    if channels == 1 and pixels.shape[2] == 3:  # noqa: PLR2004 (RGB)
        if pixels.dtype == np.uint8:
            return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
        luma = np.asarray(pixels @ np.asarray(_LUMA, np.float64))[..., None]
        return luma.astype(np.float32) if pixels.dtype == np.float32 else np.rint(luma).astype(np.uint16)
    raise DataError(f"expected an image with {channels} channels, got {pixels.shape[2]}; 1 and 3 are understood")


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resize with a bicubic filter (a = -0.5) that widens as it shrinks, so that nothing aliases: Pillow's.

    8 bits are resized by torch, which takes a quarter of Pillow's time and less where much shrinks; its weights have 16
    bits where Pillow's have 32, so one value in 200 differs, by 1 level or seldom 2 of 255.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    if pixels.dtype == np.uint8:
        source = torch.from_numpy(np.require(pixels, requirements=("C", "W"))[None])
        made = torch.empty((1, height, width, pixels.shape[2]), dtype=torch.uint8)
        # what F.interpolate(mode="bicubic", antialias=True) calls; given where to write, it keeps the order of pixels
        torch.ops.aten._upsample_bicubic2d_aa.out(  # noqa: SLF001 (as above)
            source.permute(0, 3, 1, 2), (height, width), align_corners=False, out=made.permute(0, 3, 1, 2)
        )
        return made[0].numpy()
    planes = [
        Image.fromarray(pixels[..., c].astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
        for c in range(pixels.shape[2])
    ]
    values: NDArray[np.float32] = np.stack([np.asarray(plane) for plane in planes], axis=2)
    if pixels.dtype == np.float32:
        return np.clip(values, -1, 1)  # a cubic filter overshoots at edges
    return np.rint(values).clip(0, 65535).astype(np.uint16)


def fitted(pixels: Pixels, side_px: int) -> Pixels:
    """Shrink a picture so that no side is longer than ``side_px``; smaller ones stay as they are."""
    height, width = pixels.shape[:2]
    scale = side_px / max(height, width)
    return pixels if scale >= 1 else resized(pixels, max(round(height * scale), 1), max(round(width * scale), 1))


def resized_plane(plane: Plane, height: int, width: int) -> Plane:
    """Resize one plane, such as alpha, as :func:`resized` does."""
    levels: Plane = resized(plane[..., None], height, width)[..., 0].astype(plane.dtype)
    return levels
