"""Data folders with one fault each, made from a set that has none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from img2img.data.check import content, copies, counts, files, listed, pairing, sizes, tree
from img2img.data.check.finding import Kind

PAIRS, SIZE = 52, (96, 80)
_CLASS_COLOURS = ((0, 0, 160), (230, 60, 0), (0, 170, 40), (240, 220, 0), (150, 0, 200))


@cache
def scene(seed: int) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Outlines on white, the same shapes in colours and shades of their own, and their classes 0 to 4."""
    rng = np.random.default_rng(seed)
    line, ids = Image.new("RGB", SIZE, "white"), Image.new("L", SIZE)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    shade = np.stack([v[0] + x * v[1] + y * v[2] for v in rng.uniform((40, -0.8, -0.8), (215, 0.8, 0.8), (3, 3))], -1)
    colour = Image.fromarray(shade.clip(0, 255).astype(np.uint8))
    for _ in range(7):
        left, top = rng.integers(0, SIZE[0] - 24), rng.integers(0, SIZE[1] - 24)
        box = [left, top, left + rng.integers(14, 34), top + rng.integers(14, 34)]
        box = [int(v) for v in box]
        fill = tuple(int(v) for v in rng.integers(0, 256, 3))
        shape = int(rng.integers(1, 5))
        for image, inside, edge in ((line, "white", "black"), (colour, fill, fill), (ids, shape, shape)):
            draw = ImageDraw.Draw(image)
            (draw.ellipse if shape % 2 else draw.rectangle)(box, fill=inside, outline=edge, width=1)
    grain = rng.normal(0, 6, (SIZE[1], SIZE[0], 3))
    grainy = (np.asarray(colour) + grain).clip(0, 255).astype(np.uint8)
    return line, Image.fromarray(grainy), ids


def pairs(root: Path, numbers: Sequence[int] = range(PAIRS)) -> Path:
    """Two folders of pairs, ``line`` and ``colour``."""
    for folder in ("line", "colour"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in numbers:
        line, colour, _ = scene(number)
        line.save(root / "line" / f"{number:03d}.png")
        colour.save(root / "colour" / f"{number:03d}.png")
    return root


def unpaired(root: Path, count_a: int = 104, count_b: int = 104) -> Path:
    """``trainA`` with outlines and ``trainB`` with coloured shapes of other scenes."""
    for folder, count, first, which in (("trainA", count_a, 0, 0), ("trainB", count_b, 200, 1)):
        (root / folder).mkdir(parents=True)
        for number in range(first, first + count):
            scene(number)[which].save(root / folder / f"{folder[-1]}{number:03d}.png")
    return root


def side_by_side(root: Path) -> Path:
    """``train`` with colour left and line right."""
    (root / "train").mkdir(parents=True)
    for number in range(PAIRS):
        line, colour, _ = scene(number)
        both = Image.new("RGB", (2 * SIZE[0], SIZE[1]))
        both.paste(colour, (0, 0))
        both.paste(line, (SIZE[0], 0))
        both.save(root / "train" / f"{number:03d}.png")
    return root


GOOD: dict[str, Callable[[Path], Path]] = {"pairs": pairs, "unpaired": unpaired, "side by side": side_by_side}


@dataclass(frozen=True)
class Broken:
    """A fault.

    Attributes:
        kind: what is to be found.
        make: breaks a good set; returns words of which each must stand in a name, or in what is said.
        base: the good set.
        options: of the check; the target is ``colour`` where the set has such a domain.
        also: what else has to be found then.
        inside: what in the set is checked, by default all of it.
    """

    kind: Kind
    make: Callable[[Path], Sequence[str]]
    base: str = "pairs"
    options: dict[str, Any] = field(default_factory=lambda: {"to": "colour"})
    also: tuple[Kind, ...] = ()
    inside: str = ""


def _list(root: Path) -> list[str]:
    rows = [f"line/{number:03d}.png,colour/{number:03d}.png" for number in range(PAIRS)]
    rows[4] = "line/004.png,colour/4.png"
    (root / "list.csv").write_text("\n".join(["a:rgb,b:colour=rgb", *rows]))
    return ["list.csv line 6, column b:colour=rgb", "colour/4.png: no such file"]


def _list_classes(root: Path) -> list[str]:
    for number in range(2):
        scene(number)[2].save(root / f"ids{number}.png")
    rows = [f"ids{number}.png,colour/{number:03d}.png" for number in range(2)]
    (root / "list.csv").write_text("\n".join(["a:label*6,b:rgb", *rows]))
    return ["class 5"]


def _empty(root: Path) -> list[str]:
    shutil.rmtree(root / "line")
    (root / "line").mkdir()
    (root / "line" / "readme.txt").write_text("images follow")
    shutil.rmtree(root / "colour")
    return ["no images found"]


def _keep(count: int) -> Callable[[Path], list[str]]:
    def make(root: Path) -> list[str]:
        for folder in ("line", "colour"):
            for path in sorted((root / folder).iterdir())[count:]:
                path.unlink()
        return [str(count)]

    return make


def _lopsided(root: Path) -> list[str]:
    for path in sorted((root / "trainB").iterdir())[5:]:
        path.unlink()
    return ["104", "5"]


def _orphan(root: Path) -> list[str]:
    (root / "line" / "007.png").unlink()
    return ["colour/007.png"]


def _double(root: Path) -> list[str]:
    scene(3)[0].save(root / "line" / "003.bmp")
    return ["line/003"]


def _truncate(root: Path) -> list[str]:
    broken = root / "line" / "005.png"
    broken.write_bytes(broken.read_bytes()[:300])
    return ["line/005.png"]


def _pipe(root: Path) -> list[str]:
    (root / "line" / "005.png").unlink()
    os.mkfifo(root / "line" / "005.png")
    return ["line/005.png: expected an image file"]


def _dead_link(root: Path) -> list[str]:
    for name in ("005.png", "006.png"):
        (root / "line" / name).unlink()
    (root / "line" / "005.png").symlink_to(root / "nowhere.png")
    (root / "line" / "006.png").symlink_to(root / "line" / "006.png")
    return ["line/005.png", "line/006.png"]


def _truncate_most(root: Path) -> list[str]:
    for path in [*(root / "line").iterdir(), *sorted((root / "colour").iterdir())[:20]]:
        path.write_bytes(path.read_bytes()[:200])
    return ["72 of 104"]


def _saved(name: str, change: Callable[[Image.Image], Image.Image], **options: Any) -> Callable[[Path], list[str]]:
    """Replace one colour picture by another file of it."""

    def make(root: Path) -> list[str]:
        path = root / "colour" / name
        (root / "colour" / f"{path.stem}.png").unlink()
        change(scene(int(path.stem))[1]).save(path, **options)
        return [f"colour/{name}"]

    return make


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _clear(image: Image.Image) -> Image.Image:
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 30, 30))
    image = image.copy()
    image.putalpha(alpha)
    return image


