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
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import yaml
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from rich.console import Console

from img2img.checkpoint import FILE_NAME, load_translator
from img2img.data.module import ImageData
from img2img.devices import resolve_device, resolve_precision
from img2img.errors import ConfigError, RunError
from img2img.image import atomically
from img2img.methods.base import TranslationModule
from img2img.methods.export import check_domains, directions
from img2img.schedule import Length
from img2img.training.checked import say_findings
from img2img.training.checkpoints import LAST, AtomicCheckpointIO, Checkpoints, newest_whole, sweep
from img2img.training.config import Resolved, Training
from img2img.training.evaluating import Evaluating, networks_of
from img2img.training.faults import in_one_line
from img2img.training.health import Health
from img2img.training.history import History
from img2img.training.notes import DataNotes
from img2img.training.opening import say
from img2img.training.page import advice, deciding
from img2img.training.processes import Watch, World, check_devices, find_world
from img2img.training.progress import BatchEnd, Throughput
from img2img.training.signals import Signals, TimeLimit, seconds_of
from img2img.training.speed import Speed
from img2img.training.tracking import tensorboard_logger, wandb_logger
from img2img.training.validation import Validation

RESUMABLE = "the last checkpoint stands"
"""Note on an error that ended a training which can be continued."""

_DEFAULT_EPOCHS = 200.0
_BYTES_PER_PARAMETER = 4 * 5
"""Weights, average, two moments of Adam, and a temporary copy while saving; float32."""

_PRECISION: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "tf32": "32-true",
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
    world = find_world(options.devices, options.nodes)
    device = resolve_device(options.device)
    check_devices(world, device, asked_for=options.device != "auto")
    precision = resolve_precision(options.precision, device)
    data.setup()
    check_domains(data.domains)
    config = resolved.tree
    images_per_epoch = data.images_per_epoch(world.size)
    module.length = _length(options, images_per_epoch)
    try:
        module.schedule()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    networks = []
    if world.rank == 0:
        if options.evaluate.every is not None:
            networks = networks_of(options.evaluate, device, partial(console.print, highlight=False, soft_wrap=True))
        _open_run(run, config, override=override, module=module)
    checkpoint, done = newest_whole(run, console) or (None, {"batches": 0, "images": 0, "seconds": 0.0})
    if options.init_from is not None and checkpoint is None:
        init_from(module, Path(options.init_from), data.domains)
    switches = Speed(
        channels_last=device.type == "cuda" if options.channels_last == "auto" else options.channels_last,
        compile=False if options.compile == "auto" else options.compile,
    )
    say(console, module, data, options, world, device, f"{precision}{switches}", done)
    if module.length.progress(done["images"], done["seconds"]) >= 1 and (run / FILE_NAME).exists():
        console.print(
            f"{run}: already trained to its full length; give a longer one (--epochs, --images) to go on",
            highlight=False,
        )
        return Outcome(run, finished=True, stopped_by=None, images=done["images"], scores={})
    if world.rank == 0 and checkpoint is None:
        say_findings(console, data)
    evaluating = Evaluating(options.evaluate, networks, data, console) if networks else None
    if evaluating is not None:
        evaluating.begin(module)
    return _fit(
        _Made(module, data, options, world, device, precision, switches, config, callbacks, evaluating),
        run,
        checkpoint,
        done,
        console,
    )


class _Made(NamedTuple):
    """What a training is made of."""

    module: TranslationModule
    data: ImageData
    options: Training
    world: World
    device: torch.device
    precision: str
    switches: Speed
    config: Mapping[str, Any]
    callbacks: Sequence[Callback]
    evaluating: Evaluating | None


