"""The two sets of images that are compared, and what is known of each file."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.data.folder import list_names
from img2img.data.source import Source
from img2img.data.split import orientation
from img2img.data.transforms import half_of, load_pixels
from img2img.errors import DataError
from img2img.image import SUFFIXES, opened
from img2img.image.opening import binary, named
from img2img.image.provenance import COMPOSITE_TYPE, SOURCE_TYPE

_LOSSY = {".jpg", ".jpeg", ".webp", ".avif", ".jp2"}
_MARKS = tuple(kind.encode() for kind in (SOURCE_TYPE, COMPOSITE_TYPE))


@dataclass(frozen=True)
class Images:
    """One of the two sets.

    Attributes:
        where: what the user gave, for messages and the record.
        sources: in the order of their names.
    """

    where: str
    sources: tuple[Source, ...]

    @classmethod
    def below(cls, folder: Path) -> Images:
        """List the images below a folder.

        Raises:
            DataError: if there is no such folder, or it holds none.
        """
        if not folder.is_dir():
            raise DataError(f"{folder}: expected a folder of images, there is no such folder")
        sources = tuple(Source(folder, "whole", name) for name in list_names(folder))
        if not sources:
            raise DataError(f"{folder}: no images found; expected files that end in {', '.join(sorted(SUFFIXES))}")
        return cls(str(folder), sources)


@dataclass(frozen=True)
class Look:
    """What was seen of one file.

    Attributes:
        sha256: of the file.
        size: (width, height) of the image.
        lossy: whether its format loses detail.
        generated: whether the file says that a network made it.
        unapplied: whether it has a colour profile, an orientation or transparency, which were left out.
    """

    sha256: str
    size: tuple[int, int]
    lossy: bool
    generated: bool
    unapplied: bool


@dataclass(frozen=True)
class Seen:
    """What was seen of a set.

    Attributes:
        looks: by name, of what could be read.
        failed: name to reason.
    """

    looks: dict[str, Look]
    failed: dict[str, str]

    def sha256(self) -> str:
        """Return one hash of all names and files: two sets with the same hash are the same."""
        digest = hashlib.sha256()
        for name, look in sorted(self.looks.items()):
            digest.update(f"{name}\0{look.sha256}\n".encode("utf-8", "backslashreplace"))
        return digest.hexdigest()

    def sizes(self) -> list[tuple[tuple[int, int], int]]:
        """Return sizes (width, height) and how many images have each, the commonest first."""
        return Counter(look.size for look in self.looks.values()).most_common()

    def record(self) -> dict[str, Any]:
        """Return it for the protocol."""
        sizes = {f"{width}x{height}": count for (width, height), count in self.sizes()}
        return {
            "images": len(self.looks),
            "unreadable": dict(self.failed),
            "sha256": self.sha256(),
            "sizes": dict(list(sizes.items())[:8]),
            "lossy": sum(look.lossy for look in self.looks.values()),
            "generated": sum(look.generated for look in self.looks.values()),
            "unapplied": sum(look.unapplied for look in self.looks.values()),
        }


def look_at(source: Source) -> tuple[Look, NDArray[np.uint8]]:
    """Read an image as 8-bit RGB as pytorch-fid, clean-fid and torch-fidelity do, so that the numbers are theirs.

    That is Pillow's ``convert("RGB")``: without the colour profile, the orientation and the transparency that a viewer
    would apply; what has them is counted. Values of 16 bits, which Pillow would cut off at 255, are scaled.

    Raises:
        DataError: naming the file, if it cannot be read whole.
    """
    label = source.label
    with named(label), binary(source.path, label) as file:
        data = file.read()
    with opened(io.BytesIO(data), label) as image:
        deep = image.mode.startswith(("I", "F"))
        turned = orientation(image) != 1
        unapplied = turned or bool(image.info.get("icc_profile")) or image.has_transparency_data
        pixels = load_pixels(source, 3) if deep else half_of(source, np.asarray(image.convert("RGB")))
    digest = hashlib.sha256(data).hexdigest()
    generated = any(mark in data for mark in _MARKS)
    lossy = source.path.suffix.lower() in _LOSSY
    return Look(digest, (pixels.shape[1], pixels.shape[0]), lossy, generated, unapplied), np.asarray(pixels, np.uint8)


def partners(outputs: Sequence[Source], references: Sequence[Source]) -> tuple[list[tuple[Source, Source]], list[str]]:
    """Return the images of one name without its ending, and the names on either side that have no partner."""
    there = {source.stem: source for source in references}
    here = {source.stem: source for source in outputs}
    pairs = [(source, there[stem]) for stem, source in here.items() if stem in there]
    return pairs, sorted(here.keys() ^ there.keys())
