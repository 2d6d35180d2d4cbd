"""What generators score on held-out images, as the 8-bit files that a user saves would be scored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from img2img.batch import Batch
from img2img.image import round_to_8_bits
from img2img.methods.turns import Direction
from img2img.metrics.paired import paired_scores
from img2img.networks.base import Generator


class Scored(NamedTuple):
    """What a batch of held-out images came to.

    Attributes:
        scores: by name.
        fakes: translations by direction, in the 256 values of an 8-bit file.
    """

    scores: dict[str, Tensor]
    fakes: dict[Direction, Tensor]


@torch.no_grad()
def score(generators: Mapping[Direction, Generator], batch: Batch, *, paired: bool) -> Scored:
    """Score generators on a batch of held-out images.

    Args:
        generators: by direction.
        batch: images of both domains.
        paired: whether b[i] belongs to a[i].

    Returns:
        Scores, paired: ``l1`` in [-1, 1] units, ``psnr`` and ``ssim`` of a to b. Unpaired: ``cycle_a`` and
        ``cycle_b``, the L1 after both translations, where both directions exist.
    """
    with evaluating(*generators.values()):
        fakes = {d: round_to_8_bits(g(batch.a if d == "ab" else batch.b)) for d, g in generators.items()}
        if paired:
            return Scored(paired_scores(fakes["ab"], batch.b), fakes)
        if "ba" not in generators:
            return Scored({}, fakes)
        back_a, back_b = generators["ba"](fakes["ab"]), generators["ab"](fakes["ba"])
        cycles = {"cycle_a": (back_a - batch.a).abs().mean(), "cycle_b": (back_b - batch.b).abs().mean()}
        return Scored(cycles, fakes)


@contextlib.contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Set networks to evaluation, and back to what they were."""
    modes = [network.training for network in networks]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for network, mode in zip(networks, modes, strict=True):
            network.train(mode)
