"""Intervals hold what they promise, and a difference is called one where it is, and seldom where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from img2img.errors import DataError
from img2img.evaluate.noise import compare, interval_of, mean_interval, sign_flip
from img2img.evaluate.number import Number


def number(values, better="higher", **options):
    each = tuple((f"{i}.png", float(value)) for i, value in enumerate(values))
    return Number("psnr", float(np.mean(values)), better, len(each), "a definition", "dB", each=each, **options)


def test_an_interval_of_a_mean_holds_the_truth_95_times_in_100():
    rng = np.random.default_rng(0)
    held = [low <= 0 <= high for low, high in (mean_interval(rng.normal(size=60), resamples=400) for _ in range(300))]
    assert 0.90 < np.mean(held) < 0.98


def test_an_interval_is_that_of_the_normal_law_where_it_holds_and_repeats_itself():
    values = np.random.default_rng(1).normal(5, 2, 400)
    low, high = mean_interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert mean_interval(values) == (low, high)
    assert mean_interval(values, seed=1) != (low, high)
    assert mean_interval([1.0]) is None


def test_the_interval_of_a_set_is_that_of_its_mean():
    values = np.random.default_rng(2).normal(size=100)
    assert interval_of(lambda i: float(values[i].mean()), 100) == pytest.approx(mean_interval(values), abs=0.05)
    with pytest.raises(DataError, match="two images or more for an interval, got 1"):
        interval_of(lambda _: 0.0, 1)


def test_p_is_exact_for_few_and_uniform_where_nothing_differs():
    assert sign_flip(np.ones(5)) == 2 / 32
    assert sign_flip(np.array([1.0, 2, 3, -6])) == 1  # sums to 0: every other sign does as well
    assert sign_flip(np.zeros(8)) == 1
    rng = np.random.default_rng(3)
    found = [sign_flip(rng.standard_t(3, 20), flips=500, seed=i) for i in range(400)]
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.03)
    assert sign_flip(np.full(40, 1e-30)) == pytest.approx(1e-4, rel=0.01)


def test_a_difference_is_more_than_noise_or_is_not():
    rng = np.random.default_rng(4)
    easy = rng.normal(20, 5, 60)  # images differ far more than runs do: only a paired test sees it
    better, same = number(easy + 0.3 + rng.normal(0, 0.5, 60)), number(easy + rng.normal(0, 0.5, 60))
    found = compare(better, number(easy))
    assert found.more_than_noise
    assert found.interval[0] < found.difference < found.interval[1]
    assert "dB: better by 0." in found.words
    assert "more than noise" in found.words
    assert "no more" not in found.words
    assert compare(number(easy), better).words.count("worse by") == 1
    assert not compare(same, number(easy)).more_than_noise
    assert "no more than noise" in compare(same, number(easy)).words
    assert "worse by" in compare(replace(better, better="lower"), number(easy)).words
    assert "higher by" in compare(replace(better, better="neither"), number(easy)).words


def test_names_and_not_places_pair_values():
    mine, other = number(np.arange(10.0)), number(np.arange(10.0))
    turned = replace(other, each=other.each[::-1])
    assert compare(mine, turned).difference == 0
    assert "no more than noise" in compare(mine, turned).words


def test_five_images_show_nothing():
    found = compare(number(np.arange(5) + 1.0), number(np.arange(5.0)))
    assert not found.more_than_noise
    assert found.words.endswith("no more than noise: fewer than 6 images cannot show more")


def test_what_cannot_be_compared_is_refused():
    mine = number(np.arange(10.0))
    with pytest.raises(DataError, match=r"2 of the images .* \(8.png, 9.png\)"):
        compare(mine, number(np.arange(8.0)))
    with pytest.raises(DataError, match="one definition"):
        compare(mine, replace(mine, definition="another"))
    with pytest.raises(DataError, match="single images on both sides, got 10 and 0"):
        compare(mine, replace(mine, each=()))
