"""Whether pairs are pairs: images that belong to another pair, or stand in each other's place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from img2img.data.check.finding import Finding, Kind
from img2img.data.check.gallery import Gallery
from img2img.data.check.look import Sight
from img2img.data.check.matching import FEWEST, Match, exchanged, match
from img2img.data.source import Source

STRANGERS = Kind(
    "not pairs",
    "warning",
    "laid out as pairs, but edges agree no better than in pairs drawn at random (z below 2, of 16 pairs or more)",
    "mend the order if these should be pairs (a shifted numbering?), else train with cyclegan (--method cyclegan)",
)
MISPAIRED = Kind(
    "wrong partner",
    "warning",
    "in a set whose pairs agree, pairs whose edges do not while another such pair's target fits the source",
    "exchange the partners, or delete these pairs",
)
EXCHANGED = Kind(
    "halves exchanged",
    "warning",
    "in a set whose domains look different, pairs whose source looks like a target and the other way round",
    "exchange the two images",
)

_UNRELATED, _RELATED, _ENOUGH = 2.0, 3.0, 16
_MOST_MATCHED = 2000
_PICTURES = 12
Seen = list[tuple[Source, Source, Sight, Sight]]


def seen_pairs(gallery: Gallery) -> Seen:
    """Return the training pairs of which both images were decoded."""
    sights = dict(gallery.sights("train", 0) + gallery.sights("train", 1))
    pairs = gallery.pairs("train") if gallery.named_as_pairs() else []
    return [(a, b, sights[a], sights[b]) for a, b in pairs if a in sights and b in sights][:_MOST_MATCHED]


def matched(seen: Seen) -> Match | None:
    """Return how well the edges of pairs agree; None where that cannot be said."""
    return match([x.thumbnail for _, _, x, _ in seen], [y.thumbnail for _, _, _, y in seen])


def decide(gallery: Gallery) -> tuple[bool, Match | None]:
    """Tell whether the folder holds pairs: what was said, else the names, unless the images contradict them."""
    seen = seen_pairs(gallery)
    found = matched(seen)
    if gallery.paired is not None or gallery.kind == "side by side":
        return gallery.paired is not False, found
    contradicted = found is not None and found.z < _UNRELATED and len(seen) >= _ENOUGH
    return gallery.named_as_pairs() and not contradicted, found


def agree(found: Match | None) -> bool:
    """Tell whether pairs agree beyond chance."""
    return found is not None and found.z > _RELATED


def find(gallery: Gallery) -> Iterator[Finding]:
    """Compare the pairs with pairs drawn at random, and their two sides with one another."""
    seen = seen_pairs(gallery)
    if len(seen) < FEWEST:
        return
    swapped = exchanged(np.stack([x.traits for _, _, x, _ in seen]), np.stack([y.traits for _, _, _, y in seen]))
    if swapped and gallery.paired:
        pairs = [seen[i][:2] for i in swapped]
        said = f"pairs whose source and target seem exchanged: {len(pairs):,}"
        yield Finding(EXCHANGED, said, gallery.names(a for a, _ in pairs), tuple(pairs[:_PICTURES]))
    found = matched(seen)
    if found is None:
        return
    if found.z < _UNRELATED and len(seen) >= _ENOUGH and (gallery.paired or not gallery.told):
        said = f"names say pairs, but the images of a pair agree no better than strangers (z = {found.z:.1f})"
        yield Finding(STRANGERS, said, gallery.names(a for a, *_ in seen[:3]), tuple(row[:2] for row in seen[:3]))
    if gallery.paired and found.wrong:
        told = tuple(f"{gallery.name(seen[i][0])} (fits {gallery.name(seen[j][1])})" for i, j in found.wrong)
        pictures = tuple((*seen[i][:2], seen[j][1]) for i, j in found.wrong[:_PICTURES])
        yield Finding(MISPAIRED, f"pairs with a wrong partner: {len(told):,}", told, pictures)
