"""List a million files, as a training does before its first step: seconds, and memory that stays; then hold some out.

Usage: python scripts/million_files.py [COUNT]

Makes that many files of zeros with image names in a temporary folder (two domains), which takes about a minute.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from img2img.data.folder import find_layout
from img2img.data.split import hold_out


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as root:
        for domain in ("photos", "drawings"):
            (Path(root) / domain).mkdir()
            for i in range(count // 2):
                file = os.open(f"{root}/{domain}/{i:08d}.jpg", os.O_CREAT | os.O_WRONLY)
                os.ftruncate(file, 1 + i * 7919 % 65536)  # of many lengths, as photos are, and of no bytes on the disk
                os.close(file)
        for paired in (False, True):
            process = psutil.Process()
            before, began = process.memory_info().rss, time.perf_counter()
            layout = find_layout([Path(root)], paired=paired)
            seconds, grown = time.perf_counter() - began, (process.memory_info().rss - before) / 1e6
            images = len(layout.train.a) + len(layout.train.b)
            print(f"{'paired' if paired else 'unpaired'}: {images:,} files in {seconds:.1f} s, {grown:,.0f} MB")
            began = time.perf_counter()
            train, held = hold_out(layout.train, 0.05, 0, paired=paired)
            said = f"{len(held.a)} and {len(held.b)} of {images:,} held out in {time.perf_counter() - began:.1f} s"
            print(f"{'paired' if paired else 'unpaired'}: {said}")
            del layout, train, held


if __name__ == "__main__":
    main()
