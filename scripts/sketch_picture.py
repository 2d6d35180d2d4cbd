"""Draw photos in every style of ``img2img data sketch`` and in other ways, translate the drawings, and show all.

Usage: python scripts/sketch_picture.py RUN OUT.jpg PHOTO [PHOTO ...] [--size 128] [--seed 1] [--without-photos]

For each photo two rows: photo and drawings; below each drawing its translation. ``--without-photos`` leaves photos out
that may not be shown. The drawings in the second half are not
made by the package's styles: a threshold, thick lines, white on black, and lines on grey paper with a shadow.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import img2img
from img2img.cli.data_sketch import STYLES
from img2img.data import derive
from img2img.data.transforms import on_white
from img2img.image import Pixels, montage, read_picture, resized


def threshold(photo: Pixels) -> Pixels:
    """Black where the photo is darker than most of itself."""
    grey = cv2.GaussianBlur(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), (0, 0), 1)
    return cv2.cvtColor(np.uint8(255) * (grey > np.percentile(grey, 35)).astype(np.uint8), cv2.COLOR_GRAY2RGB)


def thick(photo: Pixels) -> Pixels:
    """Lines of four pixels."""
    edges = cv2.Canny(cv2.GaussianBlur(photo, (0, 0), 1.5), 60, 140)
    return cv2.cvtColor(255 - cv2.dilate(edges, np.ones((4, 4), np.uint8)), cv2.COLOR_GRAY2RGB)


def inverted(photo: Pixels) -> Pixels:
    """White lines on black."""
    return 255 - thin(photo)


def grey_paper(photo: Pixels) -> Pixels:
    """Lines on grey paper that lies half in the shadow."""
    light = np.linspace(0.85, 0.55, photo.shape[1])[None, :, None]
    return (thin(photo) * light).astype(np.uint8)


def thin(photo: Pixels) -> Pixels:
    """Lines of one pixel, softened."""
    edges = cv2.Canny(cv2.GaussianBlur(photo, (0, 0), 1), 60, 160)
    return cv2.cvtColor(255 - cv2.GaussianBlur(edges, (0, 0), 0.6), cv2.COLOR_GRAY2RGB)


OTHERWISE = {"threshold": threshold, "thick lines": thick, "inverted": inverted, "grey paper": grey_paper}


def main() -> None:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-photos", action="store_true")
    asked = parser.parse_args()
    translator = img2img.load(asked.run)
    rows = []
    for path in asked.photos:
        photo = resized(on_white(read_picture(path, path.name)), asked.size, asked.size)
        drawings = [getattr(derive, STYLES[style])()(photo, asked.seed) for style in STYLES if style != "mixed"]
        drawings += [draw(photo) for draw in OTHERWISE.values()]
        made = [translator(drawing) for drawing in drawings]
        rows.append([Image.fromarray(pixels) for pixels in (photo, *drawings)])
        rows.append([Image.fromarray(pixels) for pixels in (np.full_like(photo, 255), *made)])
    names = ["photo", *(style for style in STYLES if style != "mixed"), *OTHERWISE]
    left = int(asked.without_photos)
    montage([row[left:] for row in rows], names[left:]).save(asked.out, quality=88)


if __name__ == "__main__":
    main()
