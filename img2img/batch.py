"""What leaves ``data/``: tensors and sample names, nothing else."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """A batch of source (a) and target (b) images; for unpaired data b is independent of a.

    Attributes:
        a: float32 [B, Ca, H, W] in [-1, 1], images of the source domain.
        b: float32 [B, Cb, H, W] in [-1, 1], images of the target domain.
        names_a: B names, relative to the data folder.
        names_b: B names.
        notes: what happened to samples on the way (an unreadable file passed over, a small one padded), as
            ``"kind: name: reason"``; read by the training's warnings.
    """

    a: Tensor
    b: Tensor
    names_a: list[str]
    names_b: list[str]
    notes: list[str]
