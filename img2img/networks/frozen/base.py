"""What every frozen network is: features of pictures, from weights that somebody else has trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from img2img.configured import Configured

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's photos in [0, 1] RGB, by which torchvision's networks want their inputs normalised."""


class FeatureNetwork(Configured, nn.Module, ABC):
    """Describes pictures by features of several depths, and never learns.

    Building it opens no file: :func:`img2img.methods.frozen.load_frozen` finds and checks the weights when a training
    begins, so that a config may name them on a machine that has none. They are no part of checkpoint and translator;
    the config holds their path and hash.

    Attributes:
        weights: the file; None looks where :attr:`file_name` usually is.
        sha256: beginning of the file's hash, in hexadecimal; empty does not check.
        shares: what each feature counts for in a perceptual loss.
        channels: of each feature.
        file_name: of the published weights.
        package: Python package that brings the file, and its folder there; empty for none.
        advice: what to do where there is none, for people.
    """

    weights: str | None
    sha256: str
    shares: tuple[float, ...]
    channels: tuple[int, ...]
    file_name: ClassVar[str]
    package: ClassVar[tuple[str, str]] = ("", "")
    advice: ClassVar[str]

    @abstractmethod
    def features(self, images: Tensor) -> list[Tensor]:
        """Describe images.

        Args:
            images: float [B, 1 or 3, H, W] in [-1, 1], sides from 32 px.

        Returns:
            Features [B, C, h, w], one for each of :attr:`shares`, the shallowest first.
        """

    @abstractmethod
    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the published weights.

        Raises:
            RuntimeError: if the file holds something else.
        """


def as_photos(images: Tensor, *, normalise: bool) -> Tensor:
    """Bring [B, 1 or 3, H, W] in [-1, 1] to three channels, and to ImageNet's mean and deviation unless told not to."""
    colours = images.expand(-1, 3, -1, -1)
    if not normalise:
        return colours
    mean, deviation = (torch.tensor(v, device=images.device).view(3, 1, 1) for v in (_MEAN, _DEVIATION))
    return ((colours + 1) / 2 - mean) / deviation


def take_in_order(network: nn.Module, tensors: Sequence[Tensor]) -> None:
    """Load tensors in the order of a network's own; those behind its last layer are left out.

    Raises:
        RuntimeError: if there are too few, or their shapes differ.
    """
    names = list(network.state_dict())
    if len(tensors) < len(names):
        raise RuntimeError(f"expected {len(names)} tensors, got {len(tensors)}")
    network.load_state_dict(dict(zip(names, tensors, strict=False)))


FeatureNetworkFactory = Callable[[], FeatureNetwork]
"""Called without arguments; a class or ``functools.partial(Class, option=value)``."""
