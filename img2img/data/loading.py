"""From files to pixels at the load size: decoded once for both halves of a file, or found in the cache."""

from __future__ import annotations

from typing import NamedTuple

from img2img.data.cache import Store
from img2img.data.folder import Source
from img2img.data.transforms import Transforms, decoded, half_of, load_pixels
from img2img.image import Pixels, with_channels


class Loaded(NamedTuple):
    """One image at the load size: all that is the same in every epoch has been done to it."""

    pixels: Pixels
    notes: list[str]


class Loader:
    """Gives images at the load size; the draws of :class:`Transforms` come after it.

    Args:
        channels: of source and target.
        transforms: know the load size.
        store: keeps what has been decoded; None decodes anew.
    """

    def __init__(self, channels: tuple[int, int], transforms: Transforms, store: Store | None = None) -> None:
        self.channels, self.transforms, self.store = channels, transforms, store
        preprocessing = transforms.preprocessing
        self._smallest = None if preprocessing.resize == "none" else preprocessing.load_size
        self._rule = "none" if self._smallest is None else f"{preprocessing.resize} {self._smallest}"

    def alone(self, source: Source, channels: int) -> Loaded:
        """Give an image by itself.

        Raises:
            DataError: naming the file, if it cannot be read whole.
        """
        if self.store is None:
            return Loaded(self.transforms.sized(load_pixels(source, channels, self._smallest)), [])
        entry = self.store.entry(source, channels, self._rule)
        if (kept := entry.read()) is not None:
            return Loaded(kept, [])
        pixels = self.transforms.sized(load_pixels(source, channels, self._smallest))
        return Loaded(pixels, entry.write(pixels))

    def pair(self, a: Source, b: Source) -> tuple[Loaded, Loaded]:
        """Give both images of a pair, the target in the size of the source.

        Raises:
            DataError: naming the file, if one cannot be read whole or they differ in aspect.
        """
        if self.store is None:
            pixels_a, pixels_b = self.transforms.matched(*self.decoded(a, b), a.label)
            return Loaded(pixels_a, []), Loaded(pixels_b, [])
        entry_a = self.store.entry(a, self.channels[0], self._rule)
        # the target's size follows from the source's: it is found by the name of both
        entry_b = self.store.entry(b, self.channels[1], f"{self._rule} with {a.path.absolute()}")
        kept_a, kept_b = entry_a.read(), entry_b.read()
        if kept_a is not None and kept_b is not None and kept_a.shape[:2] == kept_b.shape[:2]:
            return Loaded(kept_a, []), Loaded(kept_b, [])
        pixels_a, pixels_b = self.transforms.matched(*self.decoded(a, b), a.label)
        return Loaded(pixels_a, entry_a.write(pixels_a)), Loaded(pixels_b, entry_b.write(pixels_b))

    def decoded(self, a: Source, b: Source) -> tuple[Pixels, Pixels]:
        """Decode both images of a pair, a file that holds both once."""
        if a.path == b.path:
            whole = decoded(a)
            pixels_a, pixels_b = (
                half_of(source, with_channels(whole, channels))
                for source, channels in zip((a, b), self.channels, strict=True)
            )
            return pixels_a, pixels_b
        channels_a, channels_b = self.channels
        return load_pixels(a, channels_a, self._smallest), load_pixels(b, channels_b, self._smallest)
