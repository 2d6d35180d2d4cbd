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
from img2img.errors import ConfigError

T = TypeVar("T")


class Phased(Dataset[T]):
    """A dataset whose late samples are no longer enlarged before the crop.

    CUT does so while its learning rate falls: an image is then as large as it will be translated. Which samples
    are late is a function of their position, so a training that goes on goes on the same.

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


def late_from(share: float, trainer: Trainer | None, images_per_epoch: int) -> float:
    """Return the images of a training after which samples are late.

    Args:
        share: of the training that comes before.
        trainer: whose method knows its length, or which itself has one; without one nothing is late.
        images_per_epoch: that an epoch shows.

    Raises:
        ConfigError: for a length in minutes: how many images that will be is not known while they are loaded.
    """
    if share >= 1 or trainer is None:
        return math.inf
    length = getattr(trainer.lightning_module, "length", None)
    if length is None:
        epochs = trainer.max_steps / trainer.num_training_batches if trainer.max_steps > 0 else trainer.max_epochs
        return share * images_per_epoch * (epochs or math.inf)
    if length.images is None:
        raise ConfigError(
            f"--data.zoom_until {share:g} needs a length in images or epochs, not in minutes: "
            "give --images or --epochs, or set it to 1"
        )
    return float(share * length.images)
