"""The base of every method: it owns the turns, the optimisation and the clock. The only file with backward and step."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from img2img.batch import Batch
from img2img.configured import Configured, describe
from img2img.errors import RunError
from img2img.methods import ranks
from img2img.methods.average import Average
from img2img.methods.frozen import load_backbones
from img2img.methods.lightning import length_of, mend_progress, one_scaler_each, take_over_reduction
from img2img.methods.optimization import Optimization
from img2img.methods.parts import Parts, get_random, set_random
from img2img.methods.pool import ImagePool
from img2img.methods.scoring import Scored, score
from img2img.methods.still import held_still
from img2img.methods.turns import Direction, Player, Skipped, Step, Turn
from img2img.methods.undo import Undo
from img2img.networks.base import Generator
from img2img.networks.layers.init import initialise
from img2img.networks.layers.norm import Norm2d
from img2img.schedule import Length, Schedule

CHECKPOINT_KEY, CHECKPOINT_FORMAT = "img2img", 2


class TranslationModule(Configured, LightningModule, ABC):
    """A method of translation between domain a and domain b, trained by turns.

    A concrete method builds its networks, names its :meth:`players`, makes the images that several turns use in
    :meth:`generate` and returns each player's losses in :meth:`turn`. Everything that optimises is here.

    Counts: Lightning's ``global_step`` counts optimizer steps, so two optimizers would double it; here it counts
    batches (guarded by a test), and :class:`Step` is the only clock that methods read.

    Args:
        optimization: learning rate, schedule, initialisation, averaging.
        seed: decides every random draw of the methods besides weights and dropout, which follow torch's seed.
    """

    paired: bool
    channels_a: int
    channels_b: int
    observed: dict[str, Tensor]
    """What the turns of the last batch observed, by ``player/name``."""
    gradient_norms: dict[str, Tensor]
    """Global norm of each player's gradients in the last batch, before clipping; a scalar on the device."""
    skipped: Skipped | None
    """What was wrong with the last batch if it was skipped."""
    rates: dict[str, float]
    """Factors on the players' learning rates by name; 1 until the guard lowers one."""
    levers: dict[str, float]
    """See :attr:`Step.levers`."""
    sent_bytes: dict[str, int]
    """Bytes of gradients that each player's last turn handed to the all-reduce; 0 on one process."""
    _undo: Undo
    _still: dict[str, list[nn.Parameter]]
    _ends: bool
    wishes: dict[str, bool]
    """Set in on_train_batch_start by any process, known to all at the batch's end: stop, save, no_validation."""

    def __init__(self, optimization: Optimization, seed: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.optimization = optimization
        self.seed = seed
        self.length: Length | None = None
        self.batches, self.images, self.seconds = 0, 0, 0.0
        self.observed, self.gradient_norms, self.skipped = {}, {}, None
        self.rates, self.levers = {}, {}
        self.wishes = {"stop": False, "save": False, "no_validation": False}
        self._averages: dict[str, Average] = {}
        self._averages_to_load: dict[str, dict[str, Tensor]] = {}
        self._random_to_load: dict[str, Tensor] | None = None
        self._pools_to_load: dict[str, Any] = {}
        self._scalers: dict[str, torch.amp.GradScaler] = {}
        self._scalers_to_load: dict[str, dict[str, Any]] = {}
        self.sent_bytes: dict[str, int] = {}

    # What a method says

    @abstractmethod
    def generators(self) -> dict[Direction, Generator]:
        """Return the trained generators by direction."""

    @abstractmethod
    def players(self) -> tuple[Player, ...]:
        """Return the players in the order of their turns; fixed for the whole training."""

    @abstractmethod
    def generate(self, batch: Batch, step: Step) -> Any:
        """Make what several turns use, once, with the generators' graph; a NamedTuple of (named) tensors."""

    @abstractmethod
    def turn(self, player: Player, batch: Batch, images: Any, step: Step) -> Turn:
        """Return a player's losses; called after the earlier players have stepped."""

    # What inference uses

    def forward(self, source: Tensor, direction: Direction = "ab") -> Tensor:
        """Translate [B, C, H, W] in [-1, 1] with the weights and mode that the network has now."""
        return cast("Tensor", self.generators()[direction](source))

    def best_generators(self) -> dict[Direction, Generator]:
        """Return the generators to validate and export: the averages where kept, else the trained ones."""
        return {d: self._averages[d].network if d in self._averages else g for d, g in self.generators().items()}  # type: ignore[misc]

    # Building

    def initialise(self, *networks: nn.Module) -> None:
        """Draw fresh weights as the options say; methods call it once after building."""
        for network in networks:
            initialise(network, self.optimization.init, self.optimization.init_gain)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return one Adam per player."""
        o = self.optimization
        return [
            torch.optim.Adam(
                _parameters(player),
                lr=self.optimization.rate(player.networks),
                betas=(o.beta1, o.beta2),
                fused=True,  # exact, and one kernel instead of thousands on CPU and GPU
            )
            for player in self.players()
        ]

    # Training

    def setup(self, stage: str) -> None:
        """Load what discriminators look through; raises ConfigError where it is not at hand."""
        del stage
        load_backbones(self)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Give every player its turn on one batch: all of them move, or, where something is not finite, none.

        An error leaves everything as it was before the batch, so that a checkpoint made then is a whole one.
        """
        del batch_idx
        if self._random_to_load is not None:  # here, after whatever else drew from it since
            set_random(self._random_to_load, self.device)
            self._random_to_load = None
        schedule = self.schedule()
        step = Step(
            self.batches,
            self.images,
            schedule.length.progress(self.images, self.seconds),
            torch.Generator().manual_seed(ranks.mix(self.seed, self.batches, self.global_rank)),
            self.levers,
        )
        self.observed, self.gradient_norms, self.skipped = {}, {}, None
        batch_images = len(batch.a) * self.trainer.world_size
        factor = schedule.factor(self.images, self.seconds) * self.optimization.batch_factor(batch_images)
        take_over_reduction(self.trainer)
        self._undo.begin(self.device)
        try:
            logged = self._take_turns(batch, step, factor)
        except BaseException:
            self._undo.restore(random=True)
            if (step_back := getattr(self.trainer.train_dataloader, "step_back", None)) is not None:
                step_back()
            raise
        loop = self.trainer.fit_loop.epoch_loop.manual_optimization
        loop._on_before_step()  # noqa: SLF001 (global_step counts this batch, once)
        loop._on_after_step()  # noqa: SLF001
        losses = self._finish(batch_images, logged)
        if self.skipped is None:
            clock = {"images": float(self.images), "batches": float(self.batches)}
            rate = {"learning_rate": self.optimization.learning_rate * factor}
            self.log_dict({**rate, **losses, **clock}, batch_size=len(batch.a))

    def _take_turns(self, batch: Batch, step: Step, factor: float) -> dict[str, Tensor]:
        """Move every player in its turn; return the losses."""
        optimizers = cast("list[LightningOptimizer]", self.optimizers(use_pl_optimizer=True))
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        players = self.players()
        parts = Parts(self.generate, self.optimization.accumulate, batch, step)
        logged: dict[str, Tensor] = {}
        for player, optimizer in zip(players, optimizers, strict=True):
            with self._only(player):
                optimizer.zero_grad()
                losses = self._collect(player, parts)
                if not losses:
                    continue
                self.sent_bytes[player.name] = ranks.average_gradients(_parameters(player))
                norm = self._unscaled_norm(player, optimizer)
                if not bool(torch.isfinite(norm)):
                    self._skip(player, optimizer, batch)
                    return {}
                if player is not players[-1]:
                    self._undo.remember(optimizer.optimizer)
                self._move(player, optimizer, norm, factor)
            logged |= losses
        return logged

    def _collect(self, player: Player, parts: Parts) -> dict[str, Tensor]:
        """Collect a player's gradients over the parts of the batch; return its losses over the whole batch."""
        losses: dict[str, Tensor] = {}
        observed: dict[str, list[Tensor]] = {}
        for part, share, images in parts.of(player):
            turn = self.turn(player, part, images, parts.step)
            if not turn.losses:
                return {}
            total = share * torch.stack(list(turn.losses.values())).sum()
            scaler = self._scalers.get(player.name)
            self.manual_backward(total if scaler is None else scaler.scale(total))
            for key, loss in turn.losses.items():
                losses[key] = losses.get(key, 0) + share * loss.detach()
            for name, tensor in turn.observed.items():
                observed.setdefault(f"{player.name}/{name}", []).append(tensor)
        self.observed |= {key: torch.cat(found) if len(found) > 1 else found[0] for key, found in observed.items()}
        return losses

    def _unscaled_norm(self, player: Player, optimizer: LightningOptimizer) -> Tensor:
        """Return the global norm of a player's gradients, which are unscaled from here on."""
        if player.name in self._scalers:
            self._scalers[player.name].unscale_(optimizer.optimizer)
        gradients = [p.grad for p in _parameters(player) if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self.gradient_norms[player.name] = norm
        return norm

    def _move(self, player: Player, optimizer: LightningOptimizer, norm: Tensor, factor: float) -> None:
        """Step one optimizer; Lightning is kept from counting it."""
        limit = self.optimization.clip_norm
        if limit is not None:
            torch.nn.utils.clip_grads_with_norm_(_parameters(player), limit, norm)
        optimizer._on_before_step = optimizer._on_after_step = _nothing  # noqa: SLF001
        for group in optimizer.param_groups:
            group["lr"] = self.optimization.rate(player.networks) * factor * self.rates.get(player.name, 1.0)
        scaler = self._scalers.get(player.name)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer.optimizer)
            scaler.update()

    def _skip(self, player: Player, optimizer: LightningOptimizer, batch: Batch) -> None:
        """Take the batch back on all optimizers; every process is here, since averaged gradients are the same."""
        self._undo.restore(random=False)
        optimizer.zero_grad()
        scaler = self._scalers.get(player.name)
        overflow = scaler is not None and scaler.get_scale() > 1
        if scaler is not None:
            scaler.update()
        names = dict.fromkeys(name for own in ranks.gather([*batch.names_a, *batch.names_b]) for name in own)
        self.skipped = Skipped(player.name, list(names), overflow)

    @contextlib.contextmanager
    def _only(self, player: Player) -> Iterator[None]:
        """Let only a player's networks collect gradients, whatever happens inside."""
        if player.name not in self._still:
            moving = {id(parameter) for parameter in _parameters(player)}
            self._still[player.name] = [p for p in self.parameters() if p.requires_grad and id(p) not in moving]
        with held_still(self._still[player.name]):
            yield

    def moves(self, step: Step, every: int) -> bool:
        """Tell whether the generator moves in this batch when it moves once per ``every`` critic turns."""
        return (step.batches + 1) % every == 0

    # Length and averages

    def schedule(self) -> Schedule:
        """Return the learning-rate schedule over the whole length; ValueError where decay and length disagree."""
        o, length = self.optimization, self._length()
        warmup = o.warmup(length.images_per_epoch)
        return Schedule(length, o.decay, o.decay_from, warmup, o.decay_to, o.warmup_share)

    def _length(self) -> Length:
        """Return the one length: set by the command, or read from a plain Trainer's limits."""
        if self.length is None:
            self.length = length_of(self.trainer)
        return self.length

    def on_fit_start(self) -> None:
        """Have a loss scaler per player in fp16; raises ConfigError for a strategy that shards the networks."""
        self._scalers = one_scaler_each(self.trainer, [player.name for player in self.players()])
        for name, state in self._scalers_to_load.items():
            if name in self._scalers:
                self._scalers[name].load_state_dict(state)

    def on_train_start(self) -> None:
        """Begin the averages from the weights as they are now, or go on with those of the checkpoint."""
        self._undo, self._still, self._ends = Undo(self), {}, self.length is not None  # a plain Trainer ends by itself
        if self.optimization.average and not self._averages:
            half_life = self.optimization.average_half_life_images
            self._averages = {d: Average(network, half_life) for d, network in self.generators().items()}
            self.restore_averages(self._averages_to_load)
            self._averages_to_load = {}
        for name, pool in self._pools_to_load.items():  # now that the state_dict has brought rank 0's
            self.get_submodule(name).set_extra_state(pool)
        self._pools_to_load = {}
        self.schedule()
        if take_over_reduction(self.trainer):
            if self._random_to_load is None:
                torch.manual_seed(ranks.mix(self.seed, 0, self.global_rank) if self.global_rank else self.seed)
            for layer in self.modules():
                if isinstance(layer, Norm2d) and layer.kind == "batch-running":
                    layer.synchronised = True
        self._since = time.monotonic()

    def _finish(self, batch_images: int, logged: dict[str, Tensor]) -> Mapping[str, Tensor | float]:
        """Advance clock and averages after a batch, agree on what comes next, and stop at the end of the length.

        Done within the training step, so that a checkpoint made at the end of the batch holds all of it. With several
        processes the clock is that of rank 0, the losses are the mean, and a wish of any of them is everyone's.
        """
        self.batches += 1
        self.images += batch_images
        if self.skipped is None:
            for direction, average in self._averages.items():
                average.update(self.generators()[cast("Direction", direction)], self.images, batch_images)
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        self.seconds, self.wishes, losses = ranks.agree(self.seconds, self.wishes, logged, self.device)
        if self.wishes["stop"] or (self._ends and self._length().progress(self.images, self.seconds) >= 1):
            self.trainer.should_stop = True
        return losses

    # Validation

    def score(self, batch: Batch) -> Scored:
        """Score the generators that would be exported on held-out images; see :func:`img2img.methods.scoring.score`."""
        return score(self.best_generators(), batch, paired=self.paired)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the scores of a validation batch under a plain Trainer."""
        del batch_idx
        scores = {f"validation/{name}": value for name, value in self.score(batch).scores.items()}
        self.log_dict(scores, batch_size=len(batch.a), sync_dist=True)

    # Checkpoints: plain data only, read back with weights_only=True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the configuration, the clock, the averages, and each process's random state and pools."""
        mend_progress(checkpoint)
        checkpoint[CHECKPOINT_KEY] = {
            "format": CHECKPOINT_FORMAT,
            "configuration": describe(self),
            "batches": self.batches,
            "images": self.images,
            "seconds": self.seconds,
            "rates": dict(self.rates),
            "levers": dict(self.levers),
            "averages": {direction: average.network.state_dict() for direction, average in self._averages.items()},
            "scalers": {name: scaler.state_dict() for name, scaler in self._scalers.items()},
            "ranks": ranks.gather({"random": get_random(self.device), "pools": self._own_pools()}),
        }

    def _own_pools(self) -> dict[str, Any]:
        """Return the state of this process's image pools; rank 0's are in the state_dict already."""
        parts = self.named_modules() if self.global_rank else ()
        return {name: part.get_extra_state() for name, part in parts if isinstance(part, ImagePool)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take all of it back; a process that the checkpoint does not know begins with what rank 0 had.

        Raises:
            RunError: for the checkpoint of another version.
        """
        state = checkpoint[CHECKPOINT_KEY]
        if state["format"] != CHECKPOINT_FORMAT:
            raise RunError(
                f"checkpoint format {state['format']}: expected {CHECKPOINT_FORMAT}; train anew into another folder"
            )
        self.batches, self.images, self.seconds = state["batches"], state["images"], state["seconds"]
        self.rates, self.levers = dict(state["rates"]), dict(state["levers"])
        self._averages = {}
        self._averages_to_load = state["averages"]
        self._scalers_to_load = state["scalers"]
        for mine in state["ranks"][self.global_rank : self.global_rank + 1]:
            self._random_to_load, self._pools_to_load = mine["random"], mine["pools"]

    def restore_averages(self, averages: Mapping[str, dict[str, Tensor]]) -> None:
        """Set the averages to saved ones, by direction."""
        for direction, state in averages.items():
            self._averages[direction].network.load_state_dict(state)


def _nothing() -> None:
    """Stand where Lightning would count an optimizer's step."""


def _parameters(player: Player) -> list[nn.Parameter]:
    return [parameter for network in player.networks for parameter in network.parameters()]
