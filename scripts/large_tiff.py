"""Translate a TIFF of 300 megapixels and print the time and the most memory it took.

Usage: python scripts/large_tiff.py PHOTO [--megapixels 300] [--channels 8] [--blocks 2] [--tile 1024] [--folder DIR]

The TIFF is the photo repeated in both directions, each copy of another brightness; the network is drawn at random.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import img2img
from img2img.image import read_picture, to_tensor, with_channels
from img2img.translate.memory import Memory
from img2img.translate.tiff import TiffForm, open_regions, translate_tiff, write_tiff

DARKEST = 0.4


def main() -> None:
    """Make the file, translate it, print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("photo", type=Path)
    words.add_argument("--megapixels", type=float, default=300)
    words.add_argument("--channels", type=int, default=8)
    words.add_argument("--blocks", type=int, default=2)
    words.add_argument("--tile", type=int, default=1024)
    words.add_argument("--folder", type=Path)
    given = words.parse_args()
    side = math.ceil(math.sqrt(given.megapixels * 1e6))
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        source, target = Path(folder) / "source.tif", Path(folder) / "target.tif"
        photo = to_tensor(with_channels(read_picture(given.photo).pixels, 3))
        write_tiff(source, _repeated(photo, side), TiffForm((side, side, 3), np.dtype(np.uint8)))
        torch.manual_seed(0)
        network = img2img.ResNetGenerator(3, 3, num_blocks=given.blocks, base_channels=given.channels).eval()
        print(f"{side}x{side} px, {source.stat().st_size / 1e6:.0f} MB on the disk; before: {_peak_gb():.2f} GB")
        began = time.monotonic()
        translate_tiff(
            network,
            source,
            target,
            max_pixels=side**2,
            memory=Memory(tile_px=given.tile, say=print, statistics="reduced"),
        )
        seconds = time.monotonic() - began
        with open_regions(target, side**2) as regions:
            assert regions.shape == (side, side, 3)
        rate = side**2 / 1e6 / seconds
        print(f"{seconds / 60:.1f} min ({rate:.2f} megapixels/s), at most {_peak_gb():.2f} GB of memory")


def _repeated(photo: Tensor, side: int) -> Iterator[Tensor]:
    across = -(-side // photo.shape[2])
    row = photo.repeat(1, 1, across)[..., :side]
    for index, top in enumerate(range(0, side, photo.shape[1])):
        shade = DARKEST + (1 - DARKEST) * torch.linspace(0, 1, side).roll(index * side // 7)
        yield ((row + 1) * shade - 1)[:, : side - top]


def _peak_gb() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e9 if sys.platform == "darwin" else most / 1e6 * 1.024


if __name__ == "__main__":
    main()
