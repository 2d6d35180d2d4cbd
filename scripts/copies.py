"""How surely ``img2img data check`` knows copies: of each image of a folder, changed, and of all with one another.

python scripts/copies.py horse2zebra --images 300
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from img2img.data.check.alike import close, same
from img2img.data.check.look import THUMBNAIL_PX
from img2img.data.folder import list_images


def main() -> None:
    """Print the share of changed copies that is found, and every pair of originals that counts as copies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=300, help="Images that are changed.")
    options = parser.parse_args()
    paths = list_images(options.folder)
    thumbnails = [_thumbnail(_read(path)) for path in paths]
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(paths), min(options.images, len(paths)), replace=False).tolist()
    for name, change in CHANGES.items():
        changed = [_thumbnail(change(_read(paths[i]), rng)) for i in chosen]
        originals = [thumbnails[i] for i in chosen]
        twins = same(originals + changed, close(originals + changed))
        found = [pair for pair in twins if pair[1] - pair[0] == len(chosen)]
        print(f"{name:26} {len(found) / len(chosen):6.1%} of {len(chosen)} known")
    twins = same(thumbnails, close(thumbnails))
    count = len(paths) * (len(paths) - 1) // 2
    print(f"{len(twins)} of {count:,} pairs of originals count as copies:")
    for i, j in twins:
        print(f"  {paths[i].relative_to(options.folder)} {paths[j].relative_to(options.folder)}")


def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _thumbnail(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L").resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BILINEAR))


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _cropped(share: float) -> Callable[[Image.Image, np.random.Generator], Image.Image]:
    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        left, top, right, bottom = rng.uniform(0, share, 4)
        width, height = image.size
        return image.crop(
            (int(left * width), int(top * height), width - int(right * width), height - int(bottom * height))
        )

    return change


CHANGES: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "JPEG, quality 30": lambda image, _: _jpeg(image, 30),
    "half the size": lambda image, _: image.resize((image.width // 2, image.height // 2)),
    "brighter (1.2 v + 10)": lambda image, _: image.point(lambda v: min(255, int(1.2 * v + 10))),
    "0-3 % cropped off a side": _cropped(0.03),
    "0-6 % cropped off a side": _cropped(0.06),
    "0-10 % cropped off a side": _cropped(0.10),
}

if __name__ == "__main__":
    main()
