"""How much the outputs of one input differ from draw to draw."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from img2img.errors import ConfigError, DataError
from img2img.evaluate.noise import mean_interval
from img2img.evaluate.number import Number
from img2img.evaluate.paired import L1, PairMetric
from img2img.evaluate.seen import Image, both, pixels_of


@torch.no_grad()
def output_diversity(groups: Iterable[tuple[str, Sequence[Image]]], distance: PairMetric = L1) -> Number:
    """Return the mean distance between two outputs of one input.

    As StarGAN v2 measures it, with LPIPS and ten outputs an input (Choi et al. 2020, arXiv 1912.01865).

    Args:
        groups: name of an input, and its outputs under several seeds or styles; as many for each.
        distance: L1, LPIPS or ST-LPIPS.

    Raises:
        DataError: for fewer than two outputs, other counts, other sizes, or no inputs.
        ConfigError: for a score that grows with likeness.
    """
    if distance.better != "lower":
        raise ConfigError(f"diversity takes a distance, such as l1 or st_lpips, got {distance.name}")
    means: dict[str, float] = {}
    num_outputs = 0
    for name, outputs in groups:
        num_outputs = num_outputs or len(outputs)
        if len(outputs) != num_outputs or num_outputs < 2:  # noqa: PLR2004 (a pair)
            wanted = max(num_outputs, 2)
            raise DataError(f"{name}: expected {wanted} outputs of this input for diversity, got {len(outputs)}")
        pixels = [pixels_of(output, f"{name}, output {i}") for i, output in enumerate(outputs, 1)]
        pairs = itertools.combinations(pixels, 2)
        means[name] = float(np.mean([float(distance(*both(name, one, other))) for one, other in pairs]))
    if not means:
        raise DataError("diversity: expected two or more outputs each of one input or more, got none")
    values = list(means.values())
    return Number(
        f"diversity_{distance.name}",
        sum(values) / len(values),
        "higher",
        len(values),
        f"mean {distance.name} over all pairs of {num_outputs} outputs of one input, then over inputs (StarGAN v2, "
        f"Choi et al. 2020, takes LPIPS and 10); {distance.name}: {distance.definition}",
        interval=mean_interval(values),
        each=tuple(means.items()),
        settings=(("outputs_per_input", num_outputs), *distance.settings),
    )
