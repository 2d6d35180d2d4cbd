"""From pictures to a file: what the format can hold is kept, the rest is said; known before a network runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image

from img2img.errors import DataError
from img2img.image import colour, metadata, provenance
from img2img.image.atomic import atomically
from img2img.image.encoding import encoded
from img2img.image.opening import FORMATS, suffixes
from img2img.image.picture import Picture, Pictures, ValueRange
from img2img.image.provenance import Mark
from img2img.image.ranged import check_range
from img2img.image.tiff import Extra
from img2img.image.typed import encoded_kind

Icc = Literal["srgb", "keep"]
"""Which colours a file gets whose source had a profile: sRGB, or those of that profile."""

Finish = Callable[[bytes, str], tuple[bytes, str]]
"""From a file's bytes and Pillow's name of its format to its last bytes, and a note or ""."""

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class _Format:
    """What a format holds."""

    side: int
    alpha: bool = False
    frames: bool = False
    deep: bool = False
    described: bool = False  # EXIF, XMP and a colour profile
    xmp_bytes: int = 1 << 30


_HOLDS = {
    "PNG": _Format(2**31 - 1, alpha=True, frames=True, deep=True, described=True),
    "JPEG": _Format(65500, described=True, xmp_bytes=65533 - 29),
    "WEBP": _Format(16383, alpha=True, frames=True, described=True),
    "TIFF": _Format(2**31 - 1, alpha=True, frames=True, deep=True, described=True),
    "BMP": _Format(2**31 - 1),
    "GIF": _Format(65535, alpha=True, frames=True),
    "AVIF": _Format(32768, alpha=True, described=True),  # libavif reads no larger side
    "JPEG2000": _Format(2**31 - 1, alpha=True),
    "NPY": _Format(2**31 - 1),
}
FRAME_SUFFIXES = frozenset({".gif", ".png", ".apng", ".tif", ".tiff", ".webp"})
"""File name endings (in lower case) of formats that hold several frames or pages."""

_CMYK_FORMATS, _DPI_FORMATS = {"JPEG", "TIFF"}, {"PNG", "JPEG", "TIFF"}


def format_of(path: Path) -> str:
    """Return the format that a name's ending stands for.

    Raises:
        DataError: naming the endings there are.
    """
    suffix = path.suffix.lower()
    file_format = "NPY" if suffix == ".npy" else Image.registered_extensions().get(suffix, "")
    if file_format not in {*FORMATS, "NPY"}:
        raise DataError(f"{path.name}: expected a name that ends in one of {', '.join(sorted(suffixes((0, 1))))}")
    return file_format


def check_writable(
    path: Path,
    pictures: Picture | Pictures,
    *,
    shape: tuple[int, int] | None = None,
    icc: Icc = "srgb",
    mark: Mark | None = None,
    value_range: ValueRange | None = None,
) -> tuple[str, ...]:
    """Say what a file of this name would not hold, before the work of making the pictures.

    Args:
        path: file to be written; its ending is the format.
        pictures: what will be written, or the source that it will be like.
        shape: (height, width) if it will not be the pictures'.
        icc: as for :func:`write_pictures`.
        mark: as for :func:`write_pictures`.
        value_range: as for :func:`write_pictures`.

    Returns:
        What will be left out, in words; empty if nothing.

    Raises:
        DataError: if the format cannot hold them at all.
    """
    pictures = Pictures((pictures,)) if isinstance(pictures, Picture) else pictures
    if pictures.frames[0].side:
        return _typed_notes(format_of(path), path.name, pictures.frames[0], mark)
    return _notes(format_of(path), path.name, pictures, shape, icc, mark, value_range)


def write_picture(
    path: Path,
    picture: Picture,
    *,
    icc: Icc = "srgb",
    background: Colour = WHITE,
    mark: Mark | None = None,
    value_range: ValueRange | None = None,
) -> tuple[str, ...]:
    """Write one image; see :func:`write_pictures`."""
    return write_pictures(
        path, Pictures((picture,)), icc=icc, background=background, mark=mark, value_range=value_range
    )


def write_pictures(
    target: Path | BinaryIO,
    pictures: Pictures,
    *,
    file_format: str | None = None,
    icc: Icc = "srgb",
    background: Colour = WHITE,
    mark: Mark | None = None,
    value_range: ValueRange | None = None,
    finish: Finish | None = None,
) -> tuple[str, ...]:
    """Write images so that a file is whole or not there: into a temporary name beside it, then renamed.

    Bit depth, alpha, frames, EXIF, XMP and resolution are kept where the format has them. Equal neighbouring frames
    of an animation are stored as one that shows longer.

    Args:
        target: a path, whose ending is the format, or a file open for writing.
        pictures: one or several frames.
        file_format: of an open file; by default that of the first frame.
        icc: where the source had a colour profile, embed ``srgb``, or convert back and ``keep`` the source's.
        background: colour to show through where a format has no alpha.
        mark: who made the pictures, written as XMP; None to leave it out.
        value_range: what -1 and 1 become in a float file; by default what they were in the source.
        finish: changes the bytes before they are written, as signing does.

    Returns:
        What the file does not hold, in words; empty if nothing.

    Raises:
        DataError: if the format does not exist or cannot hold the images.
        OSError: if the folder cannot be written or the disk is full; nothing is left behind then.
    """
    if isinstance(target, Path):
        file_format, name = format_of(target), target.name
    else:
        file_format = file_format or pictures.frames[0].format
        file_format, name = ("JPEG" if file_format == "MPO" else file_format), f"a {file_format} file"
    if pictures.frames[0].side:
        return _write_typed(target, file_format, name, pictures, mark, finish)
    notes = _notes(file_format, name, pictures, None, icc, mark, value_range)
    held, colour_note = _coloured(file_format, _fitted(file_format, pictures, background), icc)
    extra, extra_notes = _extra(file_format, pictures.frames[0], mark, held.frames[0].icc_profile)
    finish_note = _finished(target, encoded(file_format, held, extra, value_range), file_format, finish)
    return tuple(dict.fromkeys(note for note in (*notes, colour_note, *extra_notes, finish_note) if note))


def _finished(target: Path | BinaryIO, data: bytes, file_format: str, finish: Finish | None) -> str:
    """Write the bytes of a file, whole or not at all; return the note of what changed them last."""
    note = ""
    if finish is not None:
        data, note = finish(data, file_format)
    if isinstance(target, Path):
        with atomically(target) as file:
            file.write(data)
    else:
        target.write(data)
    return note


def _write_typed(
    target: Path | BinaryIO,
    file_format: str,
    name: str,
    pictures: Pictures,
    mark: Mark | None,
    finish: Finish | None,
) -> tuple[str, ...]:
    """Write planes of one kind: 8 and 16-bit pictures as such, arrays and label maps in their own formats."""
    picture = pictures.frames[0]
    (kind,) = picture.side
    notes = _typed_notes(file_format, name, picture, mark)
    if not kind.is_array and kind.classes is None:
        plain = Pictures((replace(picture, side=()),))
        return notes + write_pictures(target, plain, file_format=file_format, mark=mark, finish=finish)
    xmp, _ = provenance.packet(None, mark, _HOLDS[file_format].xmp_bytes)
    data = encoded_kind(picture.pixels, kind, file_format, xmp)
    return tuple(filter(None, (*notes, _finished(target, data, file_format, finish))))


def _typed_notes(file_format: str, name: str, picture: Picture, mark: Mark | None) -> tuple[str, ...]:
    """Refuse a format that would not hold a kind as it is; say what is left out of one that does."""
    (kind,) = picture.side
    if file_format not in {format_of(Path(f"x{ending}")) for ending in kind.endings}:
        raise DataError(f"{name}: {file_format} does not hold {kind.name}; expected {', '.join(kind.endings)}")
    bare = mark is not None and file_format == "NPY"
    return ("the mark of provenance is left out (NPY has no XMP)",) if bare else ()


def _notes(
    file_format: str,
    name: str,
    pictures: Pictures,
    shape: tuple[int, int] | None,
    icc: Icc,
    mark: Mark | None,
    value_range: ValueRange | None,
) -> tuple[str, ...]:
    """Say what will be left out, or refuse; looks at what the pictures are and not at their colours."""
    holds, first = _HOLDS[file_format], pictures.frames[0]
    _refuse(file_format, name, pictures, shape, value_range)
    alphas = [picture.alpha for picture in pictures.frames if picture.alpha is not None]
    deep = any(picture.pixels.dtype == np.uint16 for picture in pictures.frames)
    partial = file_format == "GIF" and any(((a > 0) & (a < np.iinfo(a.dtype).max)).any() for a in alphas)
    bare = not holds.described
    profile_mode = colour.mode_of(first.icc_profile) if first.icc_profile else None
    found = {
        f"16 bits reduced to 8 ({file_format})": deep and not _keeps_16_bits(file_format, pictures),
        f"transparency is shown on a colour ({file_format} has none)": bool(alphas) and not holds.alpha,
        "transparency is all or nothing (GIF)": partial,
        "256 colours a frame (GIF)": file_format == "GIF" and first.pixels.shape[2] > 1,
        "CMYK becomes RGB": profile_mode == "CMYK" and (icc == "srgb" or file_format not in _CMYK_FORMATS),
        f"the colour profile is left out ({file_format} has none)": bare and first.icc_profile is not None,
        f"EXIF and XMP are left out ({file_format} has none)": bare and bool(first.exif or first.xmp),
        f"the mark of provenance is left out ({file_format} has no XMP)": bare and mark is not None,
    }
    return tuple(note for note, holds_true in found.items() if holds_true)


def _refuse(
    file_format: str,
    name: str,
    pictures: Pictures,
    shape: tuple[int, int] | None,
    value_range: ValueRange | None,
) -> None:
    holds, frames = _HOLDS[file_format], pictures.frames
    shapes = [shape or picture.pixels.shape[:2] for picture in frames]
    height, width = max(shapes, key=max)
    if max(height, width) > holds.side:
        raise DataError(f"{name}: {file_format} holds at most {holds.side} px a side, the image has {width}x{height}")
    if len(frames) > 1 and not holds.frames:
        raise DataError(
            f"{name}: {file_format} holds one picture, got {len(frames)}; expected a name that ends in .gif, .png, "
            ".tif or .webp, or the first with --frames first"
        )
    if len(set(shapes)) > 1 and file_format != "TIFF":
        raise DataError(f"{name}: {file_format} holds frames of one size; only .tif holds pages of several")
    floats = {picture.pixels.dtype == np.float32 for picture in frames}
    if floats == {True}:
        stated = value_range or frames[0].value_range
        if file_format not in {"TIFF", "NPY"}:
            raise DataError(f"{name}: {file_format} holds no floats; expected a name that ends in .tif or .npy")
        if stated is None:
            raise DataError(f"{name}: floats without a value range; state what -1 and 1 become with --value-range")
        check_range(stated, name)
    elif file_format == "NPY" or len(floats) > 1:
        raise DataError(f"{name}: expected floats, got {frames[0].pixels.dtype}; {file_format} of it has no meaning")


def _keeps_16_bits(file_format: str, pictures: Pictures) -> bool:
    return _HOLDS[file_format].deep and not (file_format == "PNG" and len(pictures.frames) > 1)


def _fitted(file_format: str, pictures: Pictures, background: Colour) -> Pictures:
    """Reduce pictures to the depth and the alpha that a format has."""
    if not _keeps_16_bits(file_format, pictures) and pictures.frames[0].pixels.dtype != np.float32:
        pictures = pictures.each(Picture.at_8_bits)
    if not _HOLDS[file_format].alpha:
        return pictures.each(lambda picture: _flat(picture, background))
    return pictures


def _flat(picture: Picture, background: Colour) -> Picture:
    """Composite on a colour."""
    if picture.alpha is None:
        return picture
    grey = picture.pixels.shape[2] == 1
    behind = np.asarray(Image.new("RGB", (1, 1), background).convert("L" if grey else "RGB"), np.float32).reshape(
        1, 1, -1
    )
    opacity = picture.alpha[..., None].astype(np.float32) / np.iinfo(picture.alpha.dtype).max
    mixed = np.rint(picture.pixels * opacity + behind * (1 - opacity)).astype(np.uint8)
    return replace(picture, pixels=mixed, alpha=None)


def _coloured(file_format: str, pictures: Pictures, icc: Icc) -> tuple[Pictures, str]:
    """Convert to the colours of the file to be; ``icc_profile`` becomes the profile to embed."""
    first = pictures.frames[0]
    profile = first.icc_profile
    if profile is None or not _HOLDS[file_format].described:
        return pictures.each(lambda picture: replace(picture, icc_profile=None)), ""
    note = ""
    if icc == "keep":
        converted = [_kept(file_format, picture, profile) for picture in pictures.frames]
        if all(picture is not None for picture in converted):
            return replace(pictures, frames=tuple(picture for picture in converted if picture is not None)), ""
        kind = "a grey" if _stored_grey(file_format, first) else "an RGB"
        note = f"the source's colour profile cannot be kept in {kind} {file_format}: sRGB instead"
    grey = _stored_grey(file_format, first)
    if colour.is_srgb(profile) and colour.mode_of(profile) == ("L" if grey else "RGB"):
        embedded: bytes | None = profile
    else:  # grey without a profile is taken for sRGB's; an RGB profile in a grey file is an error in PNG
        embedded = None if grey else colour.srgb_profile()
    return pictures.each(lambda picture: replace(picture, icc_profile=embedded)), note


def _stored_grey(file_format: str, picture: Picture) -> bool:
    """Return whether grey stays grey in the file: WebP has none, and AVIF and 16 bits have none with alpha."""
    transparent = picture.alpha is not None and (file_format == "AVIF" or picture.pixels.dtype == np.uint16)
    return picture.pixels.shape[2] == 1 and file_format != "WEBP" and not transparent


def _kept(file_format: str, picture: Picture, profile: bytes) -> Picture | None:
    mode = colour.mode_of(profile)
    cmyk = mode == "CMYK" and (file_format not in _CMYK_FORMATS or picture.alpha is not None)
    grey = mode == "L" and not _stored_grey(file_format, picture)
    if picture.icc_profile != profile or cmyk or grey:
        return None
    pixels = colour.from_srgb(picture.pixels, profile)
    return None if pixels is None else replace(picture, pixels=pixels)


def _extra(file_format: str, picture: Picture, mark: Mark | None, icc: bytes | None) -> tuple[Extra, tuple[str, ...]]:
    holds = _HOLDS[file_format]
    if not holds.described:
        return Extra(), ()
    xmp, xmp_note = provenance.packet(picture.xmp, mark, holds.xmp_bytes)
    exif, exif_note = picture.exif, ""
    if exif and file_format == "JPEG":
        exif, exif_note = metadata.exif_for_jpeg(exif)
    return Extra(icc, exif, xmp, picture.dpi if file_format in _DPI_FORMATS else None), (xmp_note, exif_note)
