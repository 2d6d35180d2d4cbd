"""What a student has of its teacher: size, speed and scores of both, side by side, on images that were held out."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from img2img.checkpoint import TranslatorFile, load_translator, save_translator
from img2img.data.module import ImageData
from img2img.evaluate.evaluation import evaluate
from img2img.evaluate.images import Images
from img2img.evaluate.number import Number
from img2img.evaluate.subject import Asked
from img2img.exchange.compact import compact
from img2img.image import to_pixels
from img2img.networks.cost import cost
from img2img.translate.bench import measure

_COST_SIDE_PX = 256
_PAIRED, _UNPAIRED = ("l1", "ssim"), ("rkid", "fid")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what it says.
        teacher: of the teacher.
        student: of the student.
        better: whether ``lower`` or ``higher`` is better, for a score.
    """

    name: str
    teacher: float
    student: float
    better: str = ""

    @property
    def gap(self) -> float | None:
        """By what share of the teacher's score the student is worse; None for no score, or one that is not above 0."""
        if not self.better or self.teacher <= 0:
            return None
        change = (self.student - self.teacher) / self.teacher
        return change if self.better == "lower" else -change


def compare(teacher: Path, student: Path, direction: str, data: ImageData, at_most: int, rounds: int) -> list[Row]:
    """Measure teacher and student by turns on held-out images.

    Both translate the same files, made of held-out images as the training's validation sees them, through
    ``img2img.translate``, each in processes of its own; what they write is scored. Files are compared as
    :func:`img2img.exchange.compact.compact` writes them: one direction, half precision.

    Args:
        teacher: translator file or run folder.
        student: likewise.
        direction: such as ``horse:zebra``, of both.
        data: whose validation images are taken; after its ``setup``.
        at_most: images.
        rounds: processes of each whose median speed is said.

    Returns:
        Rows: parameters, multiplications at 256 px, bytes of the file, images a second, and scores: L1 and SSIM of
        pairs; R-KID, and FID where the weights of its network are at hand.
    """
    with tempfile.TemporaryDirectory(prefix="img2img-distill-") as scratch:
        root = Path(scratch)
        count = _write(data, at_most, root)
        names = {"teacher": teacher, "student": student}
        files = {name: load_translator(path) for name, path in names.items()}
        small = {name: root / f"{name}.safetensors" for name in names}
        for name, path in small.items():
            save_translator(path, compact(files[name], direction))
        speeds: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds):
            for name, path in small.items():
                found = measure("auto", path, root / "source", count, root / f"{name}{number}")
                speeds[name].append(found.images_per_s)
        costs = [_cost(file, direction) for file in files.values()]
        sizes = [path.stat().st_size for path in small.values()]
        medians = [statistics.median(found) for found in speeds.values()]
        rows = [
            Row("parameters", costs[0][0], costs[1][0]),
            Row(f"multiplications at {_COST_SIDE_PX} px", costs[0][1], costs[1][1]),
            Row("bytes of the file", sizes[0], sizes[1]),
            Row("images/s", medians[0], medians[1]),
        ]
        asked = Asked((*_PAIRED, *_UNPAIRED) if data.paired else _UNPAIRED, resizes=("pytorch",), download=False)
        real = Images.below(root / "target")
        scores = [_scores(Images.below(root / f"{name}0"), real, asked) for name in names]
        return rows + [
            Row(name, number.value, scores[1][name].value, number.better)
            for name, number in scores[0].items()
            if name in scores[1]
        ]


def table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of the table; a gap says how much worse the student is."""
    lines = [f"{'':26} {'teacher':>14} {'student':>14}"]
    for row in rows:
        if row.better:
            gap = "" if row.gap is None else f"   {abs(row.gap):.1%} {'worse' if row.gap > 0 else 'better'}"
            lines.append(f"{row.name:26} {row.teacher:14.4f} {row.student:14.4f}{gap}")
            continue
        times = row.student / row.teacher if row.name == "images/s" else row.teacher / row.student
        word = "times as many" if row.name == "images/s" else "times fewer"
        digits = ".1f" if row.name == "images/s" else ",.0f"
        lines.append(f"{row.name:26} {row.teacher:14{digits}} {row.student:14{digits}}   {times:.1f} {word}")
    return lines


def _write(data: ImageData, at_most: int, root: Path) -> int:
    """Write held-out images as PNG, below ``source`` and ``target``; return how many."""
    for name in ("source", "target"):
        (root / name).mkdir()
    count = 0
    for batch in map(data.finished, data.val_dataloader(at_most)):
        for name, image in (("source", batch.a), ("target", batch.b)):
            Image.fromarray(to_pixels(image[0])).save(root / name / f"{count:05d}.png")
        count += 1
    return count


def _cost(file: TranslatorFile, direction: str) -> tuple[int, int]:
    with torch.device("meta"):
        return cost(file.generator(direction).to("meta"), _COST_SIDE_PX)


def _scores(made: Images, real: Images, asked: Asked) -> Mapping[str, Number]:
    return {number.name: number for number in evaluate(made, real, asked).numbers}
