"""Which thumbnails show one picture: re-encoded, resized, somewhat cropped or brightened. Arrays in, numbers out.

First the 12x12 px averages of whole thumbnails and of their middles are correlated, all with all. What correlates is
laid over one another (enhanced correlation coefficient, Evangelidis and Psarakis 2008, as in OpenCV), and then only the
fine detail is compared: two photos of a horse on a meadow agree in what is coarse, copies also in what is fine.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

Thumbnail = NDArray[np.uint8]

SAME = 0.8
"""Correlation of the fine detail from which two thumbnails count as one picture."""

_COARSE = 0.85
_COARSE_PX, _MARGINS = 12, (0, 2, 4)
_PLAIN_LEVELS = 2.0
"""Pictures that vary less, of 255, are plain grounds: they are not compared."""

_BLOCK, MOST_COMPARED, _MOST_CLOSE = 1024, 20_000, 20_000
_SKEW, _SCALE = 0.06, (0.75, 1.33)
_FINE_PX = 2.5
_COVERED = 0.5


def close(thumbnails: Sequence[Thumbnail]) -> list[tuple[int, int]]:
    """Return the pairs i < j whose coarse pictures correlate; at most 20,000, the closest."""
    if len(thumbnails) < 2:  # noqa: PLR2004 (a pair)
        return []
    whole, *middles = (_coarse(thumbnails, margin) for margin in _MARGINS)
    found: list[tuple[float, int, int]] = []
    for start in range(0, len(whole), _BLOCK):
        rows = slice(start, start + _BLOCK)
        likeness = whole[rows] @ whole.T
        for middle in middles:
            np.maximum(likeness, whole[rows] @ middle.T, out=likeness)
            np.maximum(likeness, middle[rows] @ whole.T, out=likeness)
        first, second = np.nonzero(likeness > _COARSE)
        found += [
            (float(likeness[i, j]), start + int(i), int(j))
            for i, j in zip(first, second, strict=True)
            if start + int(i) < int(j)
        ]
    return sorted((i, j) for _, i, j in sorted(found, reverse=True)[:_MOST_CLOSE])


def same(thumbnails: Sequence[Thumbnail], pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Keep the pairs that show one picture."""
    with ThreadPoolExecutor() as pool:
        scores = pool.map(lambda pair: likeness(thumbnails[pair[0]], thumbnails[pair[1]]), pairs)
        return [pair for pair, score in zip(pairs, scores, strict=True) if score > SAME]


def likeness(a: Thumbnail, b: Thumbnail) -> float:
    """Return the correlation of the fine detail of two thumbnails, one laid over the other; -1 if they do not fit."""
    first, second = a.astype(np.float32), b.astype(np.float32)
    warp: NDArray[np.float32] = np.eye(2, 3, dtype=np.float32)
    try:
        _, warp = cv2.findTransformECC(first, second, warp, cv2.MOTION_AFFINE, (3, 30, 1e-4), None, 3)
    except cv2.error:  # it does not converge
        return -1.0
    scale = (warp[0, 0], warp[1, 1])
    if max(abs(warp[0, 1]), abs(warp[1, 0])) > _SKEW or min(scale) < _SCALE[0] or max(scale) > _SCALE[1]:
        return -1.0
    size = (len(a), len(a))
    laid = cv2.warpAffine(second, warp, size, flags=cv2.INTER_LINEAR + cv2.WARP_INVERSE_MAP)
    inside = cv2.warpAffine(np.ones_like(a), warp, size, flags=cv2.INTER_NEAREST + cv2.WARP_INVERSE_MAP)
    common = cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0
    if common.mean() < _COVERED:
        return -1.0
    x, y = (_centred(_fine(image)[common]) for image in (first, laid))
    return float(x @ y)


def _fine(image: NDArray[np.float32]) -> NDArray[np.float32]:
    fine: NDArray[np.float32] = image - cv2.GaussianBlur(image, (0, 0), _FINE_PX)
    return fine


def _coarse(thumbnails: Sequence[Thumbnail], margin: int) -> NDArray[np.float32]:
    size = (_COARSE_PX, _COARSE_PX)
    rows = [
        cv2.resize(t[margin : len(t) - margin, margin : len(t) - margin], size, interpolation=cv2.INTER_AREA)
        for t in thumbnails
    ]
    return np.stack([_centred(row.astype(np.float32).ravel()) * (row.std() >= _PLAIN_LEVELS) for row in rows])


def _centred(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values with mean 0 and length 1."""
    moved = values - values.mean()
    centred: NDArray[np.float32] = moved / max(float(np.linalg.norm(moved)), 1e-6)
    return centred
