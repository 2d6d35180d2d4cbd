"""What discriminators' logits and gradient norms say, gathered on the device and read seldom."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

_FLOOR = 0.01
"""Deviation below which logits count as constant; keeps the gap of a dead discriminator finite."""

_MAX_KEPT = 2_000_000
"""Logits kept before they are summed: until then a batch costs a list entry, not a kernel."""

_MAX_EXPONENT = 690.0  # the largest float is e^709

_SCORED = ("real_logits", "fake_logits")


class Window:
    """Gathers what turns observe over some batches.

    Nothing is computed, and the device is not waited for, until many logits have come together or :meth:`read`.

    Args:
        threshold: logit above which a discriminator says "real"; None where its loss has no such point.
    """

    def __init__(self, threshold: float | None) -> None:
        self.threshold = threshold
        self.batches = 0
        self._kept: dict[str, list[Tensor]] = {}
        self._sums: dict[str, Tensor] = {}
        self._norms: dict[str, list[Tensor]] = {}
        self._count = 0

    def add(self, observed: Mapping[str, Tensor], gradient_norms: Mapping[str, Tensor]) -> None:
        """Take a batch.

        Args:
            observed: detached tensors by ``player/name``; ``real_logits`` and ``fake_logits`` are looked at.
            gradient_norms: scalars by player.
        """
        self.batches += 1
        for key, tensor in observed.items():
            if key.rpartition("/")[2] in _SCORED:
                self._kept.setdefault(key, []).append(tensor)
                self._count += tensor.numel()
        for player, norm in gradient_norms.items():
            self._norms.setdefault(player, []).append(norm)
        if self._count > _MAX_KEPT:
            self._sum_up()

    def _sum_up(self) -> None:
        above = math.nan if self.threshold is None else self.threshold
        for key, tensors in self._kept.items():
            logits = torch.cat([tensor.flatten() for tensor in tensors]).float()
            real = (logits > above).float()
            sums = torch.stack([torch.ones_like(logits).sum(), logits.sum(), logits.square().sum(), real.sum()])
            self._sums[key] = self._sums[key] + sums if key in self._sums else sums
        self._kept, self._count = {}, 0

    def read(self) -> dict[str, float]:
        """Return the window's signals by ``name/player`` and start anew; waits for the device once.

        ``gap`` is d' = (mean real - mean fake) / sqrt((var real + var fake) / 2 + 0.01^2); ``deviation`` that root;
        ``real_accuracy`` and ``fake_accuracy`` the shares of patches on the right side of the threshold; ``gradient``
        the geometric mean of the gradient norms.
        """
        self._sum_up()
        keys, players = list(self._sums), list(self._norms)
        parts = [self._sums[key] for key in keys]
        parts += [
            torch.stack([n.detach().float() for n in self._norms[p]]).clamp_min(1e-12).log().mean()[None]
            for p in players
        ]
        self._sums, self._norms, self.batches = {}, {}, 0
        if not parts:
            return {}
        values: list[float] = torch.cat(parts).tolist()
        sums = {key: values[4 * i : 4 * i + 4] for i, key in enumerate(keys)}
        signals: dict[str, float] = {}
        for player in dict.fromkeys(key.rpartition("/")[0] for key in keys):
            if f"{player}/real_logits" in sums and f"{player}/fake_logits" in sums:
                found = self._of(sums[f"{player}/real_logits"], sums[f"{player}/fake_logits"])
                signals |= {f"{name}/{player}": value for name, value in found.items()}
        for player, value in zip(players, values[4 * len(keys) :], strict=True):
            signals[f"gradient/{player}"] = math.exp(min(value, _MAX_EXPONENT))
        return signals

    def _of(self, real: list[float], fake: list[float]) -> dict[str, float]:
        (num_real, sum_real, square_real, right_real), (num_fake, sum_fake, square_fake, wrong_fake) = real, fake
        mean_real, mean_fake = sum_real / num_real, sum_fake / num_fake
        variances = (square_real / num_real - mean_real**2, square_fake / num_fake - mean_fake**2)
        deviation = math.sqrt(max(sum(variances) / 2, 0.0) + _FLOOR**2)  # rounding can leave a little below 0
        signals = {"gap": (mean_real - mean_fake) / deviation, "deviation": deviation}
        if self.threshold is not None:
            signals |= {"real_accuracy": right_real / num_real, "fake_accuracy": 1 - wrong_fake / num_fake}
        return signals


def gap(real: Tensor, fake: Tensor) -> Tensor:
    """Return d' of two sets of logits, as :meth:`Window.read` does."""
    spread = (real.float().var(correction=0) + fake.float().var(correction=0)) / 2 + _FLOOR**2
    return (real.float().mean() - fake.float().mean()) / spread.sqrt()


def held_out_share(training: Tensor, held_out: Tensor, fake: Tensor) -> Tensor:
    """Return r_v = (E D(train) - E D(held out)) / (E D(train) - E D(fake)): how far unseen reals look fake.

    Near 0 the discriminator judges unseen reals as it does those it has learnt from, near 1 it knows its reals by
    heart. Karras et al. 2020 (arXiv 2006.06676), equation 1. 0 where it does not tell reals from fakes (d' below 0.5).
    """
    a, b, c = (logits.float().mean() for logits in (training, held_out, fake))
    told_apart = gap(training, fake) > 0.5  # noqa: PLR2004 (d')
    return torch.where(told_apart, (a - b) / (a - c).clamp_min(1e-6), torch.zeros_like(a))
