"""Where images are: a file or half of one; lists of them by domain and split."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from img2img.errors import DataError
from img2img.image import whole_file

Half = Literal["whole", "left", "right"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where one image is: a file, or one half of a side-by-side file. A million of them take little memory.

    Attributes:
        folder: one object for all images below it.
        half: which part of the file.
        name: of the file, below the folder.
        beside: names of further files of the same sample, of a manifest's further columns.
    """

    folder: Path
    half: Half
    name: str
    beside: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Return the file."""
        return self.folder / self.name

    def read(self) -> bytes:
        """Return the bytes of the file.

        Raises:
            DataError: naming it, if it cannot be read.
        """
        return whole_file(self.path, self.label)

    @property
    def file(self) -> Path | BinaryIO:
        """Return what is to be opened."""
        return self.path

    def stamp(self) -> tuple[int, int]:
        """Return the bytes of all files of the sample, and when they changed last in nanoseconds; both added up.

        Raises:
            DataError: naming it, if one is not there.
        """
        try:
            found = [os.stat(name) for name in self._places()]  # noqa: PTH116 (a Path each takes as long as reading)
        except OSError as error:
            raise DataError(f"{self.label}: no such file ({error.strerror})") from error
        return sum(one.st_size for one in found), sum(one.st_mtime_ns for one in found) % 2**64

    def _places(self) -> list[str]:
        return [f"{self.folder}/{name}" for name in (self.name, *self.beside)]

    def place(self) -> str:
        """Return one text that no other sample has: the full paths of its files."""
        return "\n".join(map(os.path.abspath, self._places()))

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return all files of the sample."""
        return (self.path, *(self.folder / name for name in self.beside))

    @property
    def label(self) -> str:
        """Return what messages call it: the file with its folder."""
        return self.labels[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """Return what messages call all files of the sample."""
        return tuple("/".join(f"{self.folder.name}/{name}".split("/")[-2:]) for name in (self.name, *self.beside))

    @property
    def stem(self) -> str:
        """Return the name without its ending: images of the same stem belong together."""
        return self.name.removesuffix(Path(self.name).suffix)


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
