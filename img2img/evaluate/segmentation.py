"""FCN-score: what a segmentation model recognises in outputs, beside what it recognises in real images.

Isola et al. 2017 (arXiv 1611.07004, section 3.2) run an FCN-8s for Cityscapes over photos that were translated from
label maps, and score what it finds against those maps. Here the model is the user's own. Its score on the real photos
is about the most that outputs can come to, and says what the model is worth: the two are always given together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from img2img.errors import ConfigError, DataError
from img2img.evaluate.noise import interval_of
from img2img.evaluate.number import Number
from img2img.evaluate.seen import Image, pixels_of, unit
from img2img.evaluate.segmenters import Segmenter
from img2img.image import opened, resized, with_channels
from img2img.metrics.confusion import confusion_of, segmentation_scores

IGNORED = 255
"""Id of pixels that do not count."""

Palette = Sequence[tuple[int, int, int]]

_REAL = "_of_real_images"


class Scene(NamedTuple):
    """What is scored together.

    Attributes:
        name: of the image.
        output: the translation of the label map.
        real: the photo that the label map was drawn from.
        label: file of class ids, of a palette or of colours; or ids [H, W].
    """

    name: str
    output: Image
    real: Image
    label: Path | NDArray[np.integer]


def read_labels(path: Path, palette: Palette | None = None) -> NDArray[np.int64]:
    """Read a label map, class ids [H, W].

    Args:
        path: grey or palette image whose values are the ids, or an image of colours.
        palette: RGB of each class; the nearest one counts, as JPEGs blur them. Needed for images of colours.

    Raises:
        DataError: if the file cannot be read, or has colours without a palette.
    """
    with opened(path, str(path)) as image:
        image.load()
        if palette is not None:
            return nearest_class(np.asarray(image.convert("RGB")), palette)
        if image.mode not in {"1", "L", "P", "I", "I;16"}:
            raise DataError(f"{path}: expected class ids (grey or with a palette), got {image.mode}; give the colours")
        return np.asarray(image).astype(np.int64)


def nearest_class(pixels: NDArray[np.uint8], palette: Palette) -> NDArray[np.int64]:
    """Return the class of every pixel, [H, W], of an image of colours [H, W, 3]: that of the nearest one in RGB."""
    colours = torch.tensor(palette, dtype=torch.float32)
    flat = torch.from_numpy(pixels.reshape(-1, 3).astype(np.float32))
    found: NDArray[np.int64] = torch.cdist(flat, colours).argmin(1).numpy().reshape(pixels.shape[:2])
    return found


def measure_segmentation(
    segmenter: Segmenter,
    scenes: Iterable[Scene],
    classes: Sequence[str],
    *,
    ignored: int = IGNORED,
    palette: Palette | None = None,
) -> list[Number]:
    """Score outputs and real images against label maps.

    Args:
        segmenter: see :func:`img2img.evaluate.segmenters.load_segmenter`.
        scenes: outputs, real images and labels; images are resized to their label map (bicubic).
        classes: names, in the order of their ids.
        ignored: id of pixels that do not count.
        palette: colours of the classes, for label maps that are pictures.

    Returns:
        ``pixel_accuracy``, ``class_accuracy`` and ``class_iou``, and each again ``_of_real_images``.

    Raises:
        DataError: naming a label map with ids that are no class or none that counts; for fewer than two scenes.
        ConfigError: for fewer than two classes, or a palette of another length.
    """
    if len(classes) < 2 or (palette is not None and len(palette) != len(classes)):  # noqa: PLR2004 (to tell apart)
        came = f"{len(classes)} classes" + (f" and {len(palette)} colours" if palette is not None else "")
        raise ConfigError(f"expected two or more classes, and as many colours, got {came}")
    rows = {"": _Row(len(classes)), _REAL: _Row(len(classes))}
    for scene in scenes:
        label = _checked(scene, palette, len(classes), ignored)
        for row, image in zip(rows.values(), (scene.output, scene.real), strict=True):
            pixels = resized(with_channels(pixels_of(image, scene.name), 3), *label.shape)
            guess = segmenter(unit(pixels), len(classes))
            row.add(scene.name, confusion_of(guess, label, len(classes), ignored))
    if len(rows[""].names) < 2:  # noqa: PLR2004 (a spread)
        raise DataError(f"expected two or more images to score, got {len(rows[''].names)}")
    return [number for suffix, row in rows.items() for number in row.numbers(suffix, segmenter.name, classes)]


def _checked(scene: Scene, palette: Palette | None, num_classes: int, ignored: int) -> Tensor:
    ids = read_labels(scene.label, palette) if isinstance(scene.label, Path) else scene.label.astype(np.int64)
    if ids.ndim != 2:  # noqa: PLR2004 ([H, W])
        raise DataError(f"{scene.name}: expected class ids [H, W], got {list(ids.shape)}")
    counted = ids[ids != ignored]
    if not counted.size:
        raise DataError(f"{scene.name}: every pixel of its label map is {ignored}, which does not count; leave it out")
    if counted.min() < 0 or counted.max() >= num_classes:
        wrong = sorted({int(i) for i in np.unique(counted) if not 0 <= i < num_classes})
        raise DataError(f"{scene.name}: expected class ids from 0 to {num_classes - 1}, or {ignored}, got {wrong[:5]}")
    return torch.from_numpy(ids)


class _Row:
    """One kind of images: pixels by class and by what they were taken for."""

    def __init__(self, num_classes: int) -> None:
        self.confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.names: list[str] = []
        self._hits: list[int] = []
        self._labelled: list[int] = []

    def add(self, name: str, confusion: Tensor) -> None:
        self.confusion += confusion
        self.names.append(name)
        self._hits.append(int(confusion.trace()))
        self._labelled.append(int(confusion.sum()))

    def numbers(self, suffix: str, segmenter: str, classes: Sequence[str]) -> list[Number]:
        scores, count = segmentation_scores(self.confusion), len(self.names)
        hits, labelled = np.array(self._hits), np.array(self._labelled)
        empty = [name for name, total in zip(classes, self.confusion.sum(1).tolist(), strict=True) if not total]
        settings: tuple[tuple[str, object], ...] = (("segmenter", segmenter),)
        if empty:
            settings += (("classes_without_labelled_pixels", tuple(empty)),)
        ious = [None if math.isnan(iou) else round(iou, 4) for iou in scores.ious.tolist()]
        source = "Long et al. 2015, arXiv 1411.4038"
        return [
            Number(
                f"pixel_accuracy{suffix}",
                scores.pixel_accuracy,
                "higher",
                count,
                f"share of labelled pixels that the segmenter takes for their class ({source})",
                interval=interval_of(lambda chosen: float(hits[chosen].sum() / labelled[chosen].sum()), count),
                each=tuple(zip(self.names, (hits / labelled).tolist(), strict=True)),
                settings=settings,
            ),
            Number(
                f"class_accuracy{suffix}",
                scores.class_accuracy,
                "higher",
                count,
                f"mean over the classes in the labels of the share of their pixels that is recognised ({source})",
                settings=settings,
            ),
            Number(
                f"class_iou{suffix}",
                scores.class_iou,
                "higher",
                count,
                f"mean over classes of intersection over union, over all images together ({source}); a class in "
                "neither labels nor guesses is left out",
                settings=(*settings, ("ious", tuple(zip(classes, ious, strict=True)))),
            ),
        ]
