"""Parameters that are held still for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def held_still(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Record what is made within as if these had nothing to learn; afterwards they have again, whatever happens inside.

    Args:
        parameters: that require gradients.
    """
    still = list(parameters)
    for parameter in still:
        parameter.requires_grad_(False)  # noqa: FBT003
    try:
        yield
    finally:
        for parameter in still:
            parameter.requires_grad_(True)  # noqa: FBT003
