"""What there is to compare: translators, and all weights that a run has kept, each with what validation said of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from img2img.checkpoint import FILE_NAME, read_header, save_translator
from img2img.errors import ModelFileError
from img2img.evaluate.contenders import Contender, Curve
from img2img.methods.base import CHECKPOINT_KEY
from img2img.methods.saved import read_checkpoint, translator_of
from img2img.training.history import VALIDATION, read_history
from img2img.training.page import decides, deciding
from img2img.training.validation import BEST_NAME
from img2img.translate.setup import Setup
from img2img.translate.sheet import Column, names_of


@dataclass(frozen=True)
class _Kept:
    """Weights that a run has kept, in a translator file or in a checkpoint."""

    path: Path
    header: Mapping[str, Any]
    images: int


def contenders(models: Sequence[Path], setup: Setup, *, every: bool) -> list[Contender]:
    """Say what stands against one another.

    Args:
        models: translator files, checkpoints of runs, and run folders.
        setup: how the translators are loaded; its model is each of these in turn.
        every: whether a run stands for all weights that it has kept, oldest first, instead of the last.

    Raises:
        ModelFileError: if one cannot be read.
        ConfigError: if one is given twice.
    """
    found = []
    for name, path in zip(names_of(models), models, strict=True):
        all_of_it = every and path.is_dir()
        kept = _kept(path) if all_of_it else [_one(path)]
        scores = _scores(_run_of(path))
        best = min(scores, key=scores.__getitem__, default=None)
        for one in kept:
            after = f"{one.images:,} images" if all_of_it else ""
            found.append(
                Contender(
                    ", ".join(word for word in (name if len(models) > 1 or not after else "", after) if word),
                    one.header,
                    partial(_column, one, setup),
                    one.path,
                    one.images,
                    scores.get(one.images),
                    best=all_of_it and one.images == best,
                )
            )
    return found


def curves(models: Sequence[Path]) -> list[Curve]:
    """Return the validation scores of the runs that models are or come from, each run's once."""
    runs = {run.resolve(): run for model in models if (run := _run_of(model)) is not None}
    found = []
    for name, run in zip(names_of(list(runs.values())) if runs else (), runs.values(), strict=True):
        history = read_history(run / VALIDATION)
        best_by = decides(run, history)
        found += [Curve(score, name, tuple(points), score == best_by) for score, points in history.items()]
    return found


def _run_of(path: Path) -> Path | None:
    """Return the run folder that a model is or lies in, if any."""
    below = path if path.is_dir() else path.parent.parent if path.suffix == ".ckpt" else path.parent
    return below if (below / VALIDATION).is_file() else None


def _scores(run: Path | None) -> dict[int, float]:
    """Return the deciding scores of a run by the images seen."""
    return {int(images): score for images, score in deciding(run)} if run else {}


def _one(path: Path) -> _Kept:
    if path.suffix == ".ckpt" and path.is_file():
        run = path.parent.parent
        if not (run / FILE_NAME).is_file():
            raise ModelFileError(
                f"{path}: a checkpoint is read beside its run's translator, and there is no {run / FILE_NAME}"
            )
        return _Kept(path, read_header(run), read_checkpoint(path)[CHECKPOINT_KEY]["images"])
    header = read_header(path)
    return _Kept(path, header, int(header.get("training", {}).get("images", 0)))


def _kept(run: Path) -> list[_Kept]:
    """Return all weights that a run has kept, oldest first; equal ones once, as a translator where there is one."""
    found = {(last := _one(run)).images: replace(last, path=run / FILE_NAME)}
    files = [run / BEST_NAME, *sorted((run / "checkpoints").glob("*.ckpt"))]
    for path in (file for file in files if file.is_file()):
        one = _one(path)
        found.setdefault(one.images, one)
    return [found[images] for images in sorted(found)]


def _column(kept: _Kept, setup: Setup) -> Column:
    """Load weights as ``img2img translate`` does."""
    if kept.path.suffix != ".ckpt":
        return Column(replace(setup, model=kept.path).load(), setup.to, setup.size)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE_NAME
        save_translator(file, translator_of(kept.path, kept.header))
        return Column(replace(setup, model=file).load(), setup.to, setup.size)
