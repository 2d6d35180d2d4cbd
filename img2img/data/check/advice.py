"""What the folder holds, in words, and the command that would train on it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from img2img.data.check import content, sizes
from img2img.data.check.gallery import Gallery
from img2img.data.check.matching import Match
from img2img.data.check.pairing import agree

_FEW_PAIRS = 200


def facts(gallery: Gallery, found: Match | None, given: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Say what there is.

    Args:
        gallery: the images.
        found: how well pairs match, if there are any.
        given: the words of the command that name the folder and its domains.
    """
    a, b = gallery.domains
    yield "layout", f"{gallery.kind}, {a} -> {b}"
    yield "images", ", ".join(f"{split} {_count(gallery, split)}" for split in gallery.splits)
    yield "sizes", sizes.in_words(gallery)
    kinds = Counter(f"{shape.format} {shape.mode}" for _, shape in gallery.shapes())
    yield "files", ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(8)) or "none could be read"
    if found is not None:
        verdict = "they belong together" if agree(found) else "not more than strangers"
        yield "pairs", f"edges of pairs against pairs drawn at random: z = {found.z:.1f}, {verdict}"
    decoded = sum(look.sight is not None for look in gallery.looks.values())
    total = sum(1 for _ in gallery.everything())
    if not gallery.whole:
        yield "looked at", f"{len(gallery.looks):,} heads and {decoded:,} pictures of {total:,} (--quick)"
    yield "advice", f"{_reason(gallery, found)}: {_command(gallery, given)}"
    if (fitting := _preset(gallery)) is not None:
        preset, why = fitting
        yield "preset", f"{why}: --preset {preset} in place of --method"


def _count(gallery: Gallery, split: str) -> str:
    if gallery.paired:
        return f"{len(gallery.pairs(split)):,} pairs"
    return f"{len(gallery.domain(split, 0)):,} + {len(gallery.domain(split, 1)):,}"


def _reason(gallery: Gallery, found: Match | None) -> str:
    if not gallery.paired:
        return "no pairs"
    return "pairs that agree" if agree(found) else "pairs by their names"


def _preset(gallery: Gallery) -> tuple[str, str] | None:
    """Return the preset that suits what the pictures show, and why; few pairs come last, as they suit any picture."""
    if not gallery.paired:
        names = {name.lower() for name in gallery.domains}
        known = ((("summer", "winter"), "season"), (("horse", "zebra"), "horse2zebra"))
        return next(((preset, " and ".join(words)) for words, preset in known if names == set(words)), None)
    if content.labels([sight for _, sight in gallery.sights("train", 0)]):
        return "labels2photo", "the source is a label map"
    pairs = len(gallery.pairs("train"))
    return ("few-shot", f"only {pairs:,} pairs") if pairs < _FEW_PAIRS else None


def _command(gallery: Gallery, given: Sequence[str]) -> str:
    method = "pix2pix" if gallery.paired else "cyclegan"
    size = sizes.fitting_size(gallery) if gallery.size is None else max(gallery.size)
    return f"img2img train --method {method} {shlex.join(given)} --size {size} --out RUN"
