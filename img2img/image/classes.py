"""Classes of a label map: their ids in files, their names, and the colours that they are painted with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.errors import DataError

MOST_CLASSES = 255
"""Of one label map: an index has 8 bits, and one of its values stands for no class."""

_HIGHEST_ID = 65535
_SHOWN = 12

Rgb = tuple[int, int, int]
Indices = NDArray[np.uint8]


@dataclass(frozen=True)
class Classes:
    """The classes of a label map, in the order of their channels.

    Attributes:
        ids: number of each class in files, 0 to 65535.
        names: of each class.
        colours: of each class; None takes PASCAL VOC's, which follow from the id.
        void: id of pixels that belong to no class, or None where every pixel has one.
    """

    ids: tuple[int, ...]
    names: tuple[str, ...]
    colours: tuple[Rgb, ...] | None = None
    void: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be told apart."""
        if not 1 < len(self.ids) <= MOST_CLASSES:
            raise DataError(f"expected 2 to {MOST_CLASSES} classes, got {len(self.ids)}")
        known = (*self.ids, *(() if self.void is None else (self.void,)))
        if min(known) < 0 or max(known) > _HIGHEST_ID:
            raise DataError(f"class ids: expected 0 to {_HIGHEST_ID}, got {min(known)} to {max(known)}")
        if len(set(known)) < len(known):
            raise DataError(f"class ids: expected each once (the void one included), got {_listed(known)}")
        if len(self.names) != len(self.ids):
            raise DataError(f"expected a name for each of {len(self.ids)} classes, got {len(self.names)}")
        if self.colours is not None and not len(set(self.colours)) == len(self.colours) == len(self.ids):
            raise DataError(f"palette: expected {len(self.ids)} different colours, one for each class")

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def counted(cls, count: int) -> Classes:
        """Return classes with the ids 0 to ``count - 1`` and no other names."""
        return cls(tuple(range(count)), tuple(map(str, range(count))))

    @property
    def painted(self) -> tuple[Rgb, ...]:
        """The colour of each class."""
        return tuple(map(_voc_colour, self.ids)) if self.colours is None else self.colours

    @property
    def palette(self) -> list[int]:
        """Red, green and blue of the ids 0 to 255, as a palette PNG has them; void is white or else unused."""
        found = [(0, 0, 0)] * 256
        for one, colour in zip(self.ids, self.painted, strict=True):
            if one < len(found):
                found[one] = colour
        if self.void is not None and self.void < len(found):
            found[self.void] = (255, 255, 255)
        return [level for colour in found for level in colour]

    def indices(self, ids: NDArray[Any]) -> Indices:
        """Turn ids [H, W] into numbers of channels; void becomes the number behind the last.

        Raises:
            DataError: naming ids that are none of the classes.
        """
        table = np.full(_HIGHEST_ID + 2, 256, np.uint16)
        for index, one in enumerate(self.ids):
            table[one] = index
        if self.void is not None:
            table[self.void] = len(self.ids)
        found = table[ids.astype(np.int64).clip(-1, _HIGHEST_ID + 1)]  # -1 is the last, which is none
        if (strange := found > MOST_CLASSES).any():
            void = "" if self.void is None else f" (void {self.void})"
            raise DataError(f"ids {_listed(np.unique(ids[strange]))} are none of the classes {_listed(self.ids)}{void}")
        return np.asarray(found, np.uint8)

    def indices_of_colours(self, pixels: NDArray[np.uint8]) -> Indices:
        """Turn colours [H, W, 3] into numbers of channels.

        Raises:
            DataError: naming colours that are none of the palette, or if no palette was stated.
        """
        if self.colours is None:
            raise DataError("a picture in colours, where ids were said: state the palette of its classes")
        found = np.full(pixels.shape[:2], 256, np.uint16)
        for index, colour in enumerate(self.colours):
            found[(pixels == np.asarray(colour, np.uint8)).all(2)] = index
        if (strange := found > MOST_CLASSES).any():
            colours, counts = np.unique(pixels[strange], axis=0, return_counts=True)
            shown = [tuple(map(int, colours[i])) for i in np.argsort(-counts)[:3]]
            raise DataError(f"{len(colours)} colours are none of the palette, first {' '.join(map(str, shown))}")
        return found.astype(np.uint8)

    def ids_of(self, indices: Indices) -> NDArray[np.uint8 | np.uint16]:
        """Turn numbers of channels into ids, of 8 bits where all classes have such."""
        known = (*self.ids, self.ids[0] if self.void is None else self.void)
        table: NDArray[np.uint8 | np.uint16] = np.asarray(known, np.uint8 if max(known) <= 255 else np.uint16)  # noqa: PLR2004 (8 bits)
        return table[indices]

    def plain(self) -> dict[str, Any]:
        """Return plain data, see :meth:`of`."""
        painted = {} if self.colours is None else {"palette": [list(colour) for colour in self.colours]}
        void = {} if self.void is None else {"void": self.void}
        return {"ids": list(self.ids), "names": list(self.names), **painted, **void}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Classes:
        """Return classes from what :meth:`plain` gave."""
        palette = plain.get("palette")
        colours = None if palette is None else tuple((int(r), int(g), int(b)) for r, g, b in palette)
        return cls(tuple(map(int, plain["ids"])), tuple(map(str, plain["names"])), colours, plain.get("void"))


def _voc_colour(one: int) -> Rgb:
    """Return PASCAL VOC's colour of a class: the bits of its number dealt out to red, green and blue in turn.

    Source: VOC2012 development kit, VOCcode/VOClabelcolormap.m.
    """
    levels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            levels[channel] |= (one >> (3 * bit + channel) & 1) << (7 - bit)
    return levels[0], levels[1], levels[2]


def _listed(ids: Any) -> str:
    """Write ids down, a run of them as its ends."""
    given = sorted(int(one) for one in ids)
    if len(given) > 2 and given == list(range(given[0], given[-1] + 1)):  # noqa: PLR2004 (two are as short)
        return f"{given[0]} to {given[-1]}"
    return ", ".join(map(str, given[:_SHOWN])) + (" ..." if len(given) > _SHOWN else "")
