"""What generators score on held-out images, as the 8-bit files that a user saves would be scored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from img2img.batch import Batch
from img2img.image import round_to_8_bits
from img2img.methods.turns import Direction
from img2img.metrics.paired import paired_scores
from img2img.networks.base import Generator


@torch.no_grad()
def score(generators: Mapping[Direction, Generator], batch: Batch, *, paired: bool) -> dict[str, Tensor]:
    """Score generators on a batch of held-out images.

    Args:
        generators: by direction.
        batch: images of both domains.
        paired: whether b[i] belongs to a[i].

    Returns:
        Paired: ``l1`` in [-1, 1] units, ``psnr`` and ``ssim`` of a to b. Unpaired: ``cycle_a`` and ``cycle_b``, the L1
        after both translations, where both directions exist.
    """
    with evaluating(*generators.values()):
        if paired:
            return paired_scores(round_to_8_bits(generators["ab"](batch.a)), batch.b)
        if "ba" not in generators:
            return {}
        back_a = generators["ba"](round_to_8_bits(generators["ab"](batch.a)))
        back_b = generators["ab"](round_to_8_bits(generators["ba"](batch.b)))
        return {"cycle_a": (back_a - batch.a).abs().mean(), "cycle_b": (back_b - batch.b).abs().mean()}


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
