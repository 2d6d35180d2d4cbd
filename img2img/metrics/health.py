"""What images say about the health of a training: tensors in, scalars out. No file, no clock, no global randomness."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from img2img.image import round_to_8_bits
from img2img.metrics.luma import gradient, luma

THUMBNAIL_PX = 32
"""Side at which images are compared as wholes."""

_LEVEL = 2 / 255
"""One step of an 8-bit file in [-1, 1] units."""


def thumbnails(images: Tensor) -> Tensor:
    """Return the images averaged down to [N, C, 32, 32]."""
    return F.adaptive_avg_pool2d(images.float(), THUMBNAIL_PX)


def diversity(images: Tensor) -> Tensor:
    """Return the mean L1 between the thumbnails of two different images, in [0, 2]; 0 if all are one image.

    Args:
        images: float [N, C, H, W] in [-1, 1] with N of 2 or more.
    """
    flat = thumbnails(images).flatten(1)
    count = len(flat)
    distances: Tensor = torch.cdist(flat, flat, p=1.0)
    return distances.sum() / (flat.shape[1] * count * (count - 1))


def edges(images: Tensor) -> Tensor:
    """Return the strength of Sobel edges of the luma, averaged down to [N, 1, 32, 32]."""
    return F.adaptive_avg_pool2d(gradient(images), THUMBNAIL_PX)


class Look(NamedTuple):
    """What is compared of images, in little: [N, 1, 32, 32] each."""

    edges: Tensor
    luma: Tensor

    @classmethod
    def of(cls, images: Tensor) -> Look:
        """Look at float [N, C, H, W] in [-1, 1]."""
        return cls(edges(images), thumbnails(luma(images)))


def retrieval(outputs: Tensor, sources: Tensor) -> Tensor:
    """Return the share of outputs that are more like their own source than like any other, in [0, 1].

    Likeness is the correlation of edge maps, or of luma whatever its sign, over images from which the mean image has
    been taken (what all share says nothing); the better of the two shares counts. Chance is 1/N.

    Args:
        outputs: float [N, C, H, W] in [-1, 1].
        sources: float [N, C', H', W'] in [-1, 1], in the same order.
    """
    return retrieved(Look.of(outputs), Look.of(sources))


def retrieved(outputs: Look, sources: Look) -> Tensor:
    """Return the :func:`retrieval` of images that were looked at before."""
    own = torch.arange(len(outputs.luma), device=outputs.luma.device)
    by_edges = _likeness(outputs.edges, sources.edges)
    by_luma = _likeness(outputs.luma, sources.luma).abs()
    shares = [(likeness.argmax(1) == own).float().mean() for likeness in (by_edges, by_luma)]
    return torch.maximum(*shares)


def _likeness(outputs: Tensor, sources: Tensor) -> Tensor:
    def normalised(maps: Tensor) -> Tensor:
        flat = maps.flatten(1) - maps.flatten(1).mean(0)
        return flat / _length(flat)[:, None]

    return normalised(outputs) @ normalised(sources).T


def _length(vectors: Tensor) -> Tensor:
    return vectors.square().sum(1).sqrt().clamp_min(_LEVEL)


def luma_correlation(outputs: Tensor, sources: Tensor) -> Tensor:
    """Return the mean correlation in [-1, 1] of an output's luma with its source's; 0 for images of one colour."""
    flat = [thumbnails(luma(images)).flatten(1) for images in (outputs, sources)]
    a, b = (one - one.mean(1, keepdim=True) for one in flat)
    return ((a * b).sum(1) / (_length(a) * _length(b))).mean()


def distance(outputs: Tensor, sources: Tensor) -> Tensor:
    """Return the mean absolute difference in [0, 1] units (of the luma where channel counts differ)."""
    if outputs.shape[1] != sources.shape[1]:
        outputs, sources = luma(outputs), luma(sources)
    return (outputs.float() - sources.float()).abs().mean() / 2


def saturation(images: Tensor) -> Tensor:
    """Return the share of values beyond 0.995 of the range, in [0, 1]."""
    return (images.float().abs() > 0.995).float().mean()  # noqa: PLR2004 (half a level of 255)


def disturbed(fakes: Tensor, noise: Tensor) -> Tensor:
    """Return translations as a file and a little noise of 3/255 would leave them.

    A signal hidden in the last bits (Chu et al. 2017, arXiv 1712.02950) does not survive it; a picture does.

    Args:
        fakes: float [N, C, H, W] in [-1, 1].
        noise: standard normal, of the same shape.
    """
    return (round_to_8_bits(fakes) + 3 * _LEVEL * noise).clamp(-1, 1)


def hidden_signal(clean: Tensor, after_noise: Tensor) -> Tensor:
    """Return how many times the cycle's error grows when the fake is :func:`disturbed`; 1 to 1.5 is healthy.

    Args:
        clean: error of the undisturbed cycle in [0, 1] units; less than two 8-bit levels count as two.
        after_noise: error with the disturbed fake.
    """
    return after_noise / clean.clamp_min(_LEVEL)


def memorisation(outputs: Tensor, targets: Tensor, training_targets: Tensor) -> Tensor:
    """Return how far outputs are from the nearest training target, over how far they are from their own.

    Well below 1 means that the generator answers a new input with a picture from the training.

    Args:
        outputs: translations of held-out inputs, float [N, C, H, W] in [-1, 1].
        targets: their targets, [N, C, H, W].
        training_targets: [M, C, H, W].

    Returns:
        The median over outputs, 0 or more.
    """
    mine = thumbnails(outputs).flatten(1)
    own = (mine - thumbnails(targets).flatten(1)).abs().sum(1)
    nearest = torch.cdist(mine, thumbnails(training_targets).flatten(1), p=1.0).min(1).values
    return (nearest / own.clamp_min(_LEVEL)).median()
