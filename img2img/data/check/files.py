"""Each file by itself: what cannot be read, and what is read otherwise than it lies there."""

from __future__ import annotations

from collections.abc import Iterator

from img2img.data.check.finding import Finding, Kind
from img2img.data.check.gallery import Gallery
from img2img.data.source import Source

UNREADABLE = Kind(
    "unreadable",
    "warning",
    "files that cannot be read whole: truncated, damaged, a pipe, a link to nothing, 32-bit values",
    "replace or delete them (training passes over them, --strict stops at them)",
)
MOST_UNREADABLE = Kind(
    "most unreadable",
    "error",
    "half of the files or more cannot be read",
    "look at one of them with another program, and convert or copy the folder anew",
)
CONSTANT = Kind(
    "constant",
    "warning",
    "images whose every pixel is the same",
    "delete them, unless an empty picture is what you have many of",
)
TURNED = Kind(
    "turned by EXIF",
    "note",
    "photos that EXIF says to turn: they are turned upright when they are read, as a viewer shows them",
    "nothing to do, unless pairs do not fit: then one of the two was turned already",
)
DEEP = Kind(
    "16 bits",
    "note",
    "files with 16 bits a colour: training reads them as 8",
    "nothing to do where 256 levels suffice; else stretch what matters to the whole range first",
)
ALPHA = Kind(
    "transparency",
    "note",
    "files with transparent parts: training sees them on white",
    "nothing to do where white suits; else put them on another ground first",
)
INKS = Kind(
    "inks or Lab",
    "note",
    "CMYK, Lab and YCbCr files: they are converted to sRGB, by their colour profile if they have one",
    "nothing to do where the colours look right on the page (--page)",
)
ANIMATED = Kind(
    "several frames",
    "note",
    "animations and files of several pages: training takes the first frame",
    "take them apart if every frame is to be trained on",
)

_INK_MODES = {"CMYK", "LAB", "YCbCr"}
_PICTURES = 12


def find(gallery: Gallery) -> Iterator[Finding]:
    """Go through what the heads and the pixels say."""
    yield from _unreadable(gallery)
    constant = [s for _, _, s in gallery.everything() if (v := gallery.looks.get(s)) and v.sight and v.sight.constant]
    yield from _of(gallery, CONSTANT, constant, "images whose every pixel is the same: {}")
    shapes = gallery.shapes()
    for kind, chosen, what in (
        (TURNED, [s for s, shape in shapes if shape.turned], "files turned upright by EXIF: {}"),
        (DEEP, [s for s, shape in shapes if shape.deep], "files with 16 bits a colour, read as 8: {}"),
        (ALPHA, [s for s, shape in shapes if shape.alpha], "files with transparency, put on white: {}"),
        (INKS, [s for s, shape in shapes if shape.mode in _INK_MODES], "CMYK, Lab or YCbCr files, read as sRGB: {}"),
        (ANIMATED, [s for s, shape in shapes if shape.animated], "files of several frames, the first is read: {}"),
    ):
        yield from _of(gallery, kind, chosen, what)


def _unreadable(gallery: Gallery) -> Iterator[Finding]:
    failed = {gallery.name(source): (source, seen.error) for source, seen in gallery.looks.items() if seen.error}
    if not failed:
        return
    files = {source.path for source in gallery.looks}
    kind = MOST_UNREADABLE if 2 * len(failed) >= len(files) else UNREADABLE
    told = tuple(f"{name}: {_reason(source, error)}" for name, (source, error) in sorted(failed.items()))
    yield Finding(kind, f"files that cannot be read: {len(failed):,} of {len(files):,}", told)


def _reason(source: Source, error: str) -> str:
    return error.removeprefix(f"{source.label}: ")


def _of(gallery: Gallery, kind: Kind, sources: list[Source], what: str) -> Iterator[Finding]:
    if names := gallery.names(sources):
        shown = tuple((source,) for source in sources[:_PICTURES])
        yield Finding(kind, what.format(f"{len(names):,}"), names, shown)
