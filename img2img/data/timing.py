"""How long derivations take, beside the same with kornia on a batch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch

from img2img.data import derive
from img2img.data.derive.base import Derivation
from img2img.image import Pixels, to_tensor


def time_derivations(photos: Sequence[Pixels], rounds: int) -> dict[str, float]:
    """Time every derivation with its defaults, on one thread, by turns.

    Args:
        photos: uint8 [H, W, 3], of one size.
        rounds: counted ones, after one that is not.

    Returns:
        Median over rounds of milliseconds an image, by name, the shortest first; names with ``kornia`` are of a float
        batch of all photos.
    """
    classes = [getattr(derive, name) for name in derive.__all__]
    steps: dict[str, Callable[[], object]] = {}
    for kind in classes:
        if kind not in {Derivation, derive.Mixture, derive.Extractor}:  # those take as long as what is put into them
            steps[kind.__name__] = _each(kind(), photos)
    steps |= _with_kornia(torch.stack([(to_tensor(photo) + 1) / 2 for photo in photos]))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds + 1):
            for name, step in steps.items():
                began = time.perf_counter()
                step()
                seconds[name].append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    found = {name: 1000 * statistics.median(several[1:]) / len(photos) for name, several in seconds.items()}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _each(derivation: Derivation, photos: Sequence[Pixels]) -> Callable[[], object]:
    return lambda: [derivation(photo, seed) for seed, photo in enumerate(photos)]


def _with_kornia(batch: torch.Tensor) -> dict[str, Callable[[], object]]:
    from kornia.color import rgb_to_grayscale, rgb_to_lab  # noqa: PLC0415 (half a second to import)
    from kornia.filters import canny, gaussian_blur2d, sobel  # noqa: PLC0415

    def xdog() -> torch.Tensor:
        grey = rgb_to_grayscale(batch)
        u = 21 * gaussian_blur2d(grey, (7, 7), (1.1, 1.1)) - 20 * gaussian_blur2d(grey, (11, 11), (1.76, 1.76))
        return torch.where(u >= 0.7, 1, 1 + torch.tanh(10 * (u - 0.7)))  # noqa: PLR2004 (XDoG's epsilon)

    return {
        "XDoG, kornia": xdog,
        "Canny, kornia": lambda: canny(batch),
        "Pencil, kornia": lambda: sobel(rgb_to_grayscale(batch)),
        "Grey, kornia": lambda: rgb_to_lab(batch),
    }
