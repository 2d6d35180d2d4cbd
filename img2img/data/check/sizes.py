"""Sizes: what is too small for the crop, far from the others' shape, or not its partner's shape."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from img2img.data.check.finding import Finding, Kind
from img2img.data.check.gallery import Gallery
from img2img.data.split import same_shape

SMALL = Kind(
    "smaller than the crop",
    "warning",
    "images whose shorter side is below 0.8 of the training crop (--size): enlarged, they look blurred",
    "choose a smaller --size, or delete or replace them",
)
LONG = Kind(
    "far from square",
    "note",
    "images more than three times as long as wide: a crop shows a small part of them",
    "cut them into parts, or leave them out",
)
UNEQUAL_SHAPES = Kind(
    "unequal shapes",
    "error",
    "pairs whose images differ in aspect by more than 2 %: their pixels cannot correspond",
    "crop them alike, or train with --data.resize stretch",
)

_ENLARGED, _LONG = 0.8, 3.0
_PICTURES = 12
_SIZES = (64, 128, 256, 512)


def fitting_size(gallery: Gallery) -> int:
    """Return the largest usual training size that nine in ten training images fill."""
    sides = sorted(min(shape.size) for _, shape in gallery.shapes("train"))
    tenth = sides[len(sides) // 10] if sides else 256
    return max([size for size in _SIZES if size <= tenth], default=_SIZES[0])


def find(gallery: Gallery) -> Iterator[Finding]:
    """Compare sizes with the crop, with one another and with the partner's."""
    shapes = gallery.shapes("train")
    height, width = gallery.size or (fitting_size(gallery),) * 2
    small = [s for s, shape in shapes if shape.size[0] < _ENLARGED * width or shape.size[1] < _ENLARGED * height]
    if small:
        smallest = min((shape.size for _, shape in shapes), key=min)
        said = f"images below the {width}x{height}-px crop: {len(small):,} of {len(shapes):,}"
        said += f", the smallest is {_size(smallest)}"
        yield Finding(SMALL, said, gallery.names(small), tuple((s,) for s in small[:_PICTURES]))
    long = [s for s, shape in shapes if max(shape.size) > _LONG * min(shape.size)]
    if long:
        said = f"images over three times as long as wide: {len(long):,}"
        yield Finding(LONG, said, gallery.names(long), tuple((s,) for s in long[:_PICTURES]))
    if gallery.paired and gallery.kind != "side by side":
        yield from _unequal(gallery)


def _unequal(gallery: Gallery) -> Iterator[Finding]:
    sizes = {source: shape.size for source, shape in gallery.shapes()}
    found = []
    for split in gallery.splits:
        for a, b in gallery.pairs(split):
            if a in sizes and b in sizes and not same_shape(sizes[a], sizes[b]):
                found.append((a, b))
    if found:
        told = tuple(f"{gallery.name(a)} {_size(sizes[a])} and {gallery.name(b)} {_size(sizes[b])}" for a, b in found)
        yield Finding(UNEQUAL_SHAPES, f"pairs that differ in shape: {len(found):,}", told, tuple(found[:_PICTURES]))


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def in_words(gallery: Gallery) -> str:
    """Say how large the images are."""
    sizes = [shape.size for _, shape in gallery.shapes()]
    if not sizes:
        return "none could be read"
    if len(set(sizes)) == 1:
        return f"all {_size(sizes[0])} px"
    aspects = [width / height for width, height in sizes]
    sides = [min(size) for size in sizes]
    return (
        f"{len(set(sizes)):,} sizes, shorter side {min(sides)} to {max(sides)} px (median {median(sides):g}), "
        f"width by height {min(aspects):.2f} to {max(aspects):.2f}"
    )
