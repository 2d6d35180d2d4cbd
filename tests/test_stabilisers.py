"""What steadies the game: each part against its formula, and what it promises to leave alone."""

from __future__ import annotations

import copy
import dataclasses
import functools
from typing import get_args

import lightning
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import img2img
from img2img.losses.adversarial import AdversarialName, adversarial_loss
from img2img.losses.feature_matching import feature_matching
from img2img.losses.zero_centred import difference_penalty, exact_penalty
from img2img.methods.augment import CAP, AdaptiveProbability, ChangeName, changed
from img2img.methods.critic import Critic
from img2img.methods.judge import Judge
from img2img.methods.optimization import Optimization
from img2img.methods.turns import Step
from img2img.networks.discriminators.multiscale import MultiscaleDiscriminator
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.layers.init import initialise
from img2img.training.config import resolve
from tests.discover import METHODS
from tests.test_methods import batch_of, build, loader, step_at, trainer
from tests.test_networks import TinyFeatures, tiny_features
from tests.two_processes import signs_of_both

LABELLED = [name for name in get_args(AdversarialName) if name != "wgan-gp"]


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def step_with(levers=None, batches=0, progress=0.0):
    return Step(batches, batches, progress, draws(batches), levers or {})


def patch(norm="none", **options):
    torch.manual_seed(0)
    network = PatchDiscriminator(3, **{"num_layers": 2, "base_channels": 16, "norm": norm, **options})
    initialise(network)
    return network


def judge_of(discriminator, adversarial="lsgan", **options):
    return Judge("discriminator", Critic(**options), adversarial, discriminator)


# Losses


@pytest.mark.parametrize(
    ("name", "f"),
    [("bce", lambda t: F.softplus(-t)), ("lsgan", lambda t: (t - 1) ** 2), ("hinge", lambda t: F.relu(1 - t))],
)
def test_relativistic_losses_are_f_of_the_difference(name, f):
    real, fake = torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
    loss = adversarial_loss(name, relativistic=True)
    torch.testing.assert_close(loss.discriminator([real], [fake]), f(real - fake).mean())
    torch.testing.assert_close(loss.generator([fake], [real]), f(fake - real).mean())
    torch.testing.assert_close(loss.discriminator([real + 5], [fake + 5]), loss.discriminator([real], [fake]))


def test_relativistic_pairs_of_unlike_size_are_named():
    with pytest.raises(ValueError, match=r"critic\.relativistic"):
        adversarial_loss("bce", relativistic=True).discriminator([torch.zeros(1, 1, 2, 2)], [torch.zeros(1, 1, 3, 3)])


def test_label_smoothing_moves_the_label_of_real_images_alone():
    real, fake = torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
    for name, distance in (("bce", F.binary_cross_entropy_with_logits), ("lsgan", F.mse_loss)):
        smooth, plain = adversarial_loss(name, label_smoothing=0.1), adversarial_loss(name)
        expected = (distance(real, torch.full_like(real, 0.9)) + distance(fake, torch.zeros_like(fake))) / 2
        torch.testing.assert_close(smooth.discriminator([real], [fake]), expected)
        assert torch.equal(smooth.generator([fake], []), plain.generator([fake], []))


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_at_the_midpoint_nothing_speaks_for_real_or_fake(name, smoothing):
    if name == "hinge" and smoothing:
        pytest.skip("refused: hinge has no label")
    loss = adversarial_loss(name, label_smoothing=smoothing)
    logits = torch.full((1, 1, 2, 2), loss.midpoint, requires_grad=True)
    loss.discriminator([logits], [logits]).backward()
    assert logits.grad.abs().max() < 1e-6


def test_feature_matching_is_the_mean_distance_of_all_but_the_logits():
    real = [[torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 2, 2), torch.zeros(1, 1, 2, 2)] for _ in range(2)]
    fake = [[torch.full_like(s, v) for s, v in zip(scale, (1.0, 2.0, 99.0), strict=True)] for scale in real]
    assert feature_matching(real, fake).item() == pytest.approx(1.5)
    fake[1] = real[1]
    assert feature_matching(real, fake).item() == pytest.approx(0.75)
    with pytest.raises(ValueError, match="logits"):
        feature_matching([[torch.zeros(1)]], [[torch.zeros(1)]])


