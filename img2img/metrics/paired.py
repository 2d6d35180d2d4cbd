"""Scores of translations against their targets: values in, one number an image out.

Every function takes float32 [B, C, H, W] in [-1, 1] twice, already rounded to the values that a file holds, and returns
[B]. The ranges that the definitions speak of are passed on, never guessed from the images.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from img2img.metrics.luma import gradient

SSIM_WINDOW_PX = 11
"""Smallest side that SSIM takes."""

MS_SSIM_PX = 176
"""Smallest side that MS-SSIM takes: its window at the smallest of its five scales."""

HIGHEST_PSNR = 100.0
"""What identical images get, in dB: their PSNR would be infinite, and so would be every mean with one of them."""

EDGE = 0.1
"""Step of luma from which an edge counts, in [0, 1]."""

_Y = (65.481 / 255, 128.553 / 255, 24.966 / 255)
"""ITU-R BT.601, luma in 16 to 235 of 255, of RGB in [0, 1]; the 16 falls out of every difference."""


def l1(fake: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference in [0, 1] units: 1 is black against white."""
    return (fake - target).abs().mean((1, 2, 3)) / 2


def psnr(fake: Tensor, target: Tensor) -> Tensor:
    """Return 10 log10(range^2 / mean squared error) in dB over all channels together, at most 100."""
    found = peak_signal_noise_ratio(fake, target, data_range=2.0, dim=(1, 2, 3), reduction="none")
    return found.clamp_max(HIGHEST_PSNR)


def psnr_y(fake: Tensor, target: Tensor, border_px: int) -> Tensor:
    """Return the PSNR of the Y of YCbCr (ITU-R BT.601, 16 to 235) over the range 255, as super-resolution is scored.

    Args:
        fake: [B, 3, H, W] in [-1, 1].
        target: likewise.
        border_px: pixels left out at each side, less than half of the shorter one.
    """
    inside = slice(border_px, -border_px or None)
    y = fake.new_tensor(_Y).view(1, 3, 1, 1)
    a, b = ((images[..., inside, inside] * y).sum(1, keepdim=True) for images in (fake, target))
    return psnr(a, b)


def ssim(fake: Tensor, target: Tensor) -> Tensor:
    """Return the structural similarity (Wang et al. 2004, "Image quality assessment", equation 13), at most 1.

    Gaussian window of 11 px and deviation 1.5, k 0.01 and 0.03, on each channel of values in [0, 1] (around 0, as
    images are inside this package, its comparison of brightness would mean nothing), the map taken over the whole
    image with mirrored borders and averaged. Sides of 11 px or more.
    """
    found = structural_similarity_index_measure(_unit(fake), _unit(target), data_range=1.0, reduction="none")
    assert isinstance(found, Tensor)
    return found


def ms_ssim(fake: Tensor, target: Tensor) -> Tensor:
    """Return the similarity at five scales (Wang et al. 2003, "Multi-scale structural similarity", equation 7).

    Windows as for :func:`ssim`, exponents 0.0448, 0.2856, 0.3001, 0.2363 and 0.1333; what is negative counts as 0.
    Sides of 176 px or more.
    """
    return multiscale_structural_similarity_index_measure(
        _unit(fake), _unit(target), data_range=1.0, reduction="none", normalize="relu"
    )


def edge_f1(fake: Tensor, target: Tensor) -> Tensor:
    """Return how well edges agree, 1 for edges in the same places or none in both.

    An edge is a pixel whose Sobel gradient of luma is that of a step of more than 0.1; it is found again where the
    other image has one at most 1 px away (of its 8 neighbours). F1 is 2 P R / (P + R) of the share P of the fake's
    edges that the target has, and R of the target's that the fake has.
    """
    a, b = ((gradient(images) / 8 > EDGE).float() for images in (fake, target))  # Sobel: 4 times, [-1, 1]: twice
    near_a, near_b = (F.max_pool2d(edges, 3, 1, 1) for edges in (a, b))
    num_a, num_b = a.sum((1, 2, 3)), b.sum((1, 2, 3))
    precision = (a * near_b).sum((1, 2, 3)) / num_a.clamp_min(1)
    recall = (b * near_a).sum((1, 2, 3)) / num_b.clamp_min(1)
    both = 2 * precision * recall / (precision + recall).clamp_min(1e-12)
    return both.where(num_a + num_b > 0, both.new_ones(()))


def _unit(images: Tensor) -> Tensor:
    return (images.float() + 1) / 2


def paired_scores(fake: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Score translations of a batch against their targets.

    Args:
        fake: float32 [B, C, H, W] in [-1, 1], already rounded to the values a file holds.
        target: float32 [B, C, H, W] in [-1, 1].

    Returns:
        ``l1``, the mean absolute error in [-1, 1] units; ``psnr`` in dB; ``ssim`` where the images hold a window. Each
        averaged over the batch.
    """
    scores = {"l1": 2 * l1(fake, target).mean(), "psnr": psnr(fake, target).mean()}
    if min(fake.shape[-2:]) >= SSIM_WINDOW_PX:
        scores["ssim"] = ssim(fake, target).mean()
    return scores
