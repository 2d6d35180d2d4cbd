"""From files to pixels at the load size: decoded once for both halves of a file, or found in the cache."""

from __future__ import annotations

from typing import NamedTuple

from img2img.data.cache import Store
from img2img.data.source import Source
from img2img.data.transforms import Transforms, decoded, half_of, load_side
from img2img.image import Pixels, Side, with_channels


class Loaded(NamedTuple):
    """One image at the load size: all that is the same in every epoch has been done to it."""

    pixels: Pixels
    notes: list[str]


class Loader:
    """Gives images at the load size; the draws of :class:`Transforms` come after it.

    Args:
        transforms: know the load size and the kinds of both sides.
        store: keeps what has been decoded; None decodes anew.
    """

    def __init__(self, transforms: Transforms, store: Store | None = None) -> None:
        self.transforms, self.store = transforms, store
        preprocessing = transforms.preprocessing
        self._smallest = None if preprocessing.resize == "none" else preprocessing.load_size
        self._rule = "none" if self._smallest is None else f"{preprocessing.resize} {self._smallest}"
        if transforms.scale > 1:  # which is that of whole files
            self._smallest, self._rule = None, f"{self._rule}, scale {transforms.scale}"

    def alone(self, source: Source, side: Side) -> Loaded:
        """Give an image by itself.

        Raises:
            DataError: naming the file, if it cannot be read whole.
        """
        if self.store is None:
            return Loaded(self.transforms.sized(load_side(source, side, self._smallest), side), [])
        entry = self.store.entry(source, side, self._rule)
        if (kept := entry.read()) is not None:
            return Loaded(kept, [])
        pixels = self.transforms.sized(load_side(source, side, self._smallest), side)
        return Loaded(pixels, entry.write(pixels))

    def pair(self, a: Source, b: Source) -> tuple[Loaded, Loaded]:
        """Give both images of a pair, the target in the size of the source.

        Raises:
            DataError: naming the file, if one cannot be read whole or they differ in aspect.
        """
        if self.store is None:
            pixels_a, pixels_b = self._matched(a, b)
            return Loaded(pixels_a, []), Loaded(pixels_b, [])
        side_a, side_b = self.transforms.sides
        entry_a = self.store.entry(a, side_a, self._rule)
        # the target's size follows from the source's: it is found by the name of both
        entry_b = self.store.entry(b, side_b, f"{self._rule} with {a.place()}")
        kept_a, kept_b = entry_a.read(), entry_b.read()
        if kept_a is not None and kept_b is not None and kept_a.shape[:2] == kept_b.shape[:2]:
            return Loaded(kept_a, []), Loaded(kept_b, [])
        pixels_a, pixels_b = self._matched(a, b)
        return Loaded(pixels_a, entry_a.write(pixels_a)), Loaded(pixels_b, entry_b.write(pixels_b))

    def _matched(self, a: Source, b: Source) -> tuple[Pixels, Pixels]:
        pixels_a, pixels_b = self.decoded(a, b)
        return self.transforms.matched(self.transforms.enlarged(pixels_a, pixels_b, a.label), pixels_b, a.label)

    def decoded(self, a: Source, b: Source) -> tuple[Pixels, Pixels]:
        """Decode both images of a pair, a file that holds both once."""
        side_a, side_b = self.transforms.sides
        if a.path == b.path and a.half != "whole":
            whole = decoded(a)
            pixels_a, pixels_b = (
                half_of(source, with_channels(whole, side[0].channels))
                for source, side in zip((a, b), (side_a, side_b), strict=True)
            )
            return pixels_a, pixels_b
        return load_side(a, side_a, self._smallest), load_side(b, side_b, self._smallest)
