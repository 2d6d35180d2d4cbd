"""Images that are there twice: in one set, in training and test, in both domains."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from img2img.data.check.alike import MOST_COMPARED, close, same
from img2img.data.check.finding import Finding, Kind
from img2img.data.check.gallery import Gallery
from img2img.data.check.look import Sight
from img2img.data.source import Source

LEAK = Kind(
    "test in training",
    "warning",
    "validation or test images that show what a training image shows: their scores are too good",
    "delete one of the two",
)
COPIES = Kind(
    "copies",
    "note",
    "training images that show one picture: the same bytes, or re-encoded, resized, cropped a little",
    "delete all but one where they are not meant",
)
SHARED = Kind(
    "in both domains",
    "warning",
    "images of an unpaired set that are in both domains: they teach the networks to change nothing",
    "delete them from the domain where they do not belong",
)
SAME_PAIRS = Kind(
    "pair of one image",
    "note",
    "pairs whose source is their target",
    "put the right image in place of one of the two, unless nothing is to change there",
)
SAME_DOMAINS = Kind(
    "identical domains",
    "error",
    "most pairs are one image twice, or most images of one domain are in the other",
    "give two different folders",
)

_SAME_LEVELS = 3.0
"""The images of a pair that differ by less, root mean square of 255, are one image."""

_MOST = 0.5
_PICTURES = 12
_MOST_HASHED, _ENDS = 2000, 1 << 16
Twins = list[tuple[Source, Source]]


def find(gallery: Gallery) -> Iterator[Finding]:
    """Compare images with images: by their bytes in the quick half, else by what they show."""
    if gallery.paired:
        yield from _pairs_of_one(gallery)
    twins = _by_sight(gallery) if gallery.whole else _by_bytes(gallery)
    place = {source: (split, index) for split, index, source in gallery.everything()}
    splits = [(pair, place[pair[0]], place[pair[1]]) for pair in twins]
    across = [pair for pair, a, b in splits if a[1] != b[1]]
    # seen from the training image
    leaks = [(p, a, b) if a[0] == "train" else (p[::-1], b, a) for p, a, b in splits if a[0] != b[0] and a[1] == b[1]]
    leaks = [(p, a, b) for p, a, b in leaks if a[0] == "train"]
    inside = [pair for pair, a, b in splits if a == b == ("train", a[1])]
    if leaks:
        count = len({b for (_, b), _, _ in leaks})
        where = " and ".join(sorted({b[0] for _, _, b in leaks}))
        said = f"{where} images that look like training images: {count:,}"
        yield _finding(gallery, LEAK, said, [p for p, _, _ in leaks])
    if across and not gallery.paired:
        count = min(len({pair[i] for pair in across}) for i in (0, 1))
        most = count > _MOST * min(len(gallery.domain("train", i)) for i in (0, 1))
        kind = SAME_DOMAINS if most else SHARED
        yield _finding(gallery, kind, f"images that are in both domains: {count:,}", across)
    if inside:
        count = len({b for _, b in inside})
        yield _finding(gallery, COPIES, f"training images that look like another one: {count:,}", inside)


def _finding(gallery: Gallery, kind: Kind, said: str, twins: Twins) -> Finding:
    told = tuple(dict.fromkeys(f"{gallery.name(a)} = {gallery.name(b)}" for a, b in twins))
    return Finding(kind, said, told, tuple(twins[:_PICTURES]))


def _pairs_of_one(gallery: Gallery) -> Iterator[Finding]:
    looks = gallery.looks
    pairs = [(a, b) for split in gallery.splits for a, b in gallery.pairs(split)]
    seen = [(a, b, x.sight, y.sight) for a, b in pairs if (x := looks.get(a)) and (y := looks.get(b))]
    both = [(a, b, x, y) for a, b, x, y in seen if x is not None and y is not None]
    equal = [(a, b) for a, b, x, y in both if _difference(x, y) < _SAME_LEVELS and not (x.constant and y.constant)]
    if equal:
        kind = SAME_DOMAINS if len(equal) > _MOST * len(both) else SAME_PAIRS
        said = f"pairs of one image twice: {len(equal):,} of {len(both):,}"
        yield Finding(kind, said, gallery.names(a for a, _ in equal), tuple(equal[:_PICTURES]))


def _difference(a: Sight, b: Sight) -> float:
    squares = (a.thumbnail.astype(np.float32) - b.thumbnail) ** 2
    colours = np.abs(a.traits[1] - b.traits[1]) * 255  # a picture and its grey version differ in saturation alone
    return max(float(np.sqrt(squares.mean())), float(colours))


def _by_sight(gallery: Gallery) -> Twins:
    if gallery.paired:  # copies are alike on both sides: hearts of many colours have one outline
        pairs = [pair for split in gallery.splits for pair in gallery.pairs(split)]
        seen = [(a, x, y) for a, b in pairs if (x := _sight(gallery, a)) and (y := _sight(gallery, b))]
        both = ([x.thumbnail for _, x, _ in seen], [y.thumbnail for _, _, y in seen])
        likely = sorted(set(close(both[0])) & set(close(both[1]))) if len(seen) <= MOST_COMPARED else []
        found = same(both[1], same(both[0], likely))
        return [(seen[i][0], seen[j][0]) for i, j in found]
    alone = [(source, sight) for _, _, source in gallery.everything() if (sight := _sight(gallery, source))]
    if len(alone) > MOST_COMPARED:
        return _by_bytes(gallery)
    thumbnails = [sight.thumbnail for _, sight in alone]
    return [(alone[i][0], alone[j][0]) for i, j in same(thumbnails, close(thumbnails))]


def _sight(gallery: Gallery, source: Source) -> Sight | None:
    seen = gallery.looks.get(source)
    return None if seen is None else seen.sight


def _by_bytes(gallery: Gallery) -> Twins:
    """Compare files of one length by their first and last 64 kB."""
    by_length: dict[int, list[Source]] = {}
    for _, index, source in gallery.everything():
        if index == 0 or not gallery.paired:
            try:
                by_length.setdefault(source.path.stat().st_size, []).append(source)
            except OSError:
                continue  # it is named as unreadable
    alike = [source for group in by_length.values() if len(group) > 1 for source in group][:_MOST_HASHED]
    first: dict[bytes, Source] = {}
    twins = []
    for source in alike:
        if source.path.is_file() and (digest := _digest(source.path)):
            other = first.setdefault(digest, source)
            if other.path != source.path:
                twins.append((other, source))
    return twins


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            hashed = hashlib.blake2b(file.read(_ENDS))
            length = file.seek(0, 2)
            file.seek(max(length - _ENDS, 0))
            hashed.update(file.read(_ENDS) + str(length).encode())
            return hashed.digest() if length else b""
    except OSError:
        return b""
