"""Make a clip of a photo in which one thing moves, translate it, and print how much the rest of it flickers.

Usage: python scripts/flicker.py MODEL PHOTO [--frames 24] [--side 256] [--to DOMAIN] [--folder DIR]

A grey square, darker and lighter by turns, crosses the upper quarter of the photo; nothing else moves. Printed is the
mean absolute difference of neighbouring frames in the lower half, of 255 levels: of the source, and of its translations
with statistics of each frame and of the whole clip. The videos are stored without loss.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

import img2img
from img2img.image import read_picture, resized, with_channels
from img2img.translate.files import Files


def main() -> None:
    """Make the clip, translate it twice, print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("model", type=Path)
    words.add_argument("photo", type=Path)
    words.add_argument("--frames", type=int, default=24)
    words.add_argument("--side", type=int, default=256)
    words.add_argument("--to")
    words.add_argument("--folder", type=Path, help="Keep the videos here.")
    given = words.parse_args()
    translator = img2img.load(given.model)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        source = folder / "source.mkv"
        _film(source, given.photo, given.frames, given.side)
        print(f"{given.frames} frames of {given.side}x{given.side} px, on {translator}")
        print(f"source           {_flicker(source):6.3f}")
        for statistics in ("frame", "clip"):
            target, began = folder / f"{statistics}.mkv", time.monotonic()
            report = translator.folder(
                source, target, given.to, files=Files(video_crf=0), existing="overwrite", video_statistics=statistics
            )
            assert not report.failed, report.failed
            print(f"of each {statistics:8} {_flicker(target):6.3f}   {time.monotonic() - began:.1f} s")
    print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB of memory")


def _film(path: Path, photo: Path, frames: int, side: int) -> None:
    quiet = resized(with_channels(read_picture(photo).pixels, 3), side, side)
    square = side // 4
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24, options={"crf": "0"})
        video.width = video.height = side
        video.pix_fmt = "yuv444p"
        for number in range(frames):
            picture = quiet.copy()
            left = (side - square) * number // max(frames - 1, 1)
            picture[:square, left : left + square] = round(128 + 127 * np.sin(number * 2 * np.pi / 12))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            container.mux(video.encode(frame))
        container.mux(video.encode())


def _flicker(path: Path) -> float:
    total, count, before = 0.0, 0, None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            pixels: NDArray[np.int16] = frame.to_ndarray(format="rgb24").astype(np.int16)
            lower = pixels[pixels.shape[0] // 2 :]
            if before is not None:
                total, count = total + float(np.abs(lower - before).mean()), count + 1
            before = lower
    return total / count


if __name__ == "__main__":
    main()
