"""What the panels of a validation show, and the same as a table for Weights & Biases, to sort and filter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from lightning.pytorch import Trainer

from img2img.image import Pixels, to_tensor
from img2img.metrics.paired import paired_scores
from img2img.training.tracking import WandbLogger

Third = Literal["target", "cycle", "another"]
"""What stands beside source and result: the pair's target; the source again, translated both ways; or, where there is
one way and no pairs, some image of the target domain, for its looks."""


def third_of(*, paired: bool, both_ways: bool) -> Third:
    """Return what the third image of a method's panels is."""
    return "target" if paired else "cycle" if both_ways else "another"


def columns_of(direction: str, third: Third) -> tuple[str, str, str]:
    """Return the captions of a panel's three columns; ``direction`` is such as ``horse:zebra``."""
    source, to = direction.split(":")
    words = {"target": to, "cycle": f"{source} (and back)", "another": f"{to} (another)"}
    return source, f"{to} (translated)", words[third]


def log_samples(
    trainer: Trainer, direction: str, names: Sequence[str], rows: Sequence[Sequence[Pixels]], third: Third
) -> None:
    """Log a table of samples where there is W&B, and do nothing elsewhere.

    Args:
        trainer: with the loggers.
        direction: such as ``horse:zebra``.
        names: of the samples.
        rows: per sample its source, the result, and the third image.
        third: what that is. Beside a target stand ``l1`` in [-1, 1] units, ``psnr`` in dB and ``ssim`` of the result;
            beside a source that came back its L1 to the source as ``cycle``.
    """
    loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
    if not loggers:
        return
    scores = [_scores(row, third) for row in rows]
    table = [[name, *row, *found.values()] for name, row, found in zip(names, rows, scores, strict=True)]
    for logger in loggers:
        name = f"samples/table {direction.replace(':', ' to ')}"
        logger.log_rows(name, ["name", *columns_of(direction, third), *scores[0]], table)


def _scores(row: Sequence[Pixels], third: Third) -> dict[str, float | None]:
    source, result, last = (to_tensor(pixels)[None] for pixels in row)
    if third == "another":
        return {}
    if third == "cycle":
        return {"cycle": float((last - source).abs().mean())}
    scores = {name: float(value) for name, value in paired_scores(result, last).items()}
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
