"""A split of a data folder, translated for evaluation: as PNG of rounded 8-bit values, through img2img.translate."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from PIL import Image
from safetensors import safe_open

import img2img
from img2img.checkpoint import Weights, find_translator
from img2img.data.folder import few, find_layout
from img2img.data.source import Layout, Source
from img2img.data.transforms import load_pixels
from img2img.errors import ConfigError, DataError
from img2img.evaluate.images import Images
from img2img.networks.latent import LatentGenerator
from img2img.translate.files import Files
from img2img.translate.folder import journal_of, translate_folder
from img2img.translate.inputs import Job, plan
from img2img.translate.setup import Setup
from img2img.translate.translator import Translator

Draw = Callable[[int], list[tuple[str, list[Path]]]]
SplitName = Literal["test", "val", "train"]
_NOT_OURS = {"other settings", "changed", "foreign"}
"""States of files in the folder of ``--keep`` that are neither taken over nor written over."""


@dataclass(frozen=True)
class Task:
    """What a translator is to translate.

    Attributes:
        model: translator file or run folder.
        data: data folder, or two, one per domain.
        to: target domain; the translator's main one by default.
        domains: names of the data's domains A and B, where its folders do not say them.
        split: of the data; ``train`` only if it is said.
        keep: folder for the translations; by default they are not kept.
        weights: of the translator.
        device: where it runs.
    """

    model: Path
    data: tuple[Path, ...]
    to: str | None = None
    domains: tuple[str, str] | None = None
    split: SplitName = "test"
    keep: Path | None = None
    weights: Weights | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Translated:
    """What came out.

    Attributes:
        translator: that made it.
        inputs: what it was made of.
        outputs: PNG.
        references: real images of the target domain of the split.
        failed: inputs that could not be translated, name to reason.
        record: for the protocol.
        paired: whether each input has its own reference: the method learnt from pairs, or files hold both halves.
        draw: makes so many outputs of each input, one a seed from 0 on, as name and files; see :func:`_drawn`.
    """

    translator: Translator
    inputs: Images
    outputs: Images
    references: Images
    failed: dict[str, str]
    record: dict[str, Any]
    paired: bool
    draw: Draw


@contextmanager
def translated(task: Task) -> Iterator[Translated]:
    """Translate a split; the outputs are there until the end of the block, or kept.

    Raises:
        DataError: if the data has no such split, or nothing could be translated.
        ConfigError: if the domains of data and translator do not agree.
        ModelFileError: if the translator cannot be loaded.
    """
    setup = Setup(
        task.model,
        to=task.to,
        device=task.device,
        weights=task.weights,
        files=Files(frames="first", metadata=False),
    )
    translator = setup.load()
    direction = translator.direction(task.to)
    source, target = direction.split(":")
    layout = _layout(task, (source, target))
    split = {"train": layout.train, "val": layout.validation, "test": layout.test}[task.split]
    if split is None:
        have = [name for name, part in (("val", layout.validation), ("test", layout.test)) if part is not None]
        raise DataError(
            f"{task.data[0]}: no {task.split} split ({layout.kind}); there is {', '.join(['train', *have])}; make one "
            "(img2img data split), or say --split train and read the numbers as those of a set that was learnt from"
        )
    if len(split.a) < 2 or len(split.b) < 2:  # noqa: PLR2004 (a spread)
        counts = f"{len(split.a)} of {source} and {len(split.b)} of {target}"
        raise DataError(f"{task.data[0]}: expected two or more images of each domain in {task.split}, got {counts}")
    where = " and ".join(map(str, task.data))
    with tempfile.TemporaryDirectory(prefix="img2img-evaluate-") as scratch:
        out = task.keep or Path(scratch) / "outputs"
        inputs = _folder_of(split.a, Path(scratch) / "inputs")
        made, failed = _run(setup, translator, inputs, out)
        if len(made) < 2:  # noqa: PLR2004 (a spread)
            raise DataError(f"{where}: only {len(made)} of {len(split.a)} images could be translated: {failed}")
        outputs = tuple(Source(out, "whole", job.target.relative_to(out).as_posix()) for job in made)
        record = {
            "translator": str(task.model),
            "translator_sha256": str(translator.header.get("sha256", "")),
            "direction": direction,
            "weights": task.weights or _weights_of(task.model, direction),
            "precision": translator.precision,
            "engine": translator.engine,
            "data": where,
            "split": task.split,
            "order_reversed": (task.domains or ())[::-1] == _domains_of(task.model),
        }
        yield Translated(
            translator,
            Images(f"{where}, {task.split}, {source}", split.a),
            Images(f"{source} of {task.split} translated by {task.model}", outputs),
            Images(f"{where}, {task.split}, {target}", split.b),
            failed,
            record,
            _paired(translator, split.a),
            partial(_drawn, setup, translator, inputs, Path(scratch) / "draws"),
        )


def _run(setup: Setup, translator: Translator, inputs: Path, out: Path) -> tuple[list[Job], dict[str, str]]:
    """Translate a folder to PNG; return what was done, and by name why the rest was not."""
    todo = plan([inputs], out, file_format="png")
    how = replace(setup.how(translator, todo), shown=frozenset())
    journal = journal_of(todo, how)
    other = [job.target for job in todo.jobs if journal and journal.state(job) in _NOT_OURS]
    if other:
        raise DataError(
            f"--keep {out}: {len(other)} of its files ({few([path.name for path in other])}) are not what this "
            "translator makes with these options; choose another folder"
        )
    failed = dict(translate_folder(setup.translation(translator), todo, how).failed)
    return [job for job in todo.jobs if job.name not in failed], failed


def _drawn(setup: Setup, translator: Translator, inputs: Path, out: Path, count: int) -> list[tuple[str, list[Path]]]:
    """Translate a folder once for each seed, as ``img2img translate --seed`` does; return each input's outputs.

    Raises:
        ConfigError: if nothing is drawn.
    """
    if not isinstance(translator.networks[translator.direction(setup.to)], LatentGenerator):
        raise ConfigError("this translator has one output for each input: no seed changes it")
    outputs: dict[str, list[Path]] = {}
    for seed in range(count):
        of_seed = replace(setup, seed=seed, engine=translator.engine)
        for job in _run(of_seed, of_seed.load(), inputs, out / str(seed))[0]:
            outputs.setdefault(job.name, []).append(job.target)
    return [(name, files) for name, files in outputs.items() if len(files) == count]


def _layout(task: Task, wanted: tuple[str, str]) -> Layout:
    """Return the layout with the translator's source first.

    Raises:
        ConfigError: if it cannot be known which domain of the data is which: guessing might swap them.
    """
    recorded = _domains_of(task.model)
    domains = task.domains or (recorded if recorded and set(recorded) == set(wanted) else None)
    layout = find_layout(list(task.data), paired=False, domains=domains)
    if set(layout.domains) != set(wanted):
        theirs, ours = " and ".join(layout.domains), " and ".join(wanted)
        either = f"--domains {' '.join(wanted)} or --domains {' '.join(wanted[::-1])}"
        raise ConfigError(
            f"the domains of the data are {theirs}, those of the translator {ours}: say which is which, in the order "
            f"of the data, with {either}"
        )
    return find_layout(list(task.data), paired=False, domains=domains, to=wanted[1])


def _domains_of(model: Path) -> tuple[str, str] | None:
    """Return the domains in the order of the data that a run was trained on, where they had to be given."""
    config = model / "config.yaml"
    tree = yaml.safe_load(config.read_text(encoding="utf-8")) if config.is_file() else {}
    found = tree.get("data", {}).get("domains")
    return None if found is None else (str(found[0]), str(found[1]))


def _folder_of(sources: Sequence[Source], scratch: Path) -> Path:
    """Return a folder that holds the images alone; halves of files are cut out into ``scratch``."""
    if all(source.half == "whole" for source in sources):
        return sources[0].folder
    for source in sources:
        path = (scratch / source.name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.asarray(load_pixels(source, 3))
        Image.fromarray(pixels).save(path)
    return scratch


def _paired(translator: Translator, inputs: Sequence[Source]) -> bool:
    """Tell whether inputs and references are known to belong together."""
    method = translator.header.get("training", {}).get("method")
    learnt = method in img2img.__all__ and getattr(getattr(img2img, method), "paired", False)
    return bool(learnt or any(source.half != "whole" for source in inputs))


def _weights_of(model: Path, direction: str) -> str:
    """Return which weights a translator file gives where nobody chose."""
    with safe_open(str(find_translator(model)), framework="pt") as file:
        averaged = any(name.startswith(f"{direction}/ema/") for name in file.keys())  # noqa: SIM118 (not a dict)
    return "ema" if averaged else "raw"
