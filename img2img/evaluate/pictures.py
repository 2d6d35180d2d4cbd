"""Measurements of single pictures, pairs and cycles, given what the command has."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

from img2img.data.source import Source
from img2img.data.transforms import load_pixels
from img2img.errors import ConfigError, DataError
from img2img.evaluate.behaviour import checkerboard, colour_drift, input_dependence, spectrum_distance
from img2img.evaluate.cycle import cycle_consistency, ways_of
from img2img.evaluate.diversity import output_diversity
from img2img.evaluate.images import Images, partners
from img2img.evaluate.paired import L1, PAIRED, PairMetric, measure_paired, psnr_y
from img2img.evaluate.perceptual import TRUNKS, lpips, st_lpips
from img2img.evaluate.seen import Image
from img2img.evaluate.subject import Found, Subject
from img2img.evaluate.traits import Traits
from img2img.evaluate.weights import weights_folder

_FIRST = tuple(metric.name for metric in PAIRED)
PAIRED_NAMES = (*_FIRST, "psnr_y", "lpips", "st_lpips")
_DIVERSITY = "diversity_"
DIVERSITY_NAMES = tuple(f"{_DIVERSITY}{name}" for name in (L1.name, "lpips", "st_lpips"))


def paired(subject: Subject) -> Found:
    """Measure outputs against the references of their names."""
    found = Found()
    metrics = [metric for metric in PAIRED if subject.asked.wants(metric.name)]
    if subject.asked.names("psnr_y"):  # super-resolution's, so only if asked for
        metrics.append(psnr_y())
    metrics += _perceptual(subject, found)
    pairs = ((a.stem, image_of(a), image_of(b)) for a, b in subject.pairs)
    notes: list[str] = []
    found.numbers = measure_paired(pairs, metrics, subject.asked.device, notes.append)
    found.missing |= {note.partition(":")[0]: note.partition(": ")[2] for note in notes}
    return found


def _perceptual(subject: Subject, found: Found, prefix: str = "") -> list[PairMetric]:
    """Return those of LPIPS and ST-LPIPS that are wanted and there; say why others are not."""
    metrics = []
    for name, made in (("lpips", _lpips), ("st_lpips", _st_lpips)):
        if subject.asked.wants(f"{prefix}{name}"):
            try:
                metrics.append(made(subject))
            except ConfigError as error:
                found.missing[f"{prefix}{name}"] = str(error)
    return metrics


def _lpips(subject: Subject) -> PairMetric:
    """Return LPIPS where the file of its trunk is there.

    Raises:
        ConfigError: naming the file and where to put it.
    """
    name = TRUNKS["alex"][0]
    for folder in (subject.asked.weights, weights_folder()):
        if folder is not None and (folder / name).is_file():
            return lpips(folder / name, device=subject.asked.device)
    raise ConfigError(f"no trunk: put torchvision's {name} into {weights_folder()} or the folder of --weights-dir")


def _st_lpips(subject: Subject) -> PairMetric:
    return st_lpips(device=subject.asked.device)


def checkerboard_of(subject: Subject) -> Found:
    """Look for the grid of strided up-sampling."""
    return Found([checkerboard(*_both(subject))])


def spectrum_of(subject: Subject) -> Found:
    """Compare how much there is of each fineness."""
    return Found([spectrum_distance(*_both(subject))])


def dependence(subject: Subject) -> Found:
    """Say whether outputs follow their inputs."""
    return Found(input_dependence(*_inputs_and_outputs(subject)))


def drift(subject: Subject) -> Found:
    """Compare the change of mean colour with the one that is wanted."""
    return Found([colour_drift(*_inputs_and_outputs(subject), _both(subject)[1])])


def cycle(subject: Subject) -> Found:
    """Translate there and back: clean, through 8 bits, and through JPEG."""
    ways = ways_of(subject.translator, subject.to)
    return Found(cycle_consistency(ways, ((a.stem, image_of(a)) for a, _ in _of_one_name(subject))))


def diversity(subject: Subject) -> Found:
    """Say how much the outputs of one input differ from seed to seed."""
    asked, found = subject.asked, Found()
    if subject.draw is None:
        raise ConfigError("how outputs are drawn was not given")
    groups = subject.draw(asked.draws or 0)  # refuses where nothing is drawn, however often
    if asked.draws is None:
        raise ConfigError("this translator draws: --draws 10 measures how much ten outputs of each input differ")
    metrics = [L1] * asked.wants(f"{_DIVERSITY}{L1.name}") + _perceptual(subject, found, _DIVERSITY)
    found.numbers = [output_diversity(groups, metric) for metric in metrics]
    return found


def _both(subject: Subject) -> tuple[Traits, Traits]:
    return _traits(_readable(subject.outputs, subject.fake.names)), _traits(
        _readable(subject.references, subject.real.names)
    )


def _inputs_and_outputs(subject: Subject) -> tuple[Traits, Traits]:
    pairs = _of_one_name(subject)
    return _traits(tuple(a for a, _ in pairs)), _traits(tuple(b for _, b in pairs))


def _of_one_name(subject: Subject) -> list[tuple[Source, Source]]:
    assert subject.inputs is not None
    pairs, _ = partners(subject.inputs.sources, _readable(subject.outputs, subject.fake.names))
    if not pairs:
        raise DataError("no output has an input of its name")
    return pairs


def _readable(images: Images, names: Iterable[str]) -> tuple[Source, ...]:
    there = frozenset(names)
    return tuple(source for source in images.sources if source.name in there)


@functools.lru_cache(maxsize=3)  # one look serves several measurements
def _traits(sources: tuple[Source, ...]) -> Traits:
    return Traits.of(_named(sources))


def _named(sources: Iterable[Source]) -> Iterator[tuple[str, Image]]:
    for source in sources:
        yield source.stem, image_of(source)


def image_of(source: Source) -> Image:
    """Return what the measurements of single images read: the file, or the pixels of a half."""
    path: Path = source.path
    return path if source.half == "whole" else load_pixels(source, 3)
