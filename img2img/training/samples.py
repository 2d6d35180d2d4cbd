"""Validation samples as a table for Weights & Biases: what a panel shows, with names and scores, to sort and filter."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lightning.pytorch import Trainer

from img2img.image import Pixels, to_tensor
from img2img.metrics.paired import paired_scores
from img2img.training.tracking import WandbLogger


def log_samples(
    trainer: Trainer, direction: str, names: Sequence[str], rows: Sequence[Sequence[Pixels]], *, paired: bool
) -> None:
    """Log a table of samples where there is W&B, and do nothing elsewhere.

    Args:
        trainer: with the loggers.
        direction: such as ``horse:zebra``.
        names: of the samples.
        rows: per sample its source, the result, and the target (paired) or the source again, both ways translated.
        paired: whether the third image is the target. Then ``l1`` in [-1, 1] units, ``psnr`` in dB and ``ssim`` of the
            result stand beside it, else the L1 of source and source again as ``cycle``.
    """
    loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
    if not loggers:
        return
    source, to = direction.split(":")
    columns = ["name", source, f"{to} (translated)", to if paired else f"{source} (and back)"]
    scores = [_scores(row, paired=paired) for row in rows]
    table = [[name, *row, *found.values()] for name, row, found in zip(names, rows, scores, strict=True)]
    for logger in loggers:
        logger.log_rows(f"samples/table {source} to {to}", [*columns, *scores[0]], table)


def _scores(row: Sequence[Pixels], *, paired: bool) -> dict[str, float | None]:
    source, result, third = (to_tensor(pixels)[None] for pixels in row)
    if not paired:
        return {"cycle": float((third - source).abs().mean())}
    scores = {name: float(value) for name, value in paired_scores(result, third).items()}
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
