"""Videos out: frames encoded as they come, everything else copied packet by packet.

Encoding is FFmpeg's, through PyAV: H.264 (``libx264``), or MPEG-4 part 2 where a build has none; VP9 or AV1 in WebM;
and MPEG-4 part 2 in AVI, which has no times of its own, so that readers of H.264 in it guess and are a frame late.
Colours are stored at half the resolution (4:2:0), as players expect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from img2img.errors import DataError
from img2img.image.atomic import replacing
from img2img.image.clip_reading import EXACT, Clip
from img2img.image.provenance import Mark, packet
from img2img.image.video import CRF, FULL, LARGEST_CRF, LIMITED, Look

_CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"}
_ISO = {"mp4", "mov"}
_ENCODERS = ("libx264", "mpeg4")
_ENCODERS_OF = {"webm": ("libvpx-vp9", "libsvtav1"), "avi": ("mpeg4",)}
_OTHER_LARGEST_CRF = 63
_MPEG4_TICKS = 65535
"""Most parts of a second in MPEG-4 part 2 (ISO/IEC 14496-2, vop_time_increment_resolution has 16 bits)."""
_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""Of XMP in MP4 and QuickTime files (XMP specification part 3, 1.2.7.1)."""
_OF_THE_OLD_FILE = {"encoder", "software", "major_brand", "minor_version", "compatible_brands", "duration"}
_TOLD_OF_STREAMS = {"language", "title", "handler_name"}
_COPIED = {"audio", "subtitle", "attachment"}


@dataclass(frozen=True)
class Form:
    """What a video that is written is like.

    Args:
        width: in pixels.
        height: in pixels.
        look: what its colours say they are, see :meth:`Look.written`.
        aspect: width of a pixel by its height, or None.
        crf: quality, 0 to 51; H.264's constant rate factor, and the same part of other codecs' scales.
        mark: says in the file that it is generated; None leaves it out.
        metadata: whether title, date, chapters and the like of the source are kept.
    """

    width: int
    height: int
    look: Look
    aspect: Fraction | None = None
    crf: int = CRF
    mark: Mark | None = None
    metadata: bool = True


class ClipWriter:
    """A video being written.

    Args:
        container: open for writing.
        clip: the source, whose times, sound and subtitles it gets.
        form: the rest.

    Attributes:
        notes: what of the source it does not hold.
    """

    def __init__(self, container: OutputContainer, clip: Clip, form: Form) -> None:
        self.container, self.clip, self.form, self.look = container, clip, form, form.look
        self.notes: list[str] = []
        self.video = self._video_stream()
        self.copies = {stream.index: copy for stream in clip.others if (copy := self._copy_of(stream)) is not None}
        self._describe()
        container.start_encoding()

    def frame(self, pixels: NDArray[np.uint8], pts: int, duration: int) -> None:
        """Encode a frame, uint8 RGB [H, W, 3], for a time of the source."""
        form, context = self.form, self.video.codec_context
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(
            format=context.pix_fmt,
            dst_colorspace=self.look.scaler_matrix(form.width, form.height),
            dst_color_range=FULL if self.look.full else LIMITED,
            interpolation=EXACT,
        )
        frame.pts, frame.duration, frame.time_base = pts, duration, self.clip.time_base
        self.container.mux(self.video.encode(frame))

    def packet(self, item: Packet[Any]) -> None:
        """Copy a packet of another stream."""
        copy = self.copies.get(item.stream.index)
        if copy is not None:
            item.stream = copy
            self.container.mux(item)

    def close(self) -> None:
        """Write what the encoder still holds."""
        self.container.mux(self.video.encode())

    def _video_stream(self) -> VideoStream:
        form, kind = self.form, self.container.format.name
        encoder = _encoder(_ENCODERS_OF.get(kind, _ENCODERS))
        video = self.container.add_stream(encoder, rate=self.clip.rate, options=_options(encoder, form.crf))
        assert isinstance(video, VideoStream)
        context = video.codec_context
        context.width, context.height = form.width, form.height
        context.pix_fmt = "yuv420p"
        if encoder == "libx264" and (form.width % 2 or form.height % 2):
            context.pix_fmt = "yuv444p"
            self.notes.append("H.264 holds odd sides with all colours only (4:4:4), which some players do not show")
        context.time_base = self.clip.time_base
        if encoder == "mpeg4":
            self.look = Look()  # it has no place to say it: players take what is usual
            if context.time_base.denominator > _MPEG4_TICKS:
                context.time_base = Fraction(1, _MPEG4_TICKS)
        if form.aspect is not None:
            context.sample_aspect_ratio = form.aspect
        look = self.look
        context.colorspace, context.color_primaries, context.color_trc = look.matrix, look.primaries, look.transfer
        context.color_range = {None: 0, True: FULL, False: LIMITED}[look.full]
        if form.metadata:
            _tell(video, self.clip.video)
        return video

    def _copy_of(self, stream: Stream) -> Stream | None:
        kind, codec = stream.type, stream.codec_context.name if stream.codec_context else ""
        if kind in _COPIED:
            with contextlib.suppress(ValueError):
                copy: Stream = self.container.add_stream_from_template(stream)
                copy.disposition = stream.disposition
                if self.form.metadata:
                    _tell(copy, stream)
                return copy
        what = f"{kind} ({codec})" if codec else kind
        why = f": {self.container.format.name} does not hold it" if kind in _COPIED else ""
        self.notes.append(f"a stream of {what} is left out{why}")
        return None

    def _describe(self) -> None:
        told: dict[str, str] = {}
        if self.form.metadata:
            source = self.clip.container
            told = {key: text for key, text in source.metadata.items() if key.lower() not in _OF_THE_OLD_FILE}
            self.container.set_chapters(source.chapters())
        if self.form.mark is not None:
            comments = {key: text for key, text in told.items() if key.lower() == "comment"}
            told = {key: text for key, text in told.items() if key not in comments}
            told["comment"] = "; ".join([*comments.values(), self.form.mark.words()])
        self.container.metadata.update(told)


