"""How a translator behaves over a set: whether outputs follow inputs, their colours, and what up-sampling leaves."""

from __future__ import annotations

from torch import Tensor

from img2img.errors import DataError
from img2img.evaluate.noise import interval_of
from img2img.evaluate.number import Number
from img2img.evaluate.traits import COMPARED, Traits, check_counts
from img2img.metrics.health import diversity, retrieved
from img2img.metrics.spectrum import NUM_BANDS

_SMALLEST_SPREAD = 1 / 255
"""Spread of inputs below which they count as one image, in [-1, 1] units."""


def input_dependence(sources: Traits, outputs: Traits) -> list[Number]:
    """Say whether outputs follow their inputs.

    Args:
        sources: images that were translated.
        outputs: their translations, in the same order.

    Returns:
        ``input_retrieval``: the share of outputs more like their own input than like any other; a generator that
        paints whatever it likes comes to chance. ``output_spread``: how much outputs differ over how much inputs do; a
        collapsed generator comes to 0.

    Raises:
        DataError: if names differ, or inputs do not.
    """
    check_counts("input dependence", sources, outputs)
    if sources.names != outputs.names:
        raise DataError(
            "input dependence: expected the same names of inputs and outputs in the same order, got "
            f"{len(sources)} and {len(outputs)}"
        )
    compared = min(len(outputs), COMPARED)
    own = float(diversity(sources.thumbnails))
    if own < _SMALLEST_SPREAD:
        raise DataError(f"input dependence: all {compared} inputs look the same; nothing could follow them")
    first = "" if compared == len(outputs) else f" of the first {compared} images"
    found = retrieved(outputs.look, sources.look)
    return [
        Number(
            "input_retrieval",
            float(found),
            "higher",
            compared,
            f"share of outputs more like their own input than like any other{first}: correlation at 32x32 px of edge "
            "maps, or of luma of either sign, less the mean image; the better of both shares",
            settings=(("chance", 1 / compared),),
        ),
        Number(
            "output_spread",
            float(diversity(outputs.thumbnails)) / own,
            "higher",
            compared,
            f"mean L1 between two outputs at 32x32 px over that between two inputs{first}; 0 is one output for all",
        ),
    ]


def colour_drift(sources: Traits, outputs: Traits, references: Traits) -> Number:
    """Say how far the change of mean colour that outputs show is from the change that is wanted.

    Args:
        sources: images that were translated.
        outputs: their translations.
        references: real images of the target domain.
    """
    check_counts("colour drift", sources, outputs, references)
    made, wanted, before = (traits.colours.mean(0) for traits in (outputs, references, sources))
    return Number(
        "colour_drift",
        _length(made - wanted),
        "lower",
        len(outputs),
        "distance (CIE 1976) of the mean Lab (D65) shift from inputs to outputs from that from inputs to references, "
        "means over all pixels and images",
        unit="dE",
        settings=(
            ("shift_made_lab", _rounded(made - before)),
            ("shift_wanted_lab", _rounded(wanted - before)),
            ("references", len(references)),
            ("between_halves_of_references", round(_length(_halves_apart(references.colours)), 2)),
        ),
    )


def checkerboard(outputs: Traits, references: Traits) -> Number:
    """Say how far outputs show the regular grid of strided up-sampling more than real images do.

    Args:
        outputs: translations.
        references: real images of the target domain; as JPEG they have grids of their own.
    """
    check_counts("checkerboard", outputs, references)
    relative = outputs.peaks.log() - references.peaks.log().mean(0)
    worst = int(relative.mean(0).argmax())
    each = relative[:, worst].exp().tolist()
    down, right = divmod(worst + 1, 4)
    return Number(
        "checkerboard",
        float(relative.mean(0)[worst].exp()),
        "lower",
        len(outputs),
        "largest over the frequencies with periods of 2 and 4 px of the spectral peak (power of the Hann-windowed luma "
        "within 2 bins over that 3 to 8 away; 4 levels of 255 do not show), geometric mean of outputs over that of "
        "references; 1 is like real images",
        each=tuple(zip(outputs.names, each, strict=True)),
        interval=interval_of(lambda chosen: float(relative[chosen, worst].mean().exp()), len(outputs)),
        settings=(("cycles_per_px_down_and_right", (down / 4, right / 4)), ("references", len(references))),
    )


def spectrum_distance(outputs: Traits, references: Traits) -> Number:
    """Say how far outputs have more or less of each fineness than real images.

    Args:
        outputs: translations.
        references: real images of the target domain.
    """
    check_counts("spectrum", outputs, references)
    apart = outputs.bands.mean(0) - references.bands.mean(0)
    return Number(
        "spectrum_distance",
        _rms(apart),
        "lower",
        len(outputs),
        "root mean square over 16 bands from 0 to 1/2 cycle a pixel of the difference in mean log power of luma "
        "(Durall et al. 2020, arXiv 2003.01826, middle 256 px, Hann window)",
        unit="dB",
        settings=(
            ("finer_half_db", round(float(apart[NUM_BANDS // 2 :].mean()), 2)),
            ("references", len(references)),
            ("between_halves_of_references", round(_rms(_halves_apart(references.bands)), 2)),
        ),
    )


def _halves_apart(values: Tensor) -> Tensor:
    """Return how far the mean of every other image is from that of the rest: what real images come to by chance."""
    return values[::2].mean(0) - values[1::2].mean(0)


def _length(vector: Tensor) -> float:
    return float(vector.square().sum().sqrt())


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _rounded(values: Tensor) -> tuple[float, ...]:
    return tuple(round(value, 2) for value in values.tolist())
