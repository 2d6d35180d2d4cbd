"""The scale of FID: real images against real ones, blurred, noisy, of another domain, and left untranslated.

python scripts/fid_scale.py horse2zebra/ --worse --weights-dir weights/
python scripts/fid_scale.py facades/ --worse --weights-dir weights/

Prints FID (pytorch-fid's resizing) and KID with their 95 % intervals, all against the test images of the target; with
``--worse`` also whether real < light blur < heavy blur < noise < inputs left as they are, and exits with 1 if not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from img2img.data.folder import list_names
from img2img.data.source import Source
from img2img.evaluate.distribution import Two, fid, kid
from img2img.evaluate.extractors import Extractor, inception_extractors
from img2img.evaluate.features import see
from img2img.evaluate.images import Images, look_at
from img2img.evaluate.record import interval_of, shown
from img2img.evaluate.weights import find_inception

Pixels = NDArray[np.uint8]


def blurred(deviation_px: float) -> Callable[[Pixels], Pixels]:
    """Return a Gaussian blur."""
    return lambda pixels: np.asarray(cv2.GaussianBlur(pixels, (0, 0), deviation_px), np.uint8)


def noisy(deviation: float) -> Callable[[Pixels], Pixels]:
    """Return what adds normal noise, the same to every image of a size."""

    def added(pixels: Pixels) -> Pixels:
        noise = np.random.default_rng(0).normal(0, deviation, pixels.shape)
        return np.rint(pixels + noise).clip(0, 255).astype(np.uint8)

    return added


LEFT = "inputs left as they are"
WORSE = {"light blur (1 px)": blurred(1), "heavy blur (2 px)": blurred(2), "noise (80 of 255)": noisy(80)}
"""In the order of the scale, which is one of strengths too: noise of 30 is nearer than any heavy blur."""


def images(folder: Path, half: str = "whole", count: int | None = None) -> Images:
    """Return the first images of a folder by name, or halves of them."""
    names = list_names(folder)[:count]
    return Images(str(folder), tuple(Source(folder, half, name) for name in names))  # type: ignore[arg-type]


def made_worse(real: Images, change: Callable[[Pixels], Pixels], folder: Path) -> Images:
    """Write changed copies as PNG."""
    folder.mkdir()
    for source in real.sources:
        Image.fromarray(change(look_at(source)[1])).save(folder / f"{Path(source.name).stem}.png")
    return images(folder)


def sets_of(data: Path) -> tuple[Images, dict[str, Images], Images]:
    """Return the references, sets that are compared with them, and the one that is made worse."""
    if (data / "testB").is_dir():
        first = images(data / "trainB", count=len(list_names(data / "testB")))
        rows = {
            f"training images, first {len(first.sources)} by name": first,
            "training images, first 420": images(data / "trainB", count=420),
            LEFT: images(data / "testA"),
        }
        return images(data / "testB"), rows, first
    first = images(data / "train", "left", len(list_names(data / "test")))
    rows = {
        f"training images, first {len(first.sources)} by name": first,
        LEFT: images(data / "test", "right"),
    }
    return images(data / "test", "left"), rows, first


def main() -> None:
    """Print a row for each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="horse2zebra, or facades (photo left)")
    parser.add_argument("--weights-dir", type=Path)
    parser.add_argument("--worse", action="store_true", help="also blur and noise")
    options = parser.parse_args()
    weights = find_inception(options.weights_dir)
    (extractor,) = inception_extractors(weights, ["pytorch"], torch.device("cpu"))
    references, rows, first = sets_of(options.data)
    print(f"{weights.path.name}, sha256 {weights.sha256}")
    print(f"| against {len(references.sources)} of {references.where} | images | FID | 95 % | KID | 95 % |")
    print("|---|---|---|---|---|---|")
    real = features(references, extractor)
    with tempfile.TemporaryDirectory() as scratch:
        if options.worse:
            worse = {n: made_worse(first, change, Path(scratch) / n[:5]) for n, change in WORSE.items()}
            head = next(iter(rows))
            rows = {head: rows.pop(head), **worse, **rows}
        found: dict[str, tuple[float, ...]] = {}
        for name, compared in rows.items():
            fake = features(compared, extractor)
            found[name] = say(name, Two(fake, real))
            for start in range(0, len(fake), len(real)) if len(fake) >= 2 * len(real) else ():
                end = start + len(real)
                say(f"of these, {start + 1} to {end}", Two(fake[start:end], real))
    if options.worse:
        order = [head, *WORSE, LEFT]
        holds = [sorted(values) == list(values) for values in zip(*(found[name] for name in order), strict=True)]
        print(f"{' < '.join(order)}: by FID {holds[0]}, by KID {holds[1]}")
        sys.exit(0 if all(holds) else 1)


def say(name: str, two: Two) -> tuple[float, ...]:
    """Print a row, and return FID and KID."""
    numbers = (*fid(two), *kid(two))
    cells = [f"{shown(number.value)} | {interval_of(number)}" for number in numbers]
    print(f"| {name} | {len(two.fake)} | {' | '.join(cells)} |", flush=True)
    return tuple(number.value for number in numbers)


def features(compared: Images, extractor: Extractor) -> torch.Tensor:
    """Return what the network sees in a set."""
    return see(compared, [extractor])[0].rows[extractor.name]


if __name__ == "__main__":
    main()
