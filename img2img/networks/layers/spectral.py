"""Spectral normalisation (Miyato et al. 2018, arXiv 1802.05957)."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrizations


def normalise_spectrum(network: nn.Module) -> None:
    """Divide the weight of every convolution by its largest singular value, so that no layer stretches more than 1:1.

    W_SN = W / sigma(W), with W as [out, in * k * k] and sigma from one step of power iteration per forward pass in
    training (algorithm 1). The weights then stand in the ``state_dict`` under ``parametrizations.weight.original``,
    beside the two singular vectors. Costs two matrix-vector products per layer and pass.

    Args:
        network: changed in place.
    """
    for layer in list(network.modules()):
        if isinstance(layer, nn.Conv2d):
            parametrizations.spectral_norm(layer)
