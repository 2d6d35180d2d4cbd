"""FID's distance: between the Gaussians that have the means and covariances of two sets of features.

@inproceedings{heusel2017gans, title={GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
  Equilibrium}, author={Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and
  Hochreiter, Sepp}, booktitle={NeurIPS}, year={2017}}, arXiv 1706.08500
"""

from __future__ import annotations

from torch import Tensor
from torch.linalg import qr, svdvals

from img2img.metrics.sets import comparable


def frechet_distance(x: Tensor, y: Tensor) -> Tensor:
    """Return |m_x - m_y|^2 + tr(C_x) + tr(C_y) - 2 tr((C_x C_y)^(1/2)) (Heusel et al. 2017, equation 6).

    C is the unbiased covariance A^T A of the centred features A = (x - m_x) / sqrt(m - 1), so the eigenvalues of
    C_x C_y are the squared singular values of A_x A_y^T, and the last trace is their sum: exact, without the square
    root of a singular d x d matrix, and small where there are fewer images than features.

    Args:
        x: [m, d] features.
        y: [n, d] features.

    Returns:
        float64 scalar, 0 or more but for rounding.

    Raises:
        ValueError: for fewer than two samples, or features of different lengths.
    """
    x, y = comparable(x, y)
    mean_x, mean_y = x.mean(0), y.mean(0)
    root_x, root_y = _root(x - mean_x), _root(y - mean_y)
    traces = root_x.square().sum() + root_y.square().sum()
    last: Tensor = svdvals(root_x @ root_y.T).sum()
    return (mean_x - mean_y).square().sum() + traces - 2 * last


def _root(centred: Tensor) -> Tensor:
    """Return A of few rows with A^T A the covariance."""
    root: Tensor = centred / (len(centred) - 1) ** 0.5
    if len(root) > root.shape[1]:
        root = qr(root, mode="r").R
    return root
