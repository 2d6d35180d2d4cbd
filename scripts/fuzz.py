"""Read thousands of damaged image files as `img2img translate` does: nothing may crash, hang or escape as a traceback.

Usage: python scripts/fuzz.py PHOTOS [--count 1000] [--first 0] [--side 96] [--keep FOLDER]

Eight files are made of a photograph of the folder (JPEG with EXIF and a colour profile, PNG, a GIF of three frames,
WebP, TIFF, AVIF, an animated PNG, a PNG of 16 bits). Mutant N is the same in every run: one of them, with up to 16
bytes changed, cut short, or with a piece of another put in. Each is weighed, read and written by what the command uses,
in a process of its own, so that a crash or a hang costs that process alone. Printed are how many were read and refused,
crashes, hangs (more than 2 s), whatever was raised beside the package's DataError, the slowest and the most memory.
Exit code 1 if there was a crash, a hang or an escape; these mutants are written to the folder of ``--keep``.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import psutil
from PIL import Image, ImageCms

from img2img.errors import DataError
from img2img.translate.files import Files

HANG_S = 2.0
MOST_FLIPS = 16


def main() -> None:
    """Run the mutants and print what became of them."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("photos", type=Path)
    words.add_argument("--count", type=int, default=1000)
    words.add_argument("--first", type=int, default=0, help="number of the first mutant")
    words.add_argument("--side", type=int, default=96, help="of the picture inside the files, in pixels")
    words.add_argument("--keep", type=Path, help="folder for mutants that were not refused as they should be")
    given = words.parse_args()
    photo = next((path for path in sorted(given.photos.rglob("*")) if path.suffix.lower() in {".jpg", ".png"}), None)
    if photo is None:
        sys.exit(f"{given.photos}: expected a folder with a JPEG or PNG photograph")
    files = seeds(photo, given.side)
    outcomes: Counter[str] = Counter()
    slowest_s = most_mb = 0.0
    wrong: dict[int, str] = {}
    worker = Worker()
    for number in range(given.first, given.first + given.count):
        data = mutant(files, number)
        outcome, seconds, megabytes = worker.read(data)
        slowest_s, most_mb = max(slowest_s, seconds), max(most_mb, megabytes)
        kind = outcome.partition(": ")[0]
        outcomes[kind] += 1
        if kind not in {"read", "refused"}:
            wrong[number] = outcome
            if given.keep:
                given.keep.mkdir(parents=True, exist_ok=True)
                (given.keep / f"{number}.bin").write_bytes(data)
    worker.stop()
    for number, outcome in wrong.items():
        print(f"mutant {number} ({list(files)[number % len(files)]}): {outcome}")
    print(
        f"{given.count:,} mutants from {given.first:,} on of {photo.name}: {outcomes['read']:,} read, "
        f"{outcomes['refused']:,} refused, {outcomes['crash']} crashes, {outcomes['hang']} hangs, "
        f"{outcomes['escape']} escapes; slowest {slowest_s:.2f} s, at most {most_mb:.0f} MB"
    )
    sys.exit(bool(wrong))


def seeds(photo: Path, side: int) -> dict[str, bytes]:
    """Make the eight files from the middle of a photograph.

    Args:
        photo: an image file.
        side: of the pictures, in pixels.
    """
    with Image.open(photo) as opened:
        image = opened.convert("RGB").resize((side, side * 3 // 4))
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "camera", 6
    exif.get_ifd(0x8769)[0x9003] = "2026:11:22 10:00:00"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)], "duration": 50}

    def saved(kind: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    deep = np.asarray(image)[..., ::-1].astype(np.uint16) * 257
    return {
        "JPEG": saved("JPEG", exif=exif, icc_profile=icc),
        "PNG": saved("PNG", exif=exif, icc_profile=icc),
        "GIF": saved("GIF", **frames),
        "WEBP": saved("WEBP", exif=exif, icc_profile=icc),
        "TIFF": saved("TIFF", compression="tiff_lzw", exif=exif, icc_profile=icc),
        "AVIF": saved("AVIF", exif=exif, icc_profile=icc),
        "APNG": saved("PNG", **frames),
        "PNG of 16 bits": cv2.imencode(".png", deep)[1].tobytes(),
    }


def mutant(files: dict[str, bytes], number: int) -> bytes:
    """Return the mutant of a number: the files in turn, changed in a way that the number alone decides."""
    rng = np.random.default_rng(number)
    whole = list(files.values())
    data = bytearray(whole[number % len(whole)])
    kind = rng.integers(4)
    if kind == 0:
        del data[rng.integers(len(data)) :]
    elif kind == 1:
        other = whole[rng.integers(len(whole))]
        start, at = rng.integers(len(other)), rng.integers(len(data))
        piece = other[start : start + rng.integers(1, 256)]
        data[at : at + (len(piece) if rng.integers(2) else 0)] = piece
    else:  # the first bytes decide most
        reach = len(data) if kind == 2 else min(len(data), 512)  # noqa: PLR2004 (the kinds are numbered)
        for at in rng.integers(reach, size=rng.integers(1, MOST_FLIPS + 1)):
            data[at] = rng.integers(256)
    return bytes(data)


class Worker:
    """A process that reads files, and another in its place once it crashed or hung."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        spawned = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawned.Pipe()
        self.process = spawned.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()  # everything is imported

    def read(self, data: bytes) -> tuple[str, float, float]:
        """Let the process read a file.

        Returns:
            ``read``, ``refused``, or ``crash: ...``, ``hang: ...``, ``escape: ...``; seconds; its megabytes.
        """
        self.pipe.send_bytes(data)
        try:
            if self.pipe.poll(HANG_S):
                outcome, seconds, megabytes = self.pipe.recv()
                return str(outcome), float(seconds), float(megabytes)
            found = f"hang: more than {HANG_S:g} s"
        except EOFError:
            self.process.join()
            found = f"crash: exit code {self.process.exitcode}"
        self.stop()
        self._begin()
        return found, HANG_S, 0.0

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def serve(pipe: Connection) -> None:
    """Read the files that come, until the process is ended."""
    this = psutil.Process()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff's remarks, one for many a damaged file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mutant.png")
        pipe.send("ready")
        while True:
            path.write_bytes(pipe.recv_bytes())
            began = time.perf_counter()
            outcome = outcome_of(lambda: translate_nothing(path))
            pipe.send((outcome, time.perf_counter() - began, this.memory_info().rss / 1e6))


def translate_nothing(path: Path) -> None:
    """Weigh, read and write a file as a batch does."""
    files = Files(icc="keep")
    files.weigh(path, path.name)
    files.write(io.BytesIO(), files.read(path, path.name), "TIFF")


def outcome_of(work: Callable[[], None]) -> str:
    """Run it and name what happened."""
    try:
        work()
    except DataError as error:
        return "refused" if "\n" not in str(error) else "escape: a message of several lines"
    except BaseException as error:  # noqa: BLE001 (that is what is looked for)
        return f"escape: {type(error).__name__}: {' '.join(str(error).split())}"
    return "read"


if __name__ == "__main__":
    main()
