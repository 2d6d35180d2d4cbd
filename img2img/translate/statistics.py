"""Norms that see an image in parts and normalise it as one.

A norm whose statistics are those of the image (instance norm, and batch norm as the originals run it) would give every
tile statistics of its own: colour and contrast then change from tile to tile. Here its statistics are measured first,
over the whole image, windows of it or a reduced one, and given to it.

The statistics of a norm depend on those of all norms before it. Where the image fits at once, one pass records all of
them. Where it does not, each norm is a pass over the tiles that ends at that norm. The other way, to keep the features
of all tiles waiting at a norm, would need as much memory as the whole image, which is what there is not.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from img2img.networks.base import Generator
from img2img.networks.layers.norm import Norm2d
from img2img.translate.draws import placed


class Moments(NamedTuple):
    """Mean and biased variance of each channel, float32 [C]."""

    mean: Tensor
    variance: Tensor


class Window(NamedTuple):
    """What the network sees of an image at once.

    Attributes:
        image: float32 [1, C, H, W], sides that fit the network.
        rows: from and to of the part that counts, in pixels of it; every pixel of the image counts in one window.
        columns: likewise.
        corner: row and column of its first pixel in the image.
    """

    image: Tensor
    rows: tuple[int, int]
    columns: tuple[int, int]
    corner: tuple[int, int]


class Pool:
    """Mean and variance of values that come in parts (Chan, Golub, LeVeque 1979), in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.variance = torch.zeros((), dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Add [B, C, H, W]."""
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        mean = wide.mean((0, 2, 3), keepdim=True)  # torch.var_mean takes three times as long where channels come last
        variance = (wide - mean).square_().mean((0, 2, 3)).cpu().double()
        self._join(features.numel() // features.shape[1], mean.flatten().cpu().double(), variance)

    def join(self, other: Pool) -> None:
        """Add all that another one has."""
        self._join(other.count, other.mean, other.variance)

    def _join(self, count: int, mean: Tensor, variance: Tensor) -> None:
        assert count > 0
        total = self.count + count
        apart = mean - self.mean
        self.variance = (self.count * self.variance + count * variance) / total
        self.variance = self.variance + apart.square() * (self.count * count / total**2)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    def moments(self, device: torch.device) -> Moments:
        """Return what has been added."""
        return Moments(self.mean.float().to(device), self.variance.float().to(device))


def has_shared_statistics(network: nn.Module) -> bool:
    """Tell whether a network normalises by statistics of the image.

    >>> has_shared_statistics(Norm2d(8, "instance")), has_shared_statistics(Norm2d(8, "batch-running"))
    (True, False)
    """
    return bool(_norms(network))


def translate_with(network: Generator, image: Tensor, moments: Sequence[Moments] | None) -> Tensor:
    """Translate with these statistics in the order in which norms are called; None: each norm takes its own.

    Args:
        network: its norms are lent for the call: not to be used by two threads at once.
        image: float32 [1, C, H, W], sides that fit the network.
        moments: one for each call of a norm.
    """
    if moments is None:
        return network.translate(image)
    following = iter(moments)
    with _answering(network, lambda _: next(following)):
        return network.translate(image)


def measure_at_once(network: Generator, image: Tensor) -> list[Moments]:
    """Return the statistics of all norms in one pass over an image whose sides fit the network.

    Of a batch they are those of all its images together: each norm normalises all of them by what they have in common
    before the next one measures, as batch norm does in training.
    """
    return measure_pooled(network, [image])


def measure_pooled(network: Generator, groups: Iterable[Tensor]) -> list[Moments]:
    """Return the statistics of all norms, pooled over groups that each normalise by their own in one pass.

    With windows from all over an image in every group, a group's own statistics are near those of the image, and
    what is pooled is nearer: docs/tiles.md says how near.

    Args:
        network: whose norms are measured.
        groups: float32 [B, C, H, W] each, sides that fit the network.
    """
    pools: list[Pool] = []
    device = device_of(network)
    for group in groups:
        own: list[Pool] = []

        def answer(features: Tensor, own: list[Pool] = own) -> Moments:
            own.append(Pool())
            own[-1].add(features)
            return own[-1].moments(features.device)

        with _answering(network, answer):
            network.translate(group)
        pools = pools or [Pool() for _ in own]
        for pool, found in zip(pools, own, strict=True):
            pool.join(found)
    return [pool.moments(device) for pool in pools]


def measure_next(network: Generator, windows: Iterable[Window], moments: list[Moments]) -> bool:
    """Measure the norm that is called after those whose statistics are known: one pass over the windows.

    Args:
        network: whose norms are measured.
        windows: of the whole image.
        moments: the known ones; the next is appended.

    Returns:
        Whether there was a next norm.
    """
    pool = Pool()
    device = None
    for window in windows:
        with placed(network, *window.corner, window.image.shape[2]):
            features = _arriving(network, window.image, moments)
        if features is None:
            return False
        (height, width), sides = features.shape[-2:], window.image.shape[-2:]
        top, bottom = (edge * height // sides[0] for edge in window.rows)
        left, right = (edge * width // sides[1] for edge in window.columns)
        pool.add(features[..., top:bottom, left:right])
        device = features.device
    assert device is not None
    moments.append(pool.moments(device))
    return True


@contextlib.contextmanager
def fixed(network: Generator, moments: Sequence[Moments]) -> Iterator[None]:
    """Let a network's norms take these statistics whatever they are shown, in any number of passes.

    Args:
        network: its norms are lent for as long; each is called once in a pass.
        moments: one for each norm, in the order in which they are called.
    """
    called: list[Norm2d] = []
    norms = _norms(network)
    with contextlib.ExitStack() as hooks:
        for norm in norms:
            hooks.callback(norm.register_forward_pre_hook(lambda each, _: called.append(each)).remove)
        smallest = network.fit(1)
        network.translate(torch.zeros(1, network.in_channels, smallest, smallest, device=device_of(network)))
    assert len(set(called)) == len(called)
    try:
        for norm, its_own in zip(called, moments, strict=True):
            norm.given = functools.partial(_always, its_own)
        yield
    finally:
        for norm in norms:
            norm.given = None


def _always(moments: Moments, _: Tensor) -> Moments:
    return moments


def reach_px(network: Generator, limit_px: int) -> int | None:
    """Return how far from a pixel the translation still depends on it, statistics apart; None if beyond the limit.

    Measured, not added up: pixels that are not a number make everything that depends on them not a number. One side is
    enough, so the image is as narrow as the network takes it.

    Args:
        network: float32, not training.
        limit_px: how far to look.
    """
    multiple = network.size_multiple
    middle = -(-limit_px // multiple) * multiple
    image = torch.zeros(1, network.in_channels, network.fit(2 * middle + multiple), network.fit(1))
    image[..., middle : middle + multiple, :] = torch.nan  # all positions on the grid of strided layers

    def answer(features: Tensor) -> Moments:
        zeros = torch.zeros(features.shape[1], device=features.device)
        return Moments(zeros, zeros + 1)

    with _answering(network, answer):
        touched = network.translate(image.to(device_of(network))).isnan().any(dim=3).any(dim=1)[0].nonzero()[:, 0]
    reach = max(middle - int(touched[0]), int(touched[-1]) - (middle + multiple - 1))
    return reach if reach < middle and reach <= limit_px else None


def device_of(network: nn.Module) -> torch.device:
    """Return the device of a network's weights."""
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


class _ArrivedError(Exception):
    """Ends a pass at the norm that is being measured."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


def _arriving(network: Generator, image: Tensor, moments: Sequence[Moments]) -> Tensor | None:
    """Return the features that arrive at the first norm whose statistics are not known, or None."""
    following = iter(moments)

    def answer(features: Tensor) -> Moments:
        known = next(following, None)
        if known is None:
            raise _ArrivedError(features)
        return known

    with _answering(network, answer):
        try:
            network.translate(image)
        except _ArrivedError as arrived:
            return arrived.features
    return None


@contextlib.contextmanager
def _answering(network: nn.Module, answer: Callable[[Tensor], Moments]) -> Iterator[None]:
    before = [(norm, norm.given) for norm in _norms(network)]
    for norm, _ in before:
        norm.given = answer
    try:
        yield
    finally:
        for norm, given in before:
            norm.given = given


def _norms(network: nn.Module) -> list[Norm2d]:
    return [layer for layer in network.modules() if isinstance(layer, Norm2d) and layer.running_mean is None]
