"""The numbers of a run as CSV, always: one table of training losses, one of validation scores."""

from __future__ import annotations

import csv
import io
import math
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from img2img.image import atomically

TRAINING, VALIDATION = "metrics.csv", "validation.csv"


class History(Logger):
    """Appends rows to ``metrics.csv`` and ``validation.csv`` in the run folder.

    A table's columns are batches, images, then the values by their log keys. A continued run drops the rows beyond its
    checkpoint and goes on.

    Args:
        run: the run folder.
        batches: rows later than this many batches are dropped.
    """

    def __init__(self, run: Path, batches: int) -> None:
        super().__init__()
        self.run = run
        for name in (TRAINING, VALIDATION):
            _truncate(run / name, batches)

    @property
    def name(self) -> str:
        """Return the kind of logger."""
        return "csv"

    @property
    def version(self) -> str:
        """Return nothing: a run folder holds one history."""
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Leave the config to ``config.yaml``."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row."""
        validation = any(key.startswith("validation/") for key in metrics)
        path = self.run / (VALIDATION if validation else TRAINING)
        row: dict[str, Any] = {"batches": step}
        row |= {key: f"{value:.7g}" for key, value in metrics.items() if key != "epoch"}
        known = _columns(path)
        columns = known + sorted(row.keys() - set(known), key=lambda key: (key != "batches", key != "images", key))
        if known and columns != known:  # a penalty that is taken every few batches comes late
            _add_columns(path, columns)
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            if not known:
                writer.writeheader()
            writer.writerow(row)


def read_history(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Read a table back as (images, value) points per column; values that are not finite are left out."""
    series: dict[str, list[tuple[float, float]]] = {}
    if not path.exists():
        return series
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for key, value in row.items():
                if key in {"batches", "images"} or not value or not row.get("images"):
                    continue
                number = float(value)
                if math.isfinite(number):
                    series.setdefault(key, []).append((float(row["images"]), number))
    return series


def _columns(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


def _add_columns(path: Path, columns: list[str]) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    _rewrite(path, text.getvalue())


def _rewrite(path: Path, text: str) -> None:
    with atomically(path) as file:
        file.write(text.encode())


def _truncate(path: Path, batches: int) -> None:
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    kept = [row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) <= batches]  # a kill may cut the last
    text = io.StringIO(newline="")
    csv.writer(text).writerows([*rows[:1], *kept])
    _rewrite(path, text.getvalue())
