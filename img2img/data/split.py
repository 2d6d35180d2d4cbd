"""Holding out validation images, with copies of an image kept on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from img2img.data.source import Source, Split
from img2img.errors import DataError
from img2img.image import opened

SMALLEST, LARGEST = 8, 64
"""Images held out at least and at most; never more than a fifth of the set."""

_THUMBNAIL_PX = 16
_SAME_LEVELS = 5.0
"""Two images whose 16x16 grey thumbnails differ by less than this (root mean square, of 255) count as copies."""

_MAX_SIZES_READ, _SHOWN_PAIRS = 2000, 3
_ORIENTATION, QUARTER_TURNS = 0x0112, frozenset({5, 6, 7, 8})

SAME_ASPECT = 0.02
"""Shapes that differ by less, from rounding, count as one."""

_MAX_COMPARED = 20_000
"""Beyond this many images only equal thumbnails count as copies: comparing all pairs would take minutes."""

MOST_SEEN = 20_000
"""Of a domain with more images none is decoded to hold some out: copies are then files of the same bytes."""

_CANDIDATES = 4 * LARGEST


def hold_out(split: Split, share: float, seed: int, *, paired: bool) -> tuple[Split, Split]:
    """Divide a training split into training and validation.

    Args:
        split: all images.
        share: share to hold out, within 8 to 64 images and a fifth of the set, with its copies.
        seed: decides which.
        paired: hold out pairs; else each domain by itself.

    Returns:
        (training, validation).
    """
    if paired:
        kept, held = _divide(split.a, share, seed)
        return (
            Split(tuple(split.a[i] for i in kept), tuple(split.b[i] for i in kept)),
            Split(tuple(split.a[i] for i in held), tuple(split.b[i] for i in held)),
        )
    kept_a, held_a = _divide(split.a, share, seed)
    kept_b, held_b = _divide(split.b, share, seed)
    return (
        Split(tuple(split.a[i] for i in kept_a), tuple(split.b[i] for i in kept_b)),
        Split(tuple(split.a[i] for i in held_a), tuple(split.b[i] for i in held_b)),
    )


def _divide(sources: tuple[Source, ...], share: float, seed: int) -> tuple[list[int], list[int]]:
    count = len(sources)
    wanted = max(1, min(max(round(share * count), SMALLEST), LARGEST, count // 5))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    groups = copies(sources) if count <= MOST_SEEN else same_bytes(sources, order[:_CANDIDATES])
    members: dict[int, list[int]] = {}
    for i, number in enumerate(groups):
        members.setdefault(number, []).append(i)
    held: set[int] = set()
    for start in order:
        if len(held) >= wanted:
            break
        group = members[groups[start]]
        if start not in held and len(held) + len(group) <= max(2 * wanted, 1) and len(held) + len(group) < count:
            held.update(group)
    if not held:  # every image is a copy of every other: hold out one all the same, training must go on
        held = {order[0]}
    return [i for i in range(count) if i not in held], sorted(held)


def copies(sources: tuple[Source, ...]) -> list[int]:
    """Return a group number for each image; images that look the same at 16x16 px share one.

    An unreadable file is a group of its own: the training names it when it meets it.
    """
    thumbnails = [_thumbnail(source) for source in sources]
    group = list(range(len(sources)))
    readable = [i for i, thumbnail in enumerate(thumbnails) if thumbnail is not None]
    seen: dict[bytes, int] = {}
    for i in readable:
        group[i] = seen.setdefault(np.asarray(thumbnails[i]).tobytes(), i)
    distinct = sorted({group[i] for i in readable})
    if 1 < len(distinct) <= _MAX_COMPARED:
        flat = np.stack([np.asarray(thumbnails[i], np.float32).ravel() for i in distinct])
        root = _connected(flat, _SAME_LEVELS * _THUMBNAIL_PX)
        merged = {i: distinct[root[k]] for k, i in enumerate(distinct)}
        group = [merged.get(g, g) for g in group]
    return group


def same_bytes(sources: tuple[Source, ...], some: Sequence[int]) -> list[int]:
    """Return a group number for each image; those whose files hold the same bytes as one of ``some`` share its.

    Only files as long as one of those are read: of a million that takes seconds, where thumbnails take minutes.
    """
    sizes = [_num_bytes(source) for source in sources]
    wanted = {sizes[i] for i in some} - {0}
    group = list(range(len(sources)))
    seen: dict[bytes, int] = {}
    for i, size in enumerate(sizes):
        if size not in wanted:
            continue
        try:
            found = hashlib.blake2b(sources[i].read(), digest_size=16).digest()
        except DataError:
            continue
        group[i] = seen.setdefault(found, i)
    return group


def _num_bytes(source: Source) -> int:
    try:
        return source.stamp()[0]
    except DataError:
        return 0  # the training names it when it meets it


def _connected(points: NDArray[np.float32], radius: float) -> list[int]:
    """Group points that are linked by steps below a radius."""
    squares = (points**2).sum(1)
    block = 1024

    def close() -> Iterator[tuple[int, int]]:
        for start in range(0, len(points), block):
            rows = points[start : start + block]
            distance = squares[start : start + block, None] + squares[None] - 2 * rows @ points.T
            for i, j in zip(*np.nonzero(distance < radius**2), strict=True):
                yield start + int(i), int(j)

    return joined(len(points), close())


def joined(count: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """Return for each of ``count`` things the first one that links lead to, over others if need be (union-find)."""
    root = list(range(count))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for one, two in links:
        a, b = find(one), find(two)
        root[max(a, b)] = min(a, b)
    return [find(i) for i in range(count)]


def _thumbnail(source: Source) -> NDArray[np.uint8] | None:
    try:
        with opened(source.file, source.name) as image:
            image.draft("L", (4 * _THUMBNAIL_PX, 4 * _THUMBNAIL_PX))  # JPEG decodes small at a fraction of the cost
            flat = image.convert("RGBA").convert("L") if image.has_transparency_data else image.convert("L")
            width, height = flat.size
            boxes = {
                "whole": (0, 0, width, height),
                "left": (0, 0, width // 2, height),
                "right": (width // 2, 0, width, height),
            }
            small = flat.resize((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BOX, box=boxes[source.half])
            return np.asarray(small)
    except DataError:
        return None


def refuse_unequal_shapes(split: Split) -> None:
    """Look at the sizes of up to 2,000 pairs, without decoding them, before an hour of training is lost.

    Raises:
        DataError: naming pairs whose images differ in aspect by more than 2 %.
    """
    step = max(len(split.a) // _MAX_SIZES_READ, 1)
    unequal = []
    for a, b in list(zip(split.a, split.b, strict=True))[::step]:
        if a.path == b.path:
            continue  # halves of one file are equal
        size_a, size_b = upright_size(a), upright_size(b)
        if size_a is None or size_b is None:
            continue  # an unreadable file is named when the training meets it
        if not same_shape(size_a, size_b):
            unequal.append(f"{a.label} {size_a[0]}x{size_a[1]} and {b.label} {size_b[0]}x{size_b[1]}")
    if unequal:
        raise DataError(
            f"{len(unequal)} pairs differ in shape, so their pixels cannot correspond: {'; '.join(unequal[:3])}"
            f"{' ...' if len(unequal) > _SHOWN_PAIRS else ''}; crop them alike, or add --data.resize stretch"
        )


def same_shape(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Tell whether two sizes (width, height) have one aspect but for rounding, as the images of a pair must."""
    return abs(a[0] * b[1] / (a[1] * b[0]) - 1) <= SAME_ASPECT


def orientation(image: Image.Image) -> int:
    """Return how EXIF says that an opened image lies: 1 upright, 2 to 8 turned or mirrored.

    Of a PNG that is not loaded yet only what stands before the pixels is known: Pillow would decode it to find more.
    """
    if image.format == "PNG" and getattr(image, "tile", None) and "exif" not in image.info:
        return 1
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 (Pillow's reader raises of every kind on damaged EXIF; the pixels are whole)
        return 1
    return found if isinstance(found, int) else 1


def upright_size(source: Source) -> tuple[int, int] | None:
    """Return (width, height) of a file as it is shown, without decoding it; None if it cannot be read."""
    try:
        with opened(source.file, source.label) as image:
            return image.size[::-1] if orientation(image) in QUARTER_TURNS else image.size
    except DataError:
        return None
