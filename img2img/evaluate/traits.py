"""What is kept of a set of images to say how a translator behaves: about 20 kB an image, read once."""

from __future__ import annotations

from collections.abc import Iterable

import kornia
import torch
from torch import Tensor

from img2img.errors import DataError
from img2img.evaluate.seen import Image, pixels_of, unit
from img2img.metrics.health import Look, thumbnails
from img2img.metrics.spectrum import BANDS_PX, SMALLEST_PX, bands, grid_peaks

COMPARED = 1000
"""Images of a set that are compared with one another: the first so many, as all pairs of more take minutes."""


class Traits:
    """Gathers what single images show.

    >>> outputs = Traits.of((path.name, path) for path in folder)

    Attributes:
        names: of the images, in order.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._colours: list[Tensor] = []
        self._peaks: list[Tensor | None] = []
        self._bands: list[Tensor | None] = []
        self._thumbnails: list[Tensor] = []
        self._looks: list[Look] = []

    @classmethod
    def of(cls, images: Iterable[tuple[str, Image]]) -> Traits:
        """Look at images, name and image each.

        Raises:
            DataError: naming one that cannot be read.
        """
        traits = cls()
        for name, image in images:
            traits.add(name, image)
        return traits

    def add(self, name: str, image: Image) -> None:
        """Look at one image."""
        pixels = unit(pixels_of(image, name))
        side = min(pixels.shape[-2:])
        self.names.append(name)
        lab = kornia.color.rgb_to_lab((pixels.expand(-1, 3, -1, -1) + 1) / 2)
        self._colours.append(lab.mean((0, 2, 3)))
        self._peaks.append(grid_peaks(pixels))
        self._bands.append(bands(pixels)[0] if side >= BANDS_PX else None)
        if len(self._thumbnails) < COMPARED:
            self._thumbnails.append(thumbnails(pixels).expand(-1, 3, -1, -1))
            self._looks.append(Look.of(pixels))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def colours(self) -> Tensor:
        """Mean CIE Lab (D65) of each image, [N, 3]."""
        return torch.stack(self._colours)

    @property
    def peaks(self) -> Tensor:
        """:func:`grid_peaks` of each image, [N, 15]."""
        return torch.stack(self._whole(self._peaks, SMALLEST_PX))

    @property
    def bands(self) -> Tensor:
        """:func:`bands` of each image, [N, 16]."""
        return torch.stack(self._whole(self._bands, BANDS_PX))

    @property
    def thumbnails(self) -> Tensor:
        """Of the first images, [at most 1000, 3, 32, 32]."""
        return torch.cat(self._thumbnails)

    @property
    def look(self) -> Look:
        """Of the first images, at most 1000."""
        return Look(*(torch.cat(maps) for maps in zip(*self._looks, strict=True)))

    def _whole(self, values: list[Tensor | None], smallest_px: int) -> list[Tensor]:
        small = [name for name, value in zip(self.names, values, strict=True) if value is None]
        if small:
            raise DataError(
                f"the spectrum takes images of {smallest_px} px a side or more, and {len(small)} of {len(values)} are "
                f"smaller: {small[0]} and others"
            )
        return [value for value in values if value is not None]


def check_counts(what: str, *sets: Traits) -> None:
    """Refuse sets of which one has fewer than two images.

    Raises:
        DataError: with the counts.
    """
    if min(map(len, sets)) < 2:  # noqa: PLR2004 (a spread)
        counts = " and ".join(str(len(one)) for one in sets)
        raise DataError(f"{what}: expected two images or more of each set, got {counts}")
