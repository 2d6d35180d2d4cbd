"""What every derivation is: from a photo to the input that a translator learns to turn back into it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.configured import Configured
from img2img.image import Pixels

Plane = NDArray[np.float32]
"""Values of one channel, float32 [H, W] in [0, 1], 1 white."""

_SIDE_PX = 256


class Derivation(Configured, ABC):
    """Makes the source of a training pair from its target, a photo; a function of photo and seed and nothing else.

    Derivations work on uint8 arrays in the loader's processes: there OpenCV makes an edge map in a fraction of the
    time that kornia takes for one on a batch (``img2img bench derive`` prints both), and costs the training nothing.
    Lengths in pixels are those of an image whose shorter side is 256 px and grow with it, so that a drawing looks the
    same at every size; faults of files (noise, JPEG, blur) are in the pixels of the file.

    Attributes:
        source: what the derived domain is called where no names are given.
        drawing: whether it makes dark strokes on light paper, which ``translate`` then expects.
        foreign: whether it runs other packages, which may hold threads that a forked loader process would lack.
    """

    source: ClassVar[str]
    drawing: ClassVar[bool] = False
    foreign: bool = False

    @abstractmethod
    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Derive the input image.

        Args:
            photo: uint8 [H, W, 3], sRGB; is not changed.
            seed: decides every draw.

        Returns:
            uint8 [H, W, 3], each pixel about the same place as in the photo.
        """


def unit(photo: Pixels) -> float:
    """Return how many pixels of this photo one pixel at a shorter side of 256 px is."""
    shorter: int = min(photo.shape[:2])
    return shorter / _SIDE_PX


def luma(photo: Pixels) -> Plane:
    """Return the photo's luma (ITU-R BT.601-7, 2.5.1) in [0, 1]."""
    light: Plane = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    return light


def blurred(plane: Plane, sigma_px: float) -> Plane:
    """Blur with a Gaussian; the picture is mirrored at its border."""
    soft: Plane = cv2.GaussianBlur(plane, (0, 0), max(sigma_px, 0.1), borderType=cv2.BORDER_REFLECT_101)
    return soft


def on_paper(plane: Plane) -> Pixels:
    """Return a plane in [0, 1] as RGB pixels."""
    levels: NDArray[np.uint8] = np.rint(plane.clip(0, 1) * 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)
