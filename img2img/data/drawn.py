"""A folder of photos, derived to files."""

from __future__ import annotations

import zlib
from pathlib import Path

from img2img.data.derive.base import Derivation
from img2img.data.folder import list_images
from img2img.data.sampler import mix
from img2img.data.source import Source
from img2img.data.transforms import load_pixels
from img2img.errors import DataError
from img2img.image import Picture, resized, write_picture


def draw_folder(
    photos: Path, out: Path, derive: Derivation, *, seed: int = 0, size: int | None = None
) -> tuple[int, dict[str, str]]:
    """Derive every photo below a folder, into the same names as PNG.

    A photo's draws follow from the seed and its name, so that others beside it change nothing.

    Args:
        photos: the folder.
        out: folder to write; files of the same names are replaced.
        derive: what makes the pictures.
        seed: decides every draw.
        size: shorter side in pixels that photos are resized to first; None keeps their own.

    Returns:
        How many were written, and why others were not, by name.

    Raises:
        DataError: if there is no such folder, no image in it, or it is where the pictures would go.
    """
    if not photos.is_dir():
        raise DataError(f"{photos}: no such folder of photos")
    if out.resolve() == photos.resolve():
        raise DataError(f"{out}: the drawings would replace the photos; choose another folder")
    paths = [path for path in list_images(photos) if out.resolve() not in path.resolve().parents]
    if not paths:
        raise DataError(f"{photos}: no images found")
    targets = {path: path.relative_to(photos).with_suffix(".png") for path in paths}
    _refuse_twins(targets)
    failed: dict[str, str] = {}
    for path, target in targets.items():
        name = path.relative_to(photos).as_posix()
        try:
            photo = load_pixels(Source(photos, "whole", name), 3)
        except DataError as error:
            failed[name] = str(error)
            continue
        if size is not None:
            scale = size / min(photo.shape[:2])
            photo = resized(photo, *(max(round(side * scale), 1) for side in photo.shape[:2]))
        drawn = derive(photo, mix(seed, 0, zlib.crc32(name.encode())))
        (out / target).parent.mkdir(parents=True, exist_ok=True)
        write_picture(out / target, Picture(drawn, None, "PNG", None, None, ""))
    return len(paths) - len(failed), failed


def _refuse_twins(targets: dict[Path, Path]) -> None:
    seen: dict[Path, Path] = {}
    for path, target in targets.items():
        if (first := seen.setdefault(target, path)) != path:
            raise DataError(f"{first.name} and {path.name} would both become {target}; rename one of them")
