"""Every method: turns move their own networks only, and each paper's claims about its losses."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import get_args, get_type_hints

import lightning
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

import img2img
from img2img.batch import Batch
from img2img.data.datasets import Item, collate
from img2img.methods.critic import Critic
from img2img.methods.judge import Judge
from img2img.methods.optimization import Optimization
from img2img.methods.pool import ImagePool
from img2img.methods.turns import Step
from tests.discover import DISCRIMINATORS, GENERATORS, METHODS
from tests.test_networks import SMALL

SMALL_G = {
    **{name: SMALL[name] for name in ("LocalEnhancer", "SeparableGenerator", "SpadeGenerator", "StyledGenerator")},
    "UNetGenerator": {"depth": 4, "base_channels": 4, "dropout": 0.0},
    "ResNetGenerator": {"num_blocks": 1, "base_channels": 4},
    "ResUNetGenerator": {"widths": (4, 8), "num_blocks": 1, "base_channels": 4},
}
SMALL_D = {
    "LiteDiscriminator": {"base_channels": 4},
    "MultiscaleDiscriminator": {"num_layers": 1, "base_channels": 4},
    "PatchDiscriminator": {"num_layers": 1, "base_channels": 4},
    "PixelDiscriminator": {"base_channels": 4},
    "ProjectedDiscriminator": SMALL["ProjectedDiscriminator"],
}


@functools.cache
def teacher_file(generator="ResNetGenerator"):
    """An untrained teacher: how it is described, and its file."""
    torch.manual_seed(1)
    described = functools.partial(getattr(img2img, generator), **SMALL_G[generator])
    path = Path(tempfile.mkdtemp()) / "teacher.safetensors"
    img2img.save(img2img.Pix2Pix(described), path)
    return {"teacher": described, "weights": str(path)}


def build(method, generator="ResNetGenerator", discriminator="PatchDiscriminator", **options):
    taught = teacher_file() if method is img2img.Distill and "teacher" not in options else {}
    torch.manual_seed(0)
    module = method(
        generator=functools.partial(getattr(img2img, generator), **SMALL_G[generator]),
        discriminator=functools.partial(getattr(img2img, discriminator), **SMALL_D[discriminator]),
        **taught,
        **options,
    )
    if taught:
        module.setup("fit")  # as a Trainer does: these tests also look at turns without one
    return module


def batch_of(count=2, channels_a=3, channels_b=3, side=32, seed=0):
    g = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(count, c, side, side, generator=g) * 2 - 1 for c in (channels_a, channels_b))
    return Batch(a, b, ["x"] * count, ["y"] * count, [])


def step_at(batches=0, progress=0.0):
    return Step(batches, batches, progress, torch.Generator().manual_seed(batches))


def loader(count=4, batch_size=1, **shapes):
    items = [Item(b.a[0], b.b[0], "a", "b", []) for b in (batch_of(1, seed=i, **shapes) for i in range(count))]
    return DataLoader(items, batch_size=batch_size, collate_fn=collate)


def trainer(**options):
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return lightning.Trainer(accelerator="cpu", **{**quiet, **options})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("generator", [g.__name__ for g in GENERATORS])
@pytest.mark.parametrize("discriminator", [d.__name__ for d in DISCRIMINATORS])
def test_every_method_takes_every_network_under_a_plain_trainer(method, generator, discriminator):
    asked_for = get_args(get_type_hints(method.__init__)["generator"])[-1]
    if not issubclass(getattr(img2img, generator), asked_for):
        with pytest.raises(TypeError, match=f"expected a {asked_for.__name__}, .* got {generator}"):
            build(method, generator, discriminator)
        return
    module = build(method, generator, discriminator)
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    fitter = trainer(max_epochs=2)
    fitter.fit(module, loader(), loader(2))
    # one clock: batches, not optimizer steps
    assert (module.batches, module.images, fitter.global_step) == (8, 8, 8)
    moved = {name for name, p in module.named_parameters() if not torch.equal(before[name], p)}
    players = {n for player in module.players() for n in player.networks}
    for network in players:
        names = {name for name, p in module.named_parameters() if any(p is q for q in network.parameters())}
        assert names & moved


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adversarial", ["bce", "lsgan", "hinge", "wgan-gp"])
def test_a_turn_moves_only_its_own_networks(method, adversarial, monkeypatch):
    module = build(method, adversarial=adversarial)
    deltas = []
    original = method._move

    def spy(self, *words):
        before = {n: p.detach().clone() for n, p in self.named_parameters()}
        original(self, *words)
        deltas.append({n for n, p in self.named_parameters() if not torch.equal(before[n], p)})

    monkeypatch.setattr(method, "_move", spy)
    trainer(max_steps=1).fit(module, loader())
    assert len(deltas) == len(module.players())
    for player, moved in zip(module.players(), deltas, strict=True):
        own = {
            n for n, p in module.named_parameters() if any(p is q for net in player.networks for q in net.parameters())
        }
        assert moved
        assert moved <= own
    assert all(p.requires_grad for p in module.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_critic_turns_hold_the_generator_still(method):
    module = build(method, adversarial="wgan-gp", critic=Critic(turns=3))
    start = {d: [p.detach().clone() for p in g.parameters()] for d, g in module.generators().items()}
    fitter = trainer(max_steps=2)
    fitter.fit(module, loader())
    assert fitter.global_step == 2
    for direction, network in module.generators().items():
        assert all(torch.equal(p, q) for p, q in zip(start[direction], network.parameters(), strict=True))
    trainer(max_steps=3).fit(build(method, adversarial="wgan-gp", critic=Critic(turns=3)), loader())


def test_pix2pix_generator_is_judged_by_the_discriminator_that_has_just_moved(monkeypatch):
    module = build(img2img.Pix2Pix)
    order = []
    original = img2img.Pix2Pix.turn

    def spy(self, player, batch, images, step):
        weights = [p.detach().clone() for p in self.discriminator.parameters()]
        order.append((player.name, weights))
        return original(self, player, batch, images, step)

    monkeypatch.setattr(img2img.Pix2Pix, "turn", spy)
    trainer(max_steps=1).fit(module, loader())
    assert [name for name, _ in order] == ["discriminator", "generator"]
    assert any(not torch.equal(p, q) for p, q in zip(order[0][1], order[1][1], strict=True))


def losses_of(module, progress):
    batch, step = batch_of(), step_at(progress=progress)
    images = module.generate(batch, step)
    return {p.name: module.turn(p, batch, images, step).losses for p in module.players()}


def test_pix2pix_weight_of_l1_falls_by_half_a_cosine_to_its_end():
    module = build(img2img.Pix2Pix, l1_weight=50.0, l1_end=0.5)
    weights = [losses_of(module, at)["generator"]["generator/l1"].item() for at in (0.0, 0.5, 1.0)]
    assert [w / weights[0] for w in weights] == pytest.approx([1, 0.75, 0.5])


def test_pix2pix_warms_up_with_the_error_alone_and_the_discriminator_joins_before_the_game_begins():
    module = build(img2img.Pix2Pix, adversarial_from=0.5, feature_matching_weight=1.0)
    names = {at: {p: set(losses) for p, losses in losses_of(module, at).items()} for at in (0.3, 0.45, 0.5)}
    assert names[0.3] == {"discriminator": set(), "generator": {"generator/l1"}}
    assert names[0.45] == {"discriminator": {"discriminator/adversarial"}, "generator": {"generator/l1"}}
    assert len(names[0.5]["generator"]) == 3
    fitter = trainer(max_epochs=4)
    fitter.fit(module, loader())  # players that pass are no trouble to optimizers, clock or log
    assert module.batches == 16


@pytest.mark.parametrize("options", [{"l1_end": -1.0}, {"adversarial_from": 1.0}, {"num_l1_scales": 0}])
def test_pix2pix_refuses_shares_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build(img2img.Pix2Pix, **options)


def test_pix2pix_losses_are_equation_4():
    module, batch = build(img2img.Pix2Pix), batch_of()
    images = module.generate(batch, step_at())
    discriminator, generator = module.players()
    turn = module.turn(generator, batch, images, step_at())
    fake = module.generator(batch.a)
    logits = module.discriminator(torch.cat([batch.a, fake], 1))[0]
    torch.testing.assert_close(turn.losses["generator/l1"], 100 * (fake - batch.b).abs().mean())
    expected = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
    torch.testing.assert_close(turn.losses["generator/adversarial"], expected)
    assert set(module.turn(discriminator, batch, images, step_at()).losses) == {"discriminator/adversarial"}


def test_pix2pix_unconditional_discriminator_sees_the_target_alone():
    assert build(img2img.Pix2Pix, conditional=False).discriminator.in_channels == 3
    assert build(img2img.Pix2Pix, channels_a=1).discriminator.in_channels == 4


def test_cyclegan_is_symmetric_in_its_domains():
    """Swap domains and networks: the total of every kind of loss is unchanged."""
    module, batch = build(img2img.CycleGAN), batch_of(1)
    swapped = build(img2img.CycleGAN)
    for mine, theirs in (
        ("generator_ab", "generator_ba"),
        ("generator_ba", "generator_ab"),
        ("discriminator_a", "discriminator_b"),
        ("discriminator_b", "discriminator_a"),
    ):
        getattr(swapped, mine).load_state_dict(getattr(module, theirs).state_dict())
    other = Batch(batch.b, batch.a, batch.names_b, batch.names_a, [])

    def totals(m, data):
        images = m.generate(data, step_at())
        return [sum(m.turn(p, data, images, step_at()).losses.values()).item() for p in m.players()]

    mine, theirs = totals(module, batch), totals(swapped, other)
    assert mine[0] == pytest.approx(theirs[0], rel=1e-5)
    assert mine[1:] == pytest.approx(theirs[:0:-1], rel=1e-5)


def test_cyclegan_cycle_and_identity_go_the_right_way():
    module, batch = build(img2img.CycleGAN), batch_of(1)
    losses = module.turn(module.players()[0], batch, module.generate(batch, step_at()), step_at()).losses
    ab, ba = module.generator_ab, module.generator_ba
    expected = {
        "generator/cycle_a": 10 * (ba(ab(batch.a)) - batch.a).abs().mean(),
        "generator/cycle_b": 10 * (ab(ba(batch.b)) - batch.b).abs().mean(),
        "generator/identity_b": 5 * (ab(batch.b) - batch.b).abs().mean(),  # the generator INTO b leaves b alone
        "generator/identity_a": 5 * (ba(batch.a) - batch.a).abs().mean(),
        "generator/adversarial_ab": (module.discriminator_b(ab(batch.a))[0] - 1).square().mean(),
        "generator/adversarial_ba": (module.discriminator_a(ba(batch.b))[0] - 1).square().mean(),
    }
    assert losses.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(losses[key], value)


def test_cyclegan_discriminators_are_shown_fakes_from_before_the_generators_moved(monkeypatch):
    module = build(img2img.CycleGAN, pool_size=0)
    shown, made = [], []
    original_generate, original_turn = img2img.CycleGAN.generate, Judge.turn
    monkeypatch.setattr(img2img.CycleGAN, "generate", lambda s, *a: made.append(original_generate(s, *a)) or made[-1])
    monkeypatch.setattr(Judge, "turn", lambda s, d, r, fake, st: shown.append(fake) or original_turn(s, d, r, fake, st))
    trainer(max_steps=1).fit(module, loader())
    assert torch.equal(shown[0], made[0].fake_a)
    assert torch.equal(shown[1], made[0].fake_b)
    assert not shown[0].requires_grad


def test_cyclegan_refuses_identity_between_different_channel_counts():
    with pytest.raises(ValueError, match="identity_weight"):
        build(img2img.CycleGAN, channels_a=1, channels_b=3)
    module = build(img2img.CycleGAN, channels_a=1, channels_b=3, identity_weight=0.0)
    assert (module.generator_ab.in_channels, module.generator_ba.in_channels) == (1, 3)


def test_pool_fills_then_exchanges_half_of_the_images():
    pool, generator = ImagePool(50), torch.Generator().manual_seed(0)
    first = [pool(torch.full((1, 1, 1, 1), float(i)), generator) for i in range(50)]
    assert [float(x) for x in first] == list(range(50))  # while filling, the new image comes back
    old = 0
    for i in range(50, 2050):
        before = {float(x) for x in pool.images}
        out = float(pool(torch.full((1, 1, 1, 1), float(i)), generator))
        if out != i:
            old += 1
            assert out in before
            assert {float(x) for x in pool.images} == before - {out} | {float(i)}
        else:
            assert {float(x) for x in pool.images} == before
    assert 900 < old < 1100
    assert len(pool.images) == 50


def test_pool_decides_per_image_detaches_and_is_state():
    pool, generator = ImagePool(4), torch.Generator().manual_seed(1)
    pool(torch.zeros(4, 1, 2, 2), generator)
    out = pool(torch.ones(64, 1, 2, 2, requires_grad=True), generator)
    assert not out.requires_grad
    assert len(out[:, 0, 0, 0].unique()) == 2
    again = ImagePool(4)
    again.load_state_dict(pool.state_dict())
    assert all(torch.equal(x, y) for x, y in zip(pool.images, again.images, strict=True))
    assert torch.equal(ImagePool(0)(torch.ones(2, 1, 2, 2), generator), torch.ones(2, 1, 2, 2))


def test_average_is_generators_only_and_forgets_the_random_start():
    module = build(img2img.Pix2Pix)
    start = [p.detach().clone() for p in module.generator.parameters()]
    trainer(max_epochs=5).fit(module, loader())
    averaged = module.best_generators()["ab"]
    assert averaged is not module.generator
    assert set(module._averages) == {"ab"}
    now = [p.detach() for p in module.generator.parameters()]
    far = sum(float((p - q).square().sum()) for p, q in zip(start, now, strict=True))
    near = sum(float((p - q).square().sum()) for p, q in zip(averaged.parameters(), now, strict=True))
    assert near < 0.25 * far


def test_average_follows_the_ramped_half_life():
    from img2img.methods.average import Average

    network = torch.nn.Linear(1, 1, bias=False)
    average = Average(network, 10_000)
    torch.nn.init.constant_(network.weight, 1.0)
    average.update(network, images_seen=4, batch_images=4)
    assert float(average.network.weight) == 1.0  # beta is 0 until the first image has been seen
    torch.nn.init.constant_(network.weight, 2.0)
    average.update(network, images_seen=404, batch_images=4)
    beta = 0.5 ** (4 / (0.05 * 400))
    assert float(average.network.weight) == pytest.approx(beta * 1.0 + (1 - beta) * 2.0)


@pytest.mark.parametrize("method", METHODS)
def test_learning_rate_follows_the_length_of_a_plain_trainer(method):
    module = build(method, optimization=Optimization(decay="linear", decay_from=0.5))
    rates = []

    class Spy(lightning.Callback):
        def on_train_batch_end(self, trainer, pl_module, *args):
            rates.append(pl_module.optimizers()[0].param_groups[0]["lr"])

    trainer(max_epochs=2, callbacks=[Spy()]).fit(module, loader(5))
    assert rates[:6] == pytest.approx([2e-4] * 6)
    assert rates[6:] == pytest.approx([2e-4 * x for x in (0.8, 0.6, 0.4, 0.2)])


def test_an_endless_trainer_is_refused():
    with pytest.raises(img2img.ConfigError, match="max_epochs"):
        trainer(max_epochs=-1).fit(build(img2img.Pix2Pix), loader())


def test_one_pair_overfits():
    """The generator learns one pair by heart: nothing stands between loss and weights."""
    torch.manual_seed(0)
    module = img2img.Pix2Pix(
        generator=functools.partial(img2img.UNetGenerator, depth=4, base_channels=16, dropout=0.0),
        discriminator=functools.partial(img2img.PatchDiscriminator, num_layers=1, base_channels=8),
        optimization=Optimization(learning_rate=2e-3),
    )
    x = torch.linspace(-1, 1, 32)
    a = torch.stack([x[None].expand(32, 32), x[:, None].expand(32, 32), torch.zeros(32, 32)])
    b = torch.stack(
        [torch.where(x > 0, 0.8, -0.8)[None].expand(32, 32), x[:, None].expand(32, 32) * 0.5, torch.full((32, 32), 0.3)]
    )
    one = DataLoader([Item(a, b, "a", "b", [])], batch_size=1, collate_fn=collate)
    trainer(max_epochs=300).fit(module, one)
    with torch.no_grad():
        assert float((module.best_generators()["ab"](a[None]) - b[None]).abs().mean()) < 0.05
