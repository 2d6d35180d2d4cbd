"""What a training says before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from rich.console import Console

from img2img.data.module import ImageData
from img2img.data.split import MOST_SEEN
from img2img.methods.base import TranslationModule
from img2img.methods.turns import Player
from img2img.networks.layers.norm import Norm2d
from img2img.training.config import Training
from img2img.training.processes import World


def say(
    console: Console,
    module: TranslationModule,
    data: ImageData,
    options: Training,
    world: World,
    device: torch.device,
    precision: str,
    done: Mapping[str, Any],
) -> None:
    """Say what is about to be trained, on what, for how long.

    Args:
        console: where to.
        module: the method.
        data: its images.
        options: how it is trained.
        world: the processes.
        device: kind of device.
        precision: in words.
        done: clock of the checkpoint that is continued.
    """
    assert data.layout is not None
    assert data.layout.validation is not None
    threads = f" ({torch.get_num_threads()} threads)" if device.type == "cpu" else ""
    parameters = sum(p.numel() for p in module.parameters()) / 1e6
    a, b = data.domains
    arrow = "<->" if len(module.generators()) > 1 else "->"
    train_split, held = data.layout.train, data.layout.validation
    counts = f"{len(train_split.a)} pairs" if data.paired else f"{len(train_split.a)} + {len(train_split.b)} images"
    several = f"{world.size} x " if world.size > 1 else ""
    place = f"{several}{device.type}{threads} in {precision}, {parameters:.1f}M parameters"
    console.print(f"{type(module).__name__} {a} {arrow} {b} on {place}", highlight=False)
    if data.to is None and data.derive is None and len(module.generators()) == 1:
        console.print(f"direction: {a} -> {b}; --to {a} for the other way", highlight=False)
    kind = data.layout.kind
    if data.derive is not None:
        kind = f"photos, from each of which {type(data.derive).__name__} makes its {a}"
    where = f"held out of them by seed {options.seed}" if data.held_out else "from the data folder"
    if data.held_out and max(len(train_split.a) + len(held.a), len(train_split.b) + len(held.b)) > MOST_SEEN:
        where += f" (copies of them told by their bytes alone: more than {MOST_SEEN:,} images)"
    validating = f"{len(held.a)} pairs" if data.paired else f"{len(held.a)} + {len(held.b)} images"
    console.print(
        f"data: {kind}, {counts} to train on; validating on {validating} {where}",
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
        f"length: {total}, batch {data.batch_size}, {length.images_per_epoch:,} images an epoch{begun}", highlight=False
    )
    together = data.batch_size * world.size
    optimization = module.optimization
    if together > 1 or optimization.accumulate > 1:
        rate = (
            f"stays {optimization.learning_rate:g} at any batch (for batch 1 in the papers; with Adam, times the root "
            f"of the batch is a usual choice: {optimization.learning_rate * together**0.5:.2g})"
        )
        if optimization.rate_for_batch is not None:
            follows = optimization.learning_rate * optimization.batch_factor(together)
            rate = f"of {optimization.learning_rate:g} for {optimization.rate_for_batch} images is {follows:.2g} here"
        cut = f", computed in {optimization.accumulate} parts" if optimization.accumulate > 1 else ""
        console.print(
            f"global batch: {world.size} process{'es' * (world.size > 1)} x {data.batch_size} = {together}{cut}; the "
            f"learning rate {rate}",
            highlight=False,
            soft_wrap=True,
        )
    before = len(done.get("ranks", ()))
    if before and before != world.size:
        console.print(
            f"processes: {before} before, {world.size} now: it goes on, but not bit for bit as it would have",
            highlight=False,
            soft_wrap=True,
        )
    if world.size > 1:
        shared = any(isinstance(m, Norm2d) and m.kind == "batch-running" for m in module.modules())
        norms = "batch norm shares its statistics among them" if shared else "norms are per image, as on one"
        backend = "nccl" if device.type == "cuda" else "gloo"
        sent = ", ".join(f"{player.name} {_megabytes(player):.1f} MB" for player in module.players())
        console.print(
            f"processes: started by {world.launcher}, gradients over {backend} (each step: {sent}); {norms}",
            highlight=False,
            soft_wrap=True,
        )


def _megabytes(player: Player) -> float:
    """Return what a player's turn hands to the all-reduce: its gradients, once (a test holds this)."""
    parameters = [parameter for network in player.networks for parameter in network.parameters()]
    return sum(parameter.numel() * parameter.element_size() for parameter in parameters) / 1e6