def test_pix2pix_matches_features_of_the_discriminator_that_judges(monkeypatch):
    module, batch = build(img2img.Pix2Pix, feature_matching_weight=10.0), batch_of()
    images, discriminator = module.generate(batch, step_at()), module.discriminator
    passes = []
    original = type(discriminator).features
    monkeypatch.setattr(type(discriminator), "features", lambda s, x: passes.append(x) or original(s, x))
    losses = module.turn(module.players()[1], batch, images, step_at()).losses
    assert len(passes) == 2  # the fake once for logits and features, the real image once
    real, fake = (original(discriminator, torch.cat([batch.a, x], 1))[0][:-1] for x in (batch.b, images.fake))
    expected = 10 * sum((r - f).abs().mean() for r, f in zip(real, fake, strict=True)) / len(real)
    torch.testing.assert_close(losses["generator/feature_matching"], expected)
    plain = build(img2img.Pix2Pix)
    assert "generator/feature_matching" not in plain.turn(plain.players()[1], batch, images, step_at()).losses


# Penalties


def test_exact_penalty_of_a_linear_discriminator_is_known():
    """D_p(x) = s x_p, every pixel its own patch: each patch has the squared slope s^2, whatever their number."""
    for side in (4, 8):
        images = torch.randn(3, 1, side, side)
        assert exact_penalty(lambda x: [3.0 * x], images).item() == pytest.approx(9 / 2)
        assert difference_penalty(lambda x: [3.0 * x], images, draws()).item() == pytest.approx(9 / 2, rel=0.3)


def test_penalty_of_several_scales_is_their_mean_each_with_its_own_patches():
    images = torch.randn(2, 1, 8, 8)
    assert exact_penalty(lambda x: [2.0 * x, 4.0 * x[..., :2, :2]], images).item() == pytest.approx((4 + 16) / 4)


def test_differences_agree_with_the_slope_of_each_patch():
    """Hutchinson's estimate of mean_p ||d D_p / dx||^2 and finite differences, within 10 %."""
    network, images = patch(), torch.rand(2, 3, 64, 64) * 2 - 1
    images.requires_grad_()
    (logits,) = network(images)
    estimates = []
    for seed in range(24):
        sign = torch.randint(2, logits.shape, generator=draws(seed)) * 2.0 - 1
        (slope,) = torch.autograd.grad(logits, images, sign, retain_graph=True)
        estimates.append(float(slope.square().sum() / logits.numel()))
    expected = sum(estimates) / len(estimates)
    with torch.no_grad():
        found = sum(2 * float(difference_penalty(network, images, draws(s))) for s in range(8)) / 8
        with torch.autocast("cpu", torch.bfloat16):
            rounded = sum(2 * float(difference_penalty(network, images, draws(s))) for s in range(8)) / 8
    assert found == pytest.approx(expected, rel=0.1)
    assert rounded == pytest.approx(expected, rel=0.3)  # rounding adds some 10 % at this sigma, and more below it


def test_penalty_does_not_depend_on_the_size_of_the_image():
    network = patch(num_layers=3)
    images = torch.rand(2, 3, 256, 256, generator=draws()) * 2 - 1
    small, large = (exact_penalty(network, images[..., :side, :side]).item() for side in (128, 256))
    assert small == pytest.approx(large, rel=0.2)


def test_penalties_flatten_the_discriminator():
    for form in ("exact", "differences"):
        network, images = patch(), torch.rand(2, 3, 32, 32) * 2 - 1
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        values = []
        for i in range(20):
            penalty = (
                exact_penalty(network, images) if form == "exact" else difference_penalty(network, images, draws(i))
            )
            optimizer.zero_grad()
            penalty.backward()
            optimizer.step()
            values.append(penalty.item())
        assert values[-1] < 0.5 * values[0], form


@pytest.mark.parametrize("form", ["exact", "differences"])
def test_lazy_penalties_are_weighted_by_how_seldom_they_come(form):
    network = patch()
    real, fake = (torch.rand(2, 3, 32, 32, generator=draws(i)) * 2 - 1 for i in range(2))
    lazy = judge_of(network, r1_gamma=2.0, r2_gamma=0.5, penalty_every=4, penalty_form=form)
    eager = judge_of(network, r1_gamma=2.0, r2_gamma=0.5, penalty_form=form)
    seldom, always = (j.turn(network, real, fake, step_with(batches=4)).losses for j in (lazy, eager))
    for key in ("discriminator/r1", "discriminator/r2"):
        torch.testing.assert_close(seldom[key], 4 * always[key])
    assert set(lazy.turn(network, real, fake, step_with(batches=5)).losses) == {"discriminator/adversarial"}
    if form == "exact":
        torch.testing.assert_close(always["discriminator/r1"], 2.0 * exact_penalty(network, real))
        torch.testing.assert_close(always["discriminator/r2"], 0.5 * exact_penalty(network, fake))


