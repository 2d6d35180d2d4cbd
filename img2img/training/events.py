"""What the health monitor leaves in a run: ``events.jsonl``, ``health.csv``, pictures, a section of the page."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from img2img import report
from img2img.image import atomically
from img2img.training.history import read_history
from img2img.training.probes import Picture

EVENTS, TABLE, PICTURES = "events.jsonl", "health.csv", "health"

_GAP_PX = 4
_CURVES = {
    "how much outputs differ, relative to the images (below 0.3: collapsed)": "diversity",
    "outputs that fit their own input best": "retrieval",
    "d' of reals and fakes (above 6: saturated)": "gap",
    "held-out L1 over training L1 (above 2: overfitting)": "l1_gap",
    "way back with noise over without (above 3: hidden signal)": "hidden",
    "grid of 2 and 4 px over that of the images (above 8: checkerboard)": "grid",
}


class Events:
    """Appends to the records of a run; a continued run drops what lies beyond its checkpoint.

    Args:
        run: the run folder.
        batches: batches done; later events and rows are dropped.
    """

    def __init__(self, run: Path, batches: int) -> None:
        self.run = run
        run.mkdir(parents=True, exist_ok=True)
        kept = [event for event in read_events(run) if event["batches"] <= batches]
        if (run / EVENTS).exists():
            with atomically(run / EVENTS) as file:
                file.write("".join(map(_line, kept)).encode())
        self._rows = [row for row in _read_rows(run / TABLE) if int(row["batches"]) <= batches]

    def add(self, name: str, level: str, batches: int, images: int, **more: Any) -> None:
        """Append an event and see it to the disk.

        Args:
            name: what happened.
            level: warning, alarm, follows, or what the guard did.
            batches: batches done.
            images: images seen.
            more: plain data.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        event = {"time": now, "batches": batches, "images": images, "name": name, "level": level, **more}
        with (self.run / EVENTS).open("a", encoding="utf-8") as file:
            file.write(_line(event))
            file.flush()

    def row(self, batches: int, images: int, signals: Mapping[str, float]) -> None:
        """Add a row of signals to ``health.csv``; a signal that was not there before adds a column."""
        values = {key: f"{value:.6g}" for key, value in sorted(signals.items()) if math.isfinite(value)}
        self._rows.append({"batches": str(batches), "images": str(images), **values})
        columns = list(dict.fromkeys(key for row in self._rows for key in row))
        lines = [columns, *([row.get(column, "") for column in columns] for row in self._rows)]
        with (self.run / TABLE).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)

    def picture(self, name: str, batches: int, picture: Picture) -> str:
        """Save the picture beside a verdict; return its path within the run."""
        height, width = picture.rows[0][0].shape[:2]
        columns, rows = len(picture.columns), len(picture.rows)
        canvas = Image.new("RGB", (columns * (width + _GAP_PX) - _GAP_PX, rows * (height + _GAP_PX) - _GAP_PX), "white")
        for y, row in enumerate(picture.rows):
            for x, pixels in enumerate(row):
                image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
                canvas.paste(image, (x * (width + _GAP_PX), y * (height + _GAP_PX)))
        path = f"{PICTURES}/{batches:09d} {re.sub(r'[^a-z-]+', ' ', name)}.png"
        (self.run / PICTURES).mkdir(exist_ok=True)
        canvas.save(self.run / path)
        return path


def read_events(run: Path) -> list[dict[str, Any]]:
    """Return the events of a run, oldest first; a line that a crash cut short is left out."""
    if not (run / EVENTS).exists():
        return []
    events = []
    for line in (run / EVENTS).read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return events


def health_section(run: Path) -> str:
    """Return the health section of a run's page: verdicts with pictures, what the guard did, curves; "" if none ran."""
    if not (run / TABLE).exists() and not (run / EVENTS).exists():
        return ""
    parts = []
    events = read_events(run)
    if events:
        head = ("after images", "what", "whose", "seen", "means", "do")
        keys = ("images", "name", "subject", "seen", "cause", "remedy")
        rows = [[event.get(key, "") for key in keys] for event in events]
        for row, event in zip(rows, events, strict=True):
            if event.get("follows"):
                row[1] = f"{row[1]} (follows {event['follows']})"
        parts.append(report.table(rows, head))
    else:
        parts.append(report.paragraph("Nothing was found wrong with this training."))
    parts += [
        report.panel(
            event["picture"].replace(" ", "%20"), event["columns"], f"{event['name']} after {event['images']:,} images"
        )
        for event in events
        if event.get("picture")
    ]
    history = read_history(run / TABLE)
    for title, signal in _CURVES.items():
        lines = {key.partition("/")[2]: points for key, points in history.items() if key.partition("/")[0] == signal}
        if lines:
            parts.append(report.paragraph(title) + report.curves(lines, "images"))
    return report.section("health", *parts)


def _line(event: Mapping[str, Any]) -> str:
    return json.dumps(_plain(event), ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return what JSON can hold: numbers that are not finite become words."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else str(value)
    return value


def _read_rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
