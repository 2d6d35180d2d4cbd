"""Which image is for training, validation or testing: by hash, whole families together."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from img2img.data.folder import list_images, recognise
from img2img.data.shards import refuse_shards
from img2img.data.source import Source, Split
from img2img.data.split import copies, joined
from img2img.errors import DataError

SPLITS = {"train": "train", "validation": "val", "test": "test"}
"""Names of the splits here, and of their folders."""

_FEWEST = 3


@dataclass(frozen=True)
class Place:
    """Where one file goes.

    Attributes:
        source: the file.
        split: train, validation or test.
        domain: its name; "" for a file that holds both.
        target: its path below the new folder.
        family: number of the images that it stays with: copies, and partners of the same stem.
    """

    source: Path
    split: str
    domain: str
    target: Path
    family: int


@dataclass(frozen=True)
class Division:
    """Where all files go.

    Attributes:
        kind: of the layout, see :func:`recognise`.
        places: of every image.
        leaks: images given for training that look like one given for validation or testing; they stay where they are.
        others: images that no part of the layout holds.
    """

    kind: str
    places: tuple[Place, ...]
    leaks: tuple[Path, ...]
    others: tuple[Path, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the files: by split, then by domain."""
        found = Counter((place.split, place.domain) for place in self.places)
        domains = sorted({place.domain for place in self.places})
        return {
            split: {domain: found[split, domain] for domain in domains}
            for split in SPLITS
            if any(found[split, domain] for domain in domains)
        }


def divide(
    roots: Sequence[Path],
    *,
    validation: float | None = None,
    test: float | None = None,
    seed: int = 0,
    domains: Sequence[str] | None = None,
) -> Division:
    """Decide where every image of a data folder goes.

    Images that look alike (:func:`copies`) and images of the same stem in both domains are a family and stay
    together. A family's place in [0, 1) is SHA-256 of the seed and of the stem in it that gives the smallest: below
    ``test`` it is for testing, from ``1 - validation`` on for validation. So a place does not depend on the other
    files: images that are added later move nothing, except that one which joins two families may move them. The
    shares are met on average; a domain that would get nothing gets its nearest family.

    Splits that the folder has stay as they are; only those that are missing are taken from the training images.

    Args:
        roots: one data folder, or the folders of the two domains.
        validation: share of the training images; 0.1 by default, or 0 where there are validation images already.
        test: share to test on; likewise.
        seed: decides the places.
        domains: the two folders to use where there are more.

    Raises:
        DataError: if the layout is not known, there are too few different images, or a split asked for is there.
    """
    for root in roots:
        if not root.is_dir():
            raise DataError(f"{root}: no such data folder")
    refuse_shards(roots, "img2img data split")
    kind, names, splits = recognise(list(roots), domains)
    shares = {}
    for split, given in (("validation", validation), ("test", test)):
        if split in splits and given:
            raise DataError(
                f"--{SPLITS[split]} {given}: there are {split} images already, and they stay as they are; leave it out"
            )
        shares[split] = 0.0 if split in splits else 0.1 if given is None else given
    if not any(shares.values()):
        raise DataError(
            "nothing to divide: there are training, validation and test images already, or both shares are 0"
        )
    if sum(shares.values()) >= 1:
        raise DataError(f"expected shares below 1 together, got {shares['validation']} and {shares['test']}")
    members = [
        (split, number, source)
        for split, images in splits.items()
        for number, sources in enumerate(_domains(kind, images))
        for source in sources
    ]
    _refuse_odd([source.path for _, _, source in members])
    families = _families(members)
    given_to = {split: {families[i] for i, (of, _, _) in enumerate(members) if of == split} for split in splits}
    held = given_to.get("validation", set()) | given_to.get("test", set())
    leaks = tuple(source.path for i, (of, _, source) in enumerate(members) if of == "train" and families[i] in held)
    free = [i for i, (split, _, _) in enumerate(members) if split == "train"]
    to = _assigned([members[i] for i in free], [families[i] for i in free], shares, seed)
    places = []
    for i, (split, number, source) in enumerate(members):
        where = to[families[i]] if split == "train" else split
        folder = _folder(kind, where, names[number])
        domain = "" if kind == "side by side" else names[number]
        places.append(Place(source.path, where, domain, folder / source.name, families[i]))
    taken = {place.source for place in places}
    others = tuple(path for root in roots for path in list_images(root) if path not in taken)
    return Division(kind, tuple(places), leaks, others)


def _domains(kind: str, images: Split) -> tuple[tuple[Source, ...], ...]:
    """Return the files of each domain; a side-by-side file, which is in both, once."""
    if kind == "side by side":
        return (tuple(Source(source.folder, "whole", source.name) for source in images.a),)
    return images.a, images.b


def _folder(kind: str, split: str, domain: str) -> Path:
    name = SPLITS[split]
    if kind == "side by side":
        return Path(name)
    return Path(f"{name}{domain}") if kind == "trainA and trainB" else Path(name, domain)


def _families(members: Sequence[tuple[str, int, Source]]) -> list[int]:
    """Number the families: linked by looks within a domain, and by stem within a split across domains."""
    links: list[tuple[int, int]] = []
    for domain in {number for _, number, _ in members}:
        positions = [i for i, (_, number, _) in enumerate(members) if number == domain]
        groups = copies(tuple(members[i][2] for i in positions))
        links += [(i, positions[group]) for i, group in zip(positions, groups, strict=True)]
    first: dict[tuple[str, str], int] = {}
    links += [(i, first.setdefault((split, source.stem), i)) for i, (split, _, source) in enumerate(members)]
    return joined(len(members), links)


def _assigned(
    members: Sequence[tuple[str, int, Source]], families: Sequence[int], shares: dict[str, float], seed: int
) -> dict[int, str]:
    """Return the split of each family."""
    place: dict[int, float] = defaultdict(lambda: 1.0)
    domains: dict[int, set[int]] = defaultdict(set)
    for (_, number, source), family in zip(members, families, strict=True):
        place[family] = min(place[family], _hashed(source.stem, seed))
        domains[family].add(number)
    if len(place) < _FEWEST:
        raise DataError(f"expected at least {_FEWEST} training images that do not look alike, got {len(place)}")
    low, high = shares["test"], 1 - shares["validation"]
    to = {family: "test" if at < low else "validation" if at >= high else "train" for family, at in place.items()}
    in_order = sorted(place, key=lambda family: place[family])
    for number in {number for _, number, _ in members}:
        for split, candidates in (("test", in_order), ("validation", in_order[::-1]), ("train", in_order)):
            has = {other: [f for f in in_order if number in domains[f] and to[f] == other] for other in SPLITS}
            if has[split] or (split != "train" and not shares[split]):
                continue
            # a split of one image must not be emptied to fill another
            spare = [f for f in candidates if number in domains[f] and len(has[to[f]]) > 1]
            if spare:
                to[spare[0]] = split
    return to


def _hashed(stem: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}\0{stem}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:6]) / 2**48  # exact, and below 1


def _refuse_odd(paths: Sequence[Path]) -> None:
    odd = [path for path in paths if not path.is_file()]
    if odd:
        raise DataError(f"{odd[0]}: expected an image file, got a pipe, a device or a link to nothing; remove it first")