@pytest.mark.parametrize("options", [{"r1_gamma": 1.0, "r2_gamma": 1.0}, {"gradient_penalty_weight": 1.0}])
def test_exact_penalties_leave_a_compiled_discriminator_aside(options):
    network, compiled = patch(), []
    network._compiled_call_impl = lambda x: compiled.append(x) or network.forward(x)  # what network.compile() sets
    real, fake = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    losses = judge_of(network, **options).turn(network, real, fake, step_with()).losses
    assert len(losses) > 1
    assert len(compiled) == 2  # the judgements of real and fake


def test_a_conditional_penalty_is_of_the_judged_image_alone():
    network = PatchDiscriminator(5, num_layers=1, base_channels=4, norm="none")
    condition, real = torch.rand(2, 2, 16, 16), torch.rand(2, 3, 16, 16)
    losses = judge_of(network, r1_gamma=1.0).turn(network, real, real, step_with(), condition).losses
    expected = exact_penalty(lambda x: network(torch.cat([condition, x], 1)), real)
    torch.testing.assert_close(losses["discriminator/r1"], expected)


# Options


@pytest.mark.parametrize(
    ("options", "adversarial", "norm", "names"),
    [
        ({"relativistic": True}, "wgan-gp", "none", ("relativistic", "wgan-gp")),
        ({"label_smoothing": 0.1}, "hinge", "none", ("label_smoothing", "hinge")),
        ({"label_smoothing": 0.1}, "wgan-gp", "none", ("label_smoothing", "wgan-gp")),
        ({"label_smoothing": 0.1, "relativistic": True}, "bce", "none", ("label_smoothing", "relativistic")),
        ({"r1_gamma": 1.0}, "wgan-gp", "none", ("r1_gamma", "wgan-gp")),
        ({"r2_gamma": 1.0, "gradient_penalty_weight": 1.0}, "bce", "none", ("r2_gamma", "gradient_penalty_weight")),
        ({"r1_gamma": 1.0}, "bce", "batch-running", ("r1_gamma", "batch-running")),
        ({"r2_gamma": 1.0}, "bce", "batch-running", ("r2_gamma", "batch-running")),
        ({"augment": "adaptive"}, "wgan-gp", "none", ("adaptive", "wgan-gp")),
        ({"augment": "adaptive", "augment_probability": 0.5}, "bce", "none", ("augment_probability", "adaptive")),
        ({"augment_probability": 0.5}, "bce", "none", ("augment_probability", "augment fixed")),
        ({"penalty_every": 4}, "bce", "none", ("penalty_every", "r1_gamma")),
        ({"penalty_form": "differences"}, "bce", "none", ("penalty_form", "r1_gamma")),
        ({"augment_policy": ("color", "color")}, "bce", "none", ("augment_policy", "color")),
        ({"augment_policy": ()}, "bce", "none", ("augment_policy", "one or more")),
        ({"turns": 0}, "bce", "none", ("turns", "1 or more")),
        ({"instance_noise": -1.0}, "bce", "none", ("instance_noise", "0 or more")),
        ({"label_smoothing": 0.5}, "bce", "none", ("label_smoothing", "below 0.5")),
        ({"projected_from": 0.5}, "bce", "none", ("projected_from", "projected_weight")),
        ({"projected_file": "x.pth"}, "bce", "none", ("projected_file", "projected_weight")),
        ({"projected_weight": 0.5, "projected_from": 1.0}, "bce", "none", ("projected_from", "below 1")),
    ],
)
def test_contradictory_options_are_refused_with_both_names(options, adversarial, norm, names):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the names are asserted below)
        judge_of(patch(norm), adversarial, **options)
    assert all(name in str(refused.value) for name in names), refused.value


def test_penalties_take_norms_that_keep_to_one_image():
    for norm in ("instance", "batch", "none"):
        judge_of(patch(norm), r1_gamma=1.0)


