"""The one norm layer. Where its statistics come from is stated, so that training and translation agree."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NormName = Literal["instance", "batch", "batch-running", "none"]
"""How a network normalises.

* ``instance``: per image, no weights (CycleGAN's PyTorch port).
* ``batch``: batch norm as the originals run it, one image per statistic in training *and* in translation, kept so at
  any batch or device count. Equal to instance norm with learned weights, bit for bit, hence batchable,
  deterministic and exportable. (Also what the Lua CycleGAN calls instance norm: per image, with weights.)
* ``batch-running``: the textbook batch norm, statistics over the batch in training, running averages afterwards.
* ``none``: no norm.
"""


class Norm2d(nn.Module):
    """Normalises each channel to zero mean and unit variance, then scales and shifts if it has weights.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance (Ioffe and Szegedy 2015, Ulyanov et
    al. 2016). Statistics are computed in float32 whatever the precision of the activations.

    Args:
        channels: number of channels.
        kind: where statistics come from and whether there are weights, see :data:`NormName`.
        eps: added to the variance; 1e-5 as in both papers' ports.
        momentum: weight of the newest batch in the running averages (``batch-running`` only).
    """

    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(
        self,
        channels: int,
        kind: Literal["instance", "batch", "batch-running"],
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.channels, self.kind, self.eps, self.momentum = channels, kind, eps, momentum
        affine = kind != "instance"
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        running = kind == "batch-running"
        self.register_buffer("running_mean", torch.zeros(channels) if running else None)
        self.register_buffer("running_var", torch.ones(channels) if running else None)

    def forward(self, features: Tensor) -> Tensor:
        """Normalise [B, C, H, W]; ``instance`` and ``batch`` need more than one value per channel and image."""
        if self.running_mean is None:
            return F.instance_norm(features, weight=self.weight, bias=self.bias, eps=self.eps)
        return F.batch_norm(
            features,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        """State channels and kind in ``print(network)``."""
        return f"{self.channels}, {self.kind!r}, eps={self.eps}"


def norm2d(channels: int, kind: NormName) -> nn.Module:
    """Return the norm of a layer, or nothing to do for ``none``."""
    return nn.Identity() if kind == "none" else Norm2d(channels, kind)


def needs_bias(kind: NormName) -> bool:
    """Tell whether the convolution before a norm has a bias: yes unless the norm brings its own.

    The originals give convolutions before an unweighted instance norm a bias too, which the norm cancels; it counts
    in the published parameter totals and stands in published checkpoints, so it is kept.
    """
    return kind in {"instance", "none"}
