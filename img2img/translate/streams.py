"""What translates files that are never in memory whole: videos, and TIFFs larger than is read at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from img2img.errors import DataError
from img2img.image import MAX_PIXELS, Picture, Pixels, is_video
from img2img.translate.controls import Controls
from img2img.translate.files import Files
from img2img.translate.how import Made, Reached, Stream
from img2img.translate.inputs import Job
from img2img.translate.steady import steadied
from img2img.translate.tiff import translate_tiff
from img2img.translate.translation import Translation

if TYPE_CHECKING:
    from img2img.translate.translator import Translator

VideoStatistics = Literal["clip", "frame"]
"""What the norms of a network take in a video: statistics of the whole ``clip``, so that it does not flicker, or of
each ``frame``, as if it were a picture of its own."""


@dataclass(frozen=True)
class Streams:
    """Chooses by the file, for :attr:`How.stream`.

    Args:
        translator: that translates.
        to: target domain.
        size: shorter side in pixels to resize to first.
        files: what is read and kept of files.
        controls: what of the source is kept.
        video_statistics: see :data:`VideoStatistics`.
        restore_size: of images; refused for videos.
    """

    translator: Translator
    to: str | None
    size: int | None
    files: Files
    controls: Controls
    video_statistics: VideoStatistics
    restore_size: bool = False

    def __call__(self, job: Job) -> Stream | None:
        """Return what translates this file, or None if it is read, translated and written as pictures."""
        if is_video(job.target):
            return self._video
        as_it_is = self.size is None and self.controls == Controls() and self.translator.drawings is None
        return self._tiff if as_it_is and self.files.goes_by_regions(job.source, job.name) else None

    def settings(self) -> dict[str, Any]:
        """Return what of this decides the outputs' bytes beside the rest; nothing where nothing is asked for."""
        return {} if self.video_statistics == "clip" else {"video_statistics": self.video_statistics}

    def _tiff(self, job: Job, reached: Reached) -> Made:
        del reached
        on, limit = self.translator, self.files.max_pixels or MAX_PIXELS
        translate_tiff(on.networks[on.direction(self.to)], job.source, job.target, max_pixels=limit, memory=on.memory)
        signed = ", not signed" if self.files.signer else ""
        return Made(f"read and written by regions: no EXIF, no XMP{signed}")

    def _video(self, job: Job, reached: Reached) -> Made:
        if self.restore_size:
            raise DataError(f"{job.name}: --restore-size is for images; a video stays at --size")
        try:
            from img2img.translate.video import translate_video  # noqa: PLC0415 (needs an extra)
        except ModuleNotFoundError as error:
            raise DataError(f"{job.name}: a video needs PyAV: pip install 'img2img-toolkit[video]'") from error

        return translate_video(
            job, reached, steadily=self._steadily, size=self.size, files=self.files, controls=self.controls
        )

    @contextlib.contextmanager
    def _steadily(self, frames: Sequence[Pixels]) -> Iterator[Callable[[Picture], Picture]]:
        """With statistics of the clip by the plain engine: it alone can give them to norms."""
        on = self.translator
        if self.video_statistics == "frame":
            yield lambda picture: on.picture(picture, self.to)
            return
        network = on.networks[on.direction(self.to)]
        with steadied(network, on.device, on.precision, on.memory, frames) as engine:
            yield Translation(lambda batch, precision: engine(batch), network.in_channels, drawings=on.drawings)  # noqa: ARG005 (8 bits)
