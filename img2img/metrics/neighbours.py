"""Density and coverage: are translations where real images are, and is every real image reached?

@inproceedings{naeem2020reliable, title={Reliable Fidelity and Diversity Metrics for Generative Models},
  author={Naeem, Muhammad Ferjad and Oh, Seong Joon and Uh, Youngjung and Choi, Yunjey and Yoo, Jaejun},
  booktitle={ICML}, year={2020}}, arXiv 2002.09797
"""

from __future__ import annotations

import torch
from torch import Tensor


def density_and_coverage(fake: Tensor, real: Tensor, neighbours: int = 5) -> tuple[Tensor, Tensor]:
    """Return density and coverage.

    The ball of a real image reaches to its k-th nearest other real image. Density is the mean number of balls that a
    fake lies in, over k (Naeem et al. 2020, equation 5); coverage is the share of balls that hold a fake (equation 6).

    Args:
        fake: [m, d] features.
        real: [n, d] features, n > k.
        neighbours: k.

    Returns:
        Two float64 scalars: density, 0 or more, may exceed 1; coverage in [0, 1].

    Raises:
        ValueError: for too few real images.
    """
    if len(real) <= neighbours or not len(fake):
        raise ValueError(f"expected more than {neighbours} real features and some fake, got {len(real)}, {len(fake)}")
    fake, real = fake.double(), real.double()
    radii = torch.cdist(real, real).kthvalue(neighbours + 1, dim=1).values
    inside = torch.cdist(fake, real) < radii
    return inside.double().sum(1).mean() / neighbours, inside.any(0).double().mean()
