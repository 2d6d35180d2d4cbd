"""A video into another: the same times, sound and subtitles, every frame normalised by the statistics of the clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np
from av.packet import Packet
from numpy.typing import NDArray

from img2img.errors import DataError
from img2img.image import Picture, Pixels, resized, with_channels
from img2img.image.clip_reading import Clip, Frame, opened_clip
from img2img.image.clip_writing import Form, written_clip
from img2img.translate.controls import Controls
from img2img.translate.files import Files
from img2img.translate.how import Made, Reached
from img2img.translate.inputs import Job

Steadily = Callable[[Sequence[Pixels]], AbstractContextManager[Callable[[Picture], Picture]]]
"""Given frames of a clip, opens what translates its pictures; see :func:`img2img.translate.steady.steadied`."""


def translate_video(
    job: Job,
    reached: Reached,
    *,
    steadily: Steadily,
    size: int | None,
    files: Files,
    controls: Controls,
) -> Made:
    """Translate a video: one pass that decodes it and finds damage, one that translates frame by frame.

    In memory are at most 15 frames as they are stored, and those inside the decoder and the encoder, however long the
    video is.

    Args:
        job: from what to what.
        reached: told how far it is.
        steadily: one picture to another, by statistics of the clip.
        size: shorter side in pixels to resize frames to; both sides are then even.
        files: what is kept of files, and the quality.
        controls: what of the source is kept.

    Returns:
        What the video does not hold, and the first frame before and after.

    Raises:
        DataError: if it is damaged, the container cannot hold the translation, or a mask is asked for.
    """
    if controls.masks is not None:
        raise DataError(f"{job.name}: a video has no masks: --mask is for images; translate the video without it")
    with opened_clip(job.source, job.name, files.max_pixels) as clip:
        survey = clip.survey(lambda: reached(0))
    first = _sized(survey.samples[0].pixels(), size)
    height, width = first.shape[:2]
    shown: tuple[Picture, Picture] | None = None
    done = 0
    with (
        opened_clip(job.source, job.name, files.max_pixels) as clip,
        steadily([_sized(frame.pixels(), size) for frame in survey.samples]) as translate,
        written_clip(job.target, clip, _form(survey.samples[0], clip, (width, height), files)) as writer,
    ):
        notes = [survey.samples[0].reduced(), "not signed" * (files.signer is not None)]
        del survey.samples[:]
        for item in clip.items():
            if isinstance(item, Packet):
                writer.packet(item)
                continue
            before = Picture(_sized(item.pixels(), size), None, "", None, None, "")
            after = controls.over(before, translate(before))
            writer.frame(with_channels(after.pixels, 3).astype(np.uint8), item.pts, item.duration)
            shown = shown or (before, after)
            done += 1
            reached(done / survey.num_frames)
    return Made("; ".join(filter(None, (*notes, *dict.fromkeys(writer.notes)))), shown)


def _form(frame: Frame, clip: Clip, size: tuple[int, int], files: Files) -> Form:
    aspect = clip.video.sample_aspect_ratio
    if aspect is not None and frame.is_on_its_side():
        aspect = 1 / aspect
    return Form(*size, frame.look().written(*size), aspect, files.video_crf, files.mark, files.metadata)


def _sized(pixels: NDArray[np.uint8], size: int | None) -> NDArray[np.uint8]:
    if size is None:
        return pixels
    scale = size / min(pixels.shape[:2])
    height, width = (max(round(side * scale / 2) * 2, 2) for side in pixels.shape[:2])
    return resized(pixels, height, width).astype(np.uint8)
