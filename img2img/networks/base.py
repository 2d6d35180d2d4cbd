"""The two kinds of network. Neither sees a config, a trainer or a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from img2img.configured import Configured
from img2img.networks.layers.mirror import mirror_to


class Generator(Configured, nn.Module, ABC):
    """Translates images of one domain into another, at any height and width.

    A concrete generator states its ``size_multiple`` and ``smallest_side`` and implements :meth:`translate` for
    sizes that satisfy both. :meth:`forward` accepts every size: it mirrors the image up to the next size that fits,
    runs the network and crops back. Nothing is ever resized in silence.

    Attributes:
        in_channels: channels of the source image.
        out_channels: channels of the translation.
        size_multiple: height and width inside the network are multiples of this, in pixels.
        smallest_side: smallest height and width inside the network, in pixels.
        channels_last: whether a CPU translates one image faster with NHWC in memory (``img2img bench translate``).
    """

    channels_last: bool = False

    in_channels: int
    out_channels: int
    size_multiple: int
    smallest_side: int

    @abstractmethod
    def translate(self, source: Tensor) -> Tensor:
        """Translate images whose sides fit.

        Args:
            source: float [B, in_channels, H, W] in [-1, 1]; H and W multiples of ``size_multiple``.

        Returns:
            float [B, out_channels, H, W] in [-1, 1].
        """

    def forward(self, source: Tensor) -> Tensor:
        """Translate images of any size.

        Args:
            source: float [B, in_channels, H, W] in [-1, 1], any H and W from 1 px.

        Returns:
            float [B, out_channels, H, W] in [-1, 1], the same H and W.

        Raises:
            ValueError: for anything but four dimensions.
        """
        return self.fitted(source, self.translate)

    def fitted(self, source: Tensor, translate: Callable[[Tensor], Tensor]) -> Tensor:
        """Mirror images up to the size that fits, translate them, and crop back; see :meth:`forward`."""
        if source.ndim != 4:  # noqa: PLR2004 (a convolution would take [C, H, W] in silence, and a norm then errs)
            raise ValueError(f"expected a batch of images [B, C, H, W], got {list(source.shape)}")
        height, width = source.shape[-2:]
        return translate(mirror_to(source, self.fit(height), self.fit(width)))[..., :height, :width]

    def start_from(self, other: Generator) -> None:
        """Take the weights of another generator of the same layers, or of those it knows how to begin with.

        Raises:
            RuntimeError: if the layers differ.
        """
        self.load_state_dict(other.state_dict())

    def held(self) -> tuple[nn.Module, ...]:
        """Return the parts that a method may hold still while the others learn to work with them; mostly none."""
        return ()

    def fit(self, side_px: int) -> int:
        """Return the side in pixels that an image side is mirrored up to."""
        smallest = -(-self.smallest_side // self.size_multiple)
        needed = (side_px + self.size_multiple - 1) // self.size_multiple
        # multiple times number: so an exporter sees that every halving inside is whole
        return self.size_multiple * torch.sym_max(needed, smallest)  # type: ignore[return-value]  # symbols in a graph


TRANSLATION = "translation"
"""The last stage of every :class:`FeatureGenerator`."""


class FeatureGenerator(Generator):
    """A generator that shows its features: those of named stages, from one pass that goes no further than it must.

    So the pass that translates also gives the features of its source, and an encoder alone is a pass that stops early.

    Attributes:
        stages: channels by the name of each stage, in the order they are computed; the last is :data:`TRANSLATION`.
        content_stages: those whose features say what stands where in the source, for a contrast of source and
            translation.
        mirrored_stages: stage of the encoder to the stage of the decoder of the same size and channels.
    """

    stages: Mapping[str, int]
    content_stages: tuple[str, ...]
    mirrored_stages: Mapping[str, str]
    _compiled_compute: Callable[[Tensor, Collection[str]], dict[str, Tensor]] | None = None

    @abstractmethod
    def compute(self, source: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Compute stages of images whose sides fit, and nothing behind the last of them.

        Args:
            source: as for :meth:`translate`.
            names: of stages.

        Returns:
            Features [B, C, h, w] by stage; no later stage writes into them.
        """

    @final
    def features(self, source: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Compute stages of images of any size.

        Args:
            source: as for :meth:`forward`.
            names: of stages.

        Returns:
            Features [B, C, h, w] by stage, of the image mirrored up to the size that fits; the translation has the
            size of the source and is what :meth:`forward` returns.
        """
        height, width = source.shape[-2:]
        compute = self._compiled_compute or self.compute
        found = compute(mirror_to(source, self.fit(height), self.fit(width)), names)
        if TRANSLATION in found:
            found[TRANSLATION] = found[TRANSLATION][..., :height, :width]
        return found

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile in place what :meth:`forward` and :meth:`features` run, as ``nn.Module.compile`` does for the one."""
        super().compile(*args, **kwargs)
        self._compiled_compute = torch.compile(self.compute, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]  # drops the compiled forward
        state.pop("_compiled_compute", None)
        return state


class Discriminator(Configured, nn.Module, ABC):
    """Scores images, or source and target concatenated along channels, patch by patch.

    A concrete discriminator implements :meth:`features`; :meth:`forward` is the logits alone.

    Attributes:
        in_channels: channels of what is judged (source + target channels for a conditional one).
    """

    in_channels: int

    @abstractmethod
    def features(self, images: Tensor) -> list[list[Tensor]]:
        """Judge a batch and show what the judgement rests on.

        Args:
            images: float [B, in_channels, H, W] in [-1, 1].

        Returns:
            Per scale the outputs of its stages in order, the last one the logit map [B, 1, h, w] computed in
            float32: larger for more real, never through a sigmoid.
        """

    @final  # type: ignore[misc]  # torch declares forward as an attribute
    def forward(self, images: Tensor) -> list[Tensor]:
        """Judge a batch.

        Args:
            images: float [B, in_channels, H, W] in [-1, 1].

        Returns:
            One float32 logit map [B, 1, h, w] per scale.
        """
        return [stages[-1] for stages in self.features(images)]


GeneratorFactory = Callable[[int, int], Generator]
"""Called with (in_channels, out_channels); a class or ``functools.partial(Class, option=value)``."""


def shows_features(generator: Generator) -> FeatureGenerator:
    """Return a generator that shows its features.

    Raises:
        TypeError: for one that does not.
    """
    if not isinstance(generator, FeatureGenerator):
        raise TypeError(
            f"generator: expected a FeatureGenerator, such as ResNetGenerator, got {type(generator).__name__}"
        )
    return generator


FeatureGeneratorFactory = Callable[[int, int], FeatureGenerator]
"""Called with (in_channels, out_channels); a class or ``functools.partial(Class, option=value)``."""

DiscriminatorFactory = Callable[[int], Discriminator]
"""Called with (in_channels); a class or ``functools.partial(Class, option=value)``."""
