"""What files suffer: the single steps of which degradations are made; lengths in pixels of the file."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.derive.draw import Draw
from img2img.image import Pixels

_SINC_PX = 21


def through_jpeg(pixels: Pixels, quality: float) -> Pixels:
    """Compress as JPEG and decode again; quality from 1 to 100."""
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    assert done
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[..., ::-1])


def with_noise(pixels: Pixels, draw: Draw, read: float, shot: float) -> Pixels:
    """Add a sensor's noise: of variance read^2 + shot^2 I, normal as of many electrons, I in [0, 1].

    Args:
        pixels: uint8 [H, W, 3].
        draw: source of the noise.
        read: standard deviation in black, in levels of 255.
        shot: what light adds to it: the root of the further variance in white, in levels of 255.
    """
    light = pixels.astype(np.float32)
    spread = np.sqrt(read**2 + shot**2 * light / 255)
    return rounded(light + spread * draw.normal(*pixels.shape))


def rounded(levels: NDArray[np.floating]) -> Pixels:
    """Round and clip to 8 bits."""
    whole: Pixels = np.rint(levels).clip(0, 255).astype(np.uint8)
    return whole


def ellipse_kernel(sigma_px: tuple[float, float], angle: float) -> NDArray[np.float32]:
    """Return a Gaussian kernel with these deviations along its axes, turned by an angle in radians."""
    reach = max(int(np.ceil(3 * max(sigma_px))), 1)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((along / sigma_px[0]) ** 2 + (across / sigma_px[1]) ** 2))
    normed: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return normed


def sinc_kernel(cutoff: float) -> NDArray[np.float32]:
    """Return a low-pass with ringing, as Real-ESRGAN has it (Wang et al. 2021, equation 6).

    A product of two windowed sincs instead of the circular one: ringing along edges, without Bessel functions.

    Args:
        cutoff: in radians per pixel, to pi.
    """
    steps = np.arange(_SINC_PX) - _SINC_PX // 2
    row = np.sinc(cutoff * steps / np.pi) * np.hanning(_SINC_PX + 2)[1:-1]
    kernel = np.outer(row, row)
    normed: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return normed


def filtered(pixels: Pixels, kernel: NDArray[np.float32]) -> Pixels:
    """Filter each channel, mirrored at the border."""
    done: Pixels = cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return done