def _resize(number: int, size: tuple[int, int], *folders: str) -> Callable[[Path], list[str]]:
    def make(root: Path) -> list[str]:
        for folder in folders:
            path = root / folder / f"{number:03d}.png"
            Image.open(path).resize(size).save(path)
        return [f"{folders[0]}/{number:03d}.png"]

    return make


def _lock(root: Path) -> list[str]:
    (root / "line" / "locked").mkdir()
    (root / "line" / "locked").chmod(0)
    return ["line/locked"]


def _link(root: Path) -> list[str]:
    shutil.copytree(root / "line", root.parent / "elsewhere")
    (root / "line" / "more").symlink_to(root.parent / "elsewhere")
    (root / "line" / "loop").symlink_to(root)
    return ["line/more", "line/loop"]


def _foreign(root: Path) -> list[str]:
    (root / "line" / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    return ["line/IMG_0001.HEIC"]


def _new_pair(root: Path, name: str | bytes, number: int) -> None:
    for folder, image in zip(("line", "colour"), scene(number), strict=False):
        with open(os.path.join(os.fsencode(root / folder), os.fsencode(name)), "wb") as file:  # noqa: PTH118, PTH123
            image.save(file, "PNG")


def _same_name(root: Path) -> list[str]:
    _new_pair(root, "Cat.png", 90)
    _new_pair(root, "cat.png", 91)
    return ["line/Cat.png", "line/cat.png", "colour/cat.png"]


def _not_text(root: Path) -> list[str]:
    _new_pair(root, b"caf\xe9.png", 90)
    return ["line/caf\\udce9.png"]


def _hide(root: Path) -> list[str]:
    (root / "line" / ".thumbs").mkdir()
    shutil.copy(root / "line" / "001.png", root / "line" / ".thumbs" / "001.png")
    shutil.copy(root / "line" / "001.png", root / "line" / "._001.png")
    return ["line/.thumbs/001.png", "line/._001.png"]


def _cropped(image: Image.Image) -> Image.Image:
    """What a careless collection does to a picture: cropped a little, smaller, and saved as JPEG."""
    return image.crop((2, 1, SIZE[0] - 1, SIZE[1] - 2)).resize((80, 66), Image.Resampling.BICUBIC)


def _leak(root: Path) -> list[str]:
    for folder in ("line", "colour"):
        (root / "train").mkdir(exist_ok=True)
        (root / folder).rename(root / "train" / folder)
    pairs(root / "test", range(300, 310))
    for index, folder in enumerate(("line", "colour")):
        _cropped(scene(3)[index]).save(root / "test" / folder / "again.jpg", quality=80)
    return ["003.png = test/line/again.jpg"]


def _copies(root: Path) -> list[str]:
    for index, folder in enumerate(("line", "colour")):
        _cropped(scene(3)[index]).save(root / folder / "again.jpg", quality=80)
    return ["003.png = line/again.jpg"]


def _shared(root: Path) -> list[str]:
    for number in (3, 4, 5):
        _cropped(scene(number)[0]).save(root / "trainB" / f"again{number}.jpg", quality=80)
    return ["trainA/A003.png = trainB/again3.jpg", "domains: 3"]


def _same_pair(root: Path) -> list[str]:
    shutil.copy(root / "line" / "005.png", root / "colour" / "005.png")
    return ["line/005.png"]


def _same_domains(root: Path) -> list[str]:
    shutil.rmtree(root / "colour")
    shutil.copytree(root / "line", root / "colour")
    return ["52 of 52"]


def _shift(root: Path) -> list[str]:
    for number in range(PAIRS):
        scene((number + 1) % PAIRS)[1].save(root / "colour" / f"{number:03d}.png")
    return ["z = "]


def _mispair(root: Path) -> list[str]:
    scene(17)[1].save(root / "colour" / "003.png")
    scene(3)[1].save(root / "colour" / "017.png")
    return ["line/003.png (fits colour/017.png)", "line/017.png (fits colour/003.png)"]


def _exchange(root: Path) -> list[str]:
    for number in (5, 9):
        line, colour, _ = scene(number)
        colour.save(root / "line" / f"{number:03d}.png")
        line.save(root / "colour" / f"{number:03d}.png")
    return ["005.png", "009.png"]


def _exchange_halves(root: Path) -> list[str]:
    path = root / "train" / "011.png"
    Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    return ["train/011.png"]


def _labels(change: Callable[[Image.Image], Image.Image], ending: str = "png") -> Callable[[Path], list[str]]:
    def make(root: Path) -> list[str]:
        shutil.rmtree(root / "line")
        (root / "line").mkdir()
        for number in range(PAIRS):
            change(scene(number)[2]).save(root / "line" / f"{number:03d}.{ending}")
        return ["domain line"]

    return make


def _painted(ids: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(_CLASS_COLOURS, np.uint8)[np.asarray(ids)])


def _rename(root: Path) -> list[str]:
    (root / "line").rename(root / "was line")
    (root / "colour").rename(root / "line")
    (root / "was line").rename(root / "colour")
    return ["colour shows line drawings"]


BROKEN = (
    Broken(counts.LAYOUT, _empty),
    Broken(counts.FEW, _keep(20)),
    Broken(counts.UNEQUAL, _lopsided, "unpaired", {}, (counts.FEW,)),
    Broken(counts.ORPHANS, _orphan),
    Broken(counts.DOUBLES, _double),
    Broken(files.UNREADABLE, _truncate),
    Broken(files.UNREADABLE, _pipe),
    Broken(files.UNREADABLE, _dead_link),
    Broken(files.MOST_UNREADABLE, _truncate_most),
    Broken(files.CONSTANT, _saved("004.png", lambda image: Image.new("RGB", image.size, "white"))),
    Broken(
        files.TURNED,
        _saved("002.jpg", lambda i: i.transpose(Image.Transpose.ROTATE_90), exif=_exif(6), quality=95),
    ),
    Broken(files.DEEP, _saved("006.png", lambda i: Image.fromarray(np.asarray(i.convert("L"), np.uint16) * 257))),
    Broken(files.ALPHA, _saved("006.png", _clear)),
    Broken(files.INKS, _saved("006.jpg", lambda i: i.convert("CMYK"), quality=95)),
    Broken(files.ANIMATED, _saved("006.gif", lambda i: i, save_all=True, append_images=[scene(30)[1], scene(31)[1]])),
    Broken(sizes.SMALL, _resize(10, (24, 20), "line", "colour")),
    Broken(sizes.LONG, _resize(10, (320, 80), "line", "colour")),
    Broken(sizes.UNEQUAL_SHAPES, _resize(10, (96, 160), "line")),
    Broken(tree.LOCKED, _lock),
    Broken(tree.LINKED, _link),
    Broken(tree.UNREAD, _foreign),
    Broken(tree.SAME_NAME, _same_name),
    Broken(tree.NOT_TEXT, _not_text),
    Broken(tree.HIDDEN, _hide),
    Broken(copies.LEAK, _leak),
    Broken(copies.COPIES, _copies),
    Broken(copies.SHARED, _shared, "unpaired", {}),
    Broken(copies.SAME_PAIRS, _same_pair),
    Broken(copies.SAME_DOMAINS, _same_domains),
    Broken(pairing.STRANGERS, _shift, also=(counts.FEW,)),
    Broken(pairing.STRANGERS, _shift, options={"to": "colour", "paired": True}),
    Broken(pairing.MISPAIRED, _mispair),
    Broken(pairing.EXCHANGED, _exchange),
    Broken(pairing.EXCHANGED, _exchange_halves, "side by side", {"to": "A"}),
    Broken(content.IDS, _labels(lambda ids: ids)),
    Broken(content.LABELS, _labels(_painted)),
    Broken(content.LOSSY_LABELS, _labels(_painted, "jpg")),
    Broken(content.NAMES, _rename),
    Broken(listed.ROW, _list, options={}, inside="list.csv"),
    Broken(listed.ABSENT, _list_classes, options={}, inside="list.csv"),
    Broken(content.DIRECTION, lambda root: ["colour -> line"], options={}),
)
