"""Files of a stated kind: read exactly as they are, refused where they are something else, written alike."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from img2img.errors import DataError
from img2img.image import deep, metadata
from img2img.image.arrays import array_bytes, read_array
from img2img.image.classes import Classes
from img2img.image.encoding import XMP_KEY
from img2img.image.kinds import Kind, Side, packed
from img2img.image.levels import Pixels
from img2img.image.opening import MAX_PIXELS, binary, named, opened
from img2img.image.picture import on_white
from img2img.image.ranged import NPY_MAGIC
from img2img.image.reading import read_picture

_LOSSY = {"JPEG", "MPO", "WEBP", "AVIF", "JPEG2000", "GIF"}
_BITS_16 = 16


def read_side(
    sources: Sequence[Path | BinaryIO], names: Sequence[str], side: Side, max_pixels: int | None = None
) -> Pixels:
    """Read the files of all kinds of a side, which are of one size.

    Args:
        sources: a file for each kind.
        names: what messages call them.
        side: the kinds.
        max_pixels: larger images are refused; 89 megapixels by default.

    Returns:
        [H, W, P]: their planes behind one another, see :func:`img2img.image.kinds.packed`.

    Raises:
        DataError: naming the file that cannot be read, is of another kind, or differs in size.
    """
    planes = [read_kind(*each, max_pixels) for each in zip(sources, names, side, strict=True)]
    first = planes[0].shape[:2]
    for name, each in zip(names, planes, strict=True):
        if each.shape[:2] != first:
            raise DataError(
                f"{name}: {each.shape[1]}x{each.shape[0]} px, but {names[0]} has {first[1]}x{first[0]}; "
                "expected the inputs of one row in one size"
            )
    return packed(planes)


def read_kind(source: Path | BinaryIO, name: str, kind: Kind, max_pixels: int | None = None) -> Pixels:
    """Read one file as what it was said to be.

    Returns:
        [H, W, planes] of the kind's type: levels, class numbers, or floats in [-1, 1].

    Raises:
        DataError: if it cannot be read whole or is something else, naming it and what it is.
    """
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    if kind.is_array:
        with named(name, limit), binary(source, name) as file:
            return _as_said(read_array(file, name, limit), name, kind)
    if kind.classes is not None:
        with named(name, limit):
            return _label(source, name, kind.classes, limit)[..., None]
    picture = read_picture(source, name, keep_16_bits=True, max_pixels=max_pixels)
    bits, wanted = picture.pixels.dtype.itemsize * 8, kind.dtype.itemsize * 8
    if bits != wanted:
        also = f" (say {_other(kind.name)})" if {bits, wanted} == {8, _BITS_16} and kind.name in _OTHER else ""
        raise DataError(f"{name}: {bits} bits a channel, where {kind.name} has {wanted}{also}")
    if picture.alpha is not None and not kind.is_picture:
        raise DataError(f"{name}: it has transparency, which {kind.name} has not; save it without")
    pixels = np.asarray(on_white(picture)) if picture.alpha is not None else picture.pixels
    if kind.channels == 1 and pixels.shape[2] != 1:
        if (pixels != pixels[..., :1]).any():
            raise DataError(f"{name}: a picture in colours, where {kind.name} is grey")
        pixels = pixels[..., :1]
    if kind.channels != 1 and pixels.shape[2] == 1:
        if not kind.is_picture:
            raise DataError(f"{name}: a grey picture, where {kind.name} has colours")
        pixels = np.repeat(pixels, 3, axis=2)
    return pixels


_OTHER = {"rgb": "rgb16", "gray": "gray16", "rgb16": "rgb", "gray16": "gray"}


def _other(name: str) -> str:
    return _OTHER[name]


def _as_said(values: NDArray[Any], name: str, kind: Kind) -> Pixels:
    if values.shape[2] != kind.channels:
        raise DataError(f"{name}: {values.shape[2]} channels, where {kind.channels} were said")
    if kind.value_range is None:
        if values.dtype != kind.dtype:
            raise DataError(f"{name}: an array of {values.dtype}, where {kind.name} was said")
        return values
    low, high = kind.value_range
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        raise DataError(f"{name}: it holds NaN or infinity; give every pixel a value in the range")
    if wide.min() < low or wide.max() > high:
        raise DataError(
            f"{name}: values from {wide.min():g} to {wide.max():g} leave the stated range {low:g}..{high:g}; "
            "state one that holds them all"
        )
    return ((wide - low) * (2 / (high - low)) - 1).clip(-1, 1).astype(np.float32)


def _label(source: Path | BinaryIO, name: str, classes: Classes, limit: int) -> NDArray[np.uint8]:
    with binary(source, name) as file:
        if file.read(8).startswith(NPY_MAGIC):
            file.seek(0)
            values = read_array(file, name, limit)
            if values.dtype.kind not in "iu" or values.shape[2] != 1:
                raise DataError(f"{name}: expected ids, integers [H, W], got {values.dtype} {list(values.shape)}")
            return _named(classes.indices, values[..., 0], name)
        file.seek(0)
        with opened(file, name, max_pixels=limit) as image:
            if image.format in _LOSSY:
                raise DataError(f"{name}: {image.format} changes ids; save label maps as PNG")
            colours = image.mode in {"RGB", "RGBA"}
            if colours and deep.is_deep(image):
                raise DataError(f"{name}: colours of 16 bits, where a label map has ids or 8-bit colours")
            image.load()
            if image.mode in {"RGBA", "LA"} and np.asarray(image.getchannel("A")).min() < 255:  # noqa: PLR2004 (opaque)
                raise DataError(f"{name}: it has transparency, which a label map has not; save it without")
            if image.mode not in {"1", "L", "P", "I", "I;16", "I;16B", "RGB", "RGBA"}:
                raise DataError(f"{name}: mode {image.mode}, where a label map has ids or colours")
            _, orientation, _ = metadata.descriptive_exif(image, keep=False)
            values = metadata.upright(np.asarray(image), orientation)
    if colours:
        return _named(classes.indices_of_colours, values[..., :3], name)
    return _named(classes.indices, values.astype(np.int32), name)


def _named(indices: Any, values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    try:
        found: NDArray[np.uint8] = indices(values)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    return found


def palette_of(path: Path) -> list[int] | None:
    """Return the palette (red, green, blue of each id) that a label map's file has, or None."""
    try:
        with opened(path, path.name) as image:
            return None if image.mode != "P" else image.getpalette()
    except DataError:
        return None


