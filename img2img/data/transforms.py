"""From a file to the tensor of a training sample: Pillow decodes and resizes, albumentations draws."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from img2img.data.derive.base import Derivation
from img2img.data.folder import Source, Split
from img2img.data.sampler import mix
from img2img.data.split import same_shape
from img2img.errors import DataError
from img2img.image import (
    Picture,
    Pixels,
    jpeg_head,
    opened,
    picture_of,
    plain_jpeg,
    read_picture,
    resized,
    to_tensor,
    with_channels,
)

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would ask a server for a newer version
import albumentations as A

_DERIVE, _VALIDATION = 3, 4
"""Among the draws of a sample, and in place of an epoch: whose derivation is drawn."""

ResizeName = Literal["short-side", "stretch", "none"]
"""``short-side``: the shorter side becomes the load size, aspect kept. ``stretch``: both sides become the load size, as
in the originals. ``none``: the file's own size."""

CropName = Literal["random", "centre"]

_JPEG_SUFFIXES = (".jpg", ".jpeg")


class Sample(NamedTuple):
    """An image on its way into a batch."""

    image: Tensor
    notes: list[str]


@dataclass(frozen=True)
class Preprocessing:
    """How files become network inputs; recorded in the translator.

    Args:
        size: (height, width) of training crops, in pixels.
        load_size: (height, width) that images are resized to before the crop; for short-side the smaller counts.
        resize: see :data:`ResizeName`.
        flip: mirror left to right with probability 1/2.
        photometric: strength in [0, 1] of random brightness, contrast, saturation and hue.
        crop: where training crops are cut: anywhere, or from the middle.
    """

    size: tuple[int, int]
    load_size: tuple[int, int]
    resize: ResizeName
    flip: bool
    photometric: float
    crop: CropName = "random"


def load_pixels(source: Source, channels: int, smallest: tuple[int, int] | None = None) -> Pixels:
    """Decode a sample: upright, alpha composited on white, the asked-for channels, one half if side by side.

    Args:
        source: which.
        channels: 1 or 3.
        smallest: (height, width) that it will be made smaller to, see :func:`decoded`.

    Raises:
        DataError: naming the file, if it cannot be read whole or a side-by-side image has an odd width.
    """
    return half_of(source, with_channels(decoded(source, smallest), channels))


