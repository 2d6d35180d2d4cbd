"""Translate many small files with the real command and print its memory at a tenth, the middle and the end.

Usage: python scripts/flat_memory.py PHOTOS [--count 10000] [--folder DIR]
       python scripts/flat_memory.py PHOTOS --plan-only [--count 100000]

The files are crops of the photographs, JPEG and PNG of mixed sizes in folders of 1,000; the network is tiny. Exits
with 1 if after the first tenth the memory grows by more than 50 MB. With ``--plan-only`` nothing is translated: it
prints how long planning and reading a journal that knows every file take, and what memory.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import small_translator
from PIL import Image

from img2img.translate.folder import decide
from img2img.translate.inputs import Plan, plan
from img2img.translate.journal import PREFIX, Journal, path_of, stamp

ROOT = Path(__file__).resolve().parent.parent
LARGEST_GROWTH_MB = 50
SIDES_PX = (32, 96)


def crops(photos: Path, folder: Path, count: int, distinct: int) -> Path:
    """Write crops of photographs: ``distinct`` ones, and links to them for the rest."""
    draw = random.Random(0)  # noqa: S311 (which crops)
    found = sorted(path for path in photos.iterdir() if path.suffix in {".jpg", ".png"})[:100]
    if not found:
        sys.exit(f"{photos}: expected photographs, found none; give a folder of .jpg or .png")
    pictures = [Image.open(path).convert("RGB") for path in found]
    made: list[Path] = []
    for number in range(count):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number >= distinct:
            of = made[number % distinct]
            os.link(of, path.with_suffix(of.suffix))
            continue
        picture = pictures[number % len(pictures)]
        width, height = (draw.randint(*SIDES_PX) for _ in range(2))
        left, top = draw.randint(0, picture.width - width), draw.randint(0, picture.height - height)
        made.append(path.with_suffix(draw.choice((".jpg", ".png"))))
        picture.crop((left, top, left + width, top + height)).save(made[-1])
    return folder


def watched(words: list[str], out: Path, count: int) -> tuple[list[tuple[int, float]], int]:
    """Run a command; return (images done, resident MB) several times a second, and the exit code.

    Until its last report is written: while Python ends, torch touches pages of its libraries that nothing had used.
    """
    samples, done, tail = [], 0, b""
    process = subprocess.Popen(words, cwd=ROOT)
    journal = path_of(out)
    seen = psutil.Process(process.pid)
    file = None
    while process.poll() is None and not (out / "report.html").exists():
        if file is None and journal.exists():
            file = journal.open("rb")
        if file is not None:
            tail += file.read()
            *lines, tail = tail.split(b"\n")
            done += sum(line.startswith(b'{"done"') for line in lines)
        try:
            samples.append((done, seen.memory_info().rss / 1e6))
        except psutil.NoSuchProcess:
            break
        time.sleep(0.1)
    if file is not None:
        file.close()
    return [(min(done, count), mb) for done, mb in samples], process.wait()


def translated(photos: Path, folder: Path, count: int) -> None:
    """Translate and print the memory on the way."""
    model, out = small_translator.write(folder / "model.safetensors", channels=4), folder / "out"
    source = crops(photos, folder / "in", count, count)
    size = sum(path.stat().st_size for path in source.rglob("*.*"))
    print(f"{count:,} files, {size / 1e6:.0f} MB", flush=True)
    words = [sys.executable, "-m", "img2img", "translate", str(model), str(source), str(out), "--device", "cpu"]
    samples, code = watched(words, out, count)
    if code:
        sys.exit(f"exit {code}")
    at = {share: next(mb for done, mb in samples if done >= share * count / 100) for share in (10, 25, 50, 75, 90)}
    print("memory: " + ", ".join(f"{mb:.0f} MB at {share} %" for share, mb in at.items()))
    most = max(mb for done, mb in samples if done >= count / 10)
    for name in ("report.jsonl", "report.html", f"{PREFIX}.jsonl"):
        print(f"{name}: {(out / name).stat().st_size / 1e6:.1f} MB")
    print(f"at most {most - at[10]:.0f} MB more than at 10 %, the reports at the end included")
    if most - at[10] > LARGEST_GROWTH_MB:
        sys.exit(f"expected at most {LARGEST_GROWTH_MB} MB of growth")


def planned(photos: Path, folder: Path, count: int) -> None:
    """Print what planning and the journal cost."""
    source, out, seen = crops(photos, folder / "in", count, 1000), folder / "out", psutil.Process()

    def said(what: str, began: float) -> None:
        now = seen.memory_info().rss / 1e6
        print(f"{what} of {count:,} files: {time.monotonic() - began:.2f} s, then {now:.0f} MB in all", flush=True)

    print(f"before: {seen.memory_info().rss / 1e6:.0f} MB")
    began = time.monotonic()
    todo: Plan = plan([source], out)
    said("plan", began)
    for first in range(0, count, 1000):
        writing = Journal(path_of(out), {"seed": 0})  # one after another, so that none holds what is measured below
        for job in todo.jobs[first : first + 1000]:
            job.target.parent.mkdir(parents=True, exist_ok=True)
            os.link(job.source, job.target)
            writing.begin(job)
            writing.done(job, stamp(job.source))
        writing.close()
    began = time.monotonic()
    journal = Journal.of(out, {"seed": 0})
    said("journal", began)
    began = time.monotonic()
    verdicts = decide(todo, journal, None)
    said("decisions", began)
    if not all(verdict.status == "skipped" for verdict in verdicts):
        sys.exit("expected all to be complete")


def main() -> None:
    """Make the files and measure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("photos", type=Path)
    words.add_argument("--count", type=int)
    words.add_argument("--plan-only", action="store_true")
    words.add_argument("--folder", type=Path)
    given = words.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        if given.plan_only:
            planned(given.photos, Path(folder), given.count or 100_000)
        else:
            translated(given.photos, Path(folder), given.count or 10_000)


if __name__ == "__main__":
    main()
