"""The first three minutes: train on the bundled sample, translate what was held back, score it, show it."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console

from img2img import report
from img2img.data.folder import find_layout
from img2img.data.transforms import load_pixels
from img2img.errors import RunError
from img2img.image import Pixels, to_tensor
from img2img.metrics.paired import paired_scores
from img2img.shipped import bundled, shipped
from img2img.training.config import resolve
from img2img.training.run import train
from img2img.translate.loading import load

_RUN, _DRAWINGS, _RESULTS, _LONGER, _PAGE = "run", "drawings", "translated", "bundled", "report.html"
_BUNDLED = "line2flat"


def run_demo(out: Path, minutes: float, console: Console) -> Path:
    """Train, translate, score and write ``report.html``.

    Args:
        out: folder to write; an earlier demo in it is replaced, anything else is refused.
        minutes: length of the training.
        console: where to say how it goes.

    Returns:
        The page.
    """
    _clear(out)
    data = shipped("datasets", "line2flat")
    words = ["-c", str(shipped("configs", "demo.yaml")), f"--data.root={data}", f"--training.minutes={minutes}"]
    outcome = train(resolve(words), out / _RUN, console)
    if outcome.stopped_by is not None:
        raise KeyboardInterrupt

    layout = find_layout([data], paired=True, domains=["line", "flat"])
    assert layout.validation is not None
    shutil.copytree(data / "val" / "line", out / _DRAWINGS)
    console.print(
        f"\ntranslating {len(layout.validation.a)} drawings that were held back from the training", highlight=False
    )
    made = {"translated": out / _RESULTS}
    load(out / _RUN, "cpu").folder(out / _DRAWINGS, out / _RESULTS)
    if _BUNDLED in bundled():  # the same drawings, held back from its training too
        made["bundled translator"] = out / _LONGER
        load(_BUNDLED, "cpu").folder(out / _DRAWINGS, out / _LONGER)

    rows = []
    scores = {name: [0.0] * 3 for name in (*made, "the drawing itself", "a white page")}
    for source, target in zip(layout.validation.a, layout.validation.b, strict=True):
        drawing, wanted = load_pixels(source, 3), load_pixels(target, 3)
        results = {name: load_pixels(type(source)(folder, "whole", source.name), 3) for name, folder in made.items()}
        guesses = {**results, "the drawing itself": drawing, "a white page": wanted * 0 + 255}
        for name, guess in guesses.items():
            for i, value in enumerate(_scores(guess, wanted)):
                scores[name][i] += value / len(layout.validation.a)
        shown = {"line": drawing, **results, "flat": wanted}
        rows.append((_scores(results["translated"], wanted)[0], source.name, shown))
    head = ("", "L1 (in [-1, 1], lower is better)", "PSNR in dB", "SSIM")
    table = [(name, *(round(value, 4) for value in values)) for name, values in scores.items()]
    for name, (l1, psnr, ssim) in scores.items():
        console.print(f"  {name:20} L1 {l1:.4f}   PSNR {psnr:5.2f} dB   SSIM {ssim:.3f}", highlight=False)

    figures = [
        (
            [(label, report.embedded(_png(pixels))) for label, pixels in shown.items()],
            f"{name}, L1 {error:.3f}",
        )
        for error, name, shown in sorted(rows, key=lambda row: row[0])
    ]
    page = report.page(
        "img2img demo: from line drawing to flat colour",
        report.paragraph(
            f"pix2pix after {minutes:g} minutes on {len(layout.train.a)} pairs ({outcome.images:,} images seen), "
            f"then shown {len(figures)} drawings it had never seen. Left: the drawing. Then its translation"
            f"{', and that of the bundled translator, which was trained for longer' if len(made) > 1 else ''}. "
            "Right: what the artist made. All of them are here, best first."
        ),
        report.section("Scores over all held-back drawings", report.table(table, head)),
        report.section("All held-back drawings", report.figures(figures)),
        report.paragraph("Drawings: Microsoft Fluent Emoji, MIT licence."),
    )
    (out / _PAGE).write_text(page, encoding="utf-8")
    console.print(
        f"\nopen this:            {out / _PAGE}\n"
        f"colour more drawings: img2img translate {out / _RUN} MY_DRAWINGS OUT\n"
        f"train on your own:    img2img train --method pix2pix --data MY_PAIRS --out runs/mine",
        highlight=False,
        soft_wrap=True,
    )
    return out / _PAGE


def _clear(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        if not (out / _RUN / "config.yaml").exists():
            raise RunError(f"--out {out}: a folder with other files in it; choose a new or empty one")
        for name in (_RUN, _DRAWINGS, _RESULTS, _LONGER):
            shutil.rmtree(out / name, ignore_errors=True)
        (out / _PAGE).unlink(missing_ok=True)


def _scores(guess: Pixels, wanted: Pixels) -> tuple[float, float, float]:
    found = paired_scores(to_tensor(guess)[None], to_tensor(wanted)[None])
    psnr = found["psnr"] if bool(torch.isfinite(found["psnr"])) else torch.tensor(100.0)
    return float(found["l1"]), float(psnr), float(found["ssim"])


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
