"""The base of every method: it owns the turns, the optimisation and the clock. The only file with backward and step."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from img2img.batch import Batch
from img2img.configured import Configured, describe
from img2img.errors import ConfigError
from img2img.image import round_to_8_bits
from img2img.methods.average import Average
from img2img.methods.optimization import Optimization
from img2img.metrics.paired import paired_scores
from img2img.networks.base import Generator
from img2img.networks.layers.init import initialise
from img2img.schedule import Length, Schedule

CHECKPOINT_KEY = "img2img"

Direction = Literal["ab", "ba"]
"""``ab`` translates domain a (source) into b (target), ``ba`` the other way."""


class Player(NamedTuple):
    """One side of the game.

    Attributes:
        name: first part of its log keys, such as ``generator``.
        networks: the networks that move in its turn, and only in its turn.
    """

    name: str
    networks: tuple[nn.Module, ...]


class Step(NamedTuple):
    """Where the training is: what lazy penalties, weight schedules and critic turns are written with.

    Attributes:
        batches: batches completed before this one.
        images: images of the source domain seen before this batch, over all ranks.
        progress: share of the training done, in [0, 1].
        generator: random numbers on the CPU, a function of (seed, batch, rank) alone.
        levers: what the guard has raised so far, by name: ``instance_noise`` and ``cycle_noise`` (standard deviation
            in [-1, 1] units), ``augment`` (probability). A part uses the larger of its option and its lever.
    """

    batches: int
    images: int
    progress: float
    generator: torch.Generator
    levers: Mapping[str, float] = MappingProxyType({})


class Turn(NamedTuple):
    """What a player's turn comes to.

    Attributes:
        losses: weighted scalars by log key (``generator/cycle``); their sum is minimised. Empty: the player passes.
        observed: detached tensors for monitors: a discriminator's ``real_logits`` and ``fake_logits``, a generator's
            fakes.
    """

    losses: dict[str, Tensor]
    observed: dict[str, Tensor]


class Skipped(NamedTuple):
    """A batch that moved nothing, because a loss or a gradient was not finite.

    Attributes:
        player: whose turn it was.
        names: the batch's files, of all ranks.
    """

    player: str
    names: list[str]


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

    paired: ClassVar[bool]
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

    def __init__(self, optimization: Optimization, seed: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.optimization = optimization
        self.seed = seed
        self.length: Length | None = None
        self.batches = 0
        self.images = 0
        self.seconds = 0.0
        self.observed, self.gradient_norms, self.skipped = {}, {}, None
        self.rates, self.levers = {}, {}
        self._averages: dict[str, Average] = {}
        self._averages_to_load: dict[str, dict[str, Tensor]] = {}
        self._random_to_load: Tensor | None = None

    # What a method says

    @abstractmethod
    def generators(self) -> dict[Direction, Generator]:
        """Return the trained generators by direction."""

    @abstractmethod
    def players(self) -> tuple[Player, ...]:
        """Return the players in the order of their turns; fixed for the whole training."""

    @abstractmethod
    def generate(self, batch: Batch, step: Step) -> Any:
        """Make the images that several turns use, once, with the generators' graph; a NamedTuple."""

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
                [parameter for network in player.networks for parameter in network.parameters()],
                lr=o.learning_rate,
                betas=(o.beta1, o.beta2),
                fused=True,  # exact, and one kernel instead of thousands on CPU and GPU
            )
            for player in self.players()
        ]

    # Training

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Give every player its turn on one batch."""
        del batch_idx
        optimizers = cast("list[LightningOptimizer]", self.optimizers(use_pl_optimizer=True))
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        schedule = self.schedule()
        step = Step(
            self.batches,
            self.images,
            schedule.length.progress(self.images, self.seconds),
            torch.Generator().manual_seed(_mix(self.seed, self.batches, self.global_rank)),
            self.levers,
        )
        self.observed, self.gradient_norms, self.skipped = {}, {}, None
        factor = schedule.factor(self.images, self.seconds)
        logged: dict[str, Tensor | float] = {"learning_rate": self.optimization.learning_rate * factor}
        if self._random_to_load is not None:  # here, after whatever else drew from it since
            torch.set_rng_state(self._random_to_load)
            self._random_to_load = None
        images = self.generate(batch, step)
        for player, optimizer in zip(self.players(), optimizers, strict=True):
            with self._only(player):
                turn = self.turn(player, batch, images, step)
                if not turn.losses:
                    continue
                total = torch.stack([loss.float() for loss in turn.losses.values()]).sum()
                self._move(optimizer, total, factor)
            self.observed |= {f"{player.name}/{name}": tensor for name, tensor in turn.observed.items()}
            logged |= {key: loss.detach() for key, loss in turn.losses.items()}
        loop = self.trainer.fit_loop.epoch_loop.manual_optimization
        loop._on_before_step()  # noqa: SLF001 (global_step counts this batch, once)
        loop._on_after_step()  # noqa: SLF001
        self._finish(len(batch.a) * self.trainer.world_size)
        self.log_dict({**logged, "images": float(self.images)}, batch_size=len(batch.a))

    def _move(self, optimizer: LightningOptimizer, total: Tensor, factor: float) -> None:
        """Step one optimizer down one total; Lightning is kept from counting it."""
        optimizer._on_before_step = optimizer._on_after_step = _nothing  # noqa: SLF001
        for group in optimizer.param_groups:
            group["lr"] = self.optimization.learning_rate * factor
        optimizer.zero_grad()
        self.manual_backward(total)
        optimizer.step()

    @contextlib.contextmanager
    def _only(self, player: Player) -> Iterator[None]:
        """Let only a player's networks collect gradients, whatever happens inside."""
        moving = {id(parameter) for network in player.networks for parameter in network.parameters()}
        still = [p for p in self.parameters() if p.requires_grad and id(p) not in moving]
        for parameter in still:
            parameter.requires_grad_(False)  # noqa: FBT003
        try:
            yield
        finally:
            for parameter in still:
                parameter.requires_grad_(True)  # noqa: FBT003

    def moves(self, step: Step, every: int) -> bool:
        """Tell whether the generator moves in this batch when it moves once per ``every`` critic turns."""
        return (step.batches + 1) % every == 0

    # Length and averages

    def schedule(self) -> Schedule:
        """Return the learning-rate schedule over the whole length.

        Raises:
            ValueError: if decay and length do not go together.
        """
        o = self.optimization
        return Schedule(self._length(), o.decay, o.decay_from, o.warmup_images)

    def _length(self) -> Length:
        """Return the one length: set by the command, or read from a plain Trainer's limits."""
        if self.length is None:
            self.length = self._length_of_trainer()
        return self.length

    def _length_of_trainer(self) -> Length:
        trainer = self.trainer
        per_epoch = int(trainer.num_training_batches)
        loader = trainer.train_dataloader
        batch_size = int(getattr(loader, "batch_size", None) or 1) * trainer.world_size
        if trainer.max_steps > 0:
            batches = trainer.max_steps
        elif trainer.max_epochs is not None and trainer.max_epochs > 0:
            batches = per_epoch * trainer.max_epochs
        else:
            raise ConfigError("the learning-rate schedule needs an end: give the Trainer max_epochs or max_steps")
        return Length(images=batches * batch_size, seconds=None, images_per_epoch=per_epoch * batch_size)

    def on_train_start(self) -> None:
        """Begin the averages from the weights as they are now, or go on with those of the checkpoint."""
        if self.optimization.average and not self._averages:
            self._averages = {direction: Average(network) for direction, network in self.generators().items()}
            for direction, state in self._averages_to_load.items():
                self._averages[direction].network.load_state_dict(state)
            self._averages_to_load = {}
        self.schedule()
        self._since = time.monotonic()

    def _finish(self, batch_images: int) -> None:
        """Advance clock and averages after a batch, and stop at the end of the length.

        Done within the training step, so that a checkpoint made at the end of the batch holds all of it.
        """
        self.batches += 1
        self.images += batch_images
        for direction, average in self._averages.items():
            average.update(self.generators()[cast("Direction", direction)], self.images, batch_images)
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now
        if self._length().progress(self.images, self.seconds) >= 1:
            self.trainer.should_stop = True

    # Validation

    @torch.no_grad()
    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Score the averaged generators on held-out images, as 8-bit files would be scored.

        Returns:
            Paired: ``l1`` in [-1, 1] units, ``psnr`` and ``ssim`` of a to b. Unpaired: ``cycle_a`` and ``cycle_b``,
            the L1 after both translations, where both directions exist.
        """
        networks = self.best_generators()
        with _evaluating(*networks.values()):
            if self.paired:
                return paired_scores(round_to_8_bits(networks["ab"](batch.a)), batch.b)
            if "ba" not in networks:
                return {}
            back_a = networks["ba"](round_to_8_bits(networks["ab"](batch.a)))
            back_b = networks["ab"](round_to_8_bits(networks["ba"](batch.b)))
            return {"cycle_a": (back_a - batch.a).abs().mean(), "cycle_b": (back_b - batch.b).abs().mean()}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the scores of a validation batch under a plain Trainer."""
        del batch_idx
        scores = {f"validation/{name}": value for name, value in self.score(batch).items()}
        self.log_dict(scores, batch_size=len(batch.a), sync_dist=True)

    # Checkpoints: plain data only, read back with weights_only=True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the configuration, the clock, the averages and the random state."""
        checkpoint[CHECKPOINT_KEY] = {
            "format": 1,
            "configuration": describe(self),
            "batches": self.batches,
            "images": self.images,
            "seconds": self.seconds,
            "averages": {direction: average.network.state_dict() for direction, average in self._averages.items()},
            "random": torch.get_rng_state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take clock, averages and random state back."""
        state = checkpoint[CHECKPOINT_KEY]
        self.batches, self.images, self.seconds = state["batches"], state["images"], state["seconds"]
        self._averages = {}
        self._averages_to_load = state["averages"]
        self._random_to_load = state["random"].cpu()


@contextlib.contextmanager
def _evaluating(*networks: nn.Module) -> Iterator[None]:
    modes = [network.training for network in networks]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for network, mode in zip(networks, modes, strict=True):
            network.train(mode)


def _mix(seed: int, batch: int, rank: int) -> int:
    """Return a 63-bit seed that differs for every (seed, batch, rank)."""
    return (seed * 0x9E3779B97F4A7C15 + batch * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) % (2**63)


def _nothing() -> None:
    """Stand where Lightning would count an optimizer's step."""
