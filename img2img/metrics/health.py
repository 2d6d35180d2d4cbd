"""What images say about the health of a training: tensors in, scalars out. No file, no clock, no global randomness."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from img2img.image import round_to_8_bits
from img2img.metrics.luma import gradient, luma

THUMBNAIL_PX = 32
"""Side at which images are compared as wholes."""

_LEVEL = 2 / 255
"""One step of an 8-bit file in [-1, 1] units."""

_VISIBLE = 4 * _LEVEL

_SPECTRUM_PX = 256
"""Largest side, from the middle of the image, whose spectrum is taken."""

_SMALLEST_SPECTRUM_PX = 32


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


def retrieval(outputs: Tensor, sources: Tensor) -> Tensor:
    """Return the share of outputs that are more like their own source than like any other, in [0, 1].

    Likeness is the correlation of edge maps, or of luma whatever its sign, over images from which the mean image has
    been taken (what all share says nothing); the better of the two shares counts. Chance is 1/N.

    Args:
        outputs: float [N, C, H, W] in [-1, 1].
        sources: float [N, C', H', W'] in [-1, 1], in the same order.
    """
    own = torch.arange(len(outputs), device=outputs.device)
    by_edges = _likeness(edges(outputs), edges(sources))
    by_luma = _likeness(thumbnails(luma(outputs)), thumbnails(luma(sources))).abs()
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


def grid_peaks(images: Tensor) -> Tensor | None:
    """Measure how far the spectrum peaks at periods of 2 and 4 px, the trace of strided up-sampling.

    For each of the 15 frequencies with coordinates in {0, 1/4, 1/2, -1/4} but (0, 0): the mean power of the
    Hann-windowed luma within 2 bins of it, over that 3 to 8 bins away. Near 1 for what images show, sharp or soft; a
    regular grid of checks (Odena et al. 2016, "Deconvolution and checkerboard artifacts") is many times that. Power
    below that of a noise of 4 levels of 255 counts as that, so that what cannot be seen has no peaks.

    Args:
        images: float [N, C, H, W] in [-1, 1].

    Returns:
        15 ratios, or None where a side is below 32 px.
    """
    side = min(*images.shape[-2:], _SPECTRUM_PX)
    side -= side % 4
    if side < _SMALLEST_SPECTRUM_PX:
        return None
    top, left = (images.shape[-2] - side) // 2, (images.shape[-1] - side) // 2
    pixels = luma(images[..., top : top + side, left : left + side])[:, 0]
    pixels = pixels - pixels.mean((1, 2), keepdim=True)
    hann = torch.hann_window(side, device=images.device)
    window = hann[:, None] * hann[None, :]
    power = torch.fft.fft2(pixels * window).abs().square().mean(0)
    floor = window.square().sum() * _VISIBLE**2
    at = torch.arange(side, device=images.device)
    peaks = []
    for y in range(4):
        for x in range(4):
            if not x and not y:
                continue
            down, right = (_around(at - k * side // 4, side) for k in (y, x))
            away = torch.maximum(down[:, None], right[None, :])
            core, ring = power[away <= 2].mean(), power[(away > 2) & (away <= 8)].mean()  # noqa: PLR2004 (bins)
            peaks.append((core + floor) / (ring + floor))
    return torch.stack(peaks)


def _around(offset: Tensor, side: int) -> Tensor:
    wrapped = offset.remainder(side)
    return torch.minimum(wrapped, side - wrapped)


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
