"""Videos in: one frame at a time, upright and in RGB, and the packets of everything else untouched.

Decoding is FFmpeg's, through PyAV.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from img2img.errors import DataError
from img2img.image.opening import MAX_PIXELS, check_size, named
from img2img.image.picture import join
from img2img.image.video import FULL, LIMITED, UNSPECIFIED, Look

EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
"""How colours are computed: to within two levels, and colour differences of half the size put between, not repeated."""

_FORMATS = "mov,mp4,matroska,webm,avi"
"""What is opened, whatever the name says: playlists and the like, which lead to other files and hosts, stay shut."""

_MISSING_SECONDS, _MISSING_PART = 0.3, 0.03
"""A video that ends this much before the length it states is cut short; whole ones are off by a frame or two."""

_SAMPLES = 8
_8_BITS = 8


class Frame:
    """A frame of a video.

    Args:
        decoded: the frame as stored.
        pts: when it is shown, in the clip's time base.
        duration: how long, likewise; 0 if unknown.
    """

    def __init__(self, decoded: VideoFrame, pts: int, duration: int) -> None:
        self.decoded, self.pts, self.duration = decoded, pts, duration

    def look(self) -> Look:
        """Return what its colours say they are."""
        frame = self.decoded
        full = {FULL: True, LIMITED: False}.get(frame.color_range)
        matrix = 0 if frame.format.is_rgb else frame.colorspace or UNSPECIFIED
        return Look(matrix, frame.color_primaries, frame.color_trc, full)

    def pixels(self) -> NDArray[np.uint8]:
        """Return it upright, uint8 RGB [H, W, 3]."""
        frame = self.decoded
        given = {} if frame.format.is_rgb else {"src_colorspace": self.look().scaler_matrix(frame.width, frame.height)}
        rgb = frame.reformat(format="rgb24", dst_color_range=FULL, interpolation=EXACT, **given)
        turned = _upright(rgb.to_ndarray(), _display_matrix(frame))
        return cast("NDArray[np.uint8]", np.ascontiguousarray(turned))

    def is_on_its_side(self) -> bool:
        """Tell whether width and height change places when it is shown."""
        a, b, *_ = _display_matrix(self.decoded)
        return abs(a) < abs(b)

    def reduced(self) -> str:
        """Say what it holds and an upright picture of 8 bits in RGB does not, or ""."""
        frame, parts = self.decoded, self.decoded.format.components
        deep = max(part.bits for part in parts)
        return join(
            f"{deep} bits reduced to 8" * (deep > _8_BITS),
            "transparency is left out" * any(part.is_alpha for part in parts),
            "half frames (interlaced) are translated together and stored as whole ones" * frame.interlaced_frame,
            "high dynamic range was translated as it is stored" * self.look().is_high_dynamic_range,
        )


class Survey(NamedTuple):
    """What one pass over a video finds.

    Attributes:
        num_frames: in the whole video.
        samples: 8 to 15 of them, evenly spaced from the first on; all where there are fewer.
    """

    num_frames: int
    samples: list[Frame]


class Clip:
    """An open video: its first stream of pictures, and what lies beside it.

    Args:
        container: open for reading.
        name: what messages call it.

    Attributes:
        video: the stream of pictures.
        time_base: seconds of one unit of times.
        rate: frames a second, on average.
    """

    def __init__(self, container: InputContainer, name: str) -> None:
        self.container, self.name = container, name
        films = [stream for stream in container.streams.video if not _is_cover(stream)]
        if not films:
            raise DataError(f"{name}: it has no pictures that move")
        self.video = films[0]
        self.video.thread_type = "AUTO"
        assert self.video.time_base is not None
        self.time_base: Fraction = self.video.time_base
        self.rate: Fraction = self.video.average_rate or self.video.guessed_rate or Fraction(25)
        self.others = [stream for stream in container.streams if stream.index != self.video.index]

    def items(self) -> Iterator[Frame | Packet[Any]]:
        """Yield the frames, and the packets of all other streams, as they lie in the file.

        Raises:
            DataError: if it cannot be decoded, or ends before the length that it states.
        """
        end, last = 0.0, None
        step = max(round(1 / (self.rate * self.time_base)), 1)
        with _decoding(self.name):
            for packet in self.container.demux():
                if packet.is_corrupt:
                    raise DataError(f"{self.name}: damaged or truncated (a part of it is missing)")
                start = packet.pts if packet.pts is not None else packet.dts
                if start is not None:
                    end = max(end, float((start + (packet.duration or 0)) * packet.time_base))
                if packet.stream.index != self.video.index:
                    if start is not None:  # the last one of a stream is empty
                        yield packet
                    continue
                for decoded in packet.decode():
                    assert isinstance(decoded, VideoFrame)
                    pts = decoded.pts if decoded.pts is not None else 0 if last is None else last + step
                    last = pts if last is None else max(pts, last + 1)  # damaged times would end an encoder
                    yield Frame(decoded, last, decoded.duration)
        self._check_end(end)

    def survey(self, visited: Any) -> Survey:
        """Decode the whole video once.

        Args:
            visited: called after every frame.

        Raises:
            DataError: see :meth:`items`; also if there are no frames, or their size changes.
        """
        samples: list[Frame] = []
        count, every = 0, 1
        for item in self.items():
            if not isinstance(item, Frame):
                continue
            if samples and _size(item) != _size(samples[0]):
                raise DataError(f"{self.name}: its frames change size, from {_size(samples[0])} to {_size(item)} px")
            if count % every == 0:
                samples.append(item)
                if len(samples) == 2 * _SAMPLES:
                    samples, every = samples[::2], 2 * every
            count += 1
            visited()
        if not samples:
            raise DataError(f"{self.name}: it has no frames that can be decoded")
        return Survey(count, samples)

    def _check_end(self, end: float) -> None:
        if not self.container.duration:
            return
        stated = (self.container.duration + (self.container.start_time or 0)) / av.time_base
        if stated - end > max(_MISSING_SECONDS, _MISSING_PART * stated):
            raise DataError(f"{self.name}: damaged or truncated (it ends after {end:.1f} of {stated:.1f} s)")


@contextlib.contextmanager
def opened_clip(path: Path, name: str, max_pixels: int | None = None) -> Iterator[Clip]:
    """Open a video.

    Args:
        path: of the file.
        name: what messages call it.
        max_pixels: larger frames are refused before they are decoded.

    Raises:
        DataError: if it is missing, damaged, or something else.
    """
    if path.exists() and not path.is_file():  # opening a pipe would wait for somebody to write
        raise DataError(f"{name}: expected a video file, got a folder, pipe, socket or device")
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    with contextlib.ExitStack() as stack:
        with named(name), _decoding(name):
            container = stack.enter_context(
                av.open(str(path.absolute()), "r", container_options=options, metadata_errors="replace")
            )
        clip = Clip(container, name)
        check_size((clip.video.width, clip.video.height), name, MAX_PIXELS if max_pixels is None else max_pixels)
        yield clip


@contextlib.contextmanager
def _decoding(name: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except av.FFmpegError as error:
        raise DataError(f"{name}: damaged or truncated ({error.strerror})") from error


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _size(frame: Frame) -> str:
    return f"{frame.decoded.width}x{frame.decoded.height}"


def _display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """Return a, b, c, d: a stored pixel (x, y) is shown at (a x + c y, b x + d y) (ISO/IEC 14496-12, 6.2.2)."""
    for data in frame.side_data:
        if cast("Any", data).type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = np.frombuffer(cast("Any", data), np.int32).tolist()
            return a, b, c, d
    return 1, 0, 0, 1


def _upright(pixels: NDArray[Any], matrix: tuple[int, int, int, int]) -> NDArray[Any]:
    """Turn by quarters and mirror; what lies between counts as the nearest quarter."""
    a, b, c, d = matrix
    if abs(a) < abs(b):
        pixels, across, down = pixels.transpose(1, 0, 2), c, b
    else:
        across, down = a, d
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
