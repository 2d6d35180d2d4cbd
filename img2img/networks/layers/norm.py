"""The one norm layer. Where its statistics come from is stated, so that training and translation agree."""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

NormName = Literal["instance", "batch", "batch-running", "group", "none"]
"""How a network normalises.

* ``instance``: per image, no weights (CycleGAN's PyTorch port).
* ``batch``: batch norm as the originals run it, one image per statistic in training *and* in translation, kept so at
  any batch or device count. Equal to instance norm with learned weights, bit for bit, hence batchable,
  deterministic and exportable. (Also what the Lua CycleGAN calls instance norm: per image, with weights.)
* ``batch-running``: the textbook batch norm, statistics over the batch in training, running averages afterwards.
* ``group``: per image over groups of 16 channels, or fewer where 16 does not divide them, with learned weights (Wu and
  He 2018, arXiv 1803.08494).
* ``none``: no norm.
"""

_CHANNELS_PER_GROUP = 16
"""The best of Wu and He 2018, table 3, at a fixed number of channels per group."""


class Norm2d(nn.Module):
    """Normalises each channel, or group, to mean 0 and variance 1, then scales and shifts if it has weights.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance (Ioffe and Szegedy 2015, Ulyanov et
    al. 2016). Statistics are computed in float32 whatever the precision of the activations.

    Args:
        channels: number of channels.
        kind: where statistics come from and whether there are weights, see :data:`NormName`.
        eps: added to the variance; 1e-5 as in both papers' ports.
        momentum: weight of the newest batch in the running averages (``batch-running`` only).

    Attributes:
        synchronised: ``batch-running`` only: when several processes train together, take the statistics over the
            batches of all of them, as if they were one batch; False takes each process's own.
        given: for all but ``batch-running``: called with the features, returns mean and biased variance of each
            channel to normalise with, float32 [C] each; None takes those of the features themselves. So tiles of one
            image are normalised by the statistics of the whole (:mod:`img2img.translate.statistics`). Those of a
            group follow from those of its channels.
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    synchronised: bool = False
    given: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None

    def __init__(
        self,
        channels: int,
        kind: Literal["instance", "batch", "batch-running", "group"],
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.channels, self.kind, self.eps, self.momentum = channels, kind, eps, momentum
        self.num_groups = channels // gcd(channels, _CHANNELS_PER_GROUP) if kind == "group" else channels
        affine = kind != "instance"
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        running = kind == "batch-running"
        self.register_buffer("running_mean", torch.zeros(channels) if running else None)
        self.register_buffer("running_var", torch.ones(channels) if running else None)

    def forward(self, features: Tensor) -> Tensor:
        """Normalise [B, C, H, W]; ``instance`` and ``batch`` need more than one value per channel and image."""
        if self.running_mean is None:
            weight, bias = self._weight_and_bias(features)
            if self.given is not None:
                mean, variance = self._of_groups(*self.given(features))
                return F.batch_norm(features, mean, variance, weight, bias, eps=self.eps)
            if self.kind == "group":
                return F.group_norm(features, self.num_groups, weight, bias, self.eps)
            if _is_one_nhwc_image(features):  # instance norm would bring it into another order and leave it there
                return F.batch_norm(features, None, None, weight, bias, training=True, eps=self.eps)
            return F.instance_norm(features, weight=weight, bias=bias, eps=self.eps)
        if self.synchronised and self.training and _several_processes():
            return self._over_all_processes(features)
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

    def _weight_and_bias(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights, or 1 and 0 in float32: with none torch keeps statistics of bfloat16 in bfloat16."""
        if self.weight is not None and self.bias is not None:
            return self.weight, self.bias
        exact = torch.promote_types(features.dtype, torch.float32)
        return features.new_ones(self.channels, dtype=exact), features.new_zeros(self.channels, dtype=exact)

    def _of_groups(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Return for each channel the moments of its group: E[mean] and E[var] + Var[mean] over its channels."""
        if self.kind != "group":
            return mean, variance
        means, variances = (moment.view(self.num_groups, -1) for moment in (mean, variance))
        size = means.shape[1]
        pooled = variances.mean(1) + means.var(1, correction=0)
        return means.mean(1).repeat_interleave(size), pooled.repeat_interleave(size)

    def _over_all_processes(self, features: Tensor) -> Tensor:
        """Normalise by the joint batch: counts, means and variances are pooled as in Chan et al. 1979.

        Every process fills its own row of a table that is then summed over all of them, so one message is enough,
        on every backend, and its gradient is that of the joint batch.
        """
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.weight is not None
        assert self.bias is not None
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, dim=(0, 2, 3), correction=0)
        count = mean.new_full((1,), wide.numel() / self.channels)
        mine = torch.arange(distributed.get_world_size(), device=wide.device) == distributed.get_rank()
        table: Tensor = _SumOverProcesses.apply(torch.outer(mine.to(wide.dtype), torch.cat([count, mean, variance])))
        counts, means, variances = table[:, :1], table[:, 1 : 1 + self.channels], table[:, 1 + self.channels :]
        total = counts.sum()
        mean = (counts * means).sum(0) / total
        variance = (counts * (variances + (means - mean).square())).sum(0) / total
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * total / (total - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        centred = wide - mean[:, None, None]
        return torch.addcmul(self.bias[:, None, None], centred, scale[:, None, None]).to(features.dtype)

    def extra_repr(self) -> str:
        """State channels and kind in ``print(network)``."""
        return f"{self.channels}, {self.kind!r}, eps={self.eps}"


class _SumOverProcesses(torch.autograd.Function):
    """Adds a tensor up over all processes, and so its gradient, as the sum of all their losses asks."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        del ctx
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        del ctx
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


def _is_one_nhwc_image(features: Tensor) -> bool:
    if torch.compiler.is_exporting() or len(features) > 1 or features.is_contiguous():
        return False
    return features.is_contiguous(memory_format=torch.channels_last)


def _several_processes() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def norm2d(channels: int, kind: NormName) -> nn.Module:
    """Return the norm of a layer, or nothing to do for ``none``."""
    return nn.Identity() if kind == "none" else Norm2d(channels, kind)


def needs_bias(kind: NormName) -> bool:
    """Tell whether the convolution before a norm has a bias: yes unless the norm brings its own.

    The originals give convolutions before an unweighted instance norm a bias too, which the norm cancels; it counts
    in the published parameter totals and stands in published checkpoints, so it is kept.
    """
    return kind in {"instance", "none"}


def couples_images(network: nn.Module) -> bool:
    """Tell whether in training an image's output depends on the rest of its batch.

    >>> couples_images(Norm2d(8, "instance")), couples_images(Norm2d(8, "batch-running"))
    (False, True)
    """
    return any(
        (isinstance(layer, Norm2d) and layer.kind == "batch-running") or isinstance(layer, _BatchNorm)
        for layer in network.modules()
    )
