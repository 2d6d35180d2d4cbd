"""Kill ``img2img translate`` again and again, repeat the command, and compare with a batch that was left alone.

Usage: python scripts/kill_translate.py PHOTOS [--kills 40] [--count 60] [--side 256] [--seed 0] [--folder DIR]

Every kill is a SIGKILL of a real process: one in four at any time of its life, the others while images are translated.
The next process is the repetition. After each kill every visible output must be whole and have the bytes of the
undisturbed batch, and nothing may have been done again that was done: the journal tells. A batch that finishes before
its kill is compared and begun anew, so that every kill is a real one. Exits with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import small_translator
from PIL import Image

from img2img.image import TEMPORARY_PREFIX
from img2img.translate.journal import PREFIX

ROOT = Path(__file__).resolve().parent.parent


def copies(photos: Path, folder: Path, count: int, side: int) -> Path:
    """Write small copies of the first photographs, every third as PNG and in a folder of its own."""
    (folder / "more").mkdir(parents=True)
    found = sorted(path for path in photos.iterdir() if path.suffix in {".jpg", ".png"})[:count]
    if len(found) < count:
        sys.exit(f"{photos}: expected {count} photographs, found {len(found)}; give another folder or --count")
    for number, path in enumerate(found):
        with Image.open(path) as image:
            image.thumbnail((side, side))
            image.save(folder / "more" / f"{path.stem}.png" if number % 3 == 0 else folder / f"{path.stem}.jpg")
    return folder


def outputs(out: Path) -> dict[str, bytes]:
    """Return every visible file but the reports."""
    found = [path for path in out.rglob("*") if path.is_file() and not path.name.startswith((".", "report"))]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def journal(out: Path) -> tuple[set[str], set[str], list[str]]:
    """Return what is done, what was begun and is not done, and what was begun again after it was done."""
    done: set[str] = set()
    begun: set[str] = set()
    twice: list[str] = []
    for path in out.glob(f"{PREFIX}*"):
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # cut short by a kill
            if "begin" in entry:
                twice += [entry["begin"]] * (entry["begin"] in done)
                begun.add(entry["begin"])
            elif "done" in entry:
                done.add(entry["done"])
                begun.discard(entry["done"])
    return done, begun, twice


def check(out: Path, whole: dict[str, bytes]) -> tuple[int, int, int]:
    """Exit unless all that is visible is right; return how many are visible, done and in flight."""
    there = outputs(out)
    for name in there:
        with Image.open(out / name) as image:
            image.load()
    if wrong := [name for name, data in there.items() if whole.get(name) != data]:
        sys.exit(f"not the bytes of the undisturbed batch: {wrong[:5]}")
    done, begun, twice = journal(out)
    if twice:
        sys.exit(f"done again though it was done: {twice[:5]}")
    if lost := done - there.keys():
        sys.exit(f"said to be done and not there: {sorted(lost)[:5]}")
    return len(there), len(done), len(begun)


def check_finished(out: Path, undisturbed: Path) -> None:
    """Exit unless tree and reports are those of the undisturbed batch, and nothing is left beside them."""
    if outputs(out) != outputs(undisturbed):
        sys.exit("the finished tree differs from the undisturbed one")
    if left := list(out.rglob(f"{TEMPORARY_PREFIX}*.tmp")):
        sys.exit(f"temporary files are left: {left[:5]}")
    reports = [
        [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]
        for folder in (out, undisturbed)
    ]
    pairs = [[(line["input"], line["output"]) for line in report] for report in reports]
    if pairs[0] != pairs[1] or any(line["status"] not in {"translated", "skipped"} for line in reports[0]):
        sys.exit("report.jsonl does not tell of every input once")
    counts = [sum(line["status"] == status for line in reports[0]) for status in ("translated", "skipped")]
    page = (out / "report.html").read_text()
    if f"{counts[0]:,} translated, 0 failed" not in page or page.count("<figure>") != counts[0]:
        sys.exit("report.html tells something else than report.jsonl")


def start(model: Path, source: Path, out: Path) -> subprocess.Popen[bytes]:
    """Start the command as a user does."""
    words = [sys.executable, "-m", "img2img", "translate", str(model), str(source), str(out), "--device", "cpu"]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)


def kill(process: subprocess.Popen[bytes], draw: random.Random, out: Path, life_s: float, work_s: float) -> str:
    """Kill at any time of the life, or some time after this process has begun to write."""
    if draw.random() < 1 / 4:
        after, what = draw.uniform(0, life_s), "of its life"
    else:
        before = journal(out)[0] if out.exists() else set()
        while process.poll() is None and not (out.exists() and journal(out)[0] - before):
            time.sleep(0.002)
        after, what = draw.uniform(0, work_s), "of its work"
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.kill()
    return f"after {after:5.2f} s {what}"


def main() -> None:
    """Kill, repeat, compare."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("photos", type=Path)
    words.add_argument("--kills", type=int, default=40)
    words.add_argument("--count", type=int, default=60)
    words.add_argument("--side", type=int, default=256)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--folder", type=Path)
    given = words.parse_args()
    draw = random.Random(given.seed)  # noqa: S311 (times of kills)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        model = small_translator.write(folder / "model.safetensors")
        source, undisturbed, out = (
            copies(given.photos, folder / "in", given.count, given.side),
            folder / "a",
            folder / "b",
        )
        began = time.monotonic()
        process = start(model, source, undisturbed)
        while not journal(undisturbed)[0]:
            time.sleep(0.002)
        first = time.monotonic()
        process.communicate()
        life_s, work_s = time.monotonic() - began, time.monotonic() - first
        whole = outputs(undisturbed)
        print(f"undisturbed: {len(whole)} images, {life_s:.1f} s, of which {work_s:.1f} s from the first image on")
        print("kill                          visible  done  in flight", flush=True)
        landed, finished, most = 0, 0, 0
        while landed < given.kills:
            process = start(model, source, out)
            when = kill(process, draw, out, life_s, work_s / 2)
            _, said = process.communicate()
            if process.returncode == 0:
                check(out, whole)
                check_finished(out, undisturbed)
                finished += 1
                shutil.rmtree(out)
                continue
            if process.returncode != -9:  # noqa: PLR2004 (SIGKILL)
                sys.exit(f"exit {process.returncode}: {said.decode()}")
            landed += 1
            visible, done, flying = check(out, whole)
            most = max(most, flying)
            print(f"{landed:3d} {when:26s} {visible:6d} {done:5d} {flying:10d}", flush=True)
        if start(model, source, out).wait() != 0:
            sys.exit("the last repetition failed")
        check(out, whole)
        check_finished(out, undisturbed)
        print(
            f"{landed} kills over {finished + 1} batches of {len(whole)} photographs: no visible file was ever torn or "
            f"other than in the undisturbed batch, at most {most} were in flight and done again, nothing else was; "
            "every finished tree is byte for byte the undisturbed one, its reports tell of every input once"
        )


if __name__ == "__main__":
    main()
