"""From folders to lists of images: which layout a folder has, what its domains are called, what belongs together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from img2img.configured import nearest
from img2img.data.shards import has_index, read_index
from img2img.data.source import Layout, Source, Split
from img2img.errors import DataError
from img2img.image import SUFFIXES, opened

LAYOUTS = """one of these layouts
  DIR/train/*.jpg (source and target side by side), also val/, test/, or DIR/*.jpg without splits
  DIR/trainA/ DIR/trainB/, also valA/ valB/ testA/ testB/
  DIR/line/ DIR/colour/ (two folders, any names), also inside DIR/train/, DIR/val/, DIR/test/
  two folders: --data line/ --data colour/"""

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SHOWN_NAMES = 5
_PAIR_ASPECT = 1.6


def list_images(folder: Path) -> list[Path]:
    """List the images below a folder by name ending, sorted, without hidden files and folders.

    Whatever else bears such a name (a pipe, a link to nothing) is listed too, so that reading it can say so.
    """
    return [folder / name for name in list_names(folder)]


def list_names(folder: Path) -> list[str]:
    """List the images below a folder as :func:`list_images` does, by their names below it, parted by ``/``."""
    names = list(_walk(folder, ""))
    # a folder's files stand where its name does: "a/x" before "a-b"
    return sorted(names, key=None if not any("/" in name for name in names) else lambda name: name.split("/"))


def _walk(folder: str | Path, prefix: str) -> Iterator[str]:
    try:
        listing = os.scandir(folder)
    except OSError as error:
        if prefix:
            return  # `img2img data check` and the start of a training say so
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from error
    endings = tuple(SUFFIXES)
    with listing as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
            elif entry.name.lower().endswith(endings) and not (entry.is_symlink() and Path(entry.path).is_dir()):
                yield prefix + entry.name


def find_layout(
    roots: Sequence[Path],
    *,
    paired: bool,
    domains: Sequence[str] | None = None,
    to: str | None = None,
    allow_orphans: bool = False,
) -> Layout:
    """Recognise the layout of a data folder.

    Args:
        roots: one data folder, or the two folders of the domains.
        paired: whether images belong together (by side, or by file stem).
        domains: names of the domains in the order A, B (left, right); for named folders, the two folders to use.
        to: the domain that is translated into; the second one by default.
        allow_orphans: leave out images without a partner instead of refusing.

    Raises:
        DataError: if there is no such folder or layout, a domain has fewer than two images, or pairs do not match.
    """
    for root in roots:
        if not root.is_dir():
            raise DataError(f"{root}: no such data folder")
    kind, names, splits = recognise(list(roots), domains)
    if kind == "side by side" and domains is None and names == ("A", "B"):
        _refuse_single_pictures(splits["train"], paired=paired)
    if domains is not None and set(names) != set(domains):
        names = (domains[0], domains[1])
    if domains is not None and len(set(domains)) != 2:  # noqa: PLR2004 (a pair of domains)
        raise DataError(f"expected two different domain names, got {' '.join(domains)}")
    checked = {}
    for split_name, split in splits.items():
        if paired and kind != "side by side":
            checked[split_name] = _pair(split, names, allow_orphans=allow_orphans)
        else:
            checked[split_name] = split
    train = checked["train"]
    for name, images in zip(names, (train.a, train.b), strict=True):
        if len(images) < 2:  # noqa: PLR2004 (one to train on, one to validate on)
            raise DataError(
                f"expected at least two training images of domain {name}, got {len(images)}: {_names(images)}"
            )
    return directed(Layout(kind, names, train, checked.get("validation"), checked.get("test")), to)


def directed(layout: Layout, to: str | None) -> Layout:
    """Return a layout whose target is the domain asked for, the second one by default.

    Raises:
        DataError: naming the domains there are.
    """
    names = layout.domains
    if to is None or to == names[1]:
        return layout
    if to != names[0]:
        raise DataError(f"--to {to}: the domains here are {names[0]} and {names[1]}{nearest(to, names)}")
    return replace(
        layout,
        domains=(names[1], names[0]),
        train=layout.train.swapped(),
        validation=layout.validation.swapped() if layout.validation else None,
        test=layout.test.swapped() if layout.test else None,
    )


def find_photos(roots: Sequence[Path], *, source: str, domains: Sequence[str] | None = None) -> Layout:
    """List a folder of photos, of any depth, whose partners are derived; in train, val and test where it has those.

    Args:
        roots: one folder.
        source: what the derived domain is called.
        domains: other names for the derived domain and the photos.

    Raises:
        DataError: if there is no such folder, or fewer than two photos to train on.
    """
    if len(roots) != 1 or not roots[0].is_dir():
        raise DataError(f"expected one folder of photos, got {' '.join(map(str, roots))}")
    names = (source, "photo") if domains is None else (domains[0], domains[-1])
    folders = {split: roots[0] / n for split, ns in SPLIT_NAMES.items() for n in ns if (roots[0] / n).is_dir()}
    folders = folders if "train" in folders else {"train": roots[0]}
    photos = {split: _whole(folder) for split, folder in folders.items()}
    if len(photos["train"]) < 2:  # noqa: PLR2004 (one to train on, one to validate on)
        raise DataError(f"{roots[0]}: expected two or more photos to train on, got {_names(photos['train'])}")
    splits = {split: Split(sources, sources) for split, sources in photos.items()}
    return Layout("photos", names, splits["train"], splits.get("validation"), splits.get("test"))


def recognise(roots: list[Path], domains: Sequence[str] | None) -> tuple[str, tuple[str, str], dict[str, Split]]:
    """Return the kind of a layout, the names of its domains, and every image by split, pairs or not.

    Raises:
        DataError: if there is no known layout.
    """
    return read_index(roots[0], domains) if has_index(roots) else _recognise_folders(roots, domains)


def _recognise_folders(
    roots: list[Path], domains: Sequence[str] | None
) -> tuple[str, tuple[str, str], dict[str, Split]]:
    if len(roots) == 2:  # noqa: PLR2004 (a folder per domain)
        first, second = roots
        names = (first.name, second.name) if first.name != second.name else ("A", "B")
        return "two folders", names, _domains(first, second)
    if len(roots) != 1:
        raise DataError(f"expected one data folder, or two (one per domain), got {len(roots)}")
    root = roots[0]
    folders = {path.name: path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")}

    for between in ("", "_"):
        if {f"train{between}A", f"train{between}B"} <= folders.keys():
            splits = {
                split: Split(_whole(folders[f"{name}{between}A"]), _whole(folders[f"{name}{between}B"]))
                for split, names_of_split in SPLIT_NAMES.items()
                for name in names_of_split
                if {f"{name}{between}A", f"{name}{between}B"} <= folders.keys()
            }
            return "trainA and trainB", ("A", "B"), splits

    by_split = {s: folders[n] for s, ns in SPLIT_NAMES.items() for n in ns if n in folders}
    if "train" in by_split:
        if (found := _domain_folders(by_split["train"], domains)) is not None:
            names = found
            splits = {
                split: Split(_whole(folder / names[0]), _whole(folder / names[1]))
                for split, folder in by_split.items()
                if (folder / names[0]).is_dir() and (folder / names[1]).is_dir()
            }
            return "folders per split and domain", names, splits
        return (
            "side by side",
            ("A", "B"),
            {split: _halves(folder) for split, folder in by_split.items() if _has_images(folder)},
        )
    if (found := _domain_folders(root, domains)) is not None:
        names = found
        return "two folders", names, _domains(folders[names[0]], folders[names[1]])
    if any(path.suffix.lower() in SUFFIXES for path in root.iterdir()):
        return "side by side", ("A", "B"), {"train": _halves(root)}
    seen = ", ".join(folders) or "no folders and no images"
    raise DataError(f"{root}: no images found in a known layout (there is: {seen}); expected {LAYOUTS}")


def _domain_folders(root: Path, domains: Sequence[str] | None) -> tuple[str, str] | None:
    """Return the names of the two folders of images below root, if there are two (or the two asked for)."""
    if domains is not None and all((root / name).is_dir() for name in domains):
        return domains[0], domains[1]
    names = [p.name for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith(".") and _has_images(p)]
    if not names:
        return None
    if len(names) != 2:  # noqa: PLR2004 (a pair of domains)
        raise DataError(
            f"{root}: expected two folders of images, one per domain, got {len(names)} ({', '.join(names)}); "
            "name the two to use with --domains"
        )
    if domains is not None:
        raise DataError(f"--domains {' '.join(domains)}: the folders in {root} are {names[0]} and {names[1]}")
    return names[0], names[1]


def _refuse_single_pictures(split: Split, *, paired: bool) -> None:
    """Refuse to cut ordinary pictures in half: a pair side by side is wide, and unpaired data seldom stands so."""
    for source in split.a[:8]:
        try:
            with opened(source.file, source.label) as image:
                width, height = image.size
        except DataError:
            continue
        if not paired or width < _PAIR_ASPECT * height:
            raise DataError(
                f"{source.label} ({width}x{height}) looks like one picture, not two side by side: expected {LAYOUTS}\n"
                "  or, if these are two side by side, name the halves with --domains LEFT RIGHT"
            )
        return


def _domains(a: Path, b: Path) -> dict[str, Split]:
    """Return the images of two domain folders: by their own train, val and test folders where both have them."""
    splits = {
        split: Split(_whole(a / name), _whole(b / name))
        for split, names in SPLIT_NAMES.items()
        for name in names
        if (a / name).is_dir() and (b / name).is_dir()
    }
    return splits if "train" in splits else {"train": Split(_whole(a), _whole(b))}


def _has_images(folder: Path) -> bool:
    return next(_walk(folder, ""), None) is not None


def _whole(folder: Path) -> tuple[Source, ...]:
    sources = tuple(Source(folder, "whole", name) for name in list_names(folder))
    if not sources:
        raise DataError(f"{folder}: no images found; expected files that end in {', '.join(sorted(SUFFIXES))}")
    return sources


def _halves(folder: Path) -> Split:
    names = list_names(folder)
    return Split(
        tuple(Source(folder, "left", name) for name in names), tuple(Source(folder, "right", name) for name in names)
    )


def pair_folders(a: Path, b: Path, *, allow_orphans: bool) -> tuple[Split, tuple[Source, ...]]:
    """Pair the images of two folders by stem (path below the folder, without its ending).

    Args:
        a: folder of the first domain.
        b: folder of the second.
        allow_orphans: leave out images without a partner instead of refusing.

    Returns:
        The pairs, and the images that are left out.

    Raises:
        DataError: if a folder has no images, stems are not unique, or pairs do not match.
    """
    for folder in (a, b):
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder")
    both = Split(_whole(a), _whole(b))
    names = (a.name, b.name) if a.name != b.name else (str(a), str(b))
    pairs = _pair(both, names, allow_orphans=allow_orphans)
    used = {source.path for source in (*pairs.a, *pairs.b)}
    return pairs, tuple(source for source in (*both.a, *both.b) if source.path not in used)


def _pair(split: Split, names: tuple[str, str], *, allow_orphans: bool) -> Split:
    by_stem: list[dict[str, Source]] = []
    for domain, sources in zip(names, (split.a, split.b), strict=True):
        stems: dict[str, Source] = {}
        for source in sources:
            if (twin := stems.setdefault(source.stem, source)) is not source:
                raise DataError(
                    f"domain {domain}: {twin.name} and {source.name} have the same stem; rename one of them"
                )
        by_stem.append(stems)
    a, b = by_stem
    orphans = sorted(a.keys() ^ b.keys())
    common = sorted(a.keys() & b.keys())
    if orphans and not allow_orphans:
        listed = _names([(a.get(name) or b[name]) for name in orphans], with_folder=True)
        raise DataError(
            f"{len(orphans)} images have no partner of the same stem in the other domain: {listed}; "
            "add the partners, or leave these out with --allow-orphans"
        )
    if not common:
        raise DataError(f"no image of domain {names[0]} has a partner of the same stem in domain {names[1]}")
    return Split(tuple(a[name] for name in common), tuple(b[name] for name in common))


def _names(sources: Sequence[Source], *, with_folder: bool = False) -> str:
    return few([source.label if with_folder else source.name for source in sources])


def few(names: Sequence[str]) -> str:
    """Put the first names into a sentence, and how many more there are."""
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return (", ".join(names[:_SHOWN_NAMES]) or "none") + more
