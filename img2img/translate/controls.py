"""What of the source a translation keeps, by choice: some of it all over, its colours, or what a mask leaves out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.errors import ConfigError, DataError
from img2img.image import SUFFIXES, Picture, Pixels, Plane, read_picture, resized, resized_plane, with_channels
from img2img.image.levels import highest_level

_LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601-7, 2.5.1."""


@dataclass(frozen=True)
class Controls:
    """How translated and source pixels are put together, in this order.

    Args:
        strength: 1 is the translation, 0 the source, 0.5 their mean.
        keep_color: lightness of the translation, colours of the source: every pixel of the source moved along grey by
            the difference of the lumas, so its two colour differences (BT.601) stay, but for clipping.
        masks: folder of grey images with the inputs' names (any image ending): white is translated, black stays.

    Raises:
        ConfigError: if the strength is not in [0, 1], or there is no such folder.
    """

    strength: float = 1.0
    keep_color: bool = False
    masks: Path | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        if not 0 <= self.strength <= 1:
            raise ConfigError(f"strength: expected a number from 0 to 1, got {self.strength}")
        if self.masks is not None and not self.masks.is_dir():
            raise ConfigError(f"{self.masks}: no such folder of masks")

    def settings(self) -> dict[str, Any]:
        """Return what of this decides the outputs' bytes, as plain data; nothing where nothing is asked for."""
        found = {
            "strength": self.strength,
            "keep_color": self.keep_color,
            "masks": None if self.masks is None else str(self.masks.resolve()),
        }
        return found if self != Controls() else {}

    def mask(self, name: str) -> Plane | None:
        """Read the mask of an input, uint8 [H, W].

        Raises:
            DataError: if there are masks but none for this one, or it cannot be read.
        """
        if self.masks is None:
            return None
        stem = self.masks / name
        there = [path for path in (stem, *(stem.with_suffix(s) for s in sorted(SUFFIXES))) if path.is_file()]
        if not there:
            raise DataError(f"{name}: no mask of this name in {self.masks}")
        return with_channels(read_picture(there[0]).pixels, 1)[..., 0].astype(np.uint8)

    def apply(self, source: Pixels, translated: Pixels, mask: Plane | None = None) -> Pixels:
        """Put source and translation together.

        Args:
            source: [H, W, C] as the network saw it.
            translated: [H, W, C'] of the same kind: uint8, uint16, or float32 in [-1, 1].
            mask: [H, W] of any size, resized to fit; None translates all.

        Returns:
            [H, W, C'], or [H, W, 3] where colours of the source are kept in a grey translation.
        """
        if self == Controls():
            return translated
        made = translated.astype(np.float32)
        if self.keep_color and source.shape[2] > 1:
            made = source.astype(np.float32) + (_luma(made) - _luma(source.astype(np.float32)))
        before = with_channels(source, made.shape[2]).astype(np.float32)
        part = (made - before) * self.strength
        if mask is not None:
            part = part * (resized_plane(mask, *made.shape[:2]).astype(np.float32)[..., None] / 255)
        made = before + part
        if translated.dtype == np.float32:
            return made.clip(-1, 1).astype(np.float32)
        highest = highest_level(translated.dtype)
        return made.round().clip(0, highest).astype(translated.dtype)

    def over(self, source: Picture, translated: Picture, mask: Plane | None = None) -> Picture:
        """Put a picture and its translation, of any size, together; see :meth:`apply`."""
        if self == Controls():
            return translated
        pixels = resized(source.pixels, *translated.pixels.shape[:2])
        return replace(translated, pixels=self.apply(pixels, translated.pixels, mask))


def _luma(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    if pixels.shape[2] == 1:
        return pixels
    luma: NDArray[np.float32] = (pixels @ np.array(_LUMA, np.float32))[..., None]
    return luma
