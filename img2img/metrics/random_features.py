"""R-KID: the kernel distance of KID on features of a fixed random network. No weights to fetch; no KID either.

Its values mean something only beside one another: trends and rankings within one data set, at one image size. They are
not comparable to a published KID, nor across data sets.

@inproceedings{binkowski2018demystifying, title={Demystifying MMD GANs},
  author={Binkowski, Mikolaj and Sutherland, Danica J and Arbel, Michael and Gretton, Arthur}, booktitle={ICLR},
  year={2018}}, arXiv 1801.01401
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from img2img.metrics.sets import comparable

_WIDTHS = (16, 32, 48, 64, 96)
"""Channels of the five layers; mean and standard deviation of each make 512 features."""

_SEED = 1

_WITH_MEAN = 4
"""One filter in so many sees brightness; the others sum to 0 and see edges, which tell blur and noise apart."""


def random_features(images: Tensor) -> Tensor:
    """Return what a fixed random network sees in images at five scales.

    Five 3x3 convolutions with ReLU, the later four with stride 2, weights by He et al. 2015 (equation 10) from a fixed
    seed of their own, three quarters of the filters less their mean; of each layer the mean and the standard deviation
    over the positions. Grey images are seen as the RGB images that look the same.

    Args:
        images: [B, C, H, W] in [-1, 1], C 1 or 3, as 8-bit files would hold them.

    Returns:
        float32 [B, 512].

    Raises:
        ValueError: for another shape.
    """
    if images.ndim != 4 or images.shape[1] not in {1, 3}:  # noqa: PLR2004 (B, C, H, W)
        raise ValueError(f"expected images [B, 1 or 3, H, W], got {list(images.shape)}")
    generator = torch.Generator().manual_seed(_SEED)
    found = []
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        x = images.float().expand(-1, 3, -1, -1)
        for layer, width in enumerate(_WIDTHS):
            fan_in = x.shape[1] * 9
            weight = torch.randn(width, x.shape[1], 3, 3, generator=generator) * math.sqrt(2 / fan_in)
            edges = weight[width // _WITH_MEAN :]
            edges -= edges.mean((2, 3), keepdim=True)
            x = F.relu(F.conv2d(x, weight.to(x.device), stride=2 if layer else 1, padding=1))
            found += [x.mean((2, 3)), x.std((2, 3), correction=0)]
    return torch.cat(found, dim=1)


def kernel_distance(x: Tensor, y: Tensor) -> Tensor:
    """Return the unbiased estimate of the squared maximum mean discrepancy between two sets of features.

    1 / (m (m - 1)) sum_{i != j} k(x_i, x_j) + 1 / (n (n - 1)) sum_{i != j} k(y_i, y_j)
    - 2 / (m n) sum_{i, j} k(x_i, y_j) with k(x, y) = (x . y / d + 1)^3 (Binkowski et al. 2018, equation 4 and section
    4). Being unbiased it may be negative where the sets are alike, and is not clipped.

    Args:
        x: [m, d] features.
        y: [n, d] features.

    Returns:
        float64 scalar.

    Raises:
        ValueError: for fewer than two samples, or features of different lengths.
    """
    x, y = comparable(x, y)
    return (
        _off_diagonal_mean(polynomial_kernel(x, x))
        + _off_diagonal_mean(polynomial_kernel(y, y))
        - 2 * polynomial_kernel(x, y).mean()
    )


def polynomial_kernel(x: Tensor, y: Tensor) -> Tensor:
    """Return k(x_i, y_j) = (x_i . y_j / d + 1)^3 of all rows of two sets (Binkowski et al. 2018, section 4)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def _off_diagonal_mean(kernel: Tensor) -> Tensor:
    samples = len(kernel)
    return (kernel.sum() - kernel.trace()) / (samples * (samples - 1))
