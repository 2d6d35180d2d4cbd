"""The whole unpaired run in one command: as many images as fit into some minutes of a GPU, then pictures and numbers.

Usage: python scripts/gpu_unpaired.py horse2zebra/ --out runs/h2z [--minutes 10] [--domains horse zebra] [--method cut]
                                      [--recipe fast] [--weights-dir DIR] [OPTION ...]

1. trains the recipe for the minutes, start and end included, in batches of 4: the learning rate follows the time and
   has fallen to its end when they are up. ``--max-time`` stops a machine that has become slower, and the same command
   continues;
2. translates the test images of the first domain with the last averaged weights, and draws a sheet of some;
3. evaluates them against the test images of the second domain (``img2img evaluate``, which looks for the Inception's
   weights in ``--weights-dir`` first);
4. packs what is worth taking home into ``OUT/results``, some MB in at most eight files.

Other options go to ``img2img train``, such as ``--batch 16 --training.compile true``; small ones prove it on a CPU:

    python scripts/gpu_unpaired.py DATA --out proof --minutes 0.5 --size 32 --model.generator.base_channels 4 \
        --model.generator.num_blocks 4 --model.discriminator.base_channels 4 --device cpu
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

SHARE = 0.93
"""Of the minutes that are trained in: the rest is for the start, the last validation and the export."""

PACKED = ("config.yaml", "metrics.csv", "validation.csv", "health.csv", "events.jsonl", "report.html")


def img2img(*words: object, log: Path) -> int:
    """Run a command of the toolkit, showing and keeping what it says; return its exit code."""
    command = [sys.executable, "-m", "img2img", *map(str, words)]
    print("$ img2img", " ".join(command[3:]), flush=True)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    with log.open("a", encoding="utf-8") as file:
        for line in process.stdout:
            print(line, end="", flush=True)
            file.write(line)
    return process.wait()


def main() -> None:
    """Train, translate, evaluate, pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--method", default="cut")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--domains", nargs=2, default=["horse", "zebra"])
    parser.add_argument("--weights-dir", type=Path)
    asked, more = parser.parse_known_args()
    results = asked.out / "results"
    run, log, target = asked.out / "run", results / "log.txt", asked.domains[1]
    results.mkdir(parents=True, exist_ok=True)
    words = [
        *("--method", asked.method, "--recipe", asked.recipe, "--data", asked.data, "--to", target),
        *("--domains", *asked.domains, "--data.cache", "ram", "--training.validations", 5, "--batch", 4),
        *("--minutes", asked.minutes * SHARE, "--max-time", f"{max(round(asked.minutes * 60), 1)}s"),
    ]
    began = time.perf_counter()
    if img2img("train", *words, *more, "--out", run, log=log):
        sys.exit("the training failed; the same command continues it")
    seconds = time.perf_counter() - began
    translator = run / "translator.safetensors"
    if not translator.exists():
        sys.exit(f"out of time after {seconds:.0f} s; the same command continues it")
    translated = asked.out / "translated"
    source = next(
        (asked.data / name for name in ("testA", f"test/{asked.domains[0]}") if (asked.data / name).is_dir()), None
    )
    if source is None:
        sys.exit(f"{asked.data}: expected testA/ to translate; the translator is {translator}")
    failed = {}
    for name, command in {
        "translate": ("translate", translator, source, translated, "--to", target, "--format", "png"),
        "sheet": ("sheet", translator, source, results / "sheet.png", "--to", target, "--count", 12, "--width", 192),
        "evaluate": (
            *("evaluate", translator, "--data", asked.data, "--domains", *asked.domains, "--to", target),
            *("--split", "test", "--json", results / "evaluation.json"),
            *(("--weights-dir", asked.weights_dir) if asked.weights_dir else ()),
        ),
    }.items():
        if code := img2img(*command, log=log):
            failed[name] = code
    with zipfile.ZipFile(results / "run.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name in PACKED:
            if (run / name).exists():
                file.write(run / name, name)
    if translated.is_dir():
        shutil.make_archive(str(results / "translated"), "zip", translated)
    images = int((run / "metrics.csv").read_text(encoding="utf-8").splitlines()[-1].split(",")[1])
    summary = {"images": images, "training_seconds": round(seconds, 1), "failed": failed, "options": more}
    (results / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    size = sum(path.stat().st_size for path in results.iterdir()) / 1e6
    print(f"{images:,} images in {seconds:.0f} s; {results}: {size:.1f} MB; failed: {', '.join(failed) or 'nothing'}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
