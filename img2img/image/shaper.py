"""Colour profiles made of three curves and a matrix, at 16 bits.

Almost every profile of a camera, a screen or a working space (Adobe RGB, Display P3, ProPhoto, Rec. 2020) is of this
kind: linear light is curve(level), and XYZ (D50) is matrix times linear light. Black is 0 on both sides, so relative
colorimetric conversion with black point compensation is the two matrices and nothing else.

Source: ICC.1:2022, clauses 7.2 (header), 7.3 (tag table), 10.6 (curveType), 10.18 (parametricCurveType), F.3 (the
model).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.image.levels import Pixels

_LEVELS = np.linspace(0, 1, 65536)
_BLOCK_PIXELS = 1 << 18
_PARAMETERS = {0: "g", 1: "gab", 2: "gabc", 3: "gabcd", 4: "gabcdef"}
_HEADER_BYTES, _MAX_TAGS = 128, 1000
_DIP = 1e-3  # where the two pieces of a parametric curve meet, their rounded parameters leave a step


class Shaper(NamedTuple):
    """A profile's model.

    Attributes:
        curves: one or three of float64 [65536]: linear light in [0, 1] for each 16-bit level, rising.
        matrix: float64 [3, 3], linear RGB to XYZ (D50); None for grey.
    """

    curves: tuple[NDArray[np.float64], ...]
    matrix: NDArray[np.float64] | None


@lru_cache(maxsize=8)
def shaper_of(icc: bytes) -> Shaper | None:
    """Read a profile; None if it is not of this kind, or damaged."""
    try:
        tags = _tags(icc)
        if any(name in tags for name in (b"A2B0", b"A2B1")):  # tables, which go before the matrix
            return None
        space, connection = icc[16:20], icc[20:24]
        if space == b"GRAY":
            return Shaper((_curve(tags[b"kTRC"]),), None)
        if space != b"RGB " or connection != b"XYZ ":
            return None
        curves = tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
        columns = [struct.unpack(">3i", tags[name][8:20]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        matrix = np.array(columns, np.float64).T / 65536
        np.linalg.inv(matrix)
    except (KeyError, ValueError, struct.error, np.linalg.LinAlgError):
        return None
    return Shaper(curves, matrix)


def convert(pixels: Pixels, source: Shaper, target: Shaper) -> Pixels:
    """Convert uint16 pixels [H, W, C] from one profile's colours to another's; what lies outside is clipped.

    Grey, whose three colours are equal, needs one curve of each.
    """
    flat = pixels.reshape(-1, pixels.shape[2])
    out = np.empty(flat.shape, np.uint16)
    grey = pixels.shape[2] == 1
    between = None
    if not grey:
        assert source.matrix is not None
        assert target.matrix is not None
        between = (np.linalg.inv(target.matrix) @ source.matrix).T
    ours, theirs = (shaper.curves[1:2] or shaper.curves if grey else shaper.curves for shaper in (source, target))
    for start in range(0, len(flat), _BLOCK_PIXELS):  # doubles of the whole image would take eight times its memory
        block = flat[start : start + _BLOCK_PIXELS]
        light = np.stack([curve[block[:, c]] for c, curve in enumerate(ours)], axis=1)
        light = light if between is None else light @ between
        for c, curve in enumerate(theirs):
            out[start : start + len(block), c] = np.rint(np.interp(light[:, c], curve, _LEVELS) * 65535)
    return out.reshape(pixels.shape)


class Tables(NamedTuple):
    """A conversion of 8-bit RGB from one profile to another, ready to be looked up.

    Attributes:
        light: float32 [256, 1, 3], linear light in [0, 1] of each level.
        matrix: float32 [3, 3], to the target's linear light, from 0 to 65535.
        levels: uint8 [65536], the target's level for it.
    """

    light: NDArray[np.float32]
    matrix: NDArray[np.float32]
    levels: NDArray[np.uint8]


def tables_of(source: Shaper, target: Shaper) -> Tables | None:
    """Prepare a conversion of RGB; None for grey."""
    if source.matrix is None or target.matrix is None:
        return None
    light = np.stack([curve[::257] for curve in source.curves], axis=-1)[:, None].astype(np.float32)
    levels = np.rint(np.interp(_LEVELS, target.curves[1], _LEVELS) * 255).astype(np.uint8)
    return Tables(light, (np.linalg.inv(target.matrix) @ source.matrix * 65535).astype(np.float32), levels)


def convert_8_bits(pixels: NDArray[np.uint8], tables: Tables) -> NDArray[np.uint8]:
    """Convert RGB pixels [H, W, 3]: in half of littlecms' time, and within a level of it."""
    light = cv2.transform(cv2.LUT(pixels, tables.light), tables.matrix)
    converted: NDArray[np.uint8] = np.take(tables.levels, np.clip(light, 0, 65535, out=light).astype(np.uint16))
    return converted


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, _HEADER_BYTES)
    if count > _MAX_TAGS:
        raise ValueError("too many tags")
    entries = [struct.unpack_from(">4sII", icc, _HEADER_BYTES + 4 + 12 * i) for i in range(count)]
    return {name: icc[offset : offset + size] for name, offset, size in entries}


def _curve(tag: bytes) -> NDArray[np.float64]:
    kind, count = tag[:4], struct.unpack_from(">I", tag, 8)[0]
    if kind == b"curv" and count == 0:
        curve = _LEVELS
    elif kind == b"curv" and count == 1:
        curve = _LEVELS ** (struct.unpack_from(">H", tag, 12)[0] / 256)
    elif kind == b"curv":
        table = np.frombuffer(tag, ">u2", count, 12) / 65535
        curve = np.interp(_LEVELS, np.linspace(0, 1, count), table)
    elif kind == b"para":
        curve = _parametric(tag)
    else:
        raise ValueError(f"a curve of kind {kind!r}")
    rising = np.maximum.accumulate(np.clip(curve, 0, 1))
    if (rising - curve).max() > _DIP or not rising[-1] > rising[0]:
        raise ValueError("a curve that does not rise")
    return rising


def _parametric(tag: bytes) -> NDArray[np.float64]:
    (kind,) = struct.unpack_from(">H", tag, 8)
    names = _PARAMETERS[kind]
    values = [value / 65536 for value in struct.unpack_from(f">{len(names)}i", tag, 12)]
    p = {"a": 1.0, "b": 0.0, "c": 0.0, "e": 0.0, "f": 0.0, **dict(zip(names, values, strict=True))}
    above: NDArray[np.float64] = np.maximum(p["a"] * _LEVELS + p["b"], 0) ** p["g"]
    if kind == 0:
        return above
    if kind in {1, 2}:  # c is what is added, also below the threshold -b/a
        return np.add(above, p["c"] if kind == 2 else 0)  # noqa: PLR2004 (the function type's number)
    whole: NDArray[np.float64] = np.where(p["d"] <= _LEVELS, above + p["e"], p["c"] * _LEVELS + p["f"])
    return whole