def decoded(source: Source, smallest: tuple[int, int] | None = None) -> Pixels:
    """Decode the whole file of a sample: upright, alpha composited on white.

    A JPEG that will be made smaller anyway is decoded at a half, a quarter or an eighth, as long as both sides stay at
    least twice as long as ``smallest`` and divide without rest (so that the aspect stays): its discrete cosines of low
    frequency are all that the resizing would leave. That takes a fraction of the time of large photos.

    Args:
        source: which.
        smallest: (height, width) that it will be made smaller to; None decodes every pixel.

    Raises:
        DataError: naming the file, if it cannot be read whole.
    """
    label = source.label
    if not source.name.lower().endswith(_JPEG_SUFFIXES):
        return on_white(read_picture(source.file, label))
    data = source.read()
    if (head := jpeg_head(data)) is not None:
        pixels = plain_jpeg(head, data, _shrink(head.size, source, smallest))
        if pixels is not None:
            return pixels
    with opened(io.BytesIO(data), label) as image:
        if (shrink := _shrink(image.size, source, smallest)) > 1:
            image.draft(None, (image.width // shrink, image.height // shrink))
        return on_white(picture_of(image, label, described=False))


def _shrink(size: tuple[int, int], source: Source, smallest: tuple[int, int] | None) -> int:
    if smallest is None or source.half != "whole":
        return 1
    needed = 2 * max(smallest)  # the file may lie on its side
    fitting = (n for n in (8, 4, 2) if not any(side % n or side // n < needed for side in size))
    return next(fitting, 1)


def half_of(source: Source, pixels: Pixels) -> Pixels:
    """Cut the half of a side-by-side file out of its pixels.

    Raises:
        DataError: naming the file, if its width is odd.
    """
    if source.half == "whole":
        return pixels
    width = pixels.shape[1]
    if width % 2:
        raise DataError(
            f"{source.label}: expected two images of one width side by side, got an odd width of {width} px"
        )
    return pixels[:, : width // 2] if source.half == "left" else pixels[:, width // 2 :]


def on_white(picture: Picture) -> Pixels:
    """Composite an 8-bit picture on white, as training and this package's checks see it."""
    if picture.alpha is None:
        return picture.pixels
    alpha = picture.alpha[..., None].astype(np.float32) / 255
    return np.rint(picture.pixels * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _middle(spare: tuple[int, int]) -> tuple[int, int]:
    return spare[0] // 2, spare[1] // 2


class Transforms:
    """Turns decoded pixels into samples; a function of the seed it is given and nothing else.

    Each call makes or seeds its own streams: results do not depend on workers, order or resume. Crop and flip are not
    albumentations', which gives the crop's height and the flip the same number where it is seeded.

    Args:
        preprocessing: sizes and strengths.
        derive: makes sources of their targets; None for sources of their own.
    """

    def __init__(self, preprocessing: Preprocessing, derive: Derivation | None = None) -> None:
        self.preprocessing = p = preprocessing
        self.derive = derive
        # 4: cv2.BORDER_REFLECT_101, a mirror that leaves the edge single
        self._pad = A.PadIfNeeded(*p.size, border_mode=4)
        s = p.photometric
        self._photometric = {
            1: A.Compose([A.RandomBrightnessContrast(0.4 * s, 0.4 * s, p=1)]),
            3: A.Compose(
                [
                    A.ColorJitter(
                        (1 - 0.4 * s, 1 + 0.4 * s),
                        (1 - 0.4 * s, 1 + 0.4 * s),
                        (1 - 0.4 * s, 1 + 0.4 * s),
                        (-0.1 * s, 0.1 * s),
                        p=1,
                    )
                ]
            ),
        }

    def derived(self, photo: Pixels, channels: tuple[int, int], name: str, seed: int) -> tuple[Sample, Sample]:
        """Draw a pair of a photo and what is derived from its crop.

        There the lines' widths in pixels are what the network sees, and the work is that of one crop.

        Args:
            photo: uint8 [H, W, 3].
            channels: of source and target.
            name: for messages.
            seed: decides every draw.
        """
        assert self.derive is not None
        photo, notes = self._placed(photo, name, seed)
        drawn = with_channels(self.derive(photo, mix(seed, _DERIVE, 0)), channels[0])
        target = to_tensor(with_channels(photo, channels[1]))
        return Sample(to_tensor(self._jitter(drawn, seed)), notes), Sample(target, [])

    def fixed_pair(self, split: Split, index: int, channels: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Prepare a pair for evaluation: always the same, derivation included."""
        a, b = split.a[index % len(split.a)], split.b[index % len(split.b)]
        if self.derive is None:
            return self.fixed(load_pixels(a, channels[0])), self.fixed(load_pixels(b, channels[1]))
        photo = self._central(load_pixels(b, 3))
        drawn = self.derive(photo, mix(0, _VALIDATION, index))
        return to_tensor(with_channels(drawn, channels[0])), to_tensor(with_channels(photo, channels[1]))

    def paired(self, a: Pixels, b: Pixels, name: str, seed: int) -> tuple[Sample, Sample]:
        """Draw one geometry for both images of a pair, and light and colour for the source alone.

        Args:
            a: source, uint8 [H, W, Ca].
            b: target, uint8 [H, W, Cb], of the same aspect (sizes may differ).
            name: for messages.
            seed: decides every draw.

        Returns:
            Two samples [C, size] whose pixels correspond.
        """
        notes = self._notes(a, name) + self._notes(b, name)
        a, b = self.matched(a, b, name)
        cut_a, cut_b = self.cut(seed, a, b)
        return Sample(to_tensor(self._jitter(cut_a, seed)), notes), Sample(to_tensor(cut_b), [])

    def cut(self, seed: int, *images: Pixels) -> list[Pixels]:
        """Crop and mirror one image, or several of one size alike."""
        p = self.preprocessing
        height, width = p.size
        images = tuple(self._padded(image) for image in images)
        down, right, mirror = torch.rand(3, generator=torch.Generator().manual_seed(seed)).tolist()
        spare = images[0].shape[0] - height, images[0].shape[1] - width
        top, left = (int(down * (spare[0] + 1)), int(right * (spare[1] + 1))) if p.crop == "random" else _middle(spare)
        cuts = [image[top : top + height, left : left + width] for image in images]
        if not p.flip or mirror < 0.5:  # noqa: PLR2004 (a coin)
            return cuts
        return [np.asarray(cv2.flip(image, 1)).reshape(image.shape) for image in cuts]

    def matched(self, a: Pixels, b: Pixels, name: str) -> tuple[Pixels, Pixels]:
        """Resize both images of a pair to the load size of the source, see :meth:`sized`.

        Raises:
            DataError: with the name, if they differ in aspect and are not stretched.
        """
        shapes = [(pixels.shape[1], pixels.shape[0]) for pixels in (a, b)]
        if self.preprocessing.resize != "stretch" and not same_shape(*shapes):
            raise DataError(
                f"{name}: source is {a.shape[1]}x{a.shape[0]} and target {b.shape[1]}x{b.shape[0]} px; "
                "expected one aspect (or --data.resize stretch)"
            )
        a = self.sized(a)
        return a, resized(b, *a.shape[:2])

    def sized(self, pixels: Pixels) -> Pixels:
        """Resize to the load size; what has it already stays as it is."""
        return resized(pixels, *self._load_shape(pixels.shape))

    def alone(self, pixels: Pixels, name: str, seed: int) -> Sample:
        """Draw geometry, light and colour of one image by itself."""
        placed, notes = self._placed(pixels, name, seed)
        return Sample(to_tensor(self._jitter(placed, seed)), notes)

    def _placed(self, pixels: Pixels, name: str, seed: int) -> tuple[Pixels, list[str]]:
        """Draw the geometry of one image."""
        notes = self._notes(pixels, name)
        pixels = self.sized(pixels)
        (cut,) = self.cut(seed, pixels)
        return cut, notes

    def fixed(self, pixels: Pixels) -> Tensor:
        """Prepare an image for evaluation, without any draw: to the training size, the middle of it.

        Returns:
            float32 [C, size] in [-1, 1].
        """
        return to_tensor(self._central(pixels))

    def _central(self, pixels: Pixels) -> Pixels:
        p = self.preprocessing
        height, width = p.size
        shape = pixels.shape
        if p.resize == "stretch":
            return resized(pixels, height, width)
        if p.resize == "short-side":
            scale = max(height / shape[0], width / shape[1])
            pixels = resized(pixels, max(round(shape[0] * scale), height), max(round(shape[1] * scale), width))
        pixels = self._padded(pixels)
        top, left = _middle((pixels.shape[0] - height, pixels.shape[1] - width))
        return pixels[top : top + height, left : left + width]

    def _padded(self, pixels: Pixels) -> Pixels:
        height, width = self.preprocessing.size
        if pixels.shape[0] >= height and pixels.shape[1] >= width:
            return pixels
        padded: Pixels = self._pad(image=pixels)["image"]
        return padded.reshape(*padded.shape[:2], -1)

    def _jitter(self, pixels: Pixels, seed: int) -> Pixels:
        if not self.preprocessing.photometric:
            return pixels
        pipeline = self._photometric[pixels.shape[2]]
        pipeline.set_random_seed(mix(seed, 0, 1))  # light must not follow from where the crop is
        jittered: Pixels = pipeline(image=np.ascontiguousarray(pixels))["image"].reshape(pixels.shape)
        return jittered

    def _load_shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        p = self.preprocessing
        if p.resize == "stretch":
            return p.load_size
        if p.resize == "none":
            return shape[0], shape[1]
        scale = max(p.load_size[0] / shape[0], p.load_size[1] / shape[1])
        return max(round(shape[0] * scale), p.load_size[0]), max(round(shape[1] * scale), p.load_size[1])

    def _notes(self, pixels: Pixels, name: str) -> list[str]:
        notes = []
        few = pixels[::16, ::16]
        if few.min() == few.max() and pixels.min() == pixels.max():
            notes.append(f"constant: {name}: every pixel is the same")
        height, width = self.preprocessing.size
        if self.preprocessing.resize == "none" and (pixels.shape[0] < height or pixels.shape[1] < width):
            notes.append(f"small: {name}: {pixels.shape[1]}x{pixels.shape[0]} px is below the crop, mirrored up to it")
        return notes
