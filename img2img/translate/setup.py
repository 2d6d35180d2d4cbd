"""Everything that a process must know to translate files, as plain data that can be sent to another process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from img2img.checkpoint import Weights
from img2img.image import Mark, Picture
from img2img.translate.controls import Controls
from img2img.translate.eager import Memory
from img2img.translate.files import Files
from img2img.translate.folder import How
from img2img.translate.streams import VideoStatistics
from img2img.translate.tiles import Say
from img2img.translate.translator import Translator, load


@dataclass(frozen=True)
class Setup:
    """A translator and how its images are read, translated and written.

    Args:
        model: translator file or run folder.
        to: target domain; the main one by default.
        size: see :meth:`Translator.picture`.
        device: see :func:`img2img.load`, as the next four.
        precision: of the network.
        weights: averaged or raw.
        stochastic: leave dropout on.
        seed: of the dropout.
        memory: what to do with images that may not fit into it.
        files: what is read and kept of files.
        mark: whether outputs say that they are generated, and by what.
        controls: what of the source is kept.
        video_statistics: of norms in videos.
    """

    model: Path
    to: str | None = None
    size: int | None = None
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    weights: Weights | None = None
    stochastic: bool = False
    seed: int = 0
    memory: Memory = field(default_factory=Memory)
    files: Files = field(default_factory=Files)
    mark: bool = True
    controls: Controls = field(default_factory=Controls)
    video_statistics: VideoStatistics = "clip"

    def load(self, say: Say = lambda _: None) -> Translator:
        """Load the translator.

        Args:
            say: called with what the user should know.

        Raises:
            ModelFileError: see :func:`img2img.load`.
        """
        return load(
            self.model,
            self.device,
            weights=self.weights,
            precision=self.precision,
            memory=replace(self.memory, say=say),
            stochastic=self.stochastic,
            seed=self.seed,
        )

    def marked(self, translator: Translator) -> Files:
        """Return how files are read and written, with the mark of the translator where it is wanted."""
        return replace(self.files, mark=Mark.of(translator.header) if self.mark else None)

    def how(self, translator: Translator) -> How:
        """Return how a batch is done with the loaded translator, for :func:`translate_folder`."""
        return translator.how(self.to, self.size, self.marked(translator), self.controls, self.video_statistics)

    def translating(self, translator: Translator) -> Callable[[Picture], Picture]:
        """Return what turns one picture into another, for :func:`translate_folder`."""
        return lambda picture: translator.picture(picture, self.to, self.size)
