"""The words in which a method tells the base what happens in a batch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

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
        overflow: in fp16, where the loss was scaled too high for the number format: the scaler has lowered the scale
            and nothing is wrong.
    """

    player: str
    names: list[str]
    overflow: bool = False
