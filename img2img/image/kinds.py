"""What the planes of an image are: a picture of 8 or 16 bits, a label map, a mask, or an array of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from img2img.errors import DataError
from img2img.image.classes import MOST_CLASSES, Classes
from img2img.image.levels import Pixels, highest_level, resized, to_8_bits, to_pixels, to_tensor, to_unit, with_channels

KindName = Literal["rgb", "gray", "edge", "mask", "rgb16", "gray16", "label", "uint8", "uint16", "float"]
KINDS: tuple[str, ...] = get_args(KindName)

_CHANNELS = {"rgb": 3, "gray": 1, "edge": 1, "mask": 1, "rgb16": 3, "gray16": 1}
_DEEP, _ARRAYS = ("rgb16", "gray16", "uint16"), ("uint8", "uint16", "float")
_PICTURES = ("rgb", "gray", "edge")
_BITMAPS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".jp2")


@dataclass(frozen=True)
class Kind:
    """What some planes of an image are, and what a network sees of them.

    Attributes:
        name: ``rgb``, ``gray`` and ``edge`` are pictures of 8 bits; ``rgb16`` and ``gray16`` of 16; ``mask`` is 8 bits
            without light and colour; ``label`` holds class ids; ``uint8``, ``uint16`` and ``float`` are arrays.
        channels: that a network sees: of a label map one for each class.
        value_range: what -1 and 1 stand for, of floats.
        classes: of a label map.
    """

    name: KindName
    channels: int
    value_range: tuple[float, float] | None = None
    classes: Classes | None = None

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.channels != _CHANNELS.get(self.name, self.channels):
            raise DataError(f"{self.name}: it has {_CHANNELS[self.name]} channels, got {self.channels}")
        if self.name == "label" and self.classes is None:
            raise DataError(f"label: expected a number of classes, 2 to {MOST_CLASSES}, such as label*12 (ids 0 to 11)")
        if self.name == "float":
            low, high = self.value_range or (0.0, 0.0)
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise DataError("float: expected the range of its values, such as float[0..80]")
        elif self.value_range is not None:
            raise DataError(f"{self.name}: its range follows from its bits; only float has one to state")

    @property
    def planes(self) -> int:
        """How many planes an image has in memory: a label map one, of class numbers."""
        return 1 if self.name == "label" else self.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a plane in memory: uint8, uint16, or float32 in [-1, 1]."""
        return np.dtype("uint16" if self.name in _DEEP else "float32" if self.name == "float" else "uint8")

    @property
    def is_picture(self) -> bool:
        """Whether it is 8-bit light and colour, which people look at as it is."""
        return self.name in _PICTURES

    @property
    def has_light(self) -> bool:
        """Whether training may change its brightness and colours at random."""
        return self.name in {"rgb", "gray"}

    @property
    def is_array(self) -> bool:
        """Whether files of it are TIFF or NPY arrays of any number of channels."""
        return self.name in _ARRAYS

    @property
    def endings(self) -> tuple[str, ...]:
        """Name endings of the files that hold it without loss (or, of 8-bit pictures, at all), the usual one first."""
        if self.is_picture:
            return _BITMAPS
        if self.is_array:
            return (".tif", ".tiff", ".npy")
        return (".png", ".npy") if self.name == "label" else (".png", ".tif", ".tiff")

    def resized(self, pixels: Pixels, height: int, width: int) -> Pixels:
        """Resize: label maps and masks to the nearest pixel always, all else bicubic."""
        if self.name not in {"label", "mask"} or pixels.shape[:2] == (height, width):
            return resized(pixels, height, width)
        nearest = cv2.resize(pixels[..., 0], (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        return np.asarray(nearest)[..., None].astype(pixels.dtype)

    def unit(self, levels: Tensor) -> Tensor:
        """Turn planes [B, planes, H, W] into what a network sees, float32 [B, channels, H, W] in [-1, 1].

        Label maps become one-hot: 1 where a pixel is of the class, -1 elsewhere; void is -1 everywhere.
        """
        if self.name == "label":
            numbers = torch.arange(self.channels, device=levels.device, dtype=torch.float32).view(1, -1, 1, 1)
            return (levels.to(torch.float32) == numbers).float().mul_(2).sub_(1)
        return to_unit(levels, None if self.dtype == np.float32 else highest_level(self.dtype))

    def levels(self, image: Tensor) -> Pixels:
        """Turn what a network gave, [channels, H, W] in [-1, 1], into planes [H, W, planes]: :meth:`unit` undone.

        A pixel is of the class whose channel is largest; where there is a void id and no channel is above 0, of none.
        """
        if self.classes is None:
            return to_pixels(image, self.dtype)
        found, index = image.detach().float().cpu().max(0)
        if self.classes.void is not None:
            index = index.masked_fill(found <= 0, self.channels)
        return index.to(torch.uint8)[..., None].numpy()

    def shown(self, pixels: Pixels) -> NDArray[np.uint8]:
        """Return what people are shown of planes [H, W, planes]: RGB; of many channels the first three."""
        if self.classes is not None:
            colours = np.asarray([*self.classes.painted, (255, 255, 255)], np.uint8)
            return np.asarray(colours[pixels[..., 0]])
        few = pixels if pixels.shape[2] in {1, 3} else pixels[..., : 3 if pixels.shape[2] > 3 else 1]  # noqa: PLR2004 (RGB)
        if few.dtype == np.float32:
            few = np.rint((few.clip(-1, 1) + 1) * 127.5).astype(np.uint8)
        return with_channels(to_8_bits(few) if few.dtype == np.uint16 else few, 3).astype(np.uint8)

    def plain(self) -> dict[str, Any]:
        """Return plain data for a translator's header, see :meth:`of`."""
        stated = {} if self.value_range is None else {"range": list(self.value_range)}
        classes = {} if self.classes is None else {"classes": self.classes.plain()}
        return {"kind": self.name, "channels": self.channels, **stated, **classes}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Kind:
        """Return the kind that :meth:`plain` described.

        Raises:
            DataError: if there is no such kind.
        """
        if plain.get("kind") not in KINDS:
            raise DataError(f"kind {plain.get('kind')}: expected one of {', '.join(KINDS)}")
        stated = plain.get("range")
        return cls(
            plain["kind"],
            int(plain["channels"]),
            None if stated is None else (float(stated[0]), float(stated[1])),
            Classes.of(plain["classes"]) if "classes" in plain else None,
        )

    def painted(self, colours: tuple[tuple[int, int, int], ...]) -> Kind:
        """Return the same label map in other colours."""
        assert self.classes is not None
        return replace(self, classes=replace(self.classes, colours=colours))


Side = tuple[Kind, ...]
"""The kinds of all planes of a source or target, in their order."""

RGB: Side = (Kind("rgb", 3),)
GRAY: Side = (Kind("gray", 1),)


def picture_side(channels: int) -> Side:
    """Return the side of 8-bit pictures of 1 or 3 channels."""
    return RGB if channels == 3 else GRAY  # noqa: PLR2004 (RGB)


def plain_picture(side: Side) -> bool:
    """Tell whether a side is one 8-bit picture, as a folder's are."""
    return len(side) == 1 and side[0].is_picture


def channels_of(side: Side) -> int:
    """Count the channels that a network sees of a side."""
    return sum(kind.channels for kind in side)


def packed(planes: list[Pixels]) -> Pixels:
    """Put the planes of several kinds into one array [H, W, P] of the narrowest type that holds them all exactly."""
    wide = np.result_type(*(each.dtype for each in planes))
    return planes[0] if len(planes) == 1 else np.concatenate([each.astype(wide) for each in planes], axis=2)


def unpacked(side: Side, pixels: Pixels) -> Iterator[tuple[Kind, Pixels]]:
    """Take planes [H, W, P] apart by kind, each in its own type."""
    at = 0
    for kind in side:
        yield kind, pixels[..., at : at + kind.planes].astype(kind.dtype, copy=False)
        at += kind.planes


def resized_side(side: Side, pixels: Pixels, height: int, width: int) -> Pixels:
    """Resize planes [H, W, P], each kind in its own way."""
    return packed([kind.resized(planes, height, width) for kind, planes in unpacked(side, pixels)])


def unit_of(side: Side, levels: Tensor) -> Tensor:
    """Turn planes [B, P, H, W] into float32 [B, C, H, W] in [-1, 1]; what is float and has C channels is that already.

    Raises:
        DataError: for another number of planes.
    """
    if len(side) == 1 and side[0].name != "label":
        return side[0].unit(levels)
    sizes = [kind.planes for kind in side]
    if levels.shape[1] != sum(sizes):
        raise DataError(f"expected {sum(sizes)} planes, got {levels.shape[1]}")
    return torch.cat([kind.unit(p) for kind, p in zip(side, torch.split(levels, sizes, 1), strict=True)], 1)


def shown_side(side: Side, pixels: Pixels) -> NDArray[np.uint8]:
    """Return what people are shown of planes [H, W, P]: the kinds beside one another, RGB."""
    return np.concatenate([kind.shown(planes) for kind, planes in unpacked(side, pixels)], axis=1)


def shown_image(side: Side, image: Tensor) -> NDArray[np.uint8]:
    """Return what people are shown of what a network sees or gives, [C, H, W] in [-1, 1]."""
    each = torch.split(image, [kind.channels for kind in side])
    return np.concatenate([kind.shown(kind.levels(part)) for kind, part in zip(side, each, strict=True)], axis=1)


def seen_of(side: Side, images: Tensor) -> Tensor:
    """Return what people are shown of the first kind of [B, C, H, W] as images [B, 3, H, W]; pictures as they are."""
    if plain_picture(side):
        return images
    kind = side[0]
    shown = [to_tensor(kind.shown(kind.levels(image[: kind.channels]))) for image in images]
    return torch.stack(shown).to(images.device)
