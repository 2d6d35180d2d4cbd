"""Held-out images at intervals: scores, panels, the translator file and the run's page."""

from __future__ import annotations

import functools
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from rich.console import Console
from torch import Tensor

from img2img.batch import Batch
from img2img.checkpoint import FILE_NAME, save_translator
from img2img.data.module import ImageData
from img2img.image import (
    TEMPORARY_PREFIX,
    Pixels,
    Side,
    montage,
    plain_picture,
    seen_of,
    shown_image,
    to_pixels,
    with_channels,
)
from img2img.methods import ranks
from img2img.methods.base import TranslationModule
from img2img.methods.export import directions, translator_file
from img2img.metrics.random_features import kernel_distance, random_features
from img2img.training.derived import about_inputs
from img2img.training.evaluating import Evaluating
from img2img.training.notes import DataNotes
from img2img.training.page import decides, deciding, write_run_page
from img2img.training.samples import log_samples, third_of
from img2img.translate.translator import Translator

_MAX_SCORED_PAIRED, _MAX_SCORED_UNPAIRED = 100, 32
"""Images scored at a validation, evenly spaced; a pair of them takes four translations."""

_MAX_SHARE = 0.1
"""A validation that is due is left out while validations have taken more than this share of the time."""


class Validation(Callback):
    """Validates evenly over the training, and the last weights always.

    What it shows comes from the code that ``translate`` uses.

    Args:
        run: the run folder.
        data: whose validation images are used.
        times: how often over the whole training.
        samples: images on the panels.
        config: the resolved config, for the translator's summary.
        notes: where faults of validation images are said.
        console: where to say the scores.
        evaluating: measures more at some of them.
    """

    def __init__(
        self,
        run: Path,
        data: ImageData,
        times: int,
        samples: int,
        config: Mapping[str, Any],
        notes: DataNotes,
        console: Console,
        evaluating: Evaluating | None = None,
    ) -> None:
        self.evaluating = evaluating
        self.run, self.data, self.times, self.samples = run, data, times, samples
        self.config, self.notes, self.console = dict(config), notes, console
        self.scores: dict[str, float] = {}
        self.best = math.inf
        self.just_validated = self.just_improved = False
        self._next = self._began = self._spent = 0.0
        self._validated_at = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Place the next validation after what has been done already."""
        del trainer
        assert isinstance(pl_module, TranslationModule)
        self._began = time.monotonic()
        self.best = min((value for _, value in deciding(self.run)), default=math.inf)
        self._plan_next(pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Leave a validation out while they take too long; the first process's clock decides for all."""
        del batch, batch_idx
        assert isinstance(pl_module, TranslationModule)
        too_much = self._spent > _MAX_SHARE * (time.monotonic() - self._began)
        pl_module.wishes["no_validation"] = trainer.is_global_zero and too_much and not self._evaluates

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Validate when the time has come: the first process does, the others wait and hear how it went."""
        del outputs, batch, batch_idx
        assert isinstance(pl_module, TranslationModule)
        assert pl_module.length is not None
        self.just_validated = self.just_improved = False
        progress = pl_module.length.progress(pl_module.images, pl_module.seconds)
        if progress >= self._next:
            if progress >= 1 or not pl_module.wishes["no_validation"]:
                if trainer.is_global_zero:
                    self.validate(trainer, pl_module)
                improved = ranks.total([float(self._improve(pl_module))], pl_module.device)[0]
                self.just_validated, self.just_improved = True, improved > 0
            self._plan_next(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave a translator and panels of the last weights where a training was stopped before its end.

        Not scored: whoever stops a training waits for it.
        """
        assert isinstance(pl_module, TranslationModule)
        if trainer.is_global_zero and pl_module.batches != self._validated_at:
            self.show(trainer, pl_module)

    def _improve(self, module: TranslationModule) -> bool:
        """Keep the translator beside the last one where it scores better than all before."""
        score = self.scores.get(decides(self.run, self.scores) or "", math.inf)
        if self._validated_at != module.batches or not score < self.best:
            return False
        self.best = score
        shutil.copyfile(self.run / FILE_NAME, self.run / f"{TEMPORARY_PREFIX}best.tmp")
        (self.run / f"{TEMPORARY_PREFIX}best.tmp").replace(self.run / BEST_NAME)
        return True

    def _plan_next(self, module: TranslationModule) -> None:
        assert module.length is not None
        done = module.length.progress(module.images, module.seconds)
        self._next = min((int(done * self.times + 1e-9) + 1) / self.times, 1.0)

    @property
    def _evaluates(self) -> bool:
        """Whether the validation that comes next measures more."""
        number = round(self._next * self.times)
        return self.evaluating is not None and (self.evaluating.due(number) or number == self.times)

    def validate(self, trainer: Trainer, module: TranslationModule) -> None:
        """Score, show, and write translator and page."""
        evaluated = {}
        if self._evaluates and self.evaluating is not None:
            evaluated = self.evaluating.measure(module, time.monotonic() - self._began)
        began = time.monotonic()  # what was asked for at its interval does not put off validations
        loader = self.data.val_dataloader(_MAX_SCORED_PAIRED if module.paired else _MAX_SCORED_UNPAIRED)
        sums: dict[str, float] = {}
        features: dict[str, list[Tensor]] = {}
        for batch in loader:
            self.notes.take(batch.notes)
            moved = self.data.finished(Batch(batch.a.to(module.device), batch.b.to(module.device), *batch[2:]))
            found = module.score(moved)
            for name, value in found.scores.items():
                sums[name] = sums.get(name, 0.0) + float(value)
            if not module.paired:
                images = {"real_b": moved.b, "real_a": moved.a}
                images |= {f"fake_{direction[1]}": fake for direction, fake in found.fakes.items()}
                sides = dict(zip("ab", self.data.sides, strict=True))
                for name, image in images.items():
                    features.setdefault(name, []).append(random_features(seen_of(sides[name[-1]], image)))
        self.scores = {f"validation/{name}": total / len(loader) for name, total in sums.items()}
        if not module.paired and len(loader) > 1:
            self.scores |= _random_kids({name: torch.cat(rows) for name, rows in features.items()})
        self.scores |= evaluated
        for logger in trainer.loggers:
            logger.log_metrics({**self.scores, "images": float(module.images)}, step=module.batches)
        if self.scores:
            own = {name: value for name, value in self.scores.items() if name not in evaluated}
            said = ", ".join(f"{name.removeprefix('validation/')} {value:.4f}" for name, value in own.items())
            self.console.print(f"validation at {module.images:,} images: {said}", highlight=False)
        self.show(trainer, module)
        self._validated_at = module.batches
        self._spent += time.monotonic() - began

    @functools.cached_property
    def _about_inputs(self) -> dict[str, Any]:
        return about_inputs(self.data)

    def show(self, trainer: Trainer, module: TranslationModule) -> None:
        """Write the translator, panels of some held-out images, and the page."""
        batches = [self.data.finished(batch) for batch in self.data.val_dataloader(self.samples)]
        p = self.data.preprocessing
        file = translator_file(
            module,
            self.data.domains,
            {"size": list(p.size), "load_size": list(p.load_size), "resize": p.resize, **self._about_inputs},
            {
                "training_images": len(self.data.layout.train.a) if self.data.layout else 0,
                "scores": {name: round(value, 6) for name, value in self.scores.items()},
                "config": {k: v for k, v in self.config.items() if k != "data"},
            },
            self.data.formats,
        )
        save_translator(self.run / FILE_NAME, file)
        for direction, panel in self._panels(trainer, module, batches, file.header).items():
            _show_in(trainer, f"samples/{direction.replace(':', ' to ')}", panel, module.batches)
        write_run_page(self.run, file.header, self.data, paired=module.paired)

    def _panels(
        self, trainer: Trainer, module: TranslationModule, batches: list[Batch], header: dict[str, Any]
    ) -> dict[str, Image.Image]:
        named = directions(self.data.domains)
        networks = {named[d]: g for d, g in module.best_generators().items()}
        modes = {name: network.training for name, network in networks.items()}
        translator = Translator(networks, header, module.device)
        kind = third_of(paired=module.paired, both_ways=len(networks) > 1)
        panels = {}
        for direction in networks:
            forward = direction == named["ab"]
            to, back = direction.split(":")[1], direction.split(":")[0]
            rows = []
            for batch in batches:
                source, other = (batch.a, batch.b) if forward else (batch.b, batch.a)
                result = translator(source, to)
                third = translator(result, back) if kind == "cycle" else other
                of = (0, 1, 0 if kind == "cycle" else 1)
                sides = self.data.sides if forward else self.data.sides[::-1]
                shown = zip(of, (source, result, third), strict=True)
                rows.append([_shown(sides[side], image[0]) for side, image in shown])
            panels[direction] = montage([[Image.fromarray(with_channels(pixels, 3)) for pixels in row] for row in rows])
            names = [batch.names_a[0] if forward else batch.names_b[0] for batch in batches]
            log_samples(trainer, direction, names, rows, kind)
            path = self.run / "samples" / f"{module.images:09d} {direction.replace(':', ' to ')}.png"
            path.parent.mkdir(exist_ok=True)
            panels[direction].save(path)
        for name, network in networks.items():
            network.train(modes[name])
        return panels


BEST_NAME = "best.safetensors"
"""The translator that validated best; ``translator.safetensors`` is the last one."""


def _shown(side: Side, image: Tensor) -> Pixels:
    return to_pixels(image) if plain_picture(side) else shown_image(side, image)


def _show_in(trainer: Trainer, key: str, panel: Image.Image, batches: int) -> None:
    for logger in trainer.loggers:
        kind = type(logger).__name__
        if kind == "WandbLogger":
            logger.log_image(key, [panel], step=batches)  # type: ignore[attr-defined]
        elif kind == "TensorBoardLogger":
            logger.experiment.add_image(key, np.asarray(panel), batches, dataformats="HWC")  # type: ignore[attr-defined]


def _random_kids(features: Mapping[str, Tensor]) -> dict[str, float]:
    """Return R-KID of fakes and reals by domain, and their mean, which decides: see ``metrics.random_features``."""
    found = {
        domain: float(kernel_distance(features[f"fake_{domain}"], features[f"real_{domain}"]))
        for domain in ("a", "b")
        if f"fake_{domain}" in features
    }
    each = {f"validation/rkid_{domain}": value for domain, value in found.items()}
    return {"validation/rkid": sum(found.values()) / len(found), **each}
