"""Where a method meets Lightning's Trainer: length, loss scaling, and who reduces gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch.nn.parallel import DistributedDataParallel

from img2img.errors import ConfigError
from img2img.schedule import Length


def length_of(trainer: Trainer) -> Length:
    """Return the length that a plain Trainer's limits come to.

    Raises:
        ConfigError: for a Trainer without an end.
    """
    per_epoch = int(trainer.num_training_batches)
    batch_size = int(getattr(trainer.train_dataloader, "batch_size", None) or 1) * trainer.world_size
    if trainer.max_steps > 0:
        batches = trainer.max_steps
    elif trainer.max_epochs is not None and trainer.max_epochs > 0:
        batches = per_epoch * trainer.max_epochs
    else:
        raise ConfigError("the learning-rate schedule needs an end: give the Trainer max_epochs or max_steps")
    return Length(images=batches * batch_size, seconds=None, images_per_epoch=per_epoch * batch_size)


def one_scaler_each(trainer: Trainer, players: Sequence[str]) -> dict[str, torch.amp.GradScaler]:
    """Return a loss scaler per player where the precision is fp16, in place of Lightning's one for all.

    One scaler shared by two optimizers is updated at each one's step, and lowered for both by the overflow of one.

    Raises:
        ConfigError: for a strategy that shards the networks.
    """
    strategy, plugin = trainer.strategy, trainer.precision_plugin
    if not isinstance(strategy, SingleDeviceStrategy | DDPStrategy):
        raise ConfigError(f"strategy {type(strategy).__name__}: expected one device, or strategy ddp for several")
    if not isinstance(plugin, MixedPrecision) or plugin.scaler is None:
        return {}
    given, plugin.scaler = plugin.scaler, None
    return {
        player: torch.amp.GradScaler(
            strategy.root_device.type,
            given.get_scale(),
            given.get_growth_factor(),
            given.get_backoff_factor(),
            given.get_growth_interval(),
        )
        for player in players
    }


def take_over_reduction(trainer: Trainer) -> bool:
    """Keep DDP from reducing gradients itself in this batch and tell whether there is a DDP.

    Called before each batch: Lightning switches the reduction on again after each.
    Its hooks reduce every network in every backward pass and refuse a turn that leaves a network out;
    :func:`img2img.methods.ranks.average_gradients` reduces those that move, once a turn.
    """
    model = trainer.strategy.model
    if not isinstance(model, DistributedDataParallel):
        return False
    model.require_backward_grad_sync = False
    return True


def mend_progress(checkpoint: dict[str, Any]) -> None:
    """Make Lightning's count of epochs say what is so in a checkpoint that is made within an epoch.

    A training that goes on from the last batch of an epoch begins the next one without counting it as begun. A second
    checkpoint in that epoch would then be taken for one made between two epochs, and its position be lost.
    """
    loops = checkpoint.get("loops", {}).get("fit_loop", {})
    batches = loops.get("epoch_loop.batch_progress", {}).get("current", {})
    if batches.get("ready", 0) == batches.get("completed", 0):
        return  # made between two batches by somebody else
    for count in loops["epoch_progress"].values():
        count |= {"ready": count["completed"] + 1, "started": count["completed"] + 1, "processed": count["completed"]}
