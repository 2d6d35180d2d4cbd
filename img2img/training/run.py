"""One training: from a resolved config to a run folder with a translator in it."""

from __future__ import annotations

import contextlib
import difflib
import logging
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from rich.console import Console

from img2img.checkpoint import FILE_NAME, load_translator
from img2img.data.module import ImageData
from img2img.devices import resolve_device, resolve_precision
from img2img.errors import ConfigError, Img2ImgError, RunError
from img2img.image import atomically
from img2img.methods.base import CHECKPOINT_KEY, TranslationModule
from img2img.methods.export import check_domains, directions
from img2img.schedule import Length
from img2img.training.checkpoints import LAST, AtomicCheckpointIO, Checkpoints
from img2img.training.config import Resolved, Training
from img2img.training.history import History
from img2img.training.notes import DataNotes
from img2img.training.progress import BatchEnd, Throughput
from img2img.training.signals import Signals
from img2img.training.tracking import tensorboard_logger, wandb_logger
from img2img.training.validation import Validation

_DEFAULT_EPOCHS = 200.0
_BYTES_PER_PARAMETER = 4 * 5
"""Weights, average, two moments of Adam, and a temporary copy while saving; float32."""

_PRECISION: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


@dataclass(frozen=True)
class Outcome:
    """What became of a training.

    Attributes:
        run: the run folder.
        finished: whether the whole length is done.
        stopped_by: the signal that ended it early, or None.
        images: images seen.
        scores: last validation scores.
    """

    run: Path
    finished: bool
    stopped_by: signal.Signals | None
    images: int
    scores: dict[str, float]


def train(
    resolved: Resolved, run: Path, console: Console, *, override: bool = False, callbacks: Sequence[Callback] = ()
) -> Outcome:
    """Train, or continue a run where it stopped.

    Args:
        resolved: the config.
        run: the run folder; made if missing.
        console: where to say how it goes.
        override: continue although options differ from those the run was started with.
        callbacks: further ones, such as the clock of ``img2img bench train``.

    Raises:
        Img2ImgError: for data, options or a run folder that cannot be used.
    """
    module, data, options = resolved.build()
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device)
    data.setup()
    check_domains(data.domains)
    config = resolved.tree
    loader = data.train_dataloader()
    images_per_epoch = len(loader) * data.batch_size
    module.length = _length(options, images_per_epoch)
    try:
        module.schedule()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    checkpoint = _open_run(run, config, override=override, module=module)
    done = _done_so_far(checkpoint)
    if options.init_from is not None and checkpoint is None:
        init_from(module, Path(options.init_from), data.domains)
    _say(console, module, data, options, device, precision, done, images_per_epoch)
    if module.length.progress(done["images"], done["seconds"]) >= 1 and (run / FILE_NAME).exists():
        console.print(
            f"{run}: already trained to its full length; give a longer one (--epochs, --images) to go on",
            highlight=False,
        )
        return Outcome(run, finished=True, stopped_by=None, images=done["images"], scores={})

    checkpoints = Checkpoints(run, options.save_minutes)
    signals = Signals()
    throughput = Throughput(console)
    notes = DataNotes(console)
    validation = Validation(run, data, options.validations, options.samples, config, notes, console)
    loggers: list[Logger] = [History(run, done["batches"])]
    files = {"translator": run / FILE_NAME, "checkpoint": run / LAST}
    loggers += wandb_logger(options.wandb, run, config, console, files)
    if options.tensorboard:
        loggers.append(tensorboard_logger(run))
    with _quiet():
        trainer = Trainer(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=1,
            precision=_PRECISION[precision],
            max_epochs=-1,
            limit_val_batches=0,
            logger=loggers,
            callbacks=[throughput, notes, validation, signals, checkpoints, *callbacks, BatchEnd(throughput)],
            plugins=[AtomicCheckpointIO()],
            log_every_n_steps=options.log_every_batches,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=str(run),
        )
        signals.install()
        try:
            trainer.fit(module, datamodule=data, ckpt_path=str(checkpoint) if checkpoint else None, weights_only=True)
        except Img2ImgError as error:
            said = str(error).strip()
            if "Original Traceback" in said:  # torch wraps what a loader process raised: its last line is the message
                raise type(error)(said.splitlines()[-1].partition(": ")[2]) from error
            raise
        except SystemExit as error:  # Lightning's end of a second Ctrl-C
            raise KeyboardInterrupt from error
        finally:
            signals.remove()
    if summary := notes.summary():
        console.print(f"warnings in the data: {summary}", style="yellow")
    finished = module.length.progress(module.images, module.seconds) >= 1
    return Outcome(run, finished, signals.received, module.images, validation.scores)


def init_from(module: TranslationModule, path: Path, domains: tuple[str, str]) -> None:
    """Start a method's generators from a translator's weights.

    A direction of the same name is preferred; else the translator's directions are taken in their order.

    Raises:
        ConfigError: if the networks differ.
    """
    file = load_translator(path)
    named = directions(domains)
    for (direction, network), other in zip(
        module.generators().items(), [*file.directions, *file.directions[:1]], strict=False
    ):
        chosen = named[direction] if named[direction] in file.directions else other
        try:
            network.load_state_dict(file.generator(chosen).state_dict())
        except RuntimeError as error:
            raise ConfigError(
                f"--init-from {path}: its generator for {chosen} has other layers than this config's; "
                f"train with the options that `img2img info {path}` shows"
            ) from error


