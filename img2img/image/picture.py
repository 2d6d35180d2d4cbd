"""What a file holds once it is decoded: colours that a network may see, and everything that travels along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from img2img.image.kinds import Side, shown_side
from img2img.image.levels import Pixels, Plane, to_8_bits

ValueRange = tuple[float, float]
"""The values of a float file that stand for black (-1 inside the package) and white (1)."""


FIRST_ONLY = "first frame only"


def join(*notes: str) -> str:
    """Put notes into one, each once."""
    return "; ".join(dict.fromkeys(note for note in notes if note))


@dataclass(frozen=True)
class Picture:
    """A decoded file: its colour pixels and what travels along with them.

    Attributes:
        pixels: [H, W, C], upright, sRGB, C 1 or 3: uint8, uint16, or float32 in [-1, 1].
        alpha: [H, W], uint8 or (where the pixels are) uint16, or None.
        format: Pillow's name of the file format, or NPY.
        icc_profile: the colour profile that the file had, or None; the pixels have left it for sRGB.
        exif: EXIF block of what describes the picture, or None.
        reduced: what the file held and the picture does not ("16 bits reduced to 8"), or "".
        dpi: resolution for printing, or None.
        xmp: the XMP packet that the file had, or None.
        value_range: of a float file, or None.
        side: what its planes are, where they are no plain picture (:mod:`img2img.image.kinds`): then ``pixels`` is
            [H, W, P], and there is neither alpha nor metadata.
    """

    pixels: Pixels
    alpha: Plane | None
    format: str
    icc_profile: bytes | None
    exif: bytes | None
    reduced: str
    dpi: tuple[float, float] | None = None
    xmp: bytes | None = None
    value_range: ValueRange | None = None
    side: Side = ()

    def at_8_bits(self) -> Picture:
        """Return the picture with 8-bit pixels; a picture that is neither 8 nor 16-bit cannot be asked for it."""
        alpha = to_8_bits(self.alpha) if self.alpha is not None and self.alpha.dtype == np.uint16 else self.alpha
        if self.pixels.dtype == np.uint8:
            return replace(self, alpha=alpha)
        assert self.pixels.dtype == np.uint16
        return replace(self, pixels=to_8_bits(self.pixels), alpha=alpha)


@dataclass(frozen=True)
class Pictures:
    """The frames of an animation, the pages of a file, or one picture.

    Attributes:
        frames: each a whole picture: what was drawn over earlier frames is composited.
        durations: how long each frame shows, in milliseconds; empty for pages and single pictures.
        loop: how often an animation plays, 0 without end; None where the file does not say.
    """

    frames: tuple[Picture, ...]
    durations: tuple[float, ...] = ()
    loop: int | None = None

    @property
    def reduced(self) -> str:
        """What the file held and the pictures do not, or ""."""
        return join(*(frame.reduced for frame in self.frames))

    def each(self, change: Callable[[Picture], Picture]) -> Pictures:
        """Change every frame, keeping times and repetitions."""
        return replace(self, frames=tuple(change(frame) for frame in self.frames))


def on_white(picture: Picture) -> Image.Image:
    """Return what an eye sees of a picture, as 8-bit RGB: alpha on white, floats from -1 (black) to 1."""
    if picture.side:
        return Image.fromarray(shown_side(picture.side, picture.pixels))
    if picture.pixels.dtype == np.float32:
        picture = replace(picture, pixels=((picture.pixels.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8))
    image = to_image(picture)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def to_image(picture: Picture) -> Image.Image:
    """Put colour pixels and alpha together again, with 8 bits: mode L, LA, RGB or RGBA."""
    picture = picture.at_8_bits()
    pixels = picture.pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    return image
