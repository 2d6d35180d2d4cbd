"""Dropout that is left on, drawn by place: the same for an image alone, in a batch, and in tiles of any size.

A generator of random numbers would draw in the order of calls: an image's noise would depend on its place in the batch,
on how much memory there is, and overlapping tiles would disagree where they are blended. Here each value is kept or
dropped by a hash of seed, layer, channel, row and column, where rows and columns count from the corner of the whole
image.

The hash is the 32-bit finaliser of MurmurHash3 (Appleby, public domain), once for each of the five numbers.

A latent (:mod:`img2img.networks.latent`) is one for the whole image, and all images: it is drawn once, from the seed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from img2img.networks.latent import LatentGenerator

_STEPS = ((16, 0x85EBCA6B), (13, 0xC2B2AE35))
_SPREAD = 0x9E3779B9
"""2**32 over the golden ratio: neighbouring numbers start far apart."""
_BITS = 24


class PlacedDropout(nn.Module):
    """Dropout that draws by place, in ``eval()`` too.

    Args:
        probability: of a value to be dropped, in [0, 1); the others are divided by 1 less it (Srivastava et al. 2014,
            "Dropout", JMLR 15, section 10, in the form that torch uses).
        seed: of the draw.
        layer: number of this one among those of its network.

    Attributes:
        window: (top, left, height) in pixels of what the network sees of the image; None for all of it.
    """

    def __init__(self, probability: float, seed: int, layer: int) -> None:
        super().__init__()
        self.probability, self.seed, self.layer = probability, seed, layer
        self.window: tuple[int, int, int] | None = None

    def forward(self, features: Tensor) -> Tensor:
        """Drop values of [B, C, H, W], the same ones for each image of the batch."""
        channels, height, width = (_counted(side, features.device) for side in features.shape[1:])
        top, left, seen = self.window or (0, 0, len(height))
        stride = seen // len(height)  # of the features in the image; windows lie on the network's grid
        seed = torch.full((), _signed(self.seed), dtype=torch.int32, device=features.device)
        drawn = _mixed(seed, torch.full_like(seed, self.layer))
        drawn = _mixed(drawn, height[:, None] + top // stride)
        drawn = _mixed(drawn, width + left // stride)
        drawn = _mixed(drawn, channels[:, None, None])
        kept = (drawn & ((1 << _BITS) - 1)) >= round(self.probability * (1 << _BITS))
        return features * (kept.to(features.dtype) / (1 - self.probability))


def draw_by_place(network: nn.Module, seed: int) -> int:
    """Put a :class:`PlacedDropout` in the place of every dropout; return how many there are."""
    count = 0
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout):
                setattr(parent, name, PlacedDropout(child.p, seed, count))
                count += 1
    return count


def choose_style(network: nn.Module, seed: int) -> bool:
    """Let a network translate in the style of a seed from now on; return whether it has styles."""
    if not isinstance(network, LatentGenerator):
        return False
    network.choose(torch.randn(1, network.latent_channels, generator=torch.Generator().manual_seed(seed)))
    return True


@contextlib.contextmanager
def placed(network: nn.Module, top: int, left: int, height: int) -> Iterator[None]:
    """Let a network know for a while which part of the image it sees; not to be used by two threads at once.

    Args:
        network: whose dropouts draw by place, or that has none.
        top: first row of the window, in pixels of the image, a multiple of the network's ``size_multiple``.
        left: first column.
        height: rows of the window.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, PlacedDropout)]
    for layer in layers:
        layer.window = top, left, height
    try:
        yield
    finally:
        for layer in layers:
            layer.window = None


def _counted(side: int, device: torch.device) -> Tensor:
    return torch.arange(side, dtype=torch.int32, device=device)


def _mixed(state: Tensor, number: Tensor) -> Tensor:
    """Mix numbers into states, both int32, which wrap around as unsigned ones would."""
    mixed = state ^ (number * _signed(_SPREAD) + _signed(_SPREAD))
    for shift, factor in _STEPS:
        mixed ^= (mixed >> shift) & ((1 << (32 - shift)) - 1)
        mixed *= _signed(factor)
    return mixed ^ ((mixed >> 16) & 0xFFFF)


def _signed(number: int) -> int:
    """Return the int32 with the lowest 32 bits of a number."""
    return (number + (1 << 31)) % (1 << 32) - (1 << 31)
