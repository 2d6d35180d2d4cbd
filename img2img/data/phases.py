"""Two phases of a training's data: samples that come late are prepared otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from lightning.pytorch import Trainer
from torch.utils.data import Dataset

from img2img.data.sampler import Position
from img2img.data.transforms import Transforms

T = TypeVar("T")


class Phased(Dataset[T]):
    """A dataset whose late samples are no longer enlarged before the crop.

    CUT does so while its learning rate falls: an image is then as large as it will be translated.

    Args:
        build: makes the dataset of a way to prepare images.
        transforms: of the early samples.
    """

    def __init__(self, build: Callable[[Transforms], Dataset[T]], transforms: Transforms) -> None:
        p = transforms.preprocessing
        self.early = build(transforms)
        late = replace(p, load_size=p.size)
        self.late = build(Transforms(late, transforms.derive, transforms.sides, transforms.scale))

    def __len__(self) -> int:
        return len(self.early)  # type: ignore[arg-type]

    def __getitem__(self, position: Position) -> T:
        """Return the sample of a position."""
        return (self.late if position.late else self.early)[position]


def late_from(share: float, trainer: Trainer | None, images_per_epoch: int) -> Callable[[int], bool]:
    """Return what tells whether a sample is late, by the images of the training that come before it.

    With a length in images that alone decides, so a training that goes on has the samples that it would have had. With
    a length in minutes it is the time at which the sample is asked for.

    Args:
        share: of the training that is not late.
        trainer: whose method knows the length, or which itself has one; without a trainer nothing is late.
        images_per_epoch: that an epoch shows.
    """
    if share >= 1 or trainer is None:
        return lambda _: False
    method = trainer.lightning_module
    length = getattr(method, "length", None)
    if length is not None:
        return lambda images: length.progress(images, method.seconds) >= share
    epochs = trainer.max_steps / trainer.num_training_batches if trainer.max_steps > 0 else trainer.max_epochs
    return lambda images: images >= share * images_per_epoch * (epochs or math.inf)