def encoded_kind(pixels: Pixels, kind: Kind, file_format: str, xmp: bytes | None) -> bytes:
    """Encode planes of an array or a label map.

    Args:
        pixels: [H, W, planes].
        kind: what they are.
        file_format: PNG, TIFF or NPY; one that :attr:`Kind.endings` has.
        xmp: a packet to write beside it, where the format has a place for it.
    """
    if kind.classes is not None:
        ids = kind.classes.ids_of(pixels[..., 0].astype(np.uint8, copy=False))
        return array_bytes(ids[..., None], "NPY") if file_format == "NPY" else _png(ids, kind.classes, xmp)
    if kind.value_range is not None:
        low, high = kind.value_range
        pixels = ((pixels.astype(np.float64) + 1) * ((high - low) / 2) + low).astype(np.float32)
    return array_bytes(pixels, file_format, xmp)


def _png(ids: NDArray[Any], classes: Classes, xmp: bytes | None) -> bytes:
    """Encode ids as a palette PNG; those beyond 255 as one of 16 bits."""
    image = Image.fromarray(ids)
    if ids.dtype == np.uint8:
        image = Image.frombytes("P", image.size, ids.tobytes())
        image.putpalette(classes.palette)
    info = PngInfo()
    if xmp:
        info.add_itxt(XMP_KEY, xmp.decode())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, compress_level=4, bits=8)
    return buffer.getvalue()
