"""JPEG's blocks to take away."""

from __future__ import annotations

from typing import final

from img2img.data.derive.base import Derivation
from img2img.data.derive.draw import Draw, Range, check_range
from img2img.data.derive.faults import through_jpeg
from img2img.image import Pixels


@final
class Compressed(Derivation):
    """The photo as JPEG (ITU-T T.81) of a low quality, written and read by libjpeg.

    Args:
        quality: from 1 to 100.

    Raises:
        ValueError: for a range that is upside down or out of this.
    """

    source = "compressed"

    def __init__(self, quality: Range = (5.0, 50.0)) -> None:
        check_range("quality", quality, 1, 100)
        self.quality = quality

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Compress; see :class:`Derivation`."""
        return through_jpeg(photo, Draw(seed).uniform(self.quality))
