"""The segmentation score in the command: a user's model, a folder of label maps, a list of classes."""

from __future__ import annotations

from pathlib import Path

from img2img.data.folder import list_images
from img2img.errors import ConfigError, DataError
from img2img.evaluate.pictures import image_of
from img2img.evaluate.segmentation import Palette, Scene, measure_segmentation
from img2img.evaluate.segmenters import load_segmenter
from img2img.evaluate.subject import Found, Segmented, Subject

_COLOUR = 3

SEGMENTATION_NAMES = tuple(
    f"{name}{end}" for name in ("pixel_accuracy", "class_accuracy", "class_iou") for end in ("", "_of_real_images")
)


def segmented(model: str, labels: Path, classes: Path) -> Segmented:
    """Read what the command is given.

    Args:
        model: see :func:`load_segmenter`.
        labels: folder of label maps with the outputs' names.
        classes: a text file, a class a line in the order of ids: its name, and where label maps are colours its R G B.

    Raises:
        ConfigError: if the list of classes cannot be read.
        DataError: if there is no such folder.
    """
    if not labels.is_dir():
        raise DataError(f"--labels {labels}: expected a folder of label maps")
    try:
        rows = [line.split() for line in classes.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--classes {classes}: expected a text file with a class a line ({error})") from error
    coloured = [len(row) > _COLOUR and all(word.isdecimal() for word in row[-_COLOUR:]) for row in rows]
    if any(coloured) and not all(coloured):
        raise ConfigError(f"--classes {classes}: expected a colour R G B behind every name, or behind none")
    if not any(coloured):
        return Segmented(model, labels, tuple(" ".join(row) for row in rows), None)
    palette: Palette = [(int(row[-3]), int(row[-2]), int(row[-1])) for row in rows]
    return Segmented(model, labels, tuple(" ".join(row[:-_COLOUR]) for row in rows), palette)


def segmentation(subject: Subject) -> Found:
    """Score outputs, and real images beside them, against label maps."""
    asked = subject.asked.segmented
    assert asked is not None
    maps = {path.relative_to(asked.labels).with_suffix("").as_posix(): path for path in list_images(asked.labels)}
    scenes = [Scene(a.stem, image_of(a), image_of(b), maps[a.stem]) for a, b in subject.pairs if a.stem in maps]
    if not scenes:
        raise DataError(f"--labels {asked.labels}: no label map has the name of an output and a reference")
    segmenter = load_segmenter(asked.model, subject.asked.device)
    return Found(measure_segmentation(segmenter, scenes, asked.classes, palette=asked.palette))