def _open_run(run: Path, config: Mapping[str, Any], *, override: bool, module: TranslationModule) -> Path | None:
    """Make or check the run folder; return the checkpoint to continue from."""
    saved = run / "config.yaml"
    try:
        if run.exists() and not run.is_dir():
            raise RunError(f"--out {run}: expected a folder, got a file")
        if run.exists() and not saved.exists() and any(run.iterdir()):
            raise RunError(f"--out {run}: a folder with other files in it; choose a new or empty one")
        if saved.exists() and (run / LAST).exists() and not override:
            _refuse_difference(run, yaml.safe_load(saved.read_text(encoding="utf-8")), dict(config))
        run.mkdir(parents=True, exist_ok=True)
        needed = sum(p.numel() for p in module.parameters()) * _BYTES_PER_PARAMETER
        free = shutil.disk_usage(run).free
        if free < needed:
            raise RunError(
                f"--out {run}: {free / 1e6:,.0f} MB are free there, the checkpoints of this run need about "
                f"{needed / 1e6:,.0f} MB; free some space or choose another folder"
            )
        with atomically(saved) as file:
            file.write(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True).encode())
    except OSError as error:
        raise RunError(f"--out {run}: cannot be written ({error.strerror or error})") from error
    checkpoint = run / LAST
    return checkpoint if checkpoint.exists() else None


_MAY_CHANGE = {
    "epochs",
    "images",
    "minutes",
    "device",
    "precision",
    "save_minutes",
    "wandb",
    "tensorboard",
    "log_every_batches",
}
"""Options of the section ``training`` that a continued run may have otherwise: length, place and reporting."""


def _refuse_difference(run: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    def fixed(tree: dict[str, Any]) -> list[str]:
        training = {k: v for k, v in tree.get("training", {}).items() if k not in _MAY_CHANGE}
        data = {k: v for k, v in tree.get("data", {}).items() if k != "workers"}
        return yaml.safe_dump({**tree, "training": training, "data": data}, sort_keys=True).splitlines()

    changes = [line for line in difflib.ndiff(fixed(before), fixed(now)) if line[:1] in "+-"]
    if changes:
        shown = "; ".join(" ".join(line.split()) for line in changes[:6])
        raise RunError(
            f"--out {run}: this run was started with other options (- then, + now): {shown}; "
            "choose another --out, or add --override to go on with the new ones"
        )


def _length(options: Training, images_per_epoch: int) -> Length:
    if options.minutes is not None:
        return Length(images=None, seconds=60 * options.minutes, images_per_epoch=images_per_epoch)
    if options.images is not None:
        return Length(images=options.images, seconds=None, images_per_epoch=images_per_epoch)
    epochs = _DEFAULT_EPOCHS if options.epochs is None else options.epochs
    return Length(images=max(round(epochs * images_per_epoch), 1), seconds=None, images_per_epoch=images_per_epoch)


def _done_so_far(checkpoint: Path | None) -> dict[str, Any]:
    if checkpoint is None:
        return {"batches": 0, "images": 0, "seconds": 0.0}
    state: dict[str, Any] = AtomicCheckpointIO().load_checkpoint(checkpoint)[CHECKPOINT_KEY]
    return state


def _say(
    console: Console,
    module: TranslationModule,
    data: ImageData,
    options: Training,
    device: torch.device,
    precision: str,
    done: Mapping[str, Any],
    images_per_epoch: int,
) -> None:
    assert data.layout is not None
    assert data.layout.validation is not None
    threads = f" ({torch.get_num_threads()} threads)" if device.type == "cpu" else ""
    parameters = sum(p.numel() for p in module.parameters()) / 1e6
    a, b = data.domains
    arrow = "<->" if len(module.generators()) > 1 else "->"
    train_split, held = data.layout.train, data.layout.validation
    counts = f"{len(train_split.a)} pairs" if data.paired else f"{len(train_split.a)} + {len(train_split.b)} images"
    place = f"{device.type}{threads} in {precision}, {parameters:.1f}M parameters"
    console.print(f"{type(module).__name__} {a} {arrow} {b} on {place}", highlight=False)
    if data.to is None and len(module.generators()) == 1:
        console.print(f"direction: {a} -> {b}; --to {a} for the other way", highlight=False)
    where = f"held out of them by seed {options.seed}" if data.held_out else "from the data folder"
    validating = f"{len(held.a)} pairs" if data.paired else f"{len(held.a)} + {len(held.b)} images"
    console.print(
        f"data: {data.layout.kind}, {counts} to train on; validating on {validating} {where}",
        highlight=False,
        soft_wrap=True,
    )
    length = module.length
    assert length is not None
    total = (
        f"{length.seconds / 60:g} minutes"
        if length.seconds
        else f"{length.images:,} images ({length.epochs():.4g} epochs)"
    )
    begun = f", {done['images']:,} images done before" if done["images"] else ""
    console.print(
        f"length: {total}, batch {data.batch_size}, {images_per_epoch:,} images an epoch{begun}", highlight=False
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice for developers away from users; warnings about their training still show."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    for noisy in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            warnings.filterwarnings("ignore", message=".*pin_memory.*")
        try:
            yield
        finally:
            logger.setLevel(level)