def test_every_option_of_the_critic_is_set_on_the_command_line():
    words = ["--model=CycleGAN", "--data.root=x", "--model.critic.r1_gamma=1", "--model.critic.penalty_every", "4"]
    resolved = resolve([*words, "--model.critic.augment=fixed", "--model.critic.augment_policy=[color,cutout]"])
    with torch.device("meta"):
        critic = resolved.build()[0].critic
    assert critic == Critic(r1_gamma=1.0, penalty_every=4, augment="fixed", augment_policy=("color", "cutout"))
    written = resolved.tree["model"]["init_args"]["critic"]
    assert set(written) == {f.name for f in dataclasses.fields(Critic) if getattr(critic, f.name) is not None}
    with pytest.raises(img2img.ConfigError, match="r1_gamma"):
        resolve([*words, "--model.critic.r1_gama=1"])
    with pytest.raises(img2img.ConfigError, match=r"r1_gamma.*contradict"):
        resolve([*words, "--model.adversarial=wgan-gp"]).build()


EVERYTHING = [
    {"relativistic": True, "r1_gamma": 0.1, "r2_gamma": 0.1, "penalty_every": 2, "augment": "fixed"},
    {"r1_gamma": 0.1, "penalty_form": "differences", "instance_noise": 0.1, "augment": "adaptive"},
    {"label_smoothing": 0.1, "augment": "fixed", "augment_policy": get_args(ChangeName), "augment_probability": 0.5},
    {"projected_weight": 0.5, "projected_from": 0.3, "projected_file": tiny_features(), "augment": "fixed"},
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("options", EVERYTHING)
def test_a_resumed_run_is_bit_identical_and_the_global_draws_are_untouched(method, options, tmp_path, monkeypatch):
    monkeypatch.setattr("img2img.methods.judge.EfficientNetLite0", TinyFeatures)

    def module():
        more = {
            "Pix2Pix": {"feature_matching_weight": 1.0},
            "CycleGAN": {"cycle_noise": 0.01},
            "CUT": {"flip_equivariance": True, "sampling": "discriminator"},
        }
        own = more.get(method.__name__, {})
        return build(method, critic=Critic(**options), optimization=Optimization(decay="constant"), **own)

    class Save(lightning.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if pl_module.batches == 3:
                trainer.save_checkpoint(tmp_path / "three.ckpt")

    whole, again = module(), module()
    trainer(max_epochs=2, callbacks=[Save()]).fit(whole, loader(3))
    before = torch.get_rng_state()
    step = step_with({"augment": 0.5, "instance_noise": 0.1, "cycle_noise": 0.1})
    images = whole.generate(batch_of(), step)
    for player in whole.players():
        whole.turn(player, batch_of(), images, step)
    assert torch.equal(before, torch.get_rng_state())
    trainer(max_epochs=2).fit(again, loader(3), ckpt_path=tmp_path / "three.ckpt", weights_only=True)
    fresh = module()
    trainer(max_epochs=2).fit(fresh, loader(3))
    assert any(key.endswith("adaptive.probability") for key in fresh.state_dict()) == (options["augment"] == "adaptive")
    for (key, value), (_, resumed) in zip(fresh.state_dict().items(), again.state_dict().items(), strict=True):
        if torch.is_tensor(value):
            assert torch.equal(value, resumed), key


@pytest.mark.parametrize("method", METHODS)
def test_defaults_draw_nothing_and_add_no_state(method):
    module = build(method)
    assert not any("judge" in key for key in module.state_dict())
    step = step_with()
    images = module.generate(batch_of(), step)
    for player in module.players():
        module.turn(player, batch_of(), images, step)
    assert torch.equal(step.generator.get_state(), draws().get_state())


# What the discriminator is shown


def test_source_and_target_move_together_and_only_the_target_is_coloured():
    pair = torch.rand(8, 3, 32, 24, generator=draws()) * 2 - 1
    pairs = torch.cat([pair, pair], 1)
    moved = changed(pairs, ("translation", "cutout"), 1.0, 3, draws(1))
    assert torch.equal(moved[:, :3], moved[:, 3:])
    assert not torch.equal(moved, pairs)
    coloured = changed(pairs, ("color",), 1.0, 3, draws(1))
    assert torch.equal(coloured[:, :3], pair)
    assert (coloured[:, 3:] - pair).abs().amax((1, 2, 3)).min() > 0
    assert torch.equal(changed(pairs, get_args(ChangeName), 0.0, 3, draws(1)), pairs)


def test_translation_is_a_shift_by_whole_pixels_up_to_an_eighth_that_brings_grey_in():
    height, width = 32, 48
    rows = torch.arange(1.0, height + 1).reshape(-1, 1).expand(height, width)
    columns = torch.arange(1.0, width + 1).expand(height, width)
    images = torch.stack([rows, columns]).expand(400, 2, height, width)
    moved = changed(images, ("translation",), 1.0, 2, draws())
    shifts = set()
    for row, column in moved:
        there = row != 0
        (down,), (right,) = ((x - y)[there].unique() for x, y in ((rows, row), (columns, column)))
        shifts.add((int(down), int(right)))
        assert there.sum() == (height - abs(down)) * (width - abs(right))
    assert {d for d, _ in shifts} == set(range(-4, 5))
    assert {r for _, r in shifts} == set(range(-6, 7))


def test_cutout_is_half_of_each_side_around_a_centre_anywhere():
    cut = changed(torch.ones(600, 1, 20, 16), ("cutout",), 1.0, 1, draws()) == 0
    heights, widths = cut.any(3).sum(2).flatten(), cut.any(2).sum(2).flatten()
    assert torch.equal(cut.sum((1, 2, 3)), heights * widths)  # one rectangle
    assert (heights.min(), heights.max(), widths.min(), widths.max()) == (5, 10, 4, 8)  # half of it may be outside
    assert cut.any(0).all()


def test_gradients_reach_the_images_through_every_change():
    images = (torch.rand(4, 3, 16, 16, generator=draws()) * 2 - 1).requires_grad_()
    changed(images, get_args(ChangeName), 1.0, 3, draws()).square().sum().backward()
    assert ((images.grad != 0).float().mean((1, 2, 3)) > 0.2).all()
    images.grad = None
    changed(images, ("translation",), 1.0, 3, draws()).sum().backward()
    assert images.grad.unique().tolist() == [0.0, 1.0]  # each pixel arrives once, or falls off the edge


def test_each_image_is_changed_with_the_probability():
    images = torch.rand(1000, 1, 8, 8, generator=draws()) * 2 - 1
    for probability in (0.3, torch.tensor(0.3)):
        different = (changed(images, ("color",), probability, 1, draws()) != images).flatten(1).any(1)
        assert different.float().mean().item() == pytest.approx(0.3, abs=0.05)


def test_adaptive_probability_follows_the_sign_of_the_discriminator_and_is_state():
    adaptive = AdaptiveProbability()
    sure, unsure = torch.full((500, 1, 2, 2), 0.4), torch.full((500, 1, 2, 2), -0.4)
    seen = []
    for batches in range(8):
        adaptive.watch([sure, sure], batches)
        seen.append(round(float(adaptive.probability), 4))
    assert seen == [0, 0, 0, 0.02, 0.02, 0.02, 0.02, 0.04]  # 2000 of 100,000 images every 4 batches
    adaptive.watch([sure * float("nan")], 8)  # a batch that is skipped
    again = AdaptiveProbability()
    again.load_state_dict(adaptive.state_dict())
    for batches in range(9, 12):
        again.watch([unsure], batches)
    assert float(again.probability) == pytest.approx(0.04 - 0.015)
    for batches in range(4000):
        adaptive.watch([sure], batches)
    assert float(adaptive.probability) == pytest.approx(CAP)


def test_processes_agree_on_the_adaptive_probability(tmp_path):
    torch.multiprocessing.spawn(signs_of_both, (str(tmp_path),), nprocs=2)
    left = [torch.load(tmp_path / f"left-{rank}.pt", weights_only=True) for rank in range(2)]
    assert (
        left[0]["probability"] == left[1]["probability"] == pytest.approx(12 / 100_000)
    )  # rank 0: 2 images, rank 1: 1


class Mirror(nn.Module):
    """A discriminator that shows what it was shown."""

    def forward(self, images):
        self.seen = images.detach()
        return [images]


def test_instance_noise_falls_to_nothing_and_a_lever_is_its_floor():
    mirror, image = Mirror(), torch.zeros(4, 3, 64, 64)
    judge = judge_of(mirror, instance_noise=0.2)
    spreads = []
    for progress, lever in ((0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (0.5, 0.6), (0.5, 0.1), (1.0, 0.6)):
        judge.fool(mirror, image, image, step_with({"instance_noise": lever}, progress=progress))
        spreads.append(float(mirror.seen.std()))
    assert spreads == pytest.approx([0.2, 0.1, 0.0, 0.3, 0.1, 0.0], rel=0.02)
    condition = torch.zeros(4, 2, 64, 64)
    judge.fool(mirror, image, image, step_with(), condition)
    assert mirror.seen[:, :2].abs().max() == 0  # the source is equal beside both: noise on it would hide nothing


def test_a_lever_switches_the_augmentation_on():
    mirror, image = Mirror(), torch.rand(16, 3, 32, 32)
    judge = judge_of(mirror)
    judge.fool(mirror, image, image, step_with())
    assert torch.equal(mirror.seen, image)
    judge.fool(mirror, image, image, step_with({"augment": 1.0}))
    assert (mirror.seen != image).flatten(1).any(1).all()


def test_real_and_fake_are_shown_alike():
    """The two of a pair stay comparable: a fake equal to the real image gets the same logits."""
    mirror, image = Mirror(), torch.rand(4, 3, 32, 32)
    judge = judge_of(mirror, relativistic=True, augment="fixed", instance_noise=0.1)
    turn = judge.turn(mirror, image, image, step_with())
    assert torch.equal(turn.observed["real_logits"], turn.observed["fake_logits"])
    assert not torch.equal(turn.observed["real_logits"], image)


# Discriminators


def test_multiscale_judges_pooled_images_with_weights_of_its_own():
    torch.manual_seed(0)
    network = MultiscaleDiscriminator(3, num_scales=3, num_layers=1, base_channels=4)
    images = torch.rand(2, 3, 64, 64)
    maps = network(images)
    for judge, logits in zip(network.scales, maps, strict=True):
        assert torch.equal(judge(images)[0], logits)
        images = F.avg_pool2d(images, 3, 2, 1, count_include_pad=False)
    assert not torch.equal(network.scales[0].layers[0].weight, network.scales[1].layers[0].weight)
    with pytest.raises(ValueError, match="num_scales"):
        MultiscaleDiscriminator(3, num_scales=0)


# CycleGAN's generator calls


def calls(module, batch, levers=None):
    made = []
    hooks = [g.register_forward_hook(lambda *_: made.append(1)) for g in module.generators().values()]
    images = module.generate(batch, step_with(levers))
    for hook in hooks:
        hook.remove()
    return len(made), images


def test_merged_generator_calls_equal_separate_ones():
    module, batch = build(img2img.CycleGAN), batch_of()
    separate = copy.deepcopy(module)
    separate._per_image = False
    (four, ours), (six, theirs) = calls(module, batch), calls(separate, batch)
    assert (four, six) == (4, 6)
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)
    for m, images in ((module, ours), (separate, theirs)):
        sum(m.turn(m.players()[0], batch, images, step_at()).losses.values()).backward()
    for direction, network in module.generators().items():
        mine, other = (
            torch.cat([p.grad.flatten() for p in g.parameters()]) for g in (network, separate.generators()[direction])
        )
        assert (mine - other).abs().max() <= 1e-5 * other.abs().max()


def test_generator_calls_are_merged_only_where_that_is_exact():
    batch, generator = batch_of(), functools.partial(img2img.ResNetGenerator, num_blocks=1, base_channels=4)

    def count(batch, identity_weight=5.0, **options):
        return calls(img2img.CycleGAN(functools.partial(generator, **options), identity_weight=identity_weight), batch)[
            0
        ]

    assert count(batch) == count(batch, norm="batch") == 4
    assert count(batch, norm="batch-running") == count(batch, dropout=0.5) == 6
    assert count(batch._replace(b=batch.b[..., :16])) == count(batch._replace(b=batch.b[:1])) == 6
    assert count(batch, identity_weight=0.0) == 4


def test_cycle_noise_is_added_before_the_way_back_alone():
    module, batch = build(img2img.CycleGAN, cycle_noise=0.05, identity_weight=0.0), batch_of(side=64)
    seen = {}
    for name, network in (("ab", module.generator_ab), ("ba", module.generator_ba)):
        network.register_forward_pre_hook(lambda _, args, name=name: seen.setdefault(name, []).append(args[0]))
    for lever, expected in ((0.0, 0.05), (0.2, 0.2), (0.01, 0.05)):
        seen.clear()
        images = module.generate(batch, step_with({"cycle_noise": lever}))
        assert (seen["ba"][1] - images.fake_b).std().item() == pytest.approx(expected, rel=0.05)
        assert (seen["ab"][1] - images.fake_a).std().item() == pytest.approx(expected, rel=0.05)
        assert torch.equal(seen["ab"][0], batch.a)
    with pytest.raises(ValueError, match="cycle_noise"):
        build(img2img.CycleGAN, cycle_noise=-0.1)
