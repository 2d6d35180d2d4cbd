"""What the spectrum of images says: the trace of strided up-sampling, and how much there is of each fineness."""

from __future__ import annotations

import torch
from torch import Tensor

from img2img.metrics.luma import luma

_LEVEL = 2 / 255
"""One step of an 8-bit file in [-1, 1] units."""

_VISIBLE = 4 * _LEVEL

_LARGEST_PX = 256
"""Largest side, from the middle of the image, whose spectrum is taken."""

SMALLEST_PX = 32
"""Smallest side that :func:`grid_peaks` takes."""

NUM_BANDS = 16

BANDS_PX = 64
"""Smallest side that :func:`bands` takes: a band is then two frequencies wide."""


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
    if min(images.shape[-2:]) < SMALLEST_PX:
        return None
    power = _power(images).mean(0)
    floor, side = _VISIBLE**2, len(power)
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


def bands(images: Tensor) -> Tensor:
    """Return the power of the luma in 16 bands from coarse to fine, in dB over that of a noise of deviation 1.

    Of the Hann-windowed middle, averaged over all directions, bands of equal width from 0 to 1/2 cycle a pixel (Durall
    et al. 2020, arXiv 2003.01826, section 3.1, with fewer and wider bands). Power below that of rounding to 8 bits,
    1/12 of a squared level, counts as that.

    Args:
        images: float [N, C, H, W] in [-1, 1], sides of 64 px or more.

    Returns:
        [N, 16].
    """
    power = _power(images)
    side = power.shape[-1]
    away = _around(torch.arange(side, device=images.device), side) / side
    radius = (away[:, None].square() + away.square()).sqrt()
    band = (radius * 2 * NUM_BANDS).long().flatten()
    inside = band < NUM_BANDS  # the corners hold what lies only along diagonals
    sums = power.new_zeros(len(power), NUM_BANDS).index_add(1, band[inside], power.flatten(1)[:, inside])
    means = sums / band[inside].bincount(minlength=NUM_BANDS)
    return 10 * (means + _LEVEL**2 / 12).log10()


def _power(images: Tensor) -> Tensor:
    """Return [N, S, S]: 1 at every frequency is white noise of deviation 1; S is a multiple of 4."""
    side = min(*images.shape[-2:], _LARGEST_PX)
    side -= side % 4
    top, left = (images.shape[-2] - side) // 2, (images.shape[-1] - side) // 2
    pixels = luma(images[..., top : top + side, left : left + side])[:, 0]
    pixels = pixels - pixels.mean((1, 2), keepdim=True)
    hann = torch.hann_window(side, device=images.device)
    window = hann[:, None] * hann[None, :]
    power: Tensor = torch.fft.fft2(pixels * window).abs().square() / window.square().sum()
    return power


def _around(offset: Tensor, side: int) -> Tensor:
    wrapped = offset.remainder(side)
    return torch.minimum(wrapped, side - wrapped)
