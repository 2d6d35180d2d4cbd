"""How far a student's features are from its teacher's (GAN Compression, Li et al. 2020, arXiv 2003.08936)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_LEAST_VARIANCE = 1e-6
"""Below it a teacher's features say nothing, and dividing by it would only make noise loud."""


def feature_distillation(teacher: Mapping[str, Tensor], student: Mapping[str, Tensor]) -> Tensor:
    """Ask that the student's features, mapped to the teacher's channels, equal the teacher's.

    mean over places t and images x of mean (T_t(x) - f_t(S_t(x)))^2 / Var T_t(x), with f_t the 1x1 convolution that the
    caller has applied (section 3.1; FitNets, Romero et al. 2015, arXiv 1412.6550, has such a regressor). The paper does
    not divide by the variance, over all features of the image; here layers of any size count alike: 1 is what a student
    gets that knows their mean alone.

    Args:
        teacher: features [B, C, h, w] by place; detached by this function.
        student: those of the same places and channels; where sides differ, by what a network mirrors an image up to,
            the part that both have is compared.

    Returns:
        A float32 scalar.
    """
    gaps = []
    for place, wanted in teacher.items():
        given = student[place]
        height, width = (min(pair) for pair in zip(wanted.shape[-2:], given.shape[-2:], strict=True))
        wanted, given = (_wide(features[..., :height, :width]) for features in (wanted.detach(), given))  # noqa: PLW2901
        errors = (given - wanted).square().mean((1, 2, 3))
        gaps.append((errors / wanted.var((1, 2, 3), correction=0).clamp_min(_LEAST_VARIANCE)).mean())
    return torch.stack(gaps).mean()


def _wide(features: Tensor) -> Tensor:
    return features.to(torch.promote_types(features.dtype, torch.float32))
