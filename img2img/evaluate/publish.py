"""A page and its pictures on the disk: inside it, or beside it where they are many; whole, or as it was before."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from img2img.errors import DataError
from img2img.image import atomically
from img2img.image.atomic import refuse_unwritable
from img2img.report import embedded
from img2img.translate.sheet import PAGE_SUFFIXES

INSIDE_BYTES = 32_000_000
"""Pictures of more bytes than this together lie beside the page: browsers get slow on larger files."""

_OURS = re.compile(r"[0-9a-f]{20}\.png")


def page_of(out: Path, name: str) -> Path:
    """Return the file to write: ``out`` itself, or ``name`` in it where it is a folder or has no ending.

    Raises:
        DataError: for an ending that is not a page's.
        ConfigError: if it cannot be written there.
    """
    page = out
    if out.suffix.lower() not in PAGE_SUFFIXES or out.is_dir():
        if out.is_file() or (out.suffix and not out.is_dir()):
            raise DataError(f"{out}: expected a name that ends in .html, or a folder for {name}")
        page = out / name
    refuse_unwritable(page, "--out")
    return page


def beside(page: Path) -> Path:
    """Return the folder of a page's pictures."""
    return page.with_name(f"{page.stem}_files")


def publish(page: Path, pictures: Sequence[bytes], render: Callable[[Sequence[str]], str]) -> bool:
    """Write a page; until it is whole an older one of the same name stays as it is.

    Names of pictures beside a page tell nothing but their bytes.

    Args:
        page: the file to write.
        pictures: PNGs.
        render: from the addresses of the pictures to the page.

    Returns:
        Whether the pictures lie beside it.
    """
    page.parent.mkdir(parents=True, exist_ok=True)
    folder = beside(page)
    outside = sum(map(len, pictures)) > INSIDE_BYTES
    names = [f"{hashlib.sha256(png).hexdigest()[:20]}.png" for png in pictures] if outside else []
    written: list[Path] = []
    try:
        if outside:
            folder.mkdir(exist_ok=True)
            for name, png in zip(names, pictures, strict=True):
                if not (folder / name).exists():
                    with atomically(folder / name) as file:
                        file.write(png)
                    written.append(folder / name)
            html = render([f"{quote(folder.name)}/{name}" for name in names])
        else:
            html = render([embedded(png) for png in pictures])
        with atomically(page) as file:
            file.write(html.encode())
    except BaseException:
        for path in written:
            path.unlink()
        _remove_if_empty(folder)
        raise
    if folder.is_dir():  # pictures of the page that was replaced
        for path in folder.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in names:
                path.unlink()
        _remove_if_empty(folder)
    return outside


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
