"""Small networks that turn a generator's features at some positions into vectors that can be compared."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class ContrastHeads(nn.ModuleDict):
    """Linear, ReLU, Linear for each stage, as CUT has them (Park et al. 2020, section 3.2; 560,384 parameters).

    Published code builds them at the first batch; here they are there from the start, so that optimizers, checkpoints
    and seeds know them.

    Args:
        channels: by stage.
        width: of the vectors.
    """

    def __init__(self, channels: Mapping[str, int], width: int = 256) -> None:
        super().__init__(
            {
                stage: nn.Sequential(nn.Linear(count, width), nn.ReLU(inplace=True), nn.Linear(width, width))
                for stage, count in channels.items()
            }
        )

    def forward(self, features: Mapping[str, Tensor], positions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return vectors [B, N, width] by stage, of features [B, C, H, W] at positions (see :func:`at`)."""
        return {stage: head(at(features[stage], positions[stage])) for stage, head in self.items()}


class ConsistencyHeads(nn.ModuleDict):
    """Linear, norm, ReLU, Linear, norm for each stage, as EnCo has them (Cai et al. 2024, arXiv 2211.10867).

    The norm is over all vectors of the batch (of a part of it, where it is computed in parts or by several processes);
    without it such a loss makes all vectors one (Chen and He 2021, Exploring Simple Siamese Representation Learning,
    table 3).

    Args:
        channels: by stage.
        width: of the vectors.
    """

    def __init__(self, channels: Mapping[str, int], width: int = 256) -> None:
        super().__init__(
            {
                stage: nn.Sequential(
                    nn.Linear(count, width, bias=False),
                    _norm(width),
                    nn.ReLU(inplace=True),
                    nn.Linear(width, width, bias=False),
                    _norm(width, weights=False),
                )
                for stage, count in channels.items()
            }
        )

    def forward(self, features: Mapping[str, Tensor], positions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return vectors [B, N, width] by stage, of features [B, C, H, W] at positions (see :func:`at`)."""
        return {stage: _each(head, at(features[stage], positions[stage])) for stage, head in self.items()}


class Predictors(nn.ModuleDict):
    """Linear, norm, ReLU, Linear for each stage, half as wide inside: what stands on the side that has a gradient.

    Args:
        stages: their names.
        width: of the vectors.
    """

    def __init__(self, stages: Mapping[str, int], width: int = 256) -> None:
        half = width // 2
        super().__init__(
            {
                stage: nn.Sequential(
                    nn.Linear(width, half, bias=False), _norm(half), nn.ReLU(inplace=True), nn.Linear(half, width)
                )
                for stage in stages
            }
        )

    def forward(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map vectors [B, N, width] by stage to as many."""
        return {stage: _each(head, vectors[stage]) for stage, head in self.items()}


def at(features: Tensor, positions: Tensor) -> Tensor:
    """Return the vectors [B, N, C] of features [B, C, H, W] at positions.

    Args:
        features: of any layout in memory.
        positions: int64 [B, N] or [1, N], numbers from 0 to H W - 1 in the order of reading.
    """
    width = features.shape[-1]
    image = torch.arange(len(features), device=features.device)[:, None]
    rows = torch.div(positions, width, rounding_mode="floor")
    return features[image, :, rows, positions % width]


def _norm(width: int, *, weights: bool = True) -> nn.Module:
    return nn.BatchNorm1d(width, affine=weights, track_running_stats=False)  # never used outside training


def _each(head: nn.Module, vectors: Tensor) -> Tensor:
    mapped: Tensor = head(vectors.flatten(0, 1))
    return mapped.view(*vectors.shape[:2], -1)