@contextlib.contextmanager
def written_clip(target: Path, clip: Clip, form: Form) -> Iterator[ClipWriter]:
    """Write a video, whole or not there; the ending of its name is the container.

    Args:
        target: file to write.
        clip: the source.
        form: what it is like.

    Raises:
        DataError: if the container does not hold it.
        OSError: if the disk is full, or the folder cannot be written.
    """
    kind = _CONTAINERS[target.suffix.lower()]
    if kind == "avi" and "avi" not in clip.container.format.name:
        raise DataError(f"{clip.name}: AVI has no times of frames; expected a name that ends in .mp4, .mkv or .webm")
    options = {"movflags": "+faststart"} if kind in _ISO else {}
    with replacing(target) as temporary:
        with _writable(target), av.open(str(temporary), "w", format=kind, container_options=options) as container:
            writer = ClipWriter(container, clip, form)
            yield writer
            writer.close()
        if form.mark is not None and kind in _ISO:
            xmp, _ = packet(None, form.mark)
            assert xmp is not None
            with temporary.open("ab") as file:
                file.write((24 + len(xmp)).to_bytes(4, "big") + b"uuid" + _XMP_BOX + xmp)


@contextlib.contextmanager
def _writable(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except av.FFmpegError as error:
        raise DataError(f"{target.name}: cannot be written as {target.suffix} ({error.strerror})") from error


def _encoder(preferred: tuple[str, ...]) -> str:
    found = next((name for name in preferred if name in av.codecs_available and _encodes(name)), None)
    if found is None:
        raise DataError(f"this build of PyAV encodes none of {', '.join(preferred)}; pip install --upgrade av")
    return found


def _encodes(name: str) -> bool:
    try:
        av.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _options(encoder: str, crf: int) -> dict[str, str]:
    scaled = str(round(crf * _OTHER_LARGEST_CRF / LARGEST_CRF))
    if encoder == "libx264":
        return {"crf": str(crf), "preset": "medium"}
    if encoder == "libvpx-vp9":
        return {"crf": scaled, "b": "0", "deadline": "good", "cpu-used": "2", "row-mt": "1"}
    if encoder == "libsvtav1":
        return {"crf": scaled, "preset": "8"}
    # MPEG-4 steps by twice its scale, H.264 by 0.625 * 2^(crf / 6) (ITU-T H.264, 8.5.9): the nearest of 1 to 31
    step = min(max(round(0.625 * 2 ** (crf / 6) / 2), 1), 31)
    return {"qmin": str(step), "qmax": str(step)}


def _tell(copy: Stream, source: Stream) -> None:
    copy.metadata.update({key: text for key, text in source.metadata.items() if key.lower() in _TOLD_OF_STREAMS})
