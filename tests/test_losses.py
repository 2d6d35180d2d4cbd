"""Losses against their formulas, and the penalty against slopes that are known."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from img2img.losses.adversarial import AdversarialName, adversarial_loss
from img2img.losses.gradient_penalty import gradient_penalty
from img2img.losses.pyramid import pyramid_l1
from img2img.methods.critic import Critic, check_critic, penalty_weight
from img2img.networks.discriminators.patch import PatchDiscriminator

NAMES = get_args(AdversarialName)
REAL, FAKE = [torch.tensor([[[[0.3, -1.2]]]])], [torch.tensor([[[[0.9, -0.4]]]])]


def test_bce_is_binary_cross_entropy_halved():
    loss = adversarial_loss("bce")
    expected = 0.5 * (
        F.binary_cross_entropy_with_logits(REAL[0], torch.ones_like(REAL[0]))
        + F.binary_cross_entropy_with_logits(FAKE[0], torch.zeros_like(FAKE[0]))
    )
    torch.testing.assert_close(loss.discriminator(REAL, FAKE), expected)
    torch.testing.assert_close(
        loss.generator(FAKE, REAL), F.binary_cross_entropy_with_logits(FAKE[0], torch.ones_like(FAKE[0]))
    )


def test_lsgan_is_mean_squared_error_to_one_and_zero():
    loss = adversarial_loss("lsgan")
    assert float(loss.discriminator(REAL, FAKE)) == pytest.approx(0.5 * ((0.49 + 4.84) / 2 + (0.81 + 0.16) / 2))
    assert float(loss.generator(FAKE, REAL)) == pytest.approx((0.01 + 1.96) / 2)


def test_hinge_stops_beyond_the_margin():
    loss = adversarial_loss("hinge")
    assert float(loss.discriminator([torch.full((1, 1, 2, 2), 1.5)], [torch.full((1, 1, 2, 2), -1.5)])) == 0
    assert float(loss.discriminator(REAL, FAKE)) == pytest.approx(0.5 * ((0.7 + 2.2) / 2 + (1.9 + 0.6) / 2))


def test_wasserstein_is_the_unhalved_difference_of_means():
    loss = adversarial_loss("wgan-gp")
    assert float(loss.discriminator(REAL, FAKE)) == pytest.approx(0.25 - -0.45)
    assert float(loss.generator(FAKE, REAL)) == pytest.approx(-0.25)


@pytest.mark.parametrize("name", NAMES)
def test_generator_wants_higher_logits_and_discriminator_lower_ones_on_fakes(name):
    loss = adversarial_loss(name)
    fake = [torch.full((2, 1, 3, 3), 0.3, requires_grad=True)]
    loss.generator(fake, REAL).backward()
    assert (fake[0].grad < 0).all()
    fake[0].grad = None
    loss.discriminator([torch.zeros(2, 1, 3, 3)], fake).backward()
    assert (fake[0].grad > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_scales_are_averaged(name):
    loss = adversarial_loss(name)
    torch.testing.assert_close(loss.discriminator(REAL * 3, FAKE * 3), loss.discriminator(REAL, FAKE))
    torch.testing.assert_close(loss.generator(FAKE * 3, REAL * 3), loss.generator(FAKE, REAL))


@pytest.mark.parametrize("slope", [0.25, 1.0, 3.0])
def test_gradient_penalty_of_a_linear_critic_is_known(slope):
    """D(x) = slope * <w, x> with |w| = 1 has the gradient norm ``slope`` everywhere: the penalty is (slope - 1)^2."""
    weight = F.normalize(torch.randn(3 * 8 * 8), dim=0).reshape(1, 3, 8, 8)

    def judge(image):
        return [slope * (image * weight).sum((1, 2, 3)).reshape(-1, 1, 1, 1)]

    penalty = gradient_penalty(
        judge, torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8), torch.Generator().manual_seed(0)
    )
    assert penalty.item() == pytest.approx((slope - 1) ** 2, abs=1e-5)


def test_gradient_penalty_is_of_the_mean_over_patches():
    """n equal patches, each of slope s on its own pixels: the mean's gradient norm is s / sqrt(n), not s."""
    patches, slope = 16, 4.0

    def judge(image):
        return [slope * image[:, :1]]  # every pixel is its own patch

    penalty = gradient_penalty(judge, torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4), torch.Generator().manual_seed(0))
    assert penalty.item() == pytest.approx((slope / patches**0.5 - 1) ** 2, abs=1e-5)


def test_gradient_penalty_looks_between_real_and_fake():
    seen = []

    def judge(image):
        seen.append(image.detach())
        return [image.mean((1, 2, 3), keepdim=True)]

    gradient_penalty(judge, torch.zeros(8, 1, 2, 2), torch.ones(8, 1, 2, 2), torch.Generator().manual_seed(0))
    shares = seen[0].flatten(1)
    assert (shares == shares[:, :1]).all()  # one u per image
    assert shares.min() > 0
    assert shares.max() < 1
    assert len(shares[:, 0].unique()) == 8


def test_gradient_penalty_moves_the_critic_towards_slope_one():
    torch.manual_seed(0)
    critic = PatchDiscriminator(3, num_layers=1, base_channels=8, norm="instance")
    real, fake = torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)
    optimizer = torch.optim.Adam(critic.parameters(), 1e-3)
    values = []
    for _ in range(60):
        penalty = gradient_penalty(critic, real, fake, torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
        values.append(penalty.item())
    assert values[-1] < 0.5 * values[0]


def test_wgan_gp_without_penalty_or_with_batch_norm_is_refused():
    critic = PatchDiscriminator(3, base_channels=4, norm="instance")
    assert penalty_weight(Critic(), "wgan-gp") == 10
    assert penalty_weight(Critic(), "lsgan") == 0
    assert penalty_weight(Critic(gradient_penalty_weight=3.0), "lsgan") == 3
    with pytest.raises(ValueError, match="gradient_penalty_weight"):
        check_critic(Critic(gradient_penalty_weight=0.0), "wgan-gp", critic)
    for norm in ("batch", "batch-running"):
        with pytest.raises(ValueError, match=f"wgan-gp and a discriminator with norm {norm} contradict"):
            check_critic(Critic(), "wgan-gp", PatchDiscriminator(3, base_channels=4, norm=norm))
    check_critic(Critic(turns=5), "wgan-gp", critic)


# The error at several sizes


def test_error_at_one_size_is_pix2pix_and_a_shift_costs_less_at_more():
    """Stripes one pixel out of place are wrong everywhere at full size and nowhere at a half; a tone at all."""
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 3, 16, 16)
    assert pyramid_l1(stripes, -stripes, 1) == F.l1_loss(stripes, -stripes) == 2
    assert pyramid_l1(stripes, -stripes, 3).item() == pytest.approx(2 / 1.75)
    assert pyramid_l1(stripes, stripes + 0.5, 3).item() == pytest.approx(0.5)
    assert pyramid_l1(torch.zeros(1, 3, 1, 5), torch.ones(1, 3, 1, 5), 4) == 1  # nothing to halve
