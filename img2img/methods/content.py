"""How a one-sided translation is held to what its source shows: two losses between features of the generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from img2img.configured import nearest
from img2img.losses.feature_consistency import feature_consistency
from img2img.losses.patch_nce import patch_nce
from img2img.networks.base import FeatureGenerator
from img2img.networks.heads import ConsistencyHeads, ContrastHeads, Predictors

Features = Mapping[str, Tensor]
"""Features [B, C, h, w] by stage."""

Draw = Callable[[Features], dict[str, Tensor]]
"""Draws positions for features, see :func:`img2img.methods.positions.draw_positions`."""


class Passed(NamedTuple):
    """A pass of the generator.

    Attributes:
        source: [B, C, H, W], not mirrored.
        mirrored: whether the generator was shown the source mirrored left to right.
        translation: [B, C, H, W], of what it was shown.
        features: of the stages in ``inside``, of what it was shown.
    """

    source: Tensor
    mirrored: bool
    translation: Tensor
    features: Features


class Contrast(nn.Module):
    """PatchNCE over several stages (Park et al. 2020, equation 4): the encoder is run on the translation too.

    The published code sums over stages and divides by their number, so this is their mean. Keys come from the pass that
    has translated, where it saw the source as it is: the same numbers as those of a pass of their own, without one.

    Args:
        generator: whose features are compared; looked at once.
        stages: which; None takes ``content_stages``.
        temperature: tau.

    Raises:
        ValueError: for a stage that the generator does not have.
    """

    def __init__(self, generator: FeatureGenerator, stages: Sequence[str] | None, temperature: float) -> None:
        super().__init__()
        self.inside = content_stages(generator, stages)
        self.temperature = temperature
        self.heads = ContrastHeads({stage: generator.stages[stage] for stage in self.inside})

    def forward(self, generator: FeatureGenerator, passed: Passed, draw: Draw) -> Tensor:
        """Return the loss of a pass; it has gradients to the generator through the translation, and to the heads."""
        queries = generator.features(passed.translation, self.inside)
        keys = passed.features
        if passed.mirrored:  # equivariance: what was seen mirrored is compared with what is seen otherwise
            queries = {stage: features.flip(3) for stage, features in queries.items()}
            with torch.no_grad():
                keys = generator.features(passed.source, self.inside)
        positions = draw(queries)
        with torch.no_grad():
            compared = self.heads(keys, positions)
        losses = [
            patch_nce(vectors, compared[stage], self.temperature)
            for stage, vectors in self.heads(queries, positions).items()
        ]
        return torch.stack(losses).mean()


class Consistency(nn.Module):
    """Features of the encoder and of the decoder's mirrored stages, within the one pass (EnCo, Cai et al. 2024).

    Half the work of a contrast: nothing is encoded a second time. One head for both sides of a pair of stages, and a
    predictor on the decoder's, which alone has a gradient.

    Args:
        generator: whose features are compared; looked at once.
        stages: which of the encoder; None takes all of ``mirrored_stages``.

    Raises:
        ValueError: for a stage without a mirrored one in the decoder.
    """

    def __init__(self, generator: FeatureGenerator, stages: Sequence[str] | None) -> None:
        super().__init__()
        known = generator.mirrored_stages
        self.pairs = {stage: known[stage] for stage in chosen_stages(stages or tuple(known), known)}
        self.inside = (*self.pairs, *self.pairs.values())
        channels = {stage: generator.stages[stage] for stage in self.pairs}
        self.heads = ConsistencyHeads(channels)
        self.predictors = Predictors(channels)

    def forward(self, generator: FeatureGenerator, passed: Passed, draw: Draw) -> Tensor:
        """Return the loss of a pass; it has gradients to the generator from its decoder's stages, and to the heads."""
        del generator
        encoded = {stage: passed.features[stage] for stage in self.pairs}
        decoded = {stage: passed.features[mirrored] for stage, mirrored in self.pairs.items()}
        positions = draw(decoded)
        with torch.no_grad():
            kept = self.heads(encoded, positions)
        predicted = self.predictors(self.heads(decoded, positions))
        return torch.stack([feature_consistency(predicted[stage], kept[stage]) for stage in self.pairs]).mean()


def content_stages(generator: FeatureGenerator, stages: Sequence[str] | None) -> tuple[str, ...]:
    """Return the stages whose features are contrasted: those asked for, else the generator's choice.

    Raises:
        ValueError: for one that the generator does not have.
    """
    return chosen_stages(stages or generator.content_stages, generator.stages)


def chosen_stages(stages: Sequence[str], known: Mapping[str, object]) -> tuple[str, ...]:
    """Return the stages to compare.

    Raises:
        ValueError: for none, or for one that is not known, naming the nearest.
    """
    for stage in stages:
        if stage not in known:
            raise ValueError(f"stages: the generator has none called {stage!r} to compare{nearest(stage, known)}")
    if not stages:
        raise ValueError("stages: the generator has too few layers to have any to compare: give it more blocks")
    return tuple(dict.fromkeys(stages))
