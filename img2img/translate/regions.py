"""Images that are read in parts, so that they need not be in memory whole."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from img2img.errors import DataError
from img2img.networks.layers.mirror import mirror_to

_ROWS_PX = 1 << 22
"""Pixels that are read at once while an image is reduced."""

_LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in grey (ITU-R BT.601), as Pillow weighs them."""


class Regions(Protocol):
    """What has a size and gives regions: a NumPy array, a memory map, or a TIFF on the disk.

    Attributes:
        shape: (H, W) or (H, W, C), C 1 or 3.
        dtype: uint8 or uint16; the whole range of it is [-1, 1].
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Return height, width and channels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of values."""

    def __getitem__(self, part: tuple[slice, slice], /) -> NDArray[Any]: ...


class Source:
    """One image as the network takes it, region by region.

    Args:
        image: float32 [1, C, H, W] in [-1, 1], or :class:`Regions`.
        channels: that the network takes; grey and RGB are turned into one another where the image is regions.

    Raises:
        DataError: if the image does not have these channels, or values of another type.
    """

    def __init__(self, image: Tensor | Regions, channels: int) -> None:
        self.image, self.channels = image, channels
        if isinstance(image, Tensor):
            if image.ndim != 4 or image.shape[0] != 1 or image.shape[1] != channels:  # noqa: PLR2004 ([1, C, H, W])
                raise DataError(f"expected one image [1, {channels}, H, W], got {list(image.shape)}")
            self.height, self.width = image.shape[2:]
            return
        depth = image.shape[2] if len(image.shape) == 3 else 1  # noqa: PLR2004 (height, width, channels)
        if image.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)} or depth not in {1, 3}:
            raise DataError(
                f"expected a uint8 or uint16 image with 1 or 3 channels, got {image.dtype} with {depth} channels"
            )
        if depth != channels and {depth, channels} != {1, 3}:
            raise DataError(f"expected an image with {channels} channels, got {depth}; 1 and 3 are understood")
        self.height, self.width = image.shape[:2]

    def read(self, top: int, bottom: int, left: int, right: int) -> Tensor:
        """Return a region as float32 [1, C, H, W] in [-1, 1]."""
        if isinstance(self.image, Tensor):
            return self.image[..., top:bottom, left:right]
        pixels = np.ascontiguousarray(self.image[top:bottom, left:right])
        if pixels.ndim == 2:  # noqa: PLR2004 (grey)
            pixels = pixels[..., None]
        half_range = np.iinfo(pixels.dtype).max / 2
        region = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None].div(half_range).sub(1)
        if region.shape[1] == self.channels:
            return region
        if self.channels == 1:
            return (region * region.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return region.expand(-1, self.channels, -1, -1)

    def window(self, rows: tuple[int, int], columns: tuple[int, int], fitted: tuple[int, int]) -> Tensor:
        """Return a region of the image mirrored up to the size that fits the network, as the whole would be.

        Args:
            rows: from and to, in pixels of the mirrored image.
            columns: likewise.
            fitted: height and width of the mirrored image.
        """
        ys, xs = _mirrored(self.height, fitted[0])[slice(*rows)], _mirrored(self.width, fitted[1])[slice(*columns)]
        top, left = int(ys.min()), int(xs.min())
        region = self.read(top, int(ys.max()) + 1, left, int(xs.max()) + 1)
        for dim, positions in ((2, ys - top), (3, xs - left)):
            if len(positions) != region.shape[dim] or bool((positions.diff() != 1).any()):
                region = region.index_select(dim, positions.to(region.device))
        return region

    def reduced(self, max_px: int) -> Tensor:
        """Return the image with at most about ``max_px`` pixels: means of squares, read a band of rows at a time."""
        factor = 1
        while -(-self.height // factor) * -(-self.width // factor) > max_px:
            factor += 1
        step = max(_ROWS_PX // (self.width * factor), 1) * factor
        bands = [
            F.avg_pool2d(self.read(top, min(top + step, self.height), 0, self.width), factor, ceil_mode=True)
            for top in range(0, self.height, step)
        ]
        return torch.cat(bands, dim=2)


def _mirrored(side_px: int, fitted_px: int) -> Tensor:
    """Return which pixel of the image each pixel of the mirrored one is."""
    positions = torch.arange(side_px).view(1, 1, 1, side_px)
    return mirror_to(positions, 1, fitted_px).flatten()
