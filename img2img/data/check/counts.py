"""How many images there are, and whether the layout can be used at all."""

from __future__ import annotations

from collections.abc import Iterator

from img2img.data.check.finding import Finding, Kind
from img2img.data.check.gallery import Gallery
from img2img.data.source import Source

LAYOUT = Kind(
    "no such layout",
    "error",
    "the folder is missing, has no known layout, no two domains, or a domain with fewer than two images",
    "mend the folder, or say what is in it (--domains, --to)",
)
FEW = Kind(
    "few images",
    "warning",
    "fewer than 50 training pairs, or 100 images of a domain: it will be learned by heart",
    "add images if you can; with few, train shorter and look at the validation images",
)
UNEQUAL = Kind(
    "unequal domains",
    "warning",
    "one domain has over ten times the other's training images: the small one is seen ten times as often",
    "add images to the small one, or leave some of the large one out",
)
ORPHANS = Kind(
    "orphans",
    "error",
    "images of a paired set without a partner of the same stem in the other domain: pix2pix refuses them",
    "add or rename the partners, or train with --allow-orphans",
)
DOUBLES = Kind(
    "same stem twice",
    "error",
    "images of a paired set that share a stem within one domain (cat.png, cat.jpg): which is the partner?",
    "rename or delete all but one",
)

_FEW_PAIRS, _FEW_IMAGES, _RATIO = 50, 100, 10


def find(gallery: Gallery) -> Iterator[Finding]:
    """Count what there is to train on."""
    train = gallery.splits["train"]
    counts = (len(train.a), len(train.b))
    if gallery.paired:
        yield from _partners(gallery)
        if (pairs := len(gallery.pairs("train"))) < _FEW_PAIRS:
            yield Finding(FEW, f"only {pairs} training pairs")
        return
    for name, count in zip(gallery.domains, counts, strict=True):
        if count < _FEW_IMAGES:
            yield Finding(FEW, f"only {count} training images of domain {name}")
    if max(counts) > _RATIO * min(counts):
        (a, b), (num_a, num_b) = gallery.domains, counts
        yield Finding(UNEQUAL, f"domain {a} has {num_a:,} training images and {b} has {num_b:,}")


def _partners(gallery: Gallery) -> Iterator[Finding]:
    if gallery.kind == "side by side":
        return
    orphans: list[Source] = []
    doubles: list[Source] = []
    lone: list[set[str]] = [set(), set()]
    for split in gallery.splits.values():
        stems = [{source.stem for source in domain} for domain in (split.a, split.b)]
        for index, domain in enumerate((split.a, split.b)):
            orphans += [source for source in domain if source.stem not in stems[1 - index]]
            lone[index] |= {name.casefold() for name in stems[index] - stems[1 - index]}
            first: dict[str, Source] = {}
            doubles += [s for s in domain if first.setdefault(s.stem, s) is not s]
    if orphans:
        by_case = len(lone[0] & lone[1])
        hint = f", {by_case} of them by case alone" if by_case else ""
        yield Finding(ORPHANS, f"images without a partner: {len(orphans):,}{hint}", gallery.names(orphans))
    if doubles:
        yield Finding(DOUBLES, f"images that share their stem with another: {len(doubles):,}", gallery.names(doubles))
