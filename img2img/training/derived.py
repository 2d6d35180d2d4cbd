"""What a translator's header says of inputs that were derived: how, and what drawings were like."""

from __future__ import annotations

from typing import Any

from img2img.configured import describe
from img2img.data.module import ImageData
from img2img.errors import DataError
from img2img.translate.drawings import Drawings

_MEASURED = 128
"""Drawings that are measured, evenly spaced over the training photos."""


def about_inputs(data: ImageData) -> dict[str, Any]:
    """Describe the derivation, and measure the drawings that it makes; nothing where sources are files.

    Args:
        data: after its ``setup``.

    Returns:
        ``derived``: class and options; ``drawings``: see :meth:`Drawings.plain`, where it draws.
    """
    if data.derive is None:
        return {}
    about: dict[str, Any] = {"derived": describe(data.derive)}
    if data.derive.drawing and (drawings := Drawings.of(_drawings(data))) is not None:
        about["drawings"] = drawings.plain()
    return about


def _drawings(data: ImageData) -> list[Any]:
    assert data.layout is not None
    split = data.layout.train
    count = min(_MEASURED, len(split.b))
    found = []
    for i in range(count):
        try:
            drawing, _ = data.transforms.fixed_pair(split, i * len(split.b) // count)
        except DataError:
            continue  # the training names unreadable files when it meets them
        found.append(drawing.permute(1, 2, 0).numpy())
    return found
