"""R-KID: an unbiased estimate, and a ranking that eyes agree with, on real drawings."""

from __future__ import annotations

import itertools

import pytest
import torch
from torchvision.transforms import functional as pictures

from img2img.data.folder import find_layout
from img2img.data.transforms import load_pixels
from img2img.image import round_to_8_bits, to_tensor
from img2img.metrics.random_features import kernel_distance, random_features
from img2img.shipped import shipped

COUNT, SIDE = 60, 128


@pytest.fixture(scope="module")
def drawings():
    """Two sets of coloured drawings, and line drawings."""
    layout = find_layout([shipped("datasets", "line2flat")], paired=True, domains=["line", "flat"])

    def read(sources):
        images = [pictures.resize(to_tensor(load_pixels(s, 3)), [SIDE, SIDE], antialias=True) for s in sources]
        return round_to_8_bits(torch.stack(images))

    flat, line = layout.train.b[: 2 * COUNT], layout.train.a[: 2 * COUNT]
    return read(flat[::2]), read(flat[1::2]), read(line[1::2])


def test_worse_images_are_farther_away(drawings):
    """Real against real < light blur < heavy blur < noise < another domain."""
    real, others, lines = drawings
    noise = 0.3 * torch.randn(others.shape, generator=torch.Generator().manual_seed(0))
    sets = {
        "real": others,
        "light blur": pictures.gaussian_blur(others, 9, 1.0),
        "heavy blur": pictures.gaussian_blur(others, 25, 4.0),
        "noise": others + noise,
        "other domain": lines,
    }
    features = random_features(real)
    found = {name: float(kernel_distance(features, random_features(round_to_8_bits(x)))) for name, x in sets.items()}
    for nearer, farther in itertools.pairwise(sets):
        assert found[nearer] < found[farther], found
    assert abs(found["real"]) < 0.2 * found["light blur"], found


def test_the_estimate_is_the_plain_double_sum():
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(5, 7, generator=generator), torch.randn(4, 7, generator=generator) + 1

    def k(p, q):
        return float((p.double() @ q.double() / 7 + 1) ** 3)

    within_x = sum(k(x[i], x[j]) for i in range(5) for j in range(5) if i != j) / (5 * 4)
    within_y = sum(k(y[i], y[j]) for i in range(4) for j in range(4) if i != j) / (4 * 3)
    between = sum(k(p, q) for p in x for q in y) / (5 * 4)
    assert float(kernel_distance(x, y)) == pytest.approx(within_x + within_y - 2 * between, rel=1e-12)


def test_the_estimate_is_unbiased():
    """Over many draws from one distribution the mean is 0, so that about half of them are negative."""
    generator = torch.Generator().manual_seed(4)
    draws = torch.stack([kernel_distance(*torch.randn(2, 8, 16, generator=generator)) for _ in range(2000)])
    assert 0.35 < float((draws < 0).double().mean()) < 0.75
    assert abs(float(draws.mean())) < 3 * float(draws.std()) / 2000**0.5


def test_features_are_the_same_in_every_call_and_leave_the_global_generator_alone():
    images = torch.rand(3, 3, 40, 48, generator=torch.Generator().manual_seed(5)) * 2 - 1
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = random_features(images)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(random_features(images), first)
    assert first.shape == (3, 512)
    assert first.dtype == torch.float32
    torch.testing.assert_close(random_features(images[1:2]), first[1:2])  # no image sees another
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(random_features(images), first)


def test_grey_images_are_seen_as_the_rgb_images_that_look_the_same():
    grey = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(6)) * 2 - 1
    torch.testing.assert_close(random_features(grey), random_features(grey.repeat(1, 3, 1, 1)))
    assert torch.isfinite(random_features(grey[..., :1, :1])).all()


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match=r"expected images \[B, 1 or 3, H, W\], got \[2, 4, 8, 8\]"):
        random_features(torch.zeros(2, 4, 8, 8))
    with pytest.raises(ValueError, match="2 samples or more"):
        kernel_distance(torch.zeros(1, 8), torch.zeros(5, 8))
    with pytest.raises(ValueError, match=r"\[4, 8\] and \[5, 9\]"):
        kernel_distance(torch.zeros(4, 8), torch.zeros(5, 9))
