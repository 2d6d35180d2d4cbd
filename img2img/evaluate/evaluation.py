"""From two sets of images to numbers, and to the record that says how they were made."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from img2img._version import __version__
from img2img.data.folder import few
from img2img.devices import processor_name
from img2img.errors import DataError
from img2img.evaluate.extractors import Extractor, inception_extractors, own_extractor, random_extractor, suffix_of
from img2img.evaluate.features import see
from img2img.evaluate.images import Images, partners
from img2img.evaluate.measurements import RANDOM, check_names, measure
from img2img.evaluate.number import Number
from img2img.evaluate.pictures import PAIRED_NAMES
from img2img.evaluate.subject import Asked, Subject
from img2img.evaluate.warnings import refuse_swapped, warnings_of
from img2img.evaluate.weights import WeightsMissingError, find_inception

_LIBRARIES = ("torch", "torchvision", "torchmetrics", "torch-fidelity", "numpy", "pillow", "opencv-python-headless")


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        numbers: in the order of the list of measurements.
        missing: names of numbers that could not be made, and why.
        warnings: what to know before believing them.
        protocol: all that they depend on besides the images.
        failed: images that could not be read, name to reason.
    """

    numbers: list[Number]
    missing: dict[str, str]
    warnings: list[str]
    protocol: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def evaluate(
    outputs: Images,
    references: Images,
    asked: Asked | None = None,
    *,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[], None] = lambda: None,
    more: Mapping[str, Any] | None = None,
    translator: Any = None,
    inputs: Images | None = None,
    to: str | None = None,
    draw: Callable[[int], Sequence[tuple[str, Sequence[Path]]]] | None = None,
    untranslated: Mapping[str, str] | None = None,
) -> Evaluation:
    """Measure one set of images against another.

    Args:
        outputs: that were made.
        references: real ones.
        asked: which numbers, and how.
        say: told what is worth knowing while it runs.
        progress: called after every image.
        more: for the protocol: translator, split, command.
        translator: that made the outputs, for the measurements that need one.
        inputs: that it made them of.
        to: domain that it translated into.
        draw: makes so many outputs of each input, for their diversity.
        untranslated: inputs that have no output, name to reason.

    Raises:
        DataError: if a set has fewer than two images that can be read, or the arguments look swapped.
        ConfigError: for names of numbers that nothing makes.
        ModelFileError: if weights that are found are not what their name says.
    """
    asked = asked or Asked()
    if asked.metrics is not None:
        check_names(asked.metrics)
    extractors, missing = extractors_for(asked, say)
    pairs, alone = partners(outputs.sources, references.sources)
    fake, seen_outputs = see(outputs, extractors, batch=asked.batch, threads=asked.threads, progress=progress)
    real, seen_references = see(references, extractors, batch=asked.batch, threads=asked.threads, progress=progress)
    for name, images, features in (("outputs", outputs, fake), ("references", references, real)):
        if len(features.names) < 2:  # noqa: PLR2004 (a spread)
            raise DataError(f"{images.where}: expected two or more {name} that can be read, got {len(features.names)}")
    refuse_swapped(seen_outputs, seen_references)
    called = {one.called("fid"): one.name for one in extractors}
    lengths = {name: fake.rows[of].shape[1] for name, of in called.items() if asked.wants(name)}
    warnings = warnings_of(seen_outputs, seen_references, lengths)
    paired = bool(pairs) and (asked.paired or any(map(asked.names, PAIRED_NAMES)))
    if pairs and not paired and asked.metrics is None:
        warnings.append(
            f"{len(pairs)} outputs have a reference of their name, but nothing says that these belong together: "
            "--paired would, and adds l1, psnr, ssim and the like"
        )
    if paired and alone:
        warnings.append(f"{len(alone)} images have no partner of their name on the other side: {few(alone)}")
    if untranslated:
        reasons = few(list(untranslated.values()))
        warnings.append(f"{len(untranslated)} inputs were not translated, the numbers are of the others: {reasons}")
    if (more or {}).get("made_by", {}).get("split") == "train":
        warnings.append("these are training images: the numbers say nothing about others")
    if (more or {}).get("made_by", {}).get("order_reversed"):
        warnings.append("--domains is the reverse of what the run was trained with: right only if the data is too")
    readable = [(a, b) for a, b in pairs if a.name in seen_outputs.looks and b.name in seen_references.looks]
    sides = (outputs, references, readable, paired)
    subject = Subject(*sides, extractors, fake, real, asked, say, translator, inputs, to, draw)
    found = measure(subject)
    protocol = {
        **(more or {}),
        "outputs": {"where": outputs.where, **seen_outputs.record()},
        "references": {"where": references.where, **seen_references.record()},
        "pairs": len(readable) if paired else 0,
        "untranslated": dict(untranslated or {}),
        "features": {one.name: dict(one.record) for one in extractors},
        "segmenter": asked.segmented.model if asked.segmented else None,
        "labels": str(asked.segmented.labels) if asked.segmented else None,
        "quantisation": "8-bit integers, as the files hold them",
        "decoding": "for features Pillow's convert('RGB'): no colour profile, no orientation, no transparency",
        "seed": asked.seed,
        "batch": asked.batch,
        "device": processor_name(asked.device),
        "versions": {"img2img": __version__, **_versions()},
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    failed = {**(untranslated or {}), **seen_outputs.failed, **seen_references.failed}
    return Evaluation(found.numbers, found.missing | missing, warnings, protocol, failed)


def extractors_for(asked: Asked, say: Callable[[str], None]) -> tuple[list[Extractor], dict[str, str]]:
    """Return the networks that the numbers asked for need, and which numbers are missing for want of weights."""
    made: list[Extractor] = []
    missing: dict[str, str] = {}
    inception = [name.removeprefix("r") for name in RANDOM]
    resizes = [one for one in asked.resizes if any(asked.wants(f"{name}{suffix_of(one)}") for name in inception)]
    if resizes:
        try:
            weights = find_inception(asked.weights, say, download=asked.download)
            say(f"Inception: {weights.path} ({weights.origin}), sha256 {weights.sha256}")
            made += inception_extractors(weights, resizes, asked.device)
        except WeightsMissingError as error:
            called = [f"{name}{suffix_of(one)}" for one in resizes for name in inception]
            missing = {name: str(error) for name in called if asked.names(name) or name in inception}
            missing = {name: reason for name, reason in missing.items() if asked.wants(name)}
    made += [own_extractor(file, asked.device) for file in asked.own]
    if any(asked.names(name) for name in RANDOM) or (missing and asked.metrics is None):
        made.append(random_extractor(asked.device))
    return made, missing


def _versions() -> dict[str, str]:
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
