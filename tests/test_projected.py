"""Projected GAN's discriminator: what is frozen stays frozen, what is late comes late, and nothing else changes."""

from __future__ import annotations

import pytest
import torch

from img2img.methods.critic import Critic
from img2img.networks.discriminators.projected import ProjectedDiscriminator
from img2img.networks.frozen.efficientnet import EfficientNetLite0
from tests.discover import METHODS
from tests.test_methods import batch_of, build, loader, step_at, trainer
from tests.test_networks import TinyFeatures, small, tiny_features


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr("img2img.methods.judge.EfficientNetLite0", TinyFeatures)


def critic(**options):
    return Critic(projected_weight=0.5, projected_from=0.5, projected_file=tiny_features(), **options)


def turns(module, progress):
    step = step_at(progress=progress)
    images = module.generate(batch_of(), step)
    return {
        key: loss
        for player in module.players()
        for key, loss in module.turn(player, batch_of(), images, step).losses.items()
    }


@pytest.mark.parametrize("method", METHODS)
def test_it_joins_at_its_share_of_the_training_and_changes_nothing_before(method):
    plain, late = build(method), build(method, critic=critic())
    before, published = turns(late, 0.49), turns(plain, 0.49)
    assert before.keys() == published.keys()
    assert all(torch.equal(before[key], published[key]) for key in before)
    after, published = turns(late, 0.5), turns(plain, 0.5)
    judges = [player.name for player in late.players() if player.name != "generator"]
    assert after.keys() - published.keys() == {f"{name}/projected" for name in judges}
    changed = {key for key in published if not torch.equal(after[key], published[key])}
    assert changed == {key for key in published if key.startswith("generator/adversarial")}


def test_its_losses_are_the_hinge_of_its_own_logits_with_its_own_weight():
    plain, late = build(METHODS[-1]), build(METHODS[-1], critic=critic())
    step, batch, second = step_at(progress=0.7), batch_of(), late.judge.projected.eval()  # no power iteration
    fake = late.generate(batch, step).fake
    found = turns(late, 0.7)
    of_real, of_fake = second(batch.b), second(fake)
    expected = sum((1 - r).relu().mean() + (1 + f).relu().mean() for r, f in zip(of_real, of_fake, strict=True)) / 4
    torch.testing.assert_close(found["discriminator/projected"], expected)
    more = found["generator/adversarial"] - turns(plain, 0.7)["generator/adversarial"]
    torch.testing.assert_close(more, 0.5 * -sum(f.mean() for f in of_fake) / 2)


@pytest.mark.parametrize("method", METHODS)
def test_the_frozen_network_and_the_mixing_never_move_and_only_the_heads_are_saved_with_moments(method):
    module = build(method, critic=critic())
    seconds = [part for part in module.modules() if isinstance(part, ProjectedDiscriminator)]
    before = [[b.clone() for n, b in part.named_buffers() if "across" in n] for part in seconds]
    heads = [[p.detach().clone() for p in part.parameters()] for part in seconds]
    fitter = trainer(max_epochs=1)
    fitter.fit(module, loader())
    published = torch.load(tiny_features(), weights_only=True)
    moments = [{id(p) for p in optimizer.state} for optimizer in fitter.optimizers]
    for part, mixing, old in zip(seconds, before, heads, strict=True):
        assert all(torch.equal(part.backbone.state_dict()[key], value) for key, value in published.items())
        assert not any(p.requires_grad or p.grad is not None for p in part.backbone.parameters())
        now = [b for n, b in part.named_buffers() if "across" in n]
        assert all(torch.equal(x, y) for x, y in zip(now, mixing, strict=True))
        weights = [
            (p, q) for p, q in zip(part.parameters(), old, strict=True) if p.ndim > 1
        ]  # a bias may have no slope
        assert not any(torch.equal(p, q) for p, q in weights)
        assert any({id(p) for p in part.parameters()} <= known for known in moments)
    assert not any("_frozen" in key or "backbone" in key for key in module.state_dict())
    assert len(seconds) == len(module.players()) - 1


def test_gradients_reach_the_picture_through_the_frozen_network_and_every_scale():
    network = ProjectedDiscriminator(3, base_channels=4)
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    maps = network(image)
    assert [tuple(one.shape[-2:]) for one in maps] == [(16, 16), (8, 8), (4, 4), (2, 2)]
    for one in maps:
        (gradient,) = torch.autograd.grad(one.sum(), image, retain_graph=True)
        assert gradient.abs().max() > 0
    assert isinstance(network.backbone, EfficientNetLite0)


def test_scales_are_mixed_from_the_coarsest_to_the_finest():
    """The coarsest map depends on the last feature alone, the finest on all of them."""
    network = small(ProjectedDiscriminator, 3)
    seen = [torch.randn(1, c, 8 // 2**n, 8 // 2**n) for n, c in enumerate(network.backbone.channels)]
    network.backbone.features = lambda _: seen
    image = torch.zeros(1, 3, 16, 16)
    finest, coarsest = network.project(image)
    seen[1] = seen[1] + 1
    changed = network.project(image)
    assert torch.equal(changed[1], coarsest)
    assert not torch.equal(changed[0], finest)
    seen[2] = seen[2] + 1
    assert not any(torch.equal(x, y) for x, y in zip(network.project(image), changed, strict=True))


@pytest.mark.parametrize("channels", [2, 4, 12 + 1])
def test_what_is_no_photo_is_refused_when_it_is_built(channels):
    with pytest.raises(ValueError, match=rf"1 or 3 channels, or several of 3, got {channels}"):
        build(METHODS[-1], channels_b=channels, critic=critic())