def _fit(made: _Made, run: Path, checkpoint: Path | None, done: Mapping[str, Any], console: Console) -> Outcome:
    module, options, world = made.module, made.options, made.world
    signals = Signals()
    limit = TimeLimit(None if options.max_time is None else seconds_of(options.max_time))
    throughput, notes = Throughput(console), DataNotes(console)
    validation = Validation(
        run, made.data, options.validations, options.samples, made.config, notes, console, made.evaluating
    )
    checkpoints = Checkpoints(run, options.save_minutes, options.keep_every_images, options.keep, validation)
    steps: list[Callback] = [made.switches, throughput, notes, validation, signals, limit, checkpoints]
    if options.guard != "off":  # before validation, whose page shows what it found
        steps.insert(3, Health(run, made.data, options.guard, console, finish=validation.show))
    with _quiet():
        callbacks = [*steps, *made.callbacks, BatchEnd(throughput), Watch(world)]
        trainer = _trainer(made, run, callbacks, _loggers(made, run, done, console))
        signals.install()
        try:
            trainer.fit(
                module, datamodule=made.data, ckpt_path=str(checkpoint) if checkpoint else None, weights_only=True
            )
        except SystemExit as error:  # Lightning's end of a second Ctrl-C
            raise KeyboardInterrupt from error
        except Exception as error:
            said = in_one_line(error, run, several=world.size > 1) or error
            if (run / "checkpoints" / LAST).exists():
                said.add_note(RESUMABLE)
            if said is error:
                raise
            raise said from error
        finally:
            signals.remove()
    if summary := notes.summary():
        console.print(f"warnings in the data: {summary}", style="yellow")
    if world.rank == 0 and (words := advice(deciding(run))):
        console.print(words, highlight=False, soft_wrap=True)
    assert module.length is not None
    finished = module.length.progress(module.images, module.seconds) >= 1
    stopped_by = None if finished else signals.received
    if not finished and stopped_by is None and not limit.reached:
        stopped_by = signal.SIGTERM  # another process of this training received it
    return Outcome(run, finished, stopped_by, module.images, validation.scores)


def _loggers(made: _Made, run: Path, done: Mapping[str, Any], console: Console) -> list[Logger]:
    """Return the loggers: none but on the first process."""
    if made.world.rank:
        return []
    loggers: list[Logger] = [History(run, done["batches"])]
    files = {"translator": run / FILE_NAME, "checkpoint": run / "checkpoints" / LAST}
    loggers += wandb_logger(made.options.wandb, run, made.config, console, files)
    if made.options.tensorboard:
        loggers.append(tensorboard_logger(run))
    return loggers


def _trainer(made: _Made, run: Path, callbacks: list[Callback], loggers: list[Logger]) -> Trainer:
    device, precision, world = made.device, made.precision, made.world
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=world.devices,
        num_nodes=world.nodes,
        strategy="ddp" if world.size > 1 else "auto",
        precision=_PRECISION[precision],
        benchmark=device.type == "cuda",  # crops are of one size
        max_epochs=-1,
        limit_val_batches=0,
        logger=loggers,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO(), *_cluster(world)],
        log_every_n_steps=made.options.log_every_batches,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=str(run),
    )


def _cluster(world: World) -> list[SLURMEnvironment]:
    """Keep Lightning from saving and requeueing a SLURM job beside our own saving on SIGTERM."""
    return [SLURMEnvironment(auto_requeue=False)] if world.launcher == "slurm" else []


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
            network.start_from(file.generator(chosen, settled=False))
        except RuntimeError as error:
            raise ConfigError(
                f"--init-from {path}: its generator for {chosen} has other layers than this config's; "
                f"train with the options that `img2img info {path}` shows"
            ) from error


def _open_run(run: Path, config: Mapping[str, Any], *, override: bool, module: TranslationModule) -> None:
    """Make or check the run folder, and sweep out what a killed process left half written."""
    saved = run / "config.yaml"
    try:
        if run.exists() and not run.is_dir():
            raise RunError(f"--out {run}: expected a folder, got a file")
        if run.exists() and not saved.exists() and any(run.iterdir()):
            raise RunError(f"--out {run}: a folder with other files in it; choose a new or empty one")
        if saved.exists() and any((run / "checkpoints").glob("*.ckpt")) and not override:
            _refuse_difference(run, yaml.safe_load(saved.read_text(encoding="utf-8")), dict(config))
        run.mkdir(parents=True, exist_ok=True)
        sweep(run)
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


_MAY_CHANGE = {
    "epochs",
    "images",
    "minutes",
    "device",
    "devices",
    "nodes",
    "precision",
    "channels_last",
    "compile",
    "max_time",
    "guard",
    "evaluate",
    "save_minutes",
    "keep_every_images",
    "keep",
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
