"""Scores of outputs against targets: what the papers define, one pair at a time, and refusals of what is no pair."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as pictures

from img2img.errors import ConfigError, DataError
from img2img.evaluate.number import Number
from img2img.evaluate.paired import MS_SSIM, PAIRED, PSNR, SSIM, Paired, extremes, measure_paired, pairs_of, psnr_y
from img2img.image import round_to_8_bits, to_tensor
from tests.conftest import drawing, photo

SIDE = 176  # MS-SSIM takes 176 and more
ALL = (*PAIRED, psnr_y(4))
PERFECT = {"l1": 0, "psnr": 100, "ssim": 1, "ms_ssim": 1, "edge_f1": 1, "psnr_y": 100}


@pytest.fixture(scope="module")
def photos():
    return [photo(seed, SIDE) for seed in range(4)]


def scores(output, target, metrics=ALL):
    return Paired(metrics).add("x", output, target)


def flat(level, side=SIDE, dtype=np.uint8, channels=3):
    return np.full((side, side, channels), level, dtype)


def test_identical_images_are_perfect_at_every_depth(photos):
    grey = photos[0][..., :1]
    for image in (photos[0], photos[0].astype(np.uint16) * 257, grey, grey.astype(np.uint16) * 257):
        assert scores(image, image) == pytest.approx(PERFECT, abs=1e-5)


def test_black_against_white():
    """Wang et al. 2004, equation 13: no structure on either side leaves the comparison of brightness, C1 / (1 + C1)."""
    found = scores(flat(0), flat(255))
    c1 = 0.01**2
    assert found["l1"] == pytest.approx(1)
    assert found["psnr"] == pytest.approx(0, abs=1e-5)
    assert found["ssim"] == pytest.approx(c1 / (1 + c1), rel=1e-3)
    assert found["edge_f1"] == 1  # no edge in either
    assert found["psnr_y"] == pytest.approx(20 * math.log10(255 / 219), abs=1e-4)


@pytest.mark.parametrize(("dtype", "highest"), [(np.uint8, 255), (np.uint16, 65535)])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_offset_gives_what_the_definitions_say(dtype, highest, channels):
    a, b = 0.4, 0.5
    low, high = (flat(round(v * highest), dtype=dtype, channels=channels) for v in (a, b))
    a, b = (float(image.flat[0]) / highest for image in (low, high))
    found = scores(low, high)
    assert found["l1"] == pytest.approx(b - a, rel=1e-5)
    assert found["psnr"] == pytest.approx(-20 * math.log10(b - a), rel=1e-5)
    assert found["psnr_y"] == pytest.approx(-20 * math.log10((b - a) * 219 / 255), rel=1e-5)
    assert found["ssim"] == pytest.approx((2 * a * b + 1e-4) / (a * a + b * b + 1e-4), rel=1e-4)
    assert found["edge_f1"] == 1


def test_one_level_of_16_bits_is_seen():
    found = scores(flat(30000, dtype=np.uint16), flat(30001, dtype=np.uint16))
    assert found["psnr"] == pytest.approx(20 * math.log10(65535), abs=0.02)


def test_ssim_is_that_of_its_equation(photos):
    """Written out in 64 bits: means and variances under a Gaussian window, borders mirrored."""
    x, y = (pixels[:40, :40, 0].astype(np.float64) / 255 for pixels in (photos[0], photos[1]))
    at = np.arange(11) - 5
    line = np.exp(-(at**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2

    def mean(values):
        patches = np.lib.stride_tricks.sliding_window_view(np.pad(values, 5, "reflect"), (11, 11))
        return (patches * window).sum((-1, -2))

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    wanted = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    found = scores(photos[0][:40, :40, :1], photos[1][:40, :40, :1], [SSIM])
    assert found["ssim"] == pytest.approx(wanted.mean(), rel=1e-4)


def test_the_border_of_a_super_resolution_score_does_not_count(photos):
    wrong = photos[0].copy()
    wrong[:4], wrong[-4:], wrong[:, :4], wrong[:, -4:] = 0, 0, 0, 0
    assert scores(wrong, photos[0], [psnr_y(4)])["psnr_y"] == 100
    assert scores(wrong, photos[0], [psnr_y(3)])["psnr_y"] < 40
    assert scores(wrong, photos[0], [psnr_y(0)])["psnr_y"] < 20
    with pytest.raises(ConfigError, match="0 px or more, got -1"):
        psnr_y(-1)


def test_edges_found_one_px_off_count_and_two_px_off_do_not():
    line = flat(255, 64)
    line[:, 30] = 0
    at = {shift: scores(np.roll(line, shift, 1), line)["edge_f1"] for shift in (0, 1, 8)}
    assert at == {0: 1, 1: 1, 8: 0}
    assert scores(flat(255, 64), line)["edge_f1"] == 0  # none found at all
    twice = line.copy()
    twice[:, 50] = 0
    assert scores(twice, line)["edge_f1"] == pytest.approx(2 / 3)  # P = 1/2, R = 1


@pytest.mark.parametrize("fault", ["noise", "blur"])
def test_more_of_a_fault_is_worse(photos, fault):
    draw = torch.Generator().manual_seed(0)
    target = to_tensor(photos[0])[None]
    noise = torch.randn(target.shape, generator=draw)

    def with_fault(much):
        worse = target + 0.05 * much * noise if fault == "noise" else pictures.gaussian_blur(target, 25, 0.6 * much)
        return round_to_8_bits(worse)

    found = [Paired(ALL).add_batch(["x"], with_fault(much), target)[0] for much in (1, 2, 4)]
    for less, more in itertools.pairwise(found):
        for metric in ALL:
            worse = more[metric.name] - less[metric.name]
            assert worse > 0 if metric.better == "lower" else worse < 0, (metric.name, less, more)


def test_order_and_batches_do_not_matter(photos):
    outputs, targets = (round_to_8_bits(torch.stack([to_tensor(p) for p in ps])) for ps in (photos[::-1], photos))
    together = Paired(ALL)
    together.add_batch("abcd", outputs, targets)
    one_by_one = Paired(ALL)
    for i in (2, 0, 3, 1):
        one_by_one.add("abcd"[i], photos[::-1][i], photos[i])
    for a, b in zip(together.numbers(), one_by_one.numbers(), strict=True):
        assert a.value == pytest.approx(b.value, rel=1e-5)
        assert dict(a.each) == pytest.approx(dict(b.each), rel=1e-5)
        assert a.definition == b.definition


def test_folders_come_to_numbers_with_names(tmp_path):
    for folder in ("out", "target"):
        (tmp_path / folder).mkdir()
    for i in range(5):
        line, colour = drawing(i, (64, 64))
        colour.save(tmp_path / "target" / f"{i}.png")
        (line if i else colour).save(tmp_path / "out" / f"{i}.tif")
    said = []
    numbers = measure_paired(pairs_of(tmp_path / "out", tmp_path / "target"), say=said.append)
    found = {number.name: number for number in numbers}
    assert list(found) == ["l1", "psnr", "ssim", "edge_f1"]
    assert said == ["ms_ssim: takes images of 176 px a side or more, and 5 of 5 are smaller (0 and others): left out"]
    for number in numbers:
        assert number.count == 5
        assert [name for name, _ in number.each] == list("01234")
        assert number.value == pytest.approx(np.mean([value for _, value in number.each]))
        assert number.interval[0] < number.value < number.interval[1]
        assert extremes(number).best[0] == ("0", pytest.approx(PERFECT[number.name], abs=1e-6))
    worst = extremes(found["l1"], 2)
    by_value = sorted(found["l1"].each, key=lambda one: one[1])
    assert worst == (tuple(by_value[:-3:-1]), tuple(by_value[:2]))


def test_an_image_is_never_both_worst_and_best():
    for count in (1, 2, 3, 20):
        number = Number("l1", 0, "lower", count, "", each=tuple((str(i), float(i)) for i in range(count)))
        worst, best = extremes(number)
        assert not set(worst) & set(best)
        assert len(worst) == len(best) == min(8, count // 2)


def test_transparency_is_seen_on_white_and_grey_as_rgb(tmp_path, photos):
    alpha = np.full((SIDE, SIDE, 1), 255, np.uint8)
    alpha[:80] = 0
    path = tmp_path / "a.png"
    Image.fromarray(np.concatenate([photos[0], alpha], 2)).save(path)
    shown = photos[0].copy()
    shown[:80] = 255
    assert scores(path, shown, [PSNR]) == {"psnr": 100}
    grey = photos[0][..., :1]
    assert scores(grey, np.repeat(grey, 3, 2), [PSNR]) == {"psnr": 100}


def test_what_is_no_pair_is_named(tmp_path, photos):
    def fails(match, outputs=None, count=2):
        pairs = [(f"{i}.png", photo(i, 32), photo(i, 32)) for i in range(count)]
        with pytest.raises(DataError, match=match) as error:
            measure_paired(outputs or pairs)
        assert "\n" not in str(error.value)

    fails("two or more pairs to measure, got 1", count=1)
    fails("two or more pairs to measure, got 0", count=0)
    fails(r"a: expected output and target of one size, got 176x176 and 32x30", [("a", photos[0], photo(0, 32)[:30])])
    fails("a: expected each name once", [("a", photos[0], photos[0])] * 2)
    fails(r"a: expected pixels \[H, W, 1 or 3\].*float64", [("a", photos[0] / 255, photos[0])])
    fails(r"a: expected floats in \[-1, 1\]", [("a", np.full((8, 8, 3), np.nan, np.float32), photos[0])])
    broken = tmp_path / "broken.png"
    Image.fromarray(photos[0]).save(broken)
    broken.write_bytes(broken.read_bytes()[:2000])
    fails("broken.png", [("a", broken, photos[0])])
    for folder, names in (("out", "ab"), ("target", "bc")):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.fromarray(photos[0]).save(tmp_path / folder / f"{name}.png")
    with pytest.raises(DataError, match=r"2 images have no partner .* out/a.png, target/c.png"):
        pairs_of(tmp_path / "out", tmp_path / "target")
    with pytest.raises(ConfigError, match="different names"):
        Paired([MS_SSIM, MS_SSIM])
