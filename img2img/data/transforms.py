"""From a file to the tensor of a training sample: Pillow decodes and resizes, albumentations draws."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from img2img.batch import Draw
from img2img.data.augment import drawn_light
from img2img.data.derive.base import Derivation
from img2img.data.sampler import mix
from img2img.data.source import Source, Split
from img2img.data.split import same_shape
from img2img.errors import DataError
from img2img.image import (
    RGB,
    Picture,
    Pixels,
    Side,
    as_tensor,
    jpeg_head,
    mirrored,
    opened,
    picture_of,
    plain_jpeg,
    plain_picture,
    read_picture,
    read_side,
    resized_side,
    with_channels,
)
from img2img.image.kinds import packed, unpacked

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
    """An image on its way into a batch: levels [C, H, W], which become floats on the device."""

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


def load_side(source: Source, side: Side, smallest: tuple[int, int] | None = None) -> Pixels:
    """Decode the files of a sample as what they were said to be: one picture as :func:`load_pixels` does.

    Args:
        source: which.
        side: kinds of its files.
        smallest: see :func:`load_pixels`.

    Returns:
        [H, W, P], see :func:`img2img.image.read_side`.

    Raises:
        DataError: naming the file that cannot be read whole or is something else.
    """
    if plain_picture(side):
        return load_pixels(source, side[0].channels, smallest)
    return read_side(source.paths, source.labels, side)


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
        sides: kinds of the planes of source and target.
        scale: how many times larger targets are than sources, which are enlarged to them first.
        on_device: leave training images uncut, see :mod:`img2img.data.augment`.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        derive: Derivation | None = None,
        sides: tuple[Side, Side] = (RGB, RGB),
        scale: int = 1,
        *,
        on_device: bool = False,
    ) -> None:
        self.preprocessing, self.on_device = preprocessing, on_device
        self.derive, self.sides, self.scale = derive, sides, scale
        s = preprocessing.photometric
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

    def derived(self, photo: Pixels, name: str, seed: int) -> tuple[Sample, Sample]:
        """Draw a pair of a photo and what is derived from its crop.

        There the lines' widths in pixels are what the network sees, and the work is that of one crop.

        Args:
            photo: uint8 [H, W, 3].
            name: for messages.
            seed: decides every draw.
        """
        assert self.derive is not None
        photo, notes = self._placed(photo, name, seed)
        side_a, side_b = self.sides
        photo = np.ascontiguousarray(photo)  # a cache gives planes
        drawn = with_channels(self.derive(photo, mix(seed, _DERIVE, 0)), side_a[0].channels)
        target = as_tensor(with_channels(photo, side_b[0].channels))
        return Sample(as_tensor(self._jitter(drawn, seed, side_a)), notes), Sample(target, [])

    def fixed_pair(self, split: Split, index: int) -> tuple[Tensor, Tensor]:
        """Prepare a pair for evaluation: always the same, derivation included."""
        source, target = split.a[index % len(split.a)], split.b[index % len(split.b)]
        side_a, side_b = self.sides
        if self.derive is None:
            a, b = load_side(source, side_a), load_side(target, side_b)
            return self.fixed(self.enlarged(a, b, source.label), side_a), self.fixed(b, side_b)
        photo = self._central(load_pixels(target, 3), RGB)
        drawn = self.derive(photo, mix(0, _VALIDATION, index))
        return as_tensor(with_channels(drawn, side_a[0].channels)), as_tensor(with_channels(photo, side_b[0].channels))

    def paired(self, a: Pixels, b: Pixels, name: str, seed: int) -> tuple[Sample, Sample]:
        """Draw one geometry for both images of a pair, and light and colour for the source alone.

        Args:
            a: source [H, W, Pa].
            b: target [H, W, Pb], of the same aspect (sizes may differ).
            name: for messages.
            seed: decides every draw.

        Returns:
            Two samples [P, size] whose pixels correspond.
        """
        side_a, side_b = self.sides
        notes = self._notes(a, name, side_a) + self._notes(b, name, side_b)
        a, b = self.matched(a, b, name)
        cut_a, cut_b = self.cut(seed, a, b)
        return Sample(as_tensor(self._jitter(cut_a, seed, side_a)), notes), Sample(as_tensor(cut_b), [])

    def cut(self, seed: int, *images: Pixels) -> list[Pixels]:
        """Crop and mirror one image, or several of one size alike; for the device only pad them."""
        height, width = self.preprocessing.size
        images = tuple(self._padded(image) for image in images)
        if self.on_device:
            return list(images)
        top, left, mirror = self._place(seed, images[0].shape)
        cuts = [image[top : top + height, left : left + width] for image in images]
        return [mirrored(image) for image in cuts] if mirror else cuts

    def _place(self, seed: int, shape: tuple[int, ...]) -> tuple[int, int, bool]:
        """Draw the first row and column of the crop, and whether it is mirrored."""
        p = self.preprocessing
        down, right, mirror = torch.rand(3, generator=torch.Generator().manual_seed(seed)).tolist()
        spare = shape[0] - p.size[0], shape[1] - p.size[1]
        top, left = (int(down * (spare[0] + 1)), int(right * (spare[1] + 1))) if p.crop == "random" else _middle(spare)
        return top, left, p.flip and mirror >= 0.5  # noqa: PLR2004 (a coin)

    def drawn(self, seed: int, image: Tensor) -> Draw:
        """Draw for the device what workers would do to an image [P, H, W] with this seed."""
        light = drawn_light(mix(seed, 0, 1), self.preprocessing.photometric)
        return Draw(*self._place(seed, tuple(image.shape[1:])), light)

    def matched(self, a: Pixels, b: Pixels, name: str) -> tuple[Pixels, Pixels]:
        """Resize both images of a pair to the load size of the source, see :meth:`sized`.

        Raises:
            DataError: with the name, if they differ in aspect and are not stretched.
        """
        side_a, side_b = self.sides
        shapes = [(pixels.shape[1], pixels.shape[0]) for pixels in (a, b)]
        if self.preprocessing.resize != "stretch" and not same_shape(*shapes):
            raise DataError(
                f"{name}: source is {a.shape[1]}x{a.shape[0]} and target {b.shape[1]}x{b.shape[0]} px; "
                "expected one aspect (or --data.resize stretch)"
            )
        a = self.sized(a, side_a)
        return a, resized_side(side_b, b, *a.shape[:2])

    def enlarged(self, a: Pixels, b: Pixels, name: str) -> Pixels:
        """Bring the source of a pair, as read, to the size of its target where that is larger by the scale.

        Raises:
            DataError: with the name, if it is not.
        """
        if self.scale == 1:
            return a
        if (a.shape[0] * self.scale, a.shape[1] * self.scale) != b.shape[:2]:
            raise DataError(
                f"{name}: source is {a.shape[1]}x{a.shape[0]} and target {b.shape[1]}x{b.shape[0]} px; "
                f"expected a target {self.scale} times as large (--data.scale {self.scale})"
            )
        return resized_side(self.sides[0], a, *b.shape[:2])

    def sized(self, pixels: Pixels, side: Side = RGB) -> Pixels:
        """Resize to the load size; what has it already stays as it is."""
        return resized_side(side, pixels, *self._load_shape(pixels.shape))

    def alone(self, pixels: Pixels, name: str, seed: int, side: Side = RGB) -> Sample:
        """Draw geometry, light and colour of one image by itself."""
        placed, notes = self._placed(pixels, name, seed, side)
        return Sample(as_tensor(self._jitter(placed, seed, side)), notes)

    def _placed(self, pixels: Pixels, name: str, seed: int, side: Side = RGB) -> tuple[Pixels, list[str]]:
        """Draw the geometry of one image."""
        notes = self._notes(pixels, name, side)
        pixels = self.sized(pixels, side)
        (cut,) = self.cut(seed, pixels)
        return cut, notes

    def fixed(self, pixels: Pixels, side: Side = RGB) -> Tensor:
        """Prepare an image for evaluation, without any draw: to the training size, the middle of it.

        Returns:
            [P, size], its levels.
        """
        return as_tensor(self._central(pixels, side))

    def _central(self, pixels: Pixels, side: Side) -> Pixels:
        p = self.preprocessing
        height, width = p.size
        shape = pixels.shape
        if p.resize == "stretch":
            return resized_side(side, pixels, height, width)
        if p.resize == "short-side":
            scale = max(height / shape[0], width / shape[1])
            sides = max(round(shape[0] * scale), height), max(round(shape[1] * scale), width)
            pixels = resized_side(side, pixels, *sides)
        pixels = self._padded(pixels)
        top, left = _middle((pixels.shape[0] - height, pixels.shape[1] - width))
        return pixels[top : top + height, left : left + width]

    def _padded(self, pixels: Pixels) -> Pixels:
        """Mirror a small image up to the crop, its edge left single."""
        spare = [max(side - shape, 0) for side, shape in zip(self.preprocessing.size, pixels.shape[:2], strict=True)]
        if not any(spare):
            return pixels
        padded: Pixels = np.pad(pixels, [*((s // 2, s - s // 2) for s in spare), (0, 0)], mode="reflect")
        return padded

    def _jitter(self, pixels: Pixels, seed: int, side: Side) -> Pixels:
        """Draw light and colour of the planes that have them."""
        if not self.preprocessing.photometric or self.on_device:
            return pixels
        return packed(
            [self._lit(planes, seed) if kind.has_light else planes for kind, planes in unpacked(side, pixels)]
        )

    def _lit(self, pixels: Pixels, seed: int) -> Pixels:
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

    def _notes(self, pixels: Pixels, name: str, side: Side) -> list[str]:
        notes = []
        few = pixels[::16, ::16]
        flat = any(kind.name in {"label", "mask"} for kind in side)  # a crop of one class is nothing unusual
        if not flat and few.min() == few.max() and pixels.min() == pixels.max():
            notes.append(f"constant: {name}: every pixel is the same")
        height, width = self.preprocessing.size
        if self.preprocessing.resize == "none" and (pixels.shape[0] < height or pixels.shape[1] < width):
            notes.append(f"small: {name}: {pixels.shape[1]}x{pixels.shape[0]} px is below the crop, mirrored up to it")
        return notes
