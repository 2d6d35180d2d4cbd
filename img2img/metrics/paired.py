"""Scores of translations against their targets: values in, numbers out."""

from __future__ import annotations

from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

_SSIM_WINDOW_PX = 11


def paired_scores(fake: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Score translations of a batch against their targets.

    Args:
        fake: float32 [B, C, H, W] in [-1, 1], already rounded to the values a file holds.
        target: float32 [B, C, H, W] in [-1, 1].

    Returns:
        ``l1``, the mean absolute error in [-1, 1] units; ``psnr`` in dB over the range 2; ``ssim`` (Gaussian window
        of 11 px, deviation 1.5, range 2) where the images hold a window. Each averaged over the batch.
    """
    scores = {
        "l1": (fake - target).abs().mean(),
        "psnr": peak_signal_noise_ratio(fake, target, data_range=2.0, dim=(1, 2, 3), reduction="elementwise_mean"),
    }
    if min(fake.shape[-2:]) >= _SSIM_WINDOW_PX:
        ssim = structural_similarity_index_measure(fake, target, data_range=2.0)
        assert isinstance(ssim, Tensor)
        scores["ssim"] = ssim
    return scores
