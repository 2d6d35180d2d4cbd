"""One look at one image: what its file says of it, and what a thumbnail of it shows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from img2img.data.source import Half, Source
from img2img.data.split import QUARTER_TURNS, orientation
from img2img.data.transforms import on_white
from img2img.errors import DataError
from img2img.image import Pixels, opened, picture_of, with_channels
from img2img.image.deep import is_deep

THUMBNAIL_PX = 64
_DRAFT_PX = 256
"""A JPEG of the quick half is decoded no larger than it takes to cover this."""

_MAX_COLOURS, _COLOUR_RADIUS, _REST = 32, 14, 0.01
"""A palette is the most frequent colours, each with what lies within this distance of it (of 255 a channel)."""

_WHITE, _BLACK, _FLAT = 225, 30, 2


@dataclass(frozen=True)
class Shape:
    """What the head of a file says.

    Attributes:
        size: (width, height), upright, of the half if the file holds two.
        mode: Pillow's.
        format: Pillow's.
        turned: whether EXIF turns it.
        deep: 16 bits a colour.
        alpha: whether it has transparency.
        animated: whether it has further frames.
    """

    size: tuple[int, int]
    mode: str
    format: str
    turned: bool
    deep: bool
    alpha: bool
    animated: bool


@dataclass(frozen=True)
class Sight:
    """What the pixels of an image show.

    Attributes:
        thumbnail: uint8 [64, 64], grey.
        traits: what tells kinds of pictures apart: flatness, saturation, lightness, contrast, detail, white, black,
            number of colours; float32 [8].
        palette: (red, green, blue) to the share of the pixels near it, of the most frequent colours.
        levels: grey levels that occur, if there are 64 at most and the image is grey; else None.
        constant: whether every pixel is the same.
    """

    thumbnail: NDArray[np.uint8] = field(repr=False)
    traits: NDArray[np.float32]
    palette: dict[tuple[int, int, int], float]
    levels: frozenset[int] | None
    constant: bool


@dataclass(frozen=True)
class Look:
    """What is known of an image: why it cannot be read, or its shape and, where it was decoded, its sight."""

    error: str = ""
    shape: Shape | None = None
    sight: Sight | None = None


def look(sources: list[Source], *, decode: bool, draft: bool) -> dict[Source, Look]:
    """Look at a file: at the image, or at both halves of it.

    Args:
        sources: all of one path.
        decode: also at the pixels.
        draft: decode a large JPEG at a fraction of its size, for speed.
    """
    first = sources[0]
    try:
        with opened(first.file, first.label) as image:
            shape, pixels = _shape(image), None
            if decode:
                if draft:
                    image.draft(None, (_DRAFT_PX, _DRAFT_PX))
                pixels = with_channels(on_white(picture_of(image, first.label).at_8_bits()), 3)
            shape = _lying(shape, orientation(image))  # of a PNG it is known once it is loaded
    except DataError as error:
        return dict.fromkeys(sources, Look(error=str(error)))
    found = {}
    for source in sources:
        if source.half != "whole" and shape.size[0] % 2:
            found[source] = Look(error=f"{source.label}: an odd width of {shape.size[0]} px cannot be two halves")
            continue
        part = None if pixels is None else _half(pixels, source.half)
        found[source] = Look(shape=_halved(shape, source.half), sight=None if part is None else _sight(part))
    return found


def cost(shape: Shape) -> float:
    """Return how much work a draft decode is, in pixels of a PNG: a JPEG's pixels are skipped four in five."""
    pixels = shape.size[0] * shape.size[1]
    return pixels / 5 if shape.format == "JPEG" and pixels > _DRAFT_PX**2 else pixels


def _shape(image: Image.Image) -> Shape:
    return Shape(
        image.size,
        image.mode,
        image.format or "",
        False,  # noqa: FBT003 (the fields in their order)
        is_deep(image),
        image.has_transparency_data,
        bool(getattr(image, "is_animated", False)),
    )


def _lying(shape: Shape, orientation: int) -> Shape:
    size = shape.size[::-1] if orientation in QUARTER_TURNS else shape.size
    return replace(shape, size=(size[0], size[1]), turned=orientation in range(2, 9))


def _halved(shape: Shape, half: Half) -> Shape:
    if half == "whole":
        return shape
    return replace(shape, size=(shape.size[0] // 2, shape.size[1]))


def _half(pixels: Pixels, half: Half) -> Pixels:
    middle = pixels.shape[1] // 2
    return {"whole": pixels, "left": pixels[:, :middle], "right": pixels[:, -middle:]}[half]


def _sight(pixels: Pixels) -> Sight:
    rgb = Image.fromarray(np.ascontiguousarray(pixels))
    grey = rgb.convert("L").resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BILINEAR)
    thumbnail = np.asarray(grey)
    picked = np.asarray(rgb.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.NEAREST))
    palette = _palette(picked.reshape(-1, 3))
    lightness = picked.mean(-1)
    spread = picked.max(-1).astype(np.float32) - picked.min(-1)
    rows = pixels[:: max(pixels.shape[0] // THUMBNAIL_PX, 1)].astype(np.int16)
    flat = (np.abs(np.diff(rows, axis=1)).max(-1) <= _FLAT).mean() if rows.shape[1] > 1 else 1.0
    detail = thumbnail - cv2.GaussianBlur(thumbnail.astype(np.float32), (0, 0), 2.5)
    traits = (
        flat,
        spread.mean() / 255,
        lightness.mean() / 255,
        lightness.std() / 128,
        np.abs(detail).mean() / 32,
        (lightness > _WHITE).mean(),
        (lightness < _BLACK).mean(),
        np.log1p(len(palette)) / 4,
    )
    return Sight(
        thumbnail,
        np.asarray(traits, np.float32),
        palette,
        _levels(picked, spread),
        bool((pixels == pixels[0, 0]).all()),
    )


def _levels(picked: Pixels, spread: NDArray[np.float32]) -> frozenset[int] | None:
    if spread.any():
        return None
    levels = np.unique(picked[..., 0])
    return frozenset(levels.tolist()) if len(levels) <= THUMBNAIL_PX else None


def _palette(colours: NDArray[np.uint8]) -> dict[tuple[int, int, int], float]:
    """Take the most frequent colour with what lies near it, and again of the rest, until 99 % or 32 are taken."""
    coarse = (colours >> 4).astype(np.int32) @ np.asarray((256, 16, 1), np.int32)
    _, member, counts = np.unique(coarse, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(member, colours[:, channel]) for channel in range(3)], axis=1)
    means, shares = sums / counts[:, None], counts / len(colours)
    found: dict[tuple[int, int, int], float] = {}
    while len(shares) and shares.sum() > _REST and len(found) < _MAX_COLOURS:
        centre = means[shares.argmax()]
        near = (np.abs(means - centre) <= _COLOUR_RADIUS).all(-1)
        red, green, blue = (round(float(c)) for c in centre)
        found[red, green, blue] = found.get((red, green, blue), 0.0) + float(shares[near].sum())
        means, shares = means[~near], shares[~near]
    return found
