"""A loaded translator: images in, images out. Previews, the command and the Python call all come through here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from img2img.checkpoint import Weights
from img2img.configured import nearest
from img2img.errors import ConfigError, DataError
from img2img.image import (
    Mark,
    Picture,
    Pixels,
    picture_of,
    round_to_8_bits,
    to_image,
    with_channels,
)
from img2img.networks.base import Generator
from img2img.translate.controls import Controls
from img2img.translate.drawings import Drawings
from img2img.translate.draws import choose_style, draw_by_place
from img2img.translate.engines.base import Engine, EngineName, Precision
from img2img.translate.engines.choice import engine_of, fastest
from img2img.translate.engines.int8 import digest
from img2img.translate.files import Files
from img2img.translate.folder import translate_folder
from img2img.translate.formats import Formats, planned
from img2img.translate.how import Existing, How
from img2img.translate.inputs import Job, plan
from img2img.translate.journal import last_settings
from img2img.translate.memory import Memory
from img2img.translate.report import FolderReport
from img2img.translate.streams import Streams, VideoStatistics
from img2img.translate.translation import Translation

_GPU_BATCH = 16
_CALIBRATED_ON = 8

Picturelike = Image.Image | NDArray[np.uint8] | Tensor


class Translator:
    """Translates images from one named domain into another.

    >>> translator = img2img.load("run")            # a translator file or a run folder
    >>> picture = translator(Image.open("in.png"))  # PIL in, PIL out; also NumPy arrays, tensors and lists of them
    >>> translator.folder("drawings", "coloured")

    Args:
        networks: generators by direction ``source:target``, the main direction first.
        header: the translator file's header.
        device: where they run.
        weights: which weights the networks have, for the record.
        precision: ``fp32`` or ``bf16``.
        memory: what to do with images that may not fit into it; by default tiles where they do not.
        engine: that runs them; ``auto`` is settled with the first image, see :meth:`settle`.
        batch: images of one size that go through the network together; by default 1 on a CPU, where more are not
            faster, and 16 on a GPU.
        stochastic: leave dropout on, as pix2pix's authors did; ``seed`` then decides the draw (0 by default).
        seed: of the dropout, anew for every image, and of the style, where the translator has several; without one it
            is the mean style of the training. See :mod:`img2img.translate.draws`.
        normalise: bring drawings nearer to those that the translator was trained on (:mod:`drawings`), where its
            header knows them.
    """

    def __init__(
        self,
        networks: Mapping[str, Generator],
        header: Mapping[str, Any],
        device: torch.device | None = None,
        *,
        weights: Weights | None = None,
        precision: Precision = "fp32",
        memory: Memory | None = None,
        engine: EngineName | Literal["auto"] = "eager",
        batch: int | None = None,
        stochastic: bool = False,
        seed: int | None = None,
        normalise: bool = True,
    ) -> None:
        self.drawings = Drawings.from_header(header) if normalise else None
        self.weights, self.precision, self.memory = weights, precision, memory or Memory()
        self.header, self.engine = dict(header), engine
        self.device = device or torch.device("cpu")
        self.batch = batch or (_GPU_BATCH if self.device.type == "cuda" else 1)
        self.networks = {direction: network.eval().to(self.device) for direction, network in networks.items()}
        self._engines: dict[tuple[str, Precision], Engine] = {}
        self.stochastic, self.seed = stochastic, seed
        self._calibration: list[Tensor] = []
        styled = seed is not None and sum(choose_style(network, seed) for network in self.networks.values())
        if seed is not None and not styled and not stochastic:
            raise ConfigError(f"--seed {seed}: this translator has one style and nothing is drawn; leave it out")
        if stochastic:
            if not sum(draw_by_place(network, seed or 0) for network in self.networks.values()):
                raise ConfigError("this translator has no dropout, so --stochastic would change nothing; leave it out")
            if engine not in {"auto", "eager"}:
                raise ConfigError(f"--stochastic is drawn by engine eager alone, got {engine}")
            self.engine = "eager"

    @property
    def directions(self) -> list[str]:
        """Directions such as ``line:colour``, the main one first."""
        return list(self.networks)

    def direction(self, to: str | None = None) -> str:
        """Return the direction into a domain; the main one by default.

        Raises:
            ConfigError: naming the domains there are.
        """
        if to is None:
            return self.directions[0]
        targets = {direction.split(":")[1]: direction for direction in self.directions}
        if to not in targets:
            raise ConfigError(f"this translator cannot translate to {to!r}{nearest(to, targets)}")
        return targets[to]

    def tensor(self, source: Tensor, to: str | None = None, precision: Precision | None = None) -> Tensor:
        """Translate a batch.

        Args:
            source: float32 [B, C, H, W] in [-1, 1], any size.
            to: target domain.
            precision: the translator's own by default.

        Returns:
            float32 [B, C', H, W] in [-1, 1], on the CPU, not rounded.
        """
        key = self.direction(to), precision or self.precision
        network = self.networks[key[0]]
        if source.shape[1] != network.in_channels:
            raise DataError(f"expected {network.in_channels} channels, got {source.shape[1]}")
        if key not in self._engines:
            # a precision beside the usual one is asked for by images of more bits
            name = self._settle_engine() if key[1] == self.precision else "eager"
            self._engines[key] = engine_of(name, network, self.device, key[1], self.memory, self._calibration)
        return self._engines[key](source)

    def settle(self, before: Mapping[str, Any] | None = None, images: int = 1) -> None:
        """Settle what was left open and decides the last bits: the engine, and how many pixels go at once.

        Args:
            before: :meth:`settings` of a batch that goes on; taken over where they agree in what is not open.
            images: that are to be translated.
        """
        open_ = {"engine"} if self.engine == "auto" else set()
        if self.memory.tile_px == "auto" and self.memory.whole_px is None:
            open_.add("whole_px")
        settled = {key: value for key, value in self._settings().items() if key not in open_}
        if before and open_ <= set(before) and all(before.get(key) == value for key, value in settled.items()):
            self.engine = before["engine"]
            self.memory = replace(self.memory, whole_px=before["whole_px"])
        self._settle_engine(images)
        if self.memory.tile_px == "auto" and self.memory.whole_px is None:
            whole_px = self.memory.fitting_px(next(iter(self.networks.values())))
            self.memory = replace(self.memory, whole_px=whole_px)

    def calibrate(self, jobs: Sequence[Job], files: Files, to: str | None = None, size: int | None = None) -> None:
        """Read the first images of a batch for engine int8, whose numbers' range they decide; nothing for others.

        Args:
            jobs: of the whole batch.
            files: how they are read.
            to: target domain.
            size: see :meth:`picture`.
        """
        if self.engine != "int8":
            return
        translation, files = self.translation(to, size), replace(files, formats=self.formats(to))
        for job in jobs:
            try:
                picture = files.read(job.source, job.name, beside=job.beside).frames[0]
            except DataError:
                continue  # reported when its turn comes
            self._calibration.append(translation.prepare(picture).source[None])
            if len(self._calibration) == _CALIBRATED_ON:
                break

    def _settle_engine(self, images: int = 1) -> EngineName:
        if self.engine == "auto":
            network = next(iter(self.networks.values()))
            self.engine = fastest(network, self.device, self.precision, images, self.memory.say)
        return self.engine

    def picture(
        self, picture: Picture, to: str | None = None, size: int | None = None, *, restore_size: bool = False
    ) -> Picture:
        """Translate a decoded file; its bit depth, alpha, profile, EXIF and XMP travel along.

        Args:
            picture: as read from a file, with 8 or 16 bits or floats; the result has the same.
            to: target domain.
            size: shorter side in pixels to resize the source to first; by default its own size is kept.
            restore_size: resize the result back to the source's own size.
        """
        return self.translation(to, size, restore_size=restore_size)(picture)

    def translation(self, to: str | None = None, size: int | None = None, *, restore_size: bool = False) -> Translation:
        """Return what translates pictures, for :func:`translate_folder`; arguments as :meth:`picture`."""
        direction = self.direction(to)
        return Translation(
            partial(self.tensor, to=to),
            self.networks[direction].in_channels,
            size,
            self.batch,
            self.drawings,
            restore_size,
            self.formats(to),
            int(self.header.get("directions", {}).get(direction, {}).get("scale", 1)),
        )

    def formats(self, to: str | None = None) -> Formats | None:
        """Return what files the translator takes and gives; None where they are plain pictures."""
        return Formats.of(self.header, self.direction(to))

    @overload
    def __call__(self, image: Picturelike, to: str | None = None) -> Any: ...
    @overload
    def __call__(self, image: Sequence[Picturelike], to: str | None = None) -> list[Any]: ...
    def __call__(self, image: Picturelike | Sequence[Picturelike], to: str | None = None) -> Any:
        """Translate one image or a list, returning the kind that came.

        Args:
            image: a PIL image of any mode; a uint8 array [H, W] or [H, W, C] with C 1, 3 or 4; or a float tensor
                [C, H, W] or [B, C, H, W] in [-1, 1]. Alpha is carried along.
            to: target domain; the main one by default.

        Raises:
            TypeError: for any other kind.
            ValueError: for a tensor with values outside [-1, 1].
        """
        if isinstance(image, Image.Image):
            return to_image(self.picture(picture_of(image, "image"), to))
        if isinstance(image, np.ndarray):
            return self._array(image, to)
        if isinstance(image, Tensor):
            batch = image if image.ndim == 4 else image[None]  # noqa: PLR2004 (a batch of images)
            if not batch.is_floating_point() or batch.ndim != 4:  # noqa: PLR2004
                raise TypeError(
                    f"expected a float tensor [C, H, W] or [B, C, H, W], got {image.dtype} {list(image.shape)}"
                )
            if not bool((batch.abs() <= 1 + 1e-3).all()):
                raise ValueError("expected values in [-1, 1], got values outside or NaN")
            translated = self.tensor(batch, to)
            translated = round_to_8_bits(translated) if self.formats(to) is None else translated
            return translated if image.ndim == 4 else translated[0]  # noqa: PLR2004
        if isinstance(image, list | tuple):
            return [self(one, to) for one in image]
        raise TypeError(f"expected a PIL image, a NumPy array, a tensor or a list of them, got {type(image).__name__}")

    def _array(self, image: NDArray[np.uint8], to: str | None) -> Pixels:
        shape = image.shape
        if image.dtype != np.uint8 or len(shape) not in {2, 3} or (len(shape) == 3 and shape[2] not in {1, 3, 4}):  # noqa: PLR2004
            got = f"{image.dtype} {list(shape)}"
            raise TypeError(f"expected a uint8 array [H, W] or [H, W, C] with C 1, 3 or 4 (RGBA), got {got}")
        pixels = image if len(shape) == 3 else image[..., None]  # noqa: PLR2004 (height, width, channels)
        alpha = pixels[..., 3] if pixels.shape[2] == 4 else None  # noqa: PLR2004 (RGBA)
        translated = self.picture(Picture(pixels[..., :3], alpha, "", None, None, ""), to)
        if alpha is not None:
            return np.concatenate([with_channels(translated.pixels, 3), alpha[..., None]], axis=2)
        return translated.pixels[..., 0] if translated.pixels.shape[2] == 1 else translated.pixels

    def how(
        self,
        to: str | None = None,
        size: int | None = None,
        files: Files | None = None,
        controls: Controls | None = None,
        video_statistics: VideoStatistics = "clip",
        *,
        restore_size: bool = False,
    ) -> How:
        """Return how a batch is done with this translator, for :func:`translate_folder`."""
        controls = controls or Controls()
        mark = Mark.of(self.header, self.direction(to), composite=controls != Controls())
        formats = self.formats(to)
        files = replace((files or Files(mark=mark)).signed_for(mark), formats=formats)
        if formats is not None and controls != Controls():
            raise ConfigError(f"--strength, --keep-color and --mask are for pictures; this translator takes {formats}")
        if formats is not None and files.value_range is not None:
            raise ConfigError(f"--value-range: this translator takes {formats} and knows the range; leave it out")
        self.translation(to, size, restore_size=restore_size)  # refuses what contradicts itself, before any work
        streams = Streams(self, to, size, files, controls, video_statistics, restore_size)
        return How(
            files=files,
            controls=controls,
            resizes=size is not None and not restore_size,
            stream=streams if formats is None else lambda _: None,
            settings={**self.settings(to, size, restore_size=restore_size), **streams.settings()},
        )

    def __str__(self) -> str:
        return f"{self.device} in {self.precision}{f' by {self.engine}' * (self.engine not in {'auto', 'eager'})}"

    def settings(self, to: str | None = None, size: int | None = None, *, restore_size: bool = False) -> dict[str, Any]:
        """Return what decides the bytes of a translation, as plain data: what a batch's journal records."""
        how = {"direction": self.direction(to), "size": size, **({"restore_size": True} if restore_size else {})}
        return {**how, **self._settings()}

    def _settings(self) -> dict[str, Any]:
        return {
            "translator": str(self.header.get("sha256", "unsaved"))[:16],
            "weights": self.weights,
            "device": self.device.type,
            "precision": self.precision,
            "engine": self.engine,
            "calibration": digest(self._calibration) if self._calibration else None,
            "batch": self.batch,
            "whole_px": self.memory.whole_px,
            "tile": self.memory.tile_px,
            "overlap": self.memory.overlap_px,
            "statistics": self.memory.statistics,
            "seed": self.seed or 0 if self.stochastic else self.seed,
            **({} if self.drawings is None else {"drawings": "normalised"}),
        }

    def folder(
        self,
        source: str | Path | Sequence[str | Path],
        out: str | Path,
        to: str | None = None,
        size: int | None = None,
        existing: Existing | None = None,
        files: Files | None = None,
        controls: Controls | None = None,
        video_statistics: VideoStatistics = "clip",
        *,
        restore_size: bool = False,
    ) -> FolderReport:
        """Translate files, or all images and videos of folders; see :func:`img2img.translate.folder.translate_folder`.

        Args:
            source: an image, a folder or a pattern, or several of them.
            out: the folder to write, or for one image the file.
            to: target domain; the main one by default.
            size: see :meth:`picture`.
            existing: what to do about files that are there, see :data:`img2img.translate.how.Existing`.
            files: what is read and kept of files; by default all of it, and the outputs are marked as generated.
            controls: what of the source is kept; by default nothing.
            video_statistics: of norms in videos, see :data:`VideoStatistics`.
            restore_size: see :meth:`picture`.
        """
        sources = [source] if isinstance(source, str | Path) else list(source)
        todo = plan(sources, out, **planned(self.header, to, files.value_range if files else None))
        self.calibrate(todo.jobs, files or Files(), to, size)
        self.settle(last_settings(todo.out), len(todo.jobs))
        how = self.how(to, size, files, controls, video_statistics, restore_size=restore_size)
        return translate_folder(
            self.translation(to, size, restore_size=restore_size), todo, replace(how, existing=existing)
        )
