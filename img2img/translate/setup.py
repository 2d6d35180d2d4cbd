"""Everything that a process must know to translate files, as plain data that can be sent to another process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from img2img.checkpoint import Weights
from img2img.errors import ConfigError
from img2img.image import Mark
from img2img.translate.controls import Controls
from img2img.translate.engines.base import EngineName
from img2img.translate.files import Files
from img2img.translate.how import How
from img2img.translate.inputs import Plan
from img2img.translate.journal import last_settings
from img2img.translate.loading import load
from img2img.translate.memory import Memory, Say
from img2img.translate.streams import VideoStatistics
from img2img.translate.translation import Translation
from img2img.translate.translator import Translator


@dataclass(frozen=True)
class Setup:
    """A translator and how its images are read, translated and written.

    Args:
        model: translator file or run folder.
        to: target domain; the main one by default.
        size: see :meth:`Translator.picture`.
        restore_size: likewise.
        device: see :func:`img2img.load`, as the next four.
        devices: several devices instead, such as ``cuda:0`` and ``cuda:1``.
        precision: of the network.
        engine: that runs it.
        batch: images of one size that go through it together.
        weights: averaged or raw.
        stochastic: leave dropout on.
        seed: of dropout and style.
        memory: what to do with images that may not fit into it.
        files: what is read and kept of files.
        mark: whether outputs say that they are generated, and by what.
        controls: what of the source is kept.
        video_statistics: of norms in videos.
        normalise: see :func:`img2img.load`.
    """

    model: Path
    to: str | None = None
    size: int | None = None
    restore_size: bool = False
    device: str = "auto"
    devices: tuple[str, ...] = ()
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    engine: EngineName | Literal["auto"] = "auto"
    batch: int | None = None
    weights: Weights | None = None
    stochastic: bool = False
    seed: int | None = None
    memory: Memory = field(default_factory=Memory)
    files: Files = field(default_factory=Files)
    mark: bool = True
    controls: Controls = field(default_factory=Controls)
    video_statistics: VideoStatistics = "clip"
    normalise: bool = True

    def load(self, say: Say = lambda _: None) -> Translator:
        """Load the translator, on the first of several devices.

        Args:
            say: called with what the user should know.

        Raises:
            ModelFileError: see :func:`img2img.load`.
        """
        return self._load(self.devices[0] if self.devices else self.device, self.engine, replace(self.memory, say=say))

    def _load(self, device: str, engine: EngineName | Literal["auto"], memory: Memory) -> Translator:
        return load(
            self.model,
            device,
            weights=self.weights,
            precision=self.precision,
            memory=memory,
            engine=engine,
            batch=self.batch,
            stochastic=self.stochastic,
            seed=self.seed,
            normalise=self.normalise,
        )

    def marked(self, translator: Translator) -> Files:
        """Return how files are read and written, with the mark of the translator where it is wanted."""
        composite = self.controls != Controls()
        mark = Mark.of(translator.header, translator.direction(self.to), composite=composite)
        files = replace(self.files.signed_for(mark), mark=mark if self.mark else None)
        return replace(files, formats=translator.formats(self.to))

    def how(self, translator: Translator, whole: Plan | None = None, *, afresh: bool = False) -> How:
        """Return how a batch is done with the loaded translator, for :func:`translate_folder`.

        Args:
            translator: what :meth:`load` returned; what it left open is settled.
            whole: what all processes together translate; a batch that was begun there goes on as it was settled then.
            afresh: settle anew all the same.

        Raises:
            ConfigError: if the devices are not of one kind, as their bytes would differ.
        """
        jobs = whole.jobs if whole else ()
        translator.calibrate(jobs, self.files, self.to, self.size)
        translator.settle(last_settings(whole.out) if whole and not afresh else None, len(jobs))
        beside = [self._load(device, translator.engine, translator.memory) for device in self.devices[1:]]
        if kinds := {one.device.type for one in beside} - {translator.device.type}:
            raise ConfigError(
                f"devices of several kinds: {translator.device.type}, {', '.join(sorted(kinds))}; expected one"
            )
        how = translator.how(
            self.to,
            self.size,
            self.marked(translator),
            self.controls,
            self.video_statistics,
            restore_size=self.restore_size,
        )
        return replace(how, beside=tuple(self.translation(one) for one in beside))

    def translation(self, translator: Translator) -> Translation:
        """Return what turns one picture into another, for :func:`translate_folder`."""
        return translator.translation(self.to, self.size, restore_size=self.restore_size)
