"""Whether images of two domains belong together: do their edges lie in the same places? Arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_GRID_PX = 32
FEWEST = 8
"""Pairs below which nothing can be said."""

_LIKELY, _ENOUGH = 90.0, 0.8
"""A pair is poor if its score is below this percentile of the scores of strangers; single ones are called wrong only
where so large a share of the set is not poor."""

_GOOD = 25.0
"""A wrong pair's source must fit another target better than this percentile of the pairs that are not poor."""


class Match(NamedTuple):
    """How well pairs match.

    Attributes:
        z: by how many standard errors the mean score of the pairs lies above that of images paired at random.
        wrong: pairs whose images belong to other pairs, as (pair, pair whose target fits its source).
    """

    z: float
    wrong: list[tuple[int, int]]


def match(sources: Sequence[NDArray[np.uint8]], targets: Sequence[NDArray[np.uint8]]) -> Match | None:
    """Score every source with every target.

    The score is the correlation of the gradient magnitudes on a 32x32 grid, less what all images of the domain have
    in common (Sobel 1968; a frame or a ground line would else match with everything).

    Args:
        sources: grey thumbnails [64, 64].
        targets: in the same order.

    Returns:
        The match, or None for fewer than eight pairs or images without edges.
    """
    if len(sources) < FEWEST:
        return None
    scores = _edges(sources) @ _edges(targets).T
    own = np.diag(scores)
    strangers = scores[~np.eye(len(scores), dtype=bool)]
    if strangers.std() < 1e-6:  # noqa: PLR2004 (no edges anywhere)
        return None
    z = float((own.mean() - strangers.mean()) / (strangers.std() / np.sqrt(len(own))))
    likely = np.percentile(strangers, _LIKELY)
    poor = own < likely
    if poor.mean() > 1 - _ENOUGH:
        return Match(z, [])
    good = np.percentile(own[~poor], _GOOD)
    candidates = np.flatnonzero(poor)
    wrong = []
    for i in candidates:
        others = candidates[candidates != i]
        if len(others):
            best = int(others[scores[i, others].argmax()])
            back = scores[best, i] >= good and scores[i, best] >= likely  # the other half of an exchange proves it
            if scores[i, best] >= good or back:
                wrong.append((int(i), best))
    return Match(z, wrong)


def exchanged(first: NDArray[np.float32], second: NDArray[np.float32]) -> list[int]:
    """Return the pairs whose two images stand in each other's place.

    The difference of the traits of a pair's images, projected onto Fisher's direction between the domains, has one sign
    in a set whose domains look different; it has the other where the two are exchanged.

    Args:
        first: traits [n, k] of the images of one domain.
        second: of their partners.
    """
    if len(first) < FEWEST:
        return []
    differences = (first - second).astype(np.float64)
    centre = np.median(differences, axis=0)
    flip = np.where(differences @ centre < 0, -1.0, 1.0)[:, None]  # the spread of a set without exchanges
    covariance = np.cov((differences * flip).T) + 1e-3 * np.eye(differences.shape[1])
    projected = differences @ np.linalg.solve(covariance, centre)
    middle = float(np.median(projected))
    usual = projected[projected > 0]
    spread = 1.4826 * float(np.median(np.abs(usual - np.median(usual)))) if len(usual) else 0.0
    if middle < _APART * spread or (projected < 0).mean() > 1 - _ENOUGH:
        return []
    return [int(i) for i in np.flatnonzero(projected < -0.5 * middle)]


_APART = 3.0
"""The domains must lie so many spreads apart before single pairs are called exchanged."""


def _edges(thumbnails: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    rows = []
    for thumbnail in thumbnails:
        grey = thumbnail.astype(np.float32)
        magnitude = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
        blurred = cv2.GaussianBlur(magnitude, (5, 5), 0)
        row = cv2.resize(blurred, (_GRID_PX, _GRID_PX), interpolation=cv2.INTER_AREA).ravel()
        rows.append(_unit(row - row.mean()))
    edges = np.stack(rows)
    edges -= edges.mean(0)
    return np.stack([_unit(row) for row in edges])


def _unit(row: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = row / max(float(np.linalg.norm(row)), 1e-6)
    return unit
