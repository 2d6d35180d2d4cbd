"""Two sets of features that can be compared."""

from __future__ import annotations

from torch import Tensor


def comparable(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return both sets in float64.

    Args:
        x: [m, d] features.
        y: [n, d] features.

    Raises:
        ValueError: for fewer than two samples, or features of different lengths.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:  # noqa: PLR2004
        came = f"{list(x.shape)} and {list(y.shape)}"
        raise ValueError(f"expected features [m, d] and [n, d] of 2 samples or more each, got {came}")
    return x.double(), y.double()
