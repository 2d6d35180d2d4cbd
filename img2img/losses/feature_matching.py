"""The feature matching loss of pix2pixHD (Wang et al. 2018, equation 4, arXiv 1711.11585)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def feature_matching(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Ask that the discriminator's features of a fake equal those of the real image.

    mean over scales k and stages i of mean |D_k^i(x, y) - D_k^i(x, G(x))|, without the last stage, the logits. The
    paper sums over the stages, and its weight of 10 is of that sum: with a mean, the weight is larger by the number
    of stages. Steadies a paired generator, which gets a target in every layer; it needs no pretrained weights.

    Args:
        real: per scale the features of real images, the logits last; detached by this function.
        fake: per scale those of the fakes, of the same shapes.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: if the discriminator shows nothing but its logits.
    """
    if any(len(stages) < 2 for stages in fake):  # noqa: PLR2004 (a feature and the logits)
        raise ValueError("feature matching needs a discriminator whose features() gives more than its logits")
    scales = [
        sum(
            (F.l1_loss(_wide(f), _wide(r.detach())) for r, f in zip(r_stages[:-1], f_stages[:-1], strict=True)),
            start=f_stages[-1].new_zeros(()),
        )
        / (len(f_stages) - 1)
        for r_stages, f_stages in zip(real, fake, strict=True)
    ]
    return sum(scales, start=fake[0][-1].new_zeros(())) / len(scales)


def _wide(features: Tensor) -> Tensor:
    return features.to(torch.promote_types(features.dtype, torch.float32))
