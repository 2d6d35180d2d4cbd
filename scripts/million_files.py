"""List a million files, as a training does before its first step: seconds, and memory that stays.

Usage: python scripts/million_files.py [COUNT]

Makes that many empty files with image names in a temporary folder (two domains), which takes about a minute.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from img2img.data.folder import find_layout


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as root:
        for domain in ("photos", "drawings"):
            (Path(root) / domain).mkdir()
            for i in range(count // 2):
                os.close(os.open(f"{root}/{domain}/{i:08d}.jpg", os.O_CREAT))
        for paired in (False, True):
            process = psutil.Process()
            before, began = process.memory_info().rss, time.perf_counter()
            layout = find_layout([Path(root)], paired=paired)
            seconds, grown = time.perf_counter() - began, (process.memory_info().rss - before) / 1e6
            images = len(layout.train.a) + len(layout.train.b)
            print(f"{'paired' if paired else 'unpaired'}: {images:,} files in {seconds:.1f} s, {grown:,.0f} MB")
            del layout


if __name__ == "__main__":
    main()
