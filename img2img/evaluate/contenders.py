"""What stands against one another, and its pictures: each translator in its turn over the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from img2img.errors import ConfigError, DataError
from img2img.image import Picture
from img2img.translate.files import Files
from img2img.translate.folder import reason
from img2img.translate.inputs import images
from img2img.translate.sheet import Column, as_png

Say = Callable[[str], None]


@dataclass(frozen=True)
class Curve:
    """One validation score over one training.

    Attributes:
        score: its name, such as ``validation/l1``; smaller is better where it decides.
        run: name of the run.
        points: (images seen, score).
        decides: whether the best weights are those with the smallest of it.
    """

    score: str
    run: str
    points: tuple[tuple[float, float], ...]
    decides: bool = False


@dataclass(frozen=True)
class Contender:
    """A translator that is compared.

    Attributes:
        name: stands above its pictures.
        header: of its file.
        load: brings it into memory; called when its turn comes, so that only one is there at a time.
        path: its file.
        images: seen in its training; 0 where that is not known.
        score: the score that decides in its run, where it was validated.
        best: whether no other weights of its run scored better.
    """

    name: str
    header: Mapping[str, Any]
    load: Callable[[], Column]
    path: Path
    images: int = 0
    score: float | None = None
    best: bool = False

    def direction(self, to: str | None) -> str:
        """Return the direction into a domain, the main one by default.

        Raises:
            ConfigError: naming those there are.
        """
        directions = self.header["directions"]
        for direction in directions:
            if to is None or direction.split(":")[1] == to:
                return str(direction)
        raise ConfigError(f"{self.path}: cannot translate to {to!r}; it knows {', '.join(directions)}")


@dataclass(frozen=True)
class Row:
    """An input and what became of it, as PNG.

    Attributes:
        name: of the input.
        source: what was translated.
        outputs: one for each contender.
        reference: what it ought to be, where that is known.
    """

    name: str
    source: bytes
    outputs: tuple[bytes, ...]
    reference: bytes | None = None


def one_direction(contenders: Sequence[Contender], to: str | None) -> str:
    """Return the direction that all take.

    Raises:
        ConfigError: if they differ in direction or in channels, naming two that do.
    """
    said = []
    for one in contenders:
        direction = one.direction(to)
        about = one.header["directions"][direction]
        channels = (about["input"]["channels"], about["output"]["channels"])
        said.append((direction, f"{direction.replace(':', ' to ')}, {channels[0]} to {channels[1]} channels"))
    for one, (_, words) in zip(contenders, said, strict=True):
        if words != said[0][1]:
            raise ConfigError(
                f"{one.path} translates {words}; {contenders[0].path} {said[0][1]}: expected one direction for all"
                " (--to chooses among those that a translator has)"
            )
    return said[0][0]


def rows(
    contenders: Sequence[Contender],
    chosen: Sequence[tuple[str, Path]],
    references: Mapping[str, Path],
    *,
    marked: bool = True,
    say: Say = lambda _: None,
) -> tuple[list[Row], dict[str, str]]:
    """Translate the same pictures by each contender, as ``img2img translate`` does.

    Args:
        contenders: each is loaded, used and let go.
        chosen: name and place of the pictures.
        references: by name of the picture, where there are some.
        marked: whether outputs say in their metadata who made them; not where that is to be guessed.
        say: told of each contender when its turn comes.

    Returns:
        The rows that are whole, and by name why others are not.
    """
    failed: dict[str, str] = {}
    made: dict[str, list[bytes]] = {}
    known: dict[str, bytes] = {}
    for name, path in chosen:
        try:
            made[name] = [as_png(_read(path, name), None)]
            if name in references:
                known[name] = reference(references[name])
        except Exception as error:  # noqa: BLE001 (reason() raises what is ours to mend)
            failed[name] = reason(name, error)
    for one in contenders:
        left = [(name, path) for name, path in chosen if name not in failed]
        if not left:
            break
        say(one.name)
        column = one.load()
        for name, path in left:
            try:
                made[name].append(as_png(column(_read(path, name)), column.mark if marked else None))
            except Exception as error:  # noqa: BLE001
                failed[name] = reason(name, error)
    whole = [
        Row(name, made[name][0], tuple(made[name][1:]), known.get(name)) for name, _ in chosen if name not in failed
    ]
    return whole, failed


def reference(path: Path) -> bytes:
    """Read a reference, as PNG.

    Raises:
        DataError: if it cannot be read.
    """
    return as_png(_read(path, f"reference {path}"), None)


def _read(path: Path, name: str) -> Picture:
    return Files(frames="first").read(path, name).frames[0]


def by_stem(source: str | Path) -> dict[str, Path]:
    """Return the images of a folder by their names without endings.

    Raises:
        DataError: if there are none, or two share a name.
    """
    found: dict[str, Path] = {}
    for name, path in images(source):
        if (stem := stem_of(name)) in found:
            raise DataError(f"{path} and {found[stem]}: expected one reference for each name")
        found[stem] = path
    return found


def stem_of(name: str) -> str:
    """Return a name without its ending: ``a/b.png`` and ``a/b.jpg`` are of one pair."""
    return str(PurePosixPath(name).with_suffix(""))
