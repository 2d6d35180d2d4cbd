"""Show and measure what tiles change: whole, tiles with shared statistics, tiles without, and the differences.

Usage: python scripts/tiles_seen.py PHOTO [--translator FILE | --network resnet|unet] [--out seen.png] [--tile 256]
                                    [--overlap 64] [--crop 512] [--amplify 8]

Without a translator the network is drawn at random (seed 0, torch's own initialisation), the last convolution scaled so
that the picture has contrast. Printed are the mean and the largest difference to the whole image in levels of 8 bits,
for exact statistics, for those pooled over groups of windows where a quarter and a sixteenth of the image fit at once,
for those of the image reduced 2, 4, 8 and 16 times, and for none shared.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

import img2img
from img2img.image import read_picture, to_pixels, to_tensor, with_channels
from img2img.networks.base import Generator
from img2img.translate import tiles
from img2img.translate.memory import Memory
from img2img.translate.statistics import reach_px
from img2img.translate.tiles import translate_tiled

GAP_PX, TITLE_PX = 6, 18
FACTORS = (2, 4, 8, 16)


def main() -> None:
    """Print the table and write the picture."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("photo", type=Path)
    words.add_argument("--translator", type=Path)
    words.add_argument("--to", help="domain, where the translator knows both ways")
    words.add_argument("--network", choices=("resnet", "unet"), default="resnet")
    words.add_argument("--out", type=Path)
    words.add_argument("--tile", type=int, default=256)
    words.add_argument("--overlap", type=int)
    words.add_argument("--crop", type=int, help="take the middle of the photo, this many px a side")
    words.add_argument("--amplify", type=int, default=8)
    given = words.parse_args()
    network = _network(given.network, given.translator, given.to)
    pixels = with_channels(read_picture(given.photo).pixels, network.in_channels)
    if given.crop:
        top, left = (max(side - given.crop, 0) // 2 for side in pixels.shape[:2])
        pixels = pixels[top : top + given.crop, left : left + given.crop]
    image = to_tensor(pixels)[None]
    with torch.inference_mode():
        whole = network(image)
    tiling = tiles.plan(network, Memory(given.tile, given.overlap, say=print))
    print(
        f"{image.shape[3]}x{image.shape[2]} px, tiles of {tiling.tile_px} px that overlap by {tiling.overlap_px} px; "
        f"the network looks {reach_px(network, 2048)} px around each pixel; whole: mean {_levels(whole).mean():.1f}, "
        f"deviation {_levels(whole).std():.1f} levels"
    )
    options = {"tile_px": tiling.tile_px, "overlap_px": tiling.overlap_px}
    shared = translate_tiled(network, image, Memory(**options, statistics="exact"))
    alone = translate_tiled(network, image, Memory(**options, statistics="none"))
    _report("exact", shared, whole)
    reduced = {}
    for factor in FACTORS[:2]:
        pooled = Memory(**options, statistics="pooled", whole_px=image.shape[2] * image.shape[3] // factor**2)
        _report(f"pooled 1/{factor**2}", translate_tiled(network, image, pooled), whole)
    for factor in FACTORS:
        tiles._REDUCED_PX = image.shape[2] // factor * (image.shape[3] // factor)  # noqa: SLF001
        reduced[factor] = translate_tiled(network, image, Memory(**options, statistics="reduced"))
        _report(f"reduced {factor}x", reduced[factor], whole)
    _report("none shared", alone, whole)
    if given.out:
        panels = {
            "whole": whole,
            "tiles, shared statistics": shared,
            "tiles, each its own": alone,
            "tiles, statistics of a quarter of the pixels": reduced[2],
            f"shared - whole, x{given.amplify}": (shared - whole).abs() * given.amplify - 1,
            f"own - whole, x{given.amplify}": (alone - whole).abs() * given.amplify - 1,
        }
        _picture(panels).save(given.out, optimize=True)
        print(given.out)


def _network(kind: str, file: Path | None, to: str | None) -> Generator:
    if file is not None:
        translator = img2img.load(file, "cpu", precision="fp32")
        return translator.networks[translator.direction(to)]
    torch.manual_seed(0)
    network: Generator = (
        img2img.ResNetGenerator(3, 3) if kind == "resnet" else img2img.UNetGenerator(3, 3, norm="instance")
    )
    last = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)][-1]
    with torch.no_grad():
        last.weight *= 3  # so that colours use the range
    return network.eval()


def _levels(image: Tensor) -> Tensor:
    return image.float().add(1).mul(127.5)


def _report(name: str, tiled: Tensor, whole: Tensor) -> None:
    apart = (_levels(tiled) - _levels(whole)).abs()
    print(f"{name:14} mean {apart.mean():8.4f}   largest {apart.max():8.4f}   (levels of 255)")


def _picture(panels: dict[str, Tensor]) -> Image.Image:
    pictures = [with_channels(to_pixels(image[0]), 3) for image in panels.values()]
    height, width = pictures[0].shape[:2]
    canvas = Image.new("RGB", (len(pictures) * (width + GAP_PX) - GAP_PX, height + TITLE_PX), "white")
    for column, (title, pixels) in enumerate(zip(panels, pictures, strict=True)):
        ImageDraw.Draw(canvas).text((column * (width + GAP_PX), 3), title, fill="black")
        canvas.paste(Image.fromarray(np.ascontiguousarray(pixels)), (column * (width + GAP_PX), TITLE_PX))
    return canvas


if __name__ == "__main__":
    main()
