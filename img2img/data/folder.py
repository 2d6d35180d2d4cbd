"""From folders to lists of images: which layout a folder has, what its domains are called, what belongs together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from img2img.configured import nearest
from img2img.errors import DataError
from img2img.image import SUFFIXES, opened

LAYOUTS = """one of these layouts
  DIR/train/*.jpg (source and target side by side), also val/, test/, or DIR/*.jpg without splits
  DIR/trainA/ DIR/trainB/, also valA/ valB/ testA/ testB/
  DIR/line/ DIR/colour/ (two folders, any names), also inside DIR/train/, DIR/val/, DIR/test/
  two folders: --data line/ --data colour/"""

_SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SHOWN_NAMES = 5
_PAIR_ASPECT = 1.6

Half = Literal["whole", "left", "right"]


@dataclass(frozen=True)
class Source:
    """Where one image is: a file, or one half of a side-by-side file."""

    path: Path
    half: Half
    name: str

    @property
    def label(self) -> str:
        """Return what messages call it: the file with its folder."""
        return f"{self.path.parent.name}/{self.path.name}"


@dataclass(frozen=True)
class Split:
    """Images of both domains; in a paired split a[i] belongs to b[i]."""

    a: tuple[Source, ...]
    b: tuple[Source, ...]

    def swapped(self) -> Split:
        """Exchange the domains."""
        return Split(self.b, self.a)


@dataclass(frozen=True)
class Layout:
    """What a data folder holds; domain a is the source, b the target.

    Attributes:
        kind: how it was recognised, for people.
        domains: names of source and target.
        train: training images.
        validation: validation images, or None.
        test: test images, or None.
    """

    kind: str
    domains: tuple[str, str]
    train: Split
    validation: Split | None
    test: Split | None


def list_images(folder: Path) -> list[Path]:
    """List the images below a folder by name ending, sorted, without hidden files and folders.

    Whatever else bears such a name (a pipe, a link to nothing) is listed too, so that reading it can say so.
    """
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return sorted(path for path in found if not path.is_dir())


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
    kind, names, splits = _recognise(list(roots), domains)
    if kind == "side by side" and domains is None:
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
    layout = Layout(kind, names, train, checked.get("validation"), checked.get("test"))
    if to is None or to == names[1]:
        return layout
    if to != names[0]:
        raise DataError(f"--to {to}: the domains here are {names[0]} and {names[1]}{nearest(to, names)}")
    return replace(
        layout,
        domains=(names[1], names[0]),
        train=train.swapped(),
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
    folders = {split: roots[0] / n for split, ns in _SPLIT_NAMES.items() for n in ns if (roots[0] / n).is_dir()}
    folders = folders if "train" in folders else {"train": roots[0]}
    photos = {split: _whole(folder) for split, folder in folders.items()}
    if len(photos["train"]) < 2:  # noqa: PLR2004 (one to train on, one to validate on)
        raise DataError(f"{roots[0]}: expected two or more photos to train on, got {_names(photos['train'])}")
    splits = {split: Split(sources, sources) for split, sources in photos.items()}
    return Layout("photos", names, splits["train"], splits.get("validation"), splits.get("test"))


def _recognise(roots: list[Path], domains: Sequence[str] | None) -> tuple[str, tuple[str, str], dict[str, Split]]:
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
                for split, names_of_split in _SPLIT_NAMES.items()
                for name in names_of_split
                if {f"{name}{between}A", f"{name}{between}B"} <= folders.keys()
            }
            return "trainA and trainB", ("A", "B"), splits

    by_split = {s: folders[n] for s, ns in _SPLIT_NAMES.items() for n in ns if n in folders}
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
            {split: _halves(folder) for split, folder in by_split.items() if list_images(folder)},
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
    names = [p.name for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith(".") and list_images(p)]
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
            with opened(source.path, source.label) as image:
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
        for split, names in _SPLIT_NAMES.items()
        for name in names
        if (a / name).is_dir() and (b / name).is_dir()
    }
    return splits if "train" in splits else {"train": Split(_whole(a), _whole(b))}


def _whole(folder: Path) -> tuple[Source, ...]:
    sources = tuple(Source(path, "whole", path.relative_to(folder).as_posix()) for path in list_images(folder))
    if not sources:
        raise DataError(f"{folder}: no images found; expected files that end in {', '.join(sorted(SUFFIXES))}")
    return sources


def _halves(folder: Path) -> Split:
    paths = list_images(folder)
    names = [path.relative_to(folder).as_posix() for path in paths]
    left = tuple(Source(path, "left", name) for path, name in zip(paths, names, strict=True))
    right = tuple(Source(path, "right", name) for path, name in zip(paths, names, strict=True))
    return Split(left, right)


def _pair(split: Split, names: tuple[str, str], *, allow_orphans: bool) -> Split:
    by_stem: list[dict[str, Source]] = []
    for domain, sources in zip(names, (split.a, split.b), strict=True):
        stems: dict[str, Source] = {}
        for source in sources:
            stem = source.name.removesuffix(Path(source.name).suffix)
            if stem in stems:
                raise DataError(
                    f"domain {domain}: {stems[stem].name} and {source.name} have the same stem; rename one of them"
                )
            stems[stem] = source
        by_stem.append(stems)
    a, b = by_stem
    orphans = sorted(a.keys() ^ b.keys())
    common = sorted(a.keys() & b.keys())
    if orphans and not allow_orphans:
        listed = _names([(a.get(stem) or b[stem]) for stem in orphans], with_folder=True)
        raise DataError(
            f"{len(orphans)} images have no partner of the same stem in the other domain: {listed}; "
            "add the partners, or leave these out with --allow-orphans"
        )
    if not common:
        raise DataError(f"no image of domain {names[0]} has a partner of the same stem in domain {names[1]}")
    return Split(tuple(a[stem] for stem in common), tuple(b[stem] for stem in common))


def _names(sources: Sequence[Source], *, with_folder: bool = False) -> str:
    names = [f"{s.path.parent.name}/{s.path.name}" if with_folder else s.name for s in sources[:_SHOWN_NAMES]]
    more = f" and {len(sources) - _SHOWN_NAMES} more" if len(sources) > _SHOWN_NAMES else ""
    return (", ".join(names) or "none") + more
