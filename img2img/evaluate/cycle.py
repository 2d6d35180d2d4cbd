"""There and back: what comes back of an image, and whether it was a picture or a hidden signal that carried it.

A generator may hide its input in bits that nobody sees, and so satisfy a cycle loss without a faithful translation:

@article{chu2017cyclegan, title={CycleGAN, a Master of Steganography}, author={Chu, Casey and Zhmoginov, Andrey and
  Sandler, Mark}, journal={NIPS 2017 workshop on machine deception}, year={2017}}, arXiv 1712.02950
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from img2img.errors import ConfigError, DataError
from img2img.evaluate.noise import mean_interval
from img2img.evaluate.number import Number
from img2img.evaluate.seen import Image, pixels_of, unit
from img2img.image import round_to_8_bits, to_pixels, with_channels
from img2img.metrics.health import distance, hidden_signal
from img2img.translate.translator import Translator

JPEG_QUALITY = 75
"""Pillow's default, with colours at half the resolution: what a picture on a web page goes through."""


class Ways(NamedTuple):
    """Two directions: float32 [1, C, H, W] in [-1, 1] to the same.

    Attributes:
        there: into the other domain.
        back: from there.
        channels: that ``there`` takes.
    """

    there: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]
    channels: int = 3


def ways_of(translator: Translator, to: str | None = None) -> Ways:
    """Return a translator's way into a domain and back.

    Args:
        translator: with both directions.
        to: target domain; the main one by default.

    Raises:
        ConfigError: if it has no way back.
    """
    direction = translator.direction(to)
    source, target = direction.split(":")
    if f"{target}:{source}" not in translator.directions:
        raise ConfigError(
            f"cycle consistency takes a translator of both directions; this one has {', '.join(translator.directions)}"
        )
    there, back = (functools.partial(translator.tensor, to=domain) for domain in (target, source))
    return Ways(there, back, translator.networks[direction].in_channels)


@torch.no_grad()
def cycle_consistency(
    ways: Ways, images: Iterable[tuple[str, Image]], *, jpeg_quality: int = JPEG_QUALITY
) -> list[Number]:
    """Measure what comes back when the translation is handed on as it is, as an 8-bit file, and as a JPEG.

    Args:
        ways: there and back.
        images: name and image each.
        jpeg_quality: 1 to 95.

    Returns:
        ``cycle_l1``, ``cycle_l1_8_bit`` and ``cycle_l1_jpeg``, and ``hidden_signal``, the last over the first.

    Raises:
        DataError: naming an image that cannot be read; for fewer than two.
    """
    hops: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
        "cycle_l1": (lambda fake: fake, "as the network gives it"),
        "cycle_l1_8_bit": (round_to_8_bits, "rounded to 8 bits"),
        "cycle_l1_jpeg": (
            lambda fake: _through_jpeg(fake, jpeg_quality),
            f"through a JPEG of quality {jpeg_quality} with 4:2:0 colours (Pillow)",
        ),
    }
    errors: dict[str, dict[str, float]] = {name: {} for name in hops}
    hidden: dict[str, float] = {}
    for name, image in images:
        source = unit(with_channels(pixels_of(image, name), ways.channels))
        fake = ways.there(source).clamp(-1, 1)
        found = {hop: distance(round_to_8_bits(ways.back(change(fake))), source) for hop, (change, _) in hops.items()}
        for hop, value in found.items():
            errors[hop][name] = float(value)
        hidden[name] = float(hidden_signal(found["cycle_l1"], found["cycle_l1_jpeg"]))
    if len(hidden) < 2:  # noqa: PLR2004 (a mean of one says nothing of the next)
        raise DataError(f"expected two or more images for a cycle, got {len(hidden)}")
    numbers = [
        _mean(hop, errors[hop], f"mean absolute difference in [0, 1] of an image and its cycle, the translation {how}")
        for hop, (_, how) in hops.items()
    ]
    ratio = (
        "cycle_l1_jpeg over cycle_l1 (at least 2 levels of 255), mean over images; 1 to 1.5 where pictures carry the "
        "cycle, more where hidden signals do (Chu et al. 2017, arXiv 1712.02950)"
    )
    return [*numbers, _mean("hidden_signal", hidden, ratio)]


def _mean(name: str, values: dict[str, float], definition: str) -> Number:
    each = tuple(values.items())
    array = np.array([value for _, value in each])
    return Number(name, float(array.mean()), "lower", len(each), definition, interval=mean_interval(array), each=each)


def _through_jpeg(images: Tensor, quality: int) -> Tensor:
    done = []
    for image in images:
        buffer, pixels = io.BytesIO(), to_pixels(image)
        grey = pixels.shape[2] == 1
        Pillow.fromarray(pixels[..., 0] if grey else pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
        with Pillow.open(buffer) as opened:
            levels = np.asarray(opened)
        done.append(unit(levels[..., None] if grey else levels))
    return torch.cat(done)
