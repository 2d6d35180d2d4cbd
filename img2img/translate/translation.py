"""One picture to another, in three steps of which the network is the middle one: so that batches can overlap them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from img2img.errors import ConfigError, DataError
from img2img.image import Picture, resized, resized_plane, to_pixels, to_tensor, with_channels
from img2img.image.picture import join
from img2img.translate.drawings import Drawings
from img2img.translate.engines.base import Precision


class Prepared(NamedTuple):
    """A picture ready for the network.

    Attributes:
        source: float32 [C, H, W] in [-1, 1].
        picture: what travels along; its pixels are those the network sees.
        back_to: height and width to resize the result to; None leaves it as it is.
    """

    source: Tensor
    picture: Picture
    back_to: tuple[int, int] | None = None

    @property
    def precision(self) -> Precision | None:
        """fp32 for more than 8 bits, as bf16 has 8 significant bits and the rest would be noise; else the usual."""
        return None if self.picture.pixels.dtype == np.uint8 else "fp32"


@dataclass(frozen=True)
class Translation:
    """Into one domain, at one size.

    Args:
        network: float32 [B, C, H, W] to [B, C', H, W]; takes ``precision``, None for the usual one.
        channels: that the network takes.
        size: shorter side in pixels to resize sources to first; None keeps their own size.
        batch: images of one size that go through the network together.
        drawings: those of the training, to which sources are brought nearer; None leaves sources as they are.
        restore_size: resize results back to their sources' own sizes; alpha then stays untouched.

    Raises:
        ConfigError: if there is no size to come back from.
    """

    network: Callable[..., Tensor]
    channels: int
    size: int | None = None
    batch: int = 1
    drawings: Drawings | None = None
    restore_size: bool = False

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
        pixels = with_channels(picture.pixels, self.channels)
        alpha, shape = picture.alpha, pixels.shape[:2]
        if self.size is not None:
            scale = self.size / min(pixels.shape[:2])
            height, width = (max(round(side * scale), 1) for side in pixels.shape[:2])
            pixels = resized(pixels, height, width)
            if not self.restore_size:
                alpha = None if alpha is None else resized_plane(alpha, height, width)
        back_to = shape if self.restore_size else None
        said: tuple[str, ...] = ()
        if self.drawings is not None:
            pixels, said = self.drawings.normalise(pixels)
        picture = replace(picture, pixels=pixels, alpha=alpha, reduced=join(picture.reduced, *said))
        return Prepared(to_tensor(pixels), picture, back_to)

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
        pixels = to_pixels(translated, prepared.picture.pixels.dtype)
        return replace(prepared.picture, pixels=resized(pixels, *(prepared.back_to or pixels.shape[:2])))
