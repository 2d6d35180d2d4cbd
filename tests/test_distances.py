"""Distances of features: closed forms, and the numbers of the libraries that people quote."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from img2img.evaluate.distribution import Two, kid, sliced
from img2img.evaluate.resizing import resized_bilinear, resized_clean
from img2img.evaluate.spread import around, bootstrap_error, frechet_jackknife, jackknife_error, kernel_distances
from img2img.metrics.frechet import frechet_distance
from img2img.metrics.mind import mind, projected
from img2img.metrics.neighbours import density_and_coverage
from img2img.metrics.random_features import kernel_distance
from tests.conftest import photo


def normal(count: int, features: int, seed: int) -> Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def white(count: int, features: int, seed: int) -> Tensor:
    """Samples whose mean is 0 and whose unbiased covariance is the identity, exactly."""
    centred = normal(count, features, seed) - normal(count, features, seed).mean(0)
    return torch.linalg.qr(centred).Q * (count - 1) ** 0.5


def test_fid_of_gaussians_is_its_closed_form():
    """|m|^2 + sum (s_i - t_i)^2 for covariances of one basis, and tr(A + B - 2 (AB)^(1/2)) of any two."""
    s, t, shift = torch.linspace(0.1, 3, 8), torch.linspace(2, 0.5, 8), torch.linspace(-1, 1, 8).double()
    x, y = white(50, 8, 0) * s, white(33, 8, 1) * t + shift
    expected = float(shift.square().sum() + (s - t).square().sum())
    assert float(frechet_distance(x, y)) == pytest.approx(expected, rel=1e-6)
    a, b = normal(8, 8, 2), normal(8, 8, 3)
    values = torch.linalg.eigvals(a @ a.T @ b @ b.T).real.clamp(min=0).sqrt().sum()
    found = frechet_distance(white(50, 8, 4) @ a.T, white(60, 8, 5) @ b.T)
    assert float(found) == pytest.approx(float(a.square().sum() + b.square().sum() - 2 * values), rel=1e-9)
    assert abs(float(frechet_distance(x, x.flip(0)))) < 1e-10


@pytest.mark.parametrize(("m", "n"), [(20, 27), (90, 27), (90, 80)], ids=["few", "mixed", "many"])
def test_fid_and_kid_are_those_of_torch_fidelity_and_clean_fid(m, n):
    from cleanfid.fid import kernel_distance as clean_kid
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = (normal(m, 60, 6).relu() * 2).float(), (normal(n, 60, 7).relu() + 0.5).float()
    theirs = fid_statistics_to_metric(*map(fid_features_to_statistics, (x, y)), verbose=False)
    assert float(frechet_distance(x, y)) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    size = min(m, n)
    x, y = x[:size], y[:size]
    expected = kid_features_to_metric(x, y, kid_subsets=2, kid_subset_size=size, verbose=False)
    assert float(kernel_distance(x, y)) == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)
    assert float(kernel_distance(x, y)) == pytest.approx(clean_kid(x.numpy(), y.numpy(), num_subsets=1), rel=1e-4)
    (subsets,) = kid(Two(x, y, seed=3, kid_subset=10))
    expected = kid_features_to_metric(x, y, kid_subsets=100, kid_subset_size=10, rng_seed=3, verbose=False)
    assert subsets.value == expected["kernel_inception_distance_mean"]


def test_density_and_coverage_are_those_of_their_authors(capsys):
    from prdc import compute_prdc

    real, fake = normal(60, 8, 8), normal(45, 8, 9) * 0.8 + 0.3
    theirs = compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    capsys.readouterr()
    density, coverage = density_and_coverage(fake, real)
    assert float(density) == pytest.approx(theirs["density"], rel=1e-9)
    assert float(coverage) == pytest.approx(theirs["coverage"], rel=1e-9)


def test_mind_of_a_shift_is_three_times_its_square():
    """The mean of (u . v)^2 over directions u is |v|^2 / d, so 3 d times it is 3 |v|^2."""
    x, shift = normal(80, 24, 10), normal(1, 24, 11)

    def distance(a: Tensor, b: Tensor) -> float:
        return 3 * 24 * float(mind(projected(a, 4000), projected(b, 4000)))

    expected = 3 * float(shift.square().sum())
    assert distance(x, x + shift) == pytest.approx(expected, rel=0.1)
    assert distance(x, x.flip(0)) == 0
    fewer = torch.cat([x, x + shift / 1e6])  # two sizes of one set
    assert distance(x, fewer) < 0.01 * expected
    assert distance(x[:40] + shift, x) == pytest.approx(distance(x, x[:40] + shift))


def test_sets_of_one_kind_differ_by_no_more_than_noise():
    """Of 30 pairs of sets of one distribution, at most a few may be told apart by MIND's or KID's drawn sets."""
    reference = normal(20, 16, 1)
    for distance in (sliced, kid):
        found = [distance(Two(normal(20, 16, 10 + seed), reference))[0] for seed in range(31)]
        apart = []
        for one, other in itertools.pairwise(found):
            spread = bootstrap_error(torch.tensor(one.draws) - torch.tensor(other.draws))
            low, high = around(one.value - other.value, spread)
            apart.append(not low <= 0 <= high)
        assert sum(apart) <= 4
        shifted = distance(Two(normal(20, 16, 99) + 2, reference))[0]
        spread = bootstrap_error(torch.tensor(shifted.draws) - torch.tensor(found[0].draws))
        assert around(shifted.value - found[0].value, spread)[0] > 0, "but a real difference shows"


def test_intervals_hold_the_value_that_many_images_have():
    """Of 25 pairs of sets of one size, a 95 % interval of KID holds the true distance in nearly all."""
    shift = 0.4
    truth = float(kernel_distance(normal(4000, 6, 0), normal(4000, 6, 1) + shift))
    held = 0
    for seed in range(25):
        x, y = normal(60, 6, 100 + seed), normal(70, 6, 200 + seed) + shift
        low, high = around(float(kernel_distance(x, y)), bootstrap_error(kernel_distances(x, y, 300, seed)))
        held += low <= truth <= high
    assert held >= 21
    spread = torch.stack([frechet_distance(normal(60, 3, s), normal(70, 3, 500 + s) + 1) for s in range(60)]).std()
    assert jackknife_error(frechet_jackknife(normal(60, 3, 1), normal(70, 3, 2) + 1)) == pytest.approx(
        float(spread), rel=0.6
    )


@pytest.mark.parametrize("size", [(256, 256), (48, 40), (310, 500)])
def test_resizing_is_that_of_the_protocols(size):
    from cleanfid.resize import make_resizer

    pixels = np.ascontiguousarray(photo(1, 512)[: size[0], : size[1]])
    ours = resized_bilinear(pixels, 299)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    theirs = F.interpolate(planes, (299, 299), mode="bilinear", align_corners=False)[0]
    assert np.abs(ours - theirs.numpy()).max() < 1e-2
    clean = make_resizer("PIL", quantize_after=False, filter="bicubic", output_size=(299, 299))(pixels)
    assert np.array_equal(resized_clean(pixels, 299), clean.transpose(2, 0, 1))


def test_too_few_features_are_refused():
    for wrong in (torch.zeros(1, 8), torch.zeros(4, 9)):
        with pytest.raises(ValueError, match="2 samples or more"):
            frechet_distance(wrong, torch.zeros(5, 8))
    with pytest.raises(ValueError, match="more than 5 real"):
        density_and_coverage(torch.zeros(9, 8), torch.zeros(5, 8))
