"""What leaves ``data/``: tensors and sample names, nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from torch import Tensor


class Draw(NamedTuple):
    """What was drawn for an image that is still to be cut, on the device.

    Attributes:
        top: first row of the crop, in pixels.
        left: first column.
        mirrored: left to right.
        light: factors of brightness, contrast and saturation, and turns of hue.
    """

    top: int
    left: int
    mirrored: bool
    light: tuple[float, float, float, float]


class Batch(NamedTuple):
    """A batch of source (a) and target (b) images; for unpaired data b is independent of a.

    The loaders of training send levels as they are in files (uint8); ``on_after_batch_transfer`` of the data module
    makes floats of them on the device, so that a method under a Trainer never sees anything else.

    Attributes:
        a: float32 [B, Ca, H, W] in [-1, 1], images of the source domain.
        b: float32 [B, Cb, H, W] in [-1, 1], images of the target domain.
        names_a: B names, relative to the data folder.
        names_b: B names.
        notes: what happened to samples on the way (an unreadable file passed over, a small one padded), as
            ``"kind: name: reason"``; read by the training's warnings.
        draws: of a's and b's images, where the device is to cut them; None where they are cut.
    """

    a: Tensor
    b: Tensor
    names_a: list[str]
    names_b: list[str]
    notes: list[str]
    draws: tuple[list[Draw], list[Draw]] | None = None

    def parts(self, count: int) -> list[Batch]:
        """Cut the batch into ``count`` parts, equal but for the last ones, one image smaller where it does not divide.

        Raises:
            ValueError: if there are fewer images than parts.
        """
        size = len(self.a)
        if count == 1:
            return [self]
        if size < count:
            raise ValueError(f"accumulate {count} needs a batch of {count} or more images, got {size}")
        a, b = self.a.tensor_split(count), self.b.tensor_split(count)
        ends = [0]
        for part in a:
            ends.append(ends[-1] + len(part))
        cuts = [slice(start, end) for start, end in pairwise(ends)]
        return [Batch(a[i], b[i], self.names_a[c], self.names_b[c], []) for i, c in enumerate(cuts)]
