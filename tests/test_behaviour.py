"""Each number of behaviour sees its own fault, and no other."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import img2img
from img2img.errors import ConfigError, DataError
from img2img.evaluate.behaviour import checkerboard, colour_drift, input_dependence, spectrum_distance
from img2img.evaluate.cycle import Ways, cycle_consistency, ways_of
from img2img.evaluate.diversity import output_diversity
from img2img.evaluate.paired import PSNR, SSIM
from img2img.evaluate.perceptual import st_lpips
from img2img.evaluate.traits import Traits
from img2img.image import round_to_8_bits
from tests.conftest import photo
from tests.test_health import blobs, grid, hide, reveal

COUNT, SIDE = 24, 64
PHOTOS = [photo(seed, SIDE) for seed in range(2 * COUNT)]
REFERENCES, OUTPUTS = PHOTOS[:COUNT], PHOTOS[COUNT:]
SOURCES = [255 - image for image in OUTPUTS]


def added(images, much):
    return [np.rint(image + np.asarray(much)).clip(0, 255).astype(np.uint8) for image in images]


def blurred(images):
    done = []
    for image in images:
        soft = F.avg_pool2d(torch.from_numpy(image).permute(2, 0, 1).float(), 3, 1, 1, count_include_pad=False)
        done.append(soft.round().byte().permute(1, 2, 0).numpy())
    return done


CHECKS = 6 * grid(SIDE, 2).numpy()[..., None]
NOISE = np.random.default_rng(0).normal(0, 20, (SIDE, SIDE, 3))
FAULTS = {
    "none": (OUTPUTS, set()),
    "one picture for all": ([OUTPUTS[16]] * COUNT, {"input_retrieval", "output_spread"}),
    "not its own picture": (OUTPUTS[1:] + OUTPUTS[:1], {"input_retrieval"}),
    "a cast": (added(OUTPUTS, (25, 0, -25)), {"colour_drift"}),
    "checks": (added(OUTPUTS, CHECKS), {"checkerboard"}),
    "blur": (blurred(OUTPUTS), {"spectrum_distance"}),
    "noise": (added(OUTPUTS, NOISE), {"spectrum_distance"}),
}


def traits(images):
    return Traits.of((str(i), image) for i, image in enumerate(images))


@functools.cache
def of_fault(name):
    return measured(FAULTS[name][0])


def measured(outputs, sources=SOURCES, references=REFERENCES):
    a, out, b = traits(sources), traits(outputs), traits(references)
    numbers = [*input_dependence(a, out), colour_drift(a, out, b), checkerboard(out, b), spectrum_distance(out, b)]
    return {number.name: number for number in numbers}


LIMITS = {"input_retrieval": 0.5, "output_spread": 0.5, "colour_drift": 9, "checkerboard": 4, "spectrum_distance": 3}


def is_bad(number):
    worse = number.value - LIMITS[number.name]
    return worse < 0 if number.better == "higher" else worse > 0


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_seen_by_its_own_number_alone(fault):
    found = of_fault(fault)
    assert {name for name, number in found.items() if is_bad(number)} == FAULTS[fault][1], found
    for number in found.values():
        assert number.count == COUNT
        if number.interval is not None:
            assert number.interval[0] <= number.value <= number.interval[1]


def test_what_was_found_is_said_in_its_settings():
    drift = of_fault("a cast")["colour_drift"]
    made, wanted = (np.array(dict(drift.settings)[f"shift_{name}_lab"]) for name in ("made", "wanted"))
    assert np.linalg.norm(made - wanted) == pytest.approx(drift.value, abs=0.02)
    assert (made - wanted)[2] > 5  # yellower
    assert dict(of_fault("checks")["checkerboard"].settings)["cycles_per_px_down_and_right"] == (0.5, 0.5)
    for name in ("colour_drift", "spectrum_distance"):
        found = of_fault("none")[name]
        assert found.value < 3 * dict(found.settings)["between_halves_of_references"]
    finer = {fault: dict(of_fault(fault)["spectrum_distance"].settings)["finer_half_db"] for fault in FAULTS}
    assert finer["blur"] < -1.5
    assert finer["noise"] > 1.5
    assert dict(of_fault("none")["input_retrieval"].settings) == {"chance": 1 / COUNT}


def test_real_images_against_themselves_are_perfect():
    found = measured(OUTPUTS, OUTPUTS, OUTPUTS)
    values = {name: number.value for name, number in found.items()}
    perfect = {"input_retrieval": 1, "output_spread": 1, "checkerboard": 1, "colour_drift": 0, "spectrum_distance": 0}
    assert values == pytest.approx(perfect, abs=1e-4)


def test_white_noise_has_the_same_power_in_every_band():
    """Of deviation s: 20 log10 s, whatever the size."""
    for side in (64, 100):
        images = [np.clip(np.random.default_rng(i).normal(0, 0.1, (side, side, 1)), -1, 1) for i in range(12)]
        bands = traits([image.astype(np.float32) for image in images]).bands
        assert bands.mean(0).tolist() == pytest.approx([-20] * 16, abs=0.8)


def test_sets_that_say_nothing_are_refused():
    two, one = traits(OUTPUTS[:2]), traits(OUTPUTS[:1])
    with pytest.raises(DataError, match="two images or more of each set, got 2 and 1"):
        checkerboard(two, one)
    with pytest.raises(DataError, match=r"colour drift: expected .* got 1 and 2 and 2"):
        colour_drift(one, two, two)
    with pytest.raises(DataError, match=r"same names .* got 2 and 24"):
        input_dependence(two, traits(OUTPUTS))
    with pytest.raises(DataError, match="all 3 inputs look the same"):
        input_dependence(traits([OUTPUTS[0]] * 3), traits(OUTPUTS[:3]))
    small = traits([image[:40] for image in OUTPUTS[:3]])
    assert checkerboard(small, small).value == pytest.approx(1)
    with pytest.raises(DataError, match="64 px a side or more, and 3 of 3 are smaller: 0 and others"):
        spectrum_distance(small, small)


# There and back


def levels(image):
    return np.rint((image[0].permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8)


IMAGES = [(str(i), levels(blobs(seed=i, count=1) * 0.7)) for i in range(3)]


def cycled(there, back):
    return {number.name: number for number in cycle_consistency(Ways(there, back), IMAGES)}


def test_an_honest_cycle_survives_files():
    found = cycled(lambda a: -a, lambda b: -b)
    assert found["cycle_l1"].value == 0
    assert found["cycle_l1_8_bit"].value == 0  # a negative of 8 bits has 8 bits
    assert found["cycle_l1_jpeg"].value < 0.02
    assert found["hidden_signal"].value < 2
    lossy = cycled(lambda a: 0.8 * a, lambda b: b)
    sizes = [np.abs(image / 127.5 - 1).mean() / 2 for _, image in IMAGES]
    assert lossy["cycle_l1"].value == pytest.approx(0.2 * np.mean(sizes), abs=0.002)
    assert lossy["hidden_signal"].value < 1.1
    assert [name for name, _ in lossy["cycle_l1"].each] == ["0", "1", "2"]


def test_what_is_hidden_below_8_bits_does_not_survive_rounding():
    """A page that shows grey and carries the input in thousandths of a level."""
    found = cycled(lambda a: 0.1 + a / 1e4, lambda b: (b - 0.1) * 1e4)
    assert found["cycle_l1"].value < 0.01
    assert found["cycle_l1_8_bit"].value > 0.1
    assert found["cycle_l1_jpeg"].value > 0.1
    assert found["hidden_signal"].value > 10


def test_what_is_hidden_in_the_last_bits_survives_rounding_and_not_a_jpeg():
    shown = blobs(seed=9, count=1) * 0.9
    found = cycled(lambda a: hide(a, shown), reveal)
    assert found["cycle_l1_8_bit"].value < 0.2 * found["cycle_l1_jpeg"].value
    assert found["hidden_signal"].value > 3


def test_a_translator_of_both_directions_goes_there_and_back(model):
    translator = img2img.load(model, "cpu")
    ways = ways_of(translator)
    found = {number.name: number for number in cycle_consistency(ways, [(str(i), PHOTOS[i][:32, :32]) for i in (0, 1)])}
    source = torch.from_numpy(PHOTOS[0][:32, :32]).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        back = round_to_8_bits(translator.tensor(translator.tensor(source, "colour"), "line"))
    assert found["cycle_l1"].each[0][1] == pytest.approx(float((back - source).abs().mean() / 2), rel=1e-4)
    with pytest.raises(DataError, match="two or more images for a cycle, got 1"):
        cycle_consistency(ways, IMAGES[:1])
    translator.networks.pop("colour:line")
    with pytest.raises(ConfigError, match="both directions; this one has line:colour"):
        ways_of(translator)


# Diversity


def test_diversity_is_the_mean_over_pairs_of_one_input():
    flat = [np.full((40, 40, 3), level, np.uint8) for level in (0, 51, 255)]
    found = output_diversity([("a", flat), ("b", flat[:1] * 3)])
    assert found.name == "diversity_l1"
    assert dict(found.each) == pytest.approx({"a": (0.2 + 1 + 0.8) / 3, "b": 0})
    assert found.value == pytest.approx(1 / 3)
    assert dict(found.settings) == {"outputs_per_input": 3}


def test_diversity_can_be_that_of_a_learned_distance():
    pytest.importorskip("stlpips_pytorch")
    seen = output_diversity([("a", PHOTOS[:3]), ("b", PHOTOS[:1] * 3)], st_lpips())
    assert seen.name == "diversity_st_lpips"
    assert dict(seen.each)["a"] > 0.05
    assert dict(seen.each)["b"] == 0


def test_what_has_no_diversity_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"b: expected 3 outputs .* got 2"):
        output_diversity([("a", PHOTOS[:3]), ("b", PHOTOS[:2])])
    with pytest.raises(DataError, match=r"a: expected 2 outputs .* got 1"):
        output_diversity([("a", PHOTOS[:1])])
    with pytest.raises(DataError, match="got none"):
        output_diversity([])
    with pytest.raises(ConfigError, match="got psnr"):
        output_diversity([("a", PHOTOS[:2])], PSNR)
    with pytest.raises(DataError, match="one size"):
        output_diversity([("a", [PHOTOS[0], PHOTOS[1][:40]])])
    Image.fromarray(PHOTOS[0]).save(tmp_path / "x.png")
    with pytest.raises(DataError, match="11 px a side or more, got 64x8"):
        SSIM(*blobs(count=2)[..., :8, :].split(1))
