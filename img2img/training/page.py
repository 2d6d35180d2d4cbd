"""The page of a run: newest panels, advice, health, curves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from img2img import report
from img2img.data.module import ImageData
from img2img.training.events import health_section, read_events
from img2img.training.history import TRAINING, VALIDATION, read_history
from img2img.training.samples import columns_of, third_of

DECIDING = ("validation/l1", "validation/rkid")
"""The score that decides which weights are best unless another is named: the first that there is; smaller is better."""

_MAX_PANELS_SHOWN = 12
_RECENT = 0.3
_FEWEST_SCORES = 6


def decides(run: Path, scores: Collection[str]) -> str | None:
    """Return which of some scores decides in a run: what its ``config.yaml`` names, else the first of ``DECIDING``."""
    config = run / "config.yaml"
    tree = yaml.safe_load(config.read_text(encoding="utf-8")) if config.is_file() else {}
    named = tree.get("training", {}).get("evaluate", {}).get("best_by")
    return next((name for name in ((f"validation/{named}",) if named else DECIDING) if name in scores), None)


def deciding(run: Path) -> list[tuple[float, float]]:
    """Return the deciding scores of a run so far, as (images, score)."""
    history = read_history(run / VALIDATION)
    return history.get(decides(run, history) or "", [])


def advice(scores: list[tuple[float, float]]) -> str:
    """Say in plain words whether a training still gains, or "" while that cannot be told.

    Args:
        scores: (images, score) of the validations in order; smaller scores are better.
    """
    if len(scores) < _FEWEST_SCORES:
        return ""
    end, last = scores[-1]
    best_at, best = min(scores, key=lambda point: point[1])
    before = [score for images, score in scores if images <= (1 - _RECENT) * end]
    if best_at <= (1 - _RECENT) * end:
        lost = f", and is {last:.4g} now" if last > best else ""
        return (
            f"no gain in the last {100 * (1 - best_at / end):.0f} % of the run: the best validation score, {best:.4g}, "
            f"was after {best_at:,.0f} images{lost}. More of the same training is unlikely to help; best.safetensors "
            "holds those weights. More data, or another option, might: see docs/training.md"
        )
    if before and best < min(before):
        return (
            f"still gaining: the best validation score, {best:.4g} after {best_at:,.0f} images, is better than any of "
            f"the first {100 * (1 - _RECENT):.0f} % of the run ({min(before):.4g}); a longer training may gain more"
        )
    return ""


def write_run_page(run: Path, header: Mapping[str, Any], data: ImageData, *, paired: bool) -> None:
    """Write ``report.html`` of a run: newest panels, curves, how the panels came to be."""
    training = header["training"]
    a, b = data.domains
    sections = [
        report.table(
            [
                ("method", training["method"]),
                ("directions", ", ".join(header["directions"])),
                ("images seen", training["images"]),
                ("training images", training["training_images"]),
                ("minutes", round(training["seconds"] / 60, 1)),
                *(
                    (name.removeprefix("validation/") + " (validation)", value)
                    for name, value in training["scores"].items()
                ),
            ]
        )
    ]
    if words := advice(deciding(run)):
        sections.append(report.section("how long to train", report.paragraph(words)))
    if events := read_events(run):  # faults before pictures, a clean bill after them
        sections.append(health_section(run))
    for direction in header["directions"]:
        source, target = direction.split(":")
        columns = columns_of(direction, third_of(paired=paired, both_ways=len(header["directions"]) > 1))
        found = sorted((run / "samples").glob(f"* {source} to {target}.png"), reverse=True)
        step = max(len(found) // _MAX_PANELS_SHOWN, 1)
        panels = [
            report.panel(f"samples/{path.name}", columns, f"after {int(path.name.split()[0]):,} images")
            for path in found[::step][:_MAX_PANELS_SHOWN]
        ]
        sections.append(report.section(f"{source} to {target}", *panels))
    if not events:
        sections.append(health_section(run))
    losses = {k: report.smoothed(v) for k, v in read_history(run / TRAINING).items() if "/" in k}
    for player in dict.fromkeys(k.split("/")[0] for k in losses):
        lines = {k: v for k, v in losses.items() if k.startswith(f"{player}/")}
        sections.append(report.section(f"losses of the {player.replace('_', ' ')}", report.curves(lines, "images")))
    for name, points in read_history(run / VALIDATION).items():
        sections.append(report.section(name, report.curves({name: points}, "images")))
    (run / "report.html").write_text(report.page(f"{a} and {b}: {run.resolve().name}", *sections), encoding="utf-8")
