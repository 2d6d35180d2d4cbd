"""The protocols' ways to 299 x 299: the number depends on them as much as on the images.

@inproceedings{parmar2022aliased, title={On Aliased Resizing and Surprising Subtleties in GAN Evaluation},
  author={Parmar, Gaurav and Zhang, Richard and Zhu, Jun-Yan}, booktitle={CVPR}, year={2022}}, arXiv 2104.11222
"""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Resize = Literal["pytorch", "clean", "tensorflow"]
"""``pytorch``: bilinear from the nearest four pixels, no antialias: pytorch-fid, and most published tables of
translation. ``clean``: bicubic, antialiased, each channel in float, not rounded: clean-fid. ``tensorflow``: bilinear
with corners of TensorFlow 1: torch-fidelity, torchmetrics."""

RESIZES: tuple[Resize, ...] = get_args(Resize)

WORDS = {
    "pytorch": "bilinear without antialias, as F.interpolate (pytorch-fid)",
    "clean": "Pillow's bicubic, antialiased, each channel in float, not rounded (clean-fid)",
    "tensorflow": "bilinear of TensorFlow 1 (torch-fidelity, torchmetrics)",
}


def resized_bilinear(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.float32]:
    """Resize as ``F.interpolate(mode="bilinear", align_corners=False)`` does, which reads four pixels for each.

    Args:
        pixels: uint8 [H, W, 3].
        side_px: of the square result.

    Returns:
        float32 [3, side, side] in [0, 255], within 1e-3 of torch's.
    """
    wide = cv2.resize(pixels.astype(np.float32), (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.asarray(wide, np.float32).transpose(2, 0, 1))


def resized_clean(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.float32]:
    """Resize as clean-fid does: Pillow's bicubic, each channel in float, clipped, not rounded.

    Args:
        pixels: uint8 [H, W, 3].
        side_px: of the square result.

    Returns:
        float32 [3, side, side] in [0, 255].
    """
    planes = [
        np.asarray(Image.fromarray(plane).resize((side_px, side_px), Image.Resampling.BICUBIC))
        for plane in np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
    ]
    return np.stack(planes).clip(0, 255)
