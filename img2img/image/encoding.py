"""Pictures to the bytes of a file; what they are and what the format holds is settled before."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from img2img.image import deep, ranged
from img2img.image.picture import Picture, Pictures, ValueRange
from img2img.image.tiff import Extra, write_tiff

_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 90},
    "PNG": {"compress_level": 4},
}
_EXIF_HEADER = b"Exif\0\0"
XMP_KEY = "XML:com.adobe.xmp"
_GIF_COLOURS, _HALF = 255, 128


def encoded(file_format: str, pictures: Pictures, extra: Extra, value_range: ValueRange | None) -> bytes:
    """Encode pictures.

    Args:
        file_format: Pillow's name of it, or NPY.
        pictures: pixels of a type, a number of channels (4 for CMYK) and a number of frames that it holds.
        extra: what stands beside.
        value_range: what -1 and 1 become in a float file; by default what they were in the source.
    """
    first = pictures.frames[0]
    buffer = io.BytesIO()
    if first.pixels.dtype == np.float32:
        stated = value_range or first.value_range
        assert stated is not None
        if file_format == "NPY":
            return ranged.npy_bytes(first.pixels, stated)
        write_tiff(buffer, [(ranged.from_unit(p.pixels, stated), None) for p in pictures.frames], extra)
    elif file_format == "TIFF":
        write_tiff(buffer, [(p.pixels, p.alpha) for p in pictures.frames], extra)
    elif first.pixels.dtype == np.uint16:
        return deep.png_16(first.pixels, first.alpha, _options("PNG", pictures, extra))
    else:
        image, *more = _images(file_format, pictures)
        options = _options(file_format, pictures, extra)
        if more:
            options |= {"save_all": True, "append_images": more}
        image.save(buffer, format=file_format, **options)
    return buffer.getvalue()


def _options(file_format: str, pictures: Pictures, extra: Extra) -> dict[str, Any]:
    options = dict(_OPTIONS.get(file_format, {}))
    several = len(pictures.frames) > 1
    if extra.icc:
        options["icc_profile"] = extra.icc
    if extra.dpi:
        options["dpi"] = extra.dpi
    if extra.exif:
        # Pillow's writer of animated WebP, unlike that of one picture, expects the block without its header
        bare = file_format == "WEBP" and several
        options["exif"] = extra.exif.removeprefix(_EXIF_HEADER) if bare else extra.exif
    if extra.xmp and file_format == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt(XMP_KEY, extra.xmp.decode())
    elif extra.xmp:
        options["xmp"] = extra.xmp
    if several and pictures.durations:
        times = [round(time) for time in pictures.durations] if file_format == "WEBP" else list(pictures.durations)
        options["duration"] = times
        if pictures.loop is not None:
            options["loop"] = pictures.loop
    transparent = any(picture.alpha is not None for picture in pictures.frames)
    if transparent and file_format == "GIF":
        # each frame is whole: what was there before it must not show through; unoptimised, it also says what is clear
        options |= {"disposal": 2, "optimize": False}
    if transparent and file_format == "AVIF":
        options["advanced"] = {"alpha:lossless": "1"}
    return options


def _images(file_format: str, pictures: Pictures) -> list[Image.Image]:
    """Make Pillow's images of 8 bits, alike in channels, as the format takes them."""
    frames = pictures.frames
    transparent = any(picture.alpha is not None for picture in frames)
    alike = len({picture.pixels.shape[2] for picture in frames}) == 1
    found = []
    for picture in frames:
        image = _image(picture)
        if transparent and picture.alpha is None:
            image.putalpha(255)
        if not alike or (transparent and file_format in {"WEBP", "AVIF", "GIF"}):
            image = image.convert("RGBA" if transparent else "RGB")
        found.append(_indexed(image) if file_format == "GIF" else image)
    return found


def _image(picture: Picture) -> Image.Image:
    pixels = np.ascontiguousarray(picture.pixels)
    if pixels.shape[2] == 4:  # noqa: PLR2004 (cyan, magenta, yellow, black)
        return Image.frombytes("CMYK", (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    return image


def _indexed(image: Image.Image) -> Image.Image:
    """Choose 255 colours for a frame, and spread the rounding error; the last index is transparent."""
    if image.mode == "L":
        return image
    colours = image.convert("RGB")
    chosen = colours.quantize(_GIF_COLOURS, Image.Quantize.MEDIANCUT)
    indexed = colours.quantize(palette=chosen, dither=Image.Dither.FLOYDSTEINBERG)
    palette = (chosen.getpalette() or [])[: 3 * _GIF_COLOURS]
    indexed.putpalette(palette + [0] * (768 - len(palette)))
    if image.mode == "RGBA":
        clear = image.getchannel("A").point([255] * _HALF + [0] * _HALF)
        indexed.paste(_GIF_COLOURS, mask=clear)
        indexed.info["transparency"] = _GIF_COLOURS
    return indexed
