"""The list of measurements: what each is called, what it needs, and the function that makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from img2img.configured import nearest
from img2img.errors import ConfigError, DataError
from img2img.evaluate import pictures, scenes
from img2img.evaluate.distribution import DISTANCES, distances
from img2img.evaluate.subject import Found, Subject

Needs = Literal["unpaired", "paired", "model", "labels"]
"""Two sets; two sets of pairs; a translator and its inputs; label maps and who reads them."""


@dataclass(frozen=True)
class Measurement:
    """A function that makes numbers.

    Attributes:
        names: of its numbers, as ``--metrics`` takes them.
        needs: see :data:`Needs`; where that is not there it is left out, and said so.
        measure: it.
    """

    names: tuple[str, ...]
    needs: Needs
    measure: Callable[[Subject], Found]


def _distribution(subject: Subject) -> Found:
    asked, fake, real = subject.asked, subject.fake.rows, subject.real.rows
    return distances(subject.extractors, fake, real, asked.wants, seed=asked.seed, kid_subset=asked.kid_subset)


_DISTANCES = tuple(name for distance in DISTANCES for name in distance.names)
RANDOM = tuple(f"r{name}" for name in _DISTANCES)

MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement((*_DISTANCES, *RANDOM), "unpaired", _distribution),
    Measurement(pictures.PAIRED_NAMES, "paired", pictures.paired),
    Measurement(("checkerboard",), "unpaired", pictures.checkerboard_of),
    Measurement(("spectrum_distance",), "unpaired", pictures.spectrum_of),
    Measurement(("input_retrieval", "output_spread"), "model", pictures.dependence),
    Measurement(("colour_drift",), "model", pictures.drift),
    Measurement(("cycle_l1", "cycle_l1_8_bit", "cycle_l1_jpeg", "hidden_signal"), "model", pictures.cycle),
    Measurement(pictures.DIVERSITY_NAMES, "model", pictures.diversity),
    Measurement(scenes.SEGMENTATION_NAMES, "labels", scenes.segmentation),
)


def check_names(metrics: Sequence[str], measurements: Sequence[Measurement] = MEASUREMENTS) -> None:
    """Refuse names of numbers that nothing makes.

    Raises:
        ConfigError: naming the nearest, or all.
    """
    known = [name for measurement in measurements for name in measurement.names]
    for name in metrics:
        if not _named(name, known):
            raise ConfigError(f"--metrics {name}: no such number{nearest(name, known)}")


def measure(subject: Subject, measurements: Sequence[Measurement] = MEASUREMENTS) -> Found:
    """Make every number that is asked for and possible, and say why others are missing."""
    reasons: Mapping[Needs, str] = {
        "paired": "" if subject.paired else "no output has a reference of its name",
        "model": ""
        if subject.translator is not None
        else "needs a translator and its inputs (--data), not two folders",
        "labels": "" if subject.asked.segmented is not None else "needs --segmenter, --labels and --classes",
        "unpaired": "",
    }
    found = Found()
    for measurement in measurements:
        wanted = [name for name in measurement.names if subject.asked.wants(name)]
        if subject.asked.metrics is not None and not _concerns(measurement, subject.asked.metrics):
            continue
        if reason := reasons[measurement.needs]:
            if subject.asked.metrics is not None:
                found.missing |= dict.fromkeys(wanted, reason)
            continue
        try:
            made = measurement.measure(subject)
        except (DataError, ConfigError) as error:
            found.missing |= dict.fromkeys(wanted, str(error))
            continue
        found.numbers += [one for one in made.numbers if subject.asked.wants(one.name)]
        found.missing |= made.missing
    for name in subject.asked.metrics or ():
        if not any(one == name or one.startswith(f"{name}_") for one in (*names_of(found), *found.missing)):
            found.missing[name] = "nothing of that name is measured with these --resize and --features"
    return found


def names_of(found: Found) -> list[str]:
    """Return the names of the numbers that were made."""
    return [number.name for number in found.numbers]


def _concerns(measurement: Measurement, metrics: Sequence[str]) -> bool:
    return any(_named(name, measurement.names) for name in metrics)


def _named(name: str, known: Sequence[str]) -> bool:
    """Tell whether a name is known, is that of one after another resizing, or of several (``diversity``)."""
    return any(name == one or name.startswith(f"{one}_") or one.startswith(f"{name}_") for one in known)
