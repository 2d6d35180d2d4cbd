"""Spectral normalisation (Miyato et al. 2018, arXiv 1802.05957)."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations


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


def settle_spectrum(network: nn.Module) -> None:
    """Put the divided weights in the place of what they are computed from: for a network that learns no more.

    Its translations are the same, bit for bit; its ``state_dict`` is that of a network without spectral norm.

    Args:
        network: in evaluation mode, changed in place.
    """
    for layer in list(network.modules()):
        if is_parametrized(layer, "weight"):
            remove_parametrizations(layer, "weight", leave_parametrized=True)
