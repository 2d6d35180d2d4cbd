"""One picture to another, in three steps of which the network is the middle one: so that batches can overlap them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from img2img.errors import ConfigError, DataError
from img2img.image import (
    Picture,
    Pixels,
    as_tensor,
    resized,
    resized_plane,
    resized_side,
    to_pixels,
    to_tensor,
    unit_of,
    with_channels,
)
from img2img.image.picture import join
from img2img.translate.drawings import Drawings
from img2img.translate.engines.base import Precision
from img2img.translate.formats import Formats


class Prepared(NamedTuple):
    """A picture ready for the network.

    Attributes:
        source: float32 [C, H, W] in [-1, 1].
        picture: what travels along; its pixels are those the network sees.
        back_to: height and width to resize the result to; None leaves it as it is.
        deep: whether source or result have more than 8 bits.
    """

    source: Tensor
    picture: Picture
    back_to: tuple[int, int] | None = None
    deep: bool = False

    @property
    def precision(self) -> Precision | None:
        """fp32 for more than 8 bits, as bf16 has 8 significant bits and the rest would be noise; else the usual."""
        return "fp32" if self.deep else None


@dataclass(frozen=True)
class Translation:
    """Into one domain, at one size.

    Args:
        network: float32 [B, C, H, W] to [B, C', H, W]; takes ``precision``, None for the usual one.
        channels: that the network takes.
        size: shorter side in pixels to resize sources to first; None keeps their own size.
        batch: images of one size that go through the network together.
        drawings: those of the training, to which sources are brought nearer; None leaves sources as they are.
        restore_size: resize results back to their sources' own sizes (times the scale); alpha then stays untouched.
        formats: of files that are no plain pictures.
        scale: how many times larger results are than sources, which are enlarged first.

    Raises:
        ConfigError: if there is no size to come back from.
    """

    network: Callable[..., Tensor]
    channels: int
    size: int | None = None
    batch: int = 1
    drawings: Drawings | None = None
    restore_size: bool = False
    formats: Formats | None = None
    scale: int = 1

    def __post_init__(self) -> None:
        """Check the options."""
        if self.restore_size and self.size is None:
            raise ConfigError("--restore-size resizes results back from --size: give --size too, or leave it out")

    def __call__(self, picture: Picture) -> Picture:
        """Translate a decoded file; its bit depth, alpha, profile, EXIF and XMP travel along."""
        prepared = self.prepare(picture)
        return self.finish(prepared, self.run([prepared])[0])

    def prepare(self, picture: Picture) -> Prepared:
        """Make a picture ready; any thread."""
        if self.formats is not None:
            return self._prepared(picture, self.formats)
        pixels = with_channels(picture.pixels, self.channels)
        alpha, (height, width), back_to = picture.alpha, *self._sizes(pixels)
        pixels = resized(pixels, height, width)
        if back_to is None and alpha is not None and alpha.shape != (height, width):
            alpha = resized_plane(alpha, height, width)
        said: tuple[str, ...] = ()
        if self.drawings is not None:
            pixels, said = self.drawings.normalise(pixels)
        picture = replace(picture, pixels=pixels, alpha=alpha, reduced=join(picture.reduced, *said))
        return Prepared(to_tensor(pixels), picture, back_to, pixels.dtype != np.uint8)

    def _sizes(self, pixels: Pixels) -> tuple[tuple[int, int], tuple[int, int] | None]:
        """Return height and width that the network sees, and those that the result is resized to."""
        height, width = pixels.shape[:2]
        ratio = 1 if self.size is None else self.size / min(height, width)
        seen = max(round(height * ratio), 1) * self.scale, max(round(width * ratio), 1) * self.scale
        return seen, (height * self.scale, width * self.scale) if self.restore_size else None

    def _prepared(self, picture: Picture, formats: Formats) -> Prepared:
        if picture.side != formats.inputs:
            raise DataError(f"expected files of {formats}, got a picture; give files or a float tensor")
        size, back_to = self._sizes(picture.pixels)
        picture = replace(picture, pixels=resized_side(formats.inputs, picture.pixels, *size))
        source = unit_of(formats.inputs, as_tensor(picture.pixels)[None])[0]
        return Prepared(source, picture, back_to, formats.deep)

    def bucket(self, prepared: Prepared) -> tuple[Hashable, int]:
        """Return what pictures that go together have in common, and how many go together."""
        return (prepared.source.shape, prepared.precision), self.batch

    def run(self, batch: Sequence[Prepared]) -> list[Tensor]:
        """Translate pictures of one bucket, float32 [C', H, W] each; one thread at a time.

        The network always sees a whole batch, the last picture repeated: kernels are chosen by size, and a picture's
        bytes must not depend on how many others there were.
        """
        filled = [one.source for one in batch] + [batch[-1].source] * (self.batch - len(batch))
        return list(self.network(torch.stack(filled), precision=batch[0].precision)[: len(batch)])

    def finish(self, prepared: Prepared, translated: Tensor) -> Picture:
        """Return the translated picture; any thread.

        Raises:
            DataError: if the network gave something that is no number, which would come out as black or as noise.
        """
        if not np.isfinite(translated.numpy().sum()):  # torch would start threads in each thread that writes
            raise DataError("the network gave NaN or infinity; try --precision fp32, or another translator")
        if self.formats is not None:
            kind = self.formats.output
            planes = kind.levels(translated)
            planes = kind.resized(planes, *(prepared.back_to or planes.shape[:2]))
            return Picture(planes, None, "", None, None, prepared.picture.reduced, side=(kind,))
        pixels = to_pixels(translated, prepared.picture.pixels.dtype)
        return replace(prepared.picture, pixels=resized(pixels, *(prepared.back_to or pixels.shape[:2])))
