"""From a file to the tensor of a training sample: Pillow decodes and resizes, albumentations draws."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from img2img.data.derive.base import Derivation
from img2img.data.folder import Source, Split
from img2img.data.sampler import mix
from img2img.errors import DataError
from img2img.image import Picture, Pixels, read_picture, resized, to_tensor, with_channels

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import would ask a server for a newer version
import albumentations as A

_DERIVE, _VALIDATION = 3, 4
"""Among the draws of a sample, and in place of an epoch: whose derivation is drawn."""

ResizeName = Literal["short-side", "stretch", "none"]
"""``short-side``: the shorter side becomes the load size, aspect kept. ``stretch``: both sides become the load size, as
in the originals. ``none``: the file's own size."""

CropName = Literal["random", "centre"]

_SAME_ASPECT = 0.02  # as where the sizes are looked at before training


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


def load_pixels(source: Source, channels: int) -> Pixels:
    """Decode a sample: upright, alpha composited on white, the asked-for channels, one half if side by side.

    Raises:
        DataError: naming the file, if it cannot be read whole or a side-by-side image has an odd width.
    """
    picture = read_picture(source.path, source.label)
    pixels = with_channels(_on_white(picture), channels)
    if source.half == "whole":
        return pixels
    width = pixels.shape[1]
    if width % 2:
        raise DataError(
            f"{source.label}: expected two images of one width side by side, got an odd width of {width} px"
        )
    return pixels[:, : width // 2] if source.half == "left" else pixels[:, width // 2 :]


def _on_white(picture: Picture) -> Pixels:
    if picture.alpha is None:
        return picture.pixels
    alpha = picture.alpha[..., None].astype(np.float32) / 255
    return np.rint(picture.pixels * alpha + 255 * (1 - alpha)).astype(np.uint8)


class Transforms:
    """Turns decoded pixels into samples; a function of the seed it is given and nothing else.

    albumentations repeats one stream in every worker and every epoch, so each call seeds it anew: results do not
    depend on workers, order or resume.

    Args:
        preprocessing: sizes and strengths.
        derive: makes sources of their targets; None for sources of their own.
    """

    def __init__(self, preprocessing: Preprocessing, derive: Derivation | None = None) -> None:
        self.preprocessing = p = preprocessing
        self.derive = derive
        height, width = p.size
        geometry = [
            A.PadIfNeeded(
                height, width, border_mode=4
            ),  # 4: cv2.BORDER_REFLECT_101, a mirror that leaves the edge single
            A.RandomCrop(height, width) if p.crop == "random" else A.CenterCrop(height, width),
            *([A.HorizontalFlip(p=0.5)] if p.flip else []),
        ]
        self._geometry = A.Compose(geometry, additional_targets={"b": "image"})
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

    def pair(self, split: Split, index: int, channels: tuple[int, int], seed: int) -> tuple[Sample, Sample]:
        """Load and draw a pair; a source that is derived is derived from its target's crop.

        There the lines' widths in pixels are what the network sees, and the work is that of one crop.
        """
        a, b = split.a[index], split.b[index]
        if self.derive is None:
            return self.paired(load_pixels(a, channels[0]), load_pixels(b, channels[1]), a.label, seed)
        photo, notes = self._placed(load_pixels(b, 3), b.label, seed)
        drawn = with_channels(self.derive(photo, mix(seed, _DERIVE, 0)), channels[0])
        target = to_tensor(with_channels(photo, channels[1]))
        return Sample(to_tensor(self._jitter(drawn, seed)), notes), Sample(target, [])

    def fixed_pair(self, split: Split, index: int, channels: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Prepare a pair for evaluation: always the same, derivation included."""
        a, b = split.a[index % len(split.a)], split.b[index % len(split.b)]
        if self.derive is None:
            return self.fixed(load_pixels(a, channels[0])), self.fixed(load_pixels(b, channels[1]))
        photo = self._middle(load_pixels(b, 3))
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
        height, width = self._load_shape(a.shape)
        if self.preprocessing.resize != "stretch":
            ratio = (a.shape[0] * b.shape[1]) / (a.shape[1] * b.shape[0])
            if abs(ratio - 1) > _SAME_ASPECT:
                raise DataError(
                    f"{name}: source is {a.shape[1]}x{a.shape[0]} and target {b.shape[1]}x{b.shape[0]} px; "
                    "expected one aspect (or --data.resize stretch)"
                )
        notes = self._notes(a, name) + self._notes(b, name)
        a, b = resized(a, height, width), resized(b, height, width)
        self._geometry.set_random_seed(seed)
        drawn = self._geometry(image=a, b=b)
        return Sample(to_tensor(self._jitter(drawn["image"], seed)), notes), Sample(to_tensor(drawn["b"]), [])

    def alone(self, pixels: Pixels, name: str, seed: int) -> Sample:
        """Draw geometry, light and colour of one image by itself."""
        placed, notes = self._placed(pixels, name, seed)
        return Sample(to_tensor(self._jitter(placed, seed)), notes)

    def _placed(self, pixels: Pixels, name: str, seed: int) -> tuple[Pixels, list[str]]:
        """Draw the geometry of one image."""
        notes = self._notes(pixels, name)
        pixels = resized(pixels, *self._load_shape(pixels.shape))
        self._geometry.set_random_seed(seed)
        placed: Pixels = self._geometry(image=pixels)["image"]
        return placed, notes

    def fixed(self, pixels: Pixels) -> Tensor:
        """Prepare an image for evaluation, without any draw: to the training size, the middle of it.

        Returns:
            float32 [C, size] in [-1, 1].
        """
        return to_tensor(self._middle(pixels))

    def _middle(self, pixels: Pixels) -> Pixels:
        p = self.preprocessing
        height, width = p.size
        shape = pixels.shape
        if p.resize == "stretch":
            return resized(pixels, height, width)
        if p.resize == "short-side":
            scale = max(height / shape[0], width / shape[1])
            pixels = resized(pixels, max(round(shape[0] * scale), height), max(round(shape[1] * scale), width))
        padded = A.PadIfNeeded(height, width, border_mode=4)(image=pixels)["image"]
        middle: Pixels = A.CenterCrop(height, width)(image=padded)["image"]
        return middle

    def _jitter(self, pixels: Pixels, seed: int) -> Pixels:
        if not self.preprocessing.photometric:
            return pixels
        pipeline = self._photometric[pixels.shape[2]]
        pipeline.set_random_seed(seed)
        jittered: Pixels = pipeline(image=pixels)["image"].reshape(pixels.shape)
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
        if pixels.min() == pixels.max():
            notes.append(f"constant: {name}: every pixel is the same")
        height, width = self.preprocessing.size
        if self.preprocessing.resize == "none" and (pixels.shape[0] < height or pixels.shape[1] < width):
            notes.append(f"small: {name}: {pixels.shape[1]}x{pixels.shape[0]} px is below the crop, mirrored up to it")
        return notes
