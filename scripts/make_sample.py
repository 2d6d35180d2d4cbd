"""Make ``datasets/line2flat`` from a folder of Fluent Emoji drawings: line drawing and flat colour, 128 px.

Usage: python scripts/make_sample.py SOURCE [OUT]

SOURCE has ``line/`` and ``flat/`` with equal names and the lists ``train.txt`` and ``val.txt``. Validation drawings
that look like a training drawing are left out, as are copies within the training drawings; what remains is thinned by
a fixed seed until the whole stays below 4 MB. Images become palette PNGs (16 greys, 64 colours).
"""

from __future__ import annotations

import io
import random
import shutil
import sys
from pathlib import Path

from PIL import Image

from img2img.data.source import Source
from img2img.data.split import copies

SIDE_PX = 128
MAX_BYTES = 3_950_000
COLOURS = {"line": 16, "flat": 64}


def packed(path: Path, domain: str) -> bytes:
    """Return a drawing as a small palette PNG."""
    image = Image.open(path).convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    if domain == "line":
        image = image.convert("L")
    small = image.quantize(COLOURS[domain], dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main(source: Path, out: Path) -> None:
    """Write the sample and print what went into it."""
    train, val = ([n for n in (source / f"{s}.txt").read_text().split("\n") if n] for s in ("train", "val"))
    names = train + val
    groups = copies(tuple(Source(source / "line", "whole", name) for name in names))
    of_train = set(groups[: len(train)])
    val = [name for name, group in zip(val, groups[len(train) :], strict=True) if group not in of_train]
    first = {group: name for name, group in reversed(list(zip(train, groups[: len(train)], strict=True)))}
    train = sorted(first.values())
    random.Random(0).shuffle(train)  # noqa: S311 (thinning, no secret)
    for split in ("train", "val"):
        shutil.rmtree(out / split, ignore_errors=True)
    total = 0
    kept = {"train": 0, "val": 0}
    for split, wanted in (("val", val), ("train", train)):
        for name in wanted:
            files = {domain: packed(source / domain / name, domain) for domain in COLOURS}
            size = sum(len(data) for data in files.values())
            if total + size > MAX_BYTES:
                break
            for domain, data in files.items():
                path = out / split / domain / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            total += size
            kept[split] += 1
    distinct = f"of {len(train)} and {len(val)} distinct"
    print(f"{kept['train']} training and {kept['val']} validation pairs ({distinct}), {total:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "datasets/line2flat"))  # noqa: PLR2004 (two words)
