"""CUT and its kin: what the papers say about their losses, on tiny tensors."""

from __future__ import annotations

import copy
import importlib.util
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open

import img2img
from img2img.data.module import ImageData
from img2img.losses.feature_consistency import feature_consistency
from img2img.losses.patch_nce import patch_nce, unit
from img2img.methods.content import Passed
from img2img.methods.positions import draw_positions, shared_draws
from img2img.networks.base import TRANSLATION, FeatureGenerator
from img2img.networks.generators.resnet import ResNetGenerator
from img2img.networks.heads import at
from img2img.schedule import Length
from img2img.shipped import recipe_file
from img2img.training.config import resolve
from tests import originals
from tests.conftest import ROOT
from tests.discover import GENERATORS
from tests.test_methods import batch_of, build, step_at
from tests.test_networks import parameters, small

FEATURED = [g for g in GENERATORS if issubclass(g, FeatureGenerator)]


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# The contrast


def test_one_vector_everywhere_costs_log_256():
    same = random(1, 1, 64).expand(2, 256, 64)
    assert float(patch_nce(same, same)) == pytest.approx(math.log(256), abs=1e-5)
    assert float(patch_nce(random(2, 256, 256), random(2, 256, 256, seed=1))) == pytest.approx(5.91, abs=0.1)
    known = unit(random(1, 256, 256))
    assert float(patch_nce(known, known)) < 0.01


def test_the_contrast_is_the_published_one():
    """A column for the positive, and the diagonal at -10 before the division by tau."""
    queries, keys = random(3, 8, 16), random(3, 8, 16, seed=1)
    q, k = F.normalize(queries, dim=-1), F.normalize(keys, dim=-1)
    positive = (q * k).sum(-1, keepdim=True)
    others = torch.bmm(q, k.transpose(1, 2)).masked_fill(torch.eye(8, dtype=torch.bool), -10.0)
    logits = torch.cat([positive, others], dim=2).flatten(0, 1) / 0.07
    expected = F.cross_entropy(logits, torch.zeros(24, dtype=torch.long))
    torch.testing.assert_close(patch_nce(queries, keys), expected)


def test_negatives_are_of_the_same_image():
    queries, keys = random(2, 16, 8).requires_grad_(), random(2, 16, 8, seed=1).requires_grad_()
    other = keys.detach().clone()
    other[1] = random(16, 8, seed=2)
    loss = [2 * patch_nce(queries, k) - patch_nce(queries[1:], k[1:]) for k in (keys, other)]
    torch.testing.assert_close(loss[0], loss[1])  # what is left is the first image's, whatever the second is
    loss[0].backward()
    assert queries.grad.abs().sum() > 0
    assert keys.grad is None


def test_consistency_is_the_distance_of_directions():
    a = random(2, 5, 8)
    assert float(feature_consistency(a, 3 * a)) == pytest.approx(0, abs=1e-6)
    assert float(feature_consistency(a, -a)) == pytest.approx(4, abs=1e-6)
    b = random(2, 5, 8, seed=1)
    expected = (F.normalize(a, dim=-1) - F.normalize(b, dim=-1)).square().sum(-1).mean()
    torch.testing.assert_close(feature_consistency(a, b), expected)


# Where it looks


def test_positions_are_drawn_once_for_all_images_and_follow_from_seed_and_batch():
    features = {"wide": random(2, 4, 32, 32), "narrow": random(2, 4, 4, 4)}
    found = draw_positions(features, 64, shared_draws(3, step_at(5)))
    again = draw_positions(features, 64, shared_draws(3, step_at(5)))
    assert {stage: p.shape for stage, p in found.items()} == {"wide": (1, 64), "narrow": (1, 16)}
    assert all(
        torch.equal(found[stage], again[stage]) and len(found[stage].unique()) == found[stage].numel()
        for stage in found
    )
    assert not torch.equal(found["wide"], draw_positions(features, 64, shared_draws(3, step_at(6)))["wide"])
    vectors = at(features["wide"].to(memory_format=torch.channels_last), found["wide"])
    assert torch.equal(vectors, features["wide"].flatten(2)[:, :, found["wide"][0]].transpose(1, 2))


def test_half_of_the_positions_are_where_the_discriminator_sees_a_fake():
    scores = torch.ones(2, 1, 8, 8)
    scores[0, :, :, :4] = -1  # the left of the first image, the lower half of the second
    scores[1, :, 4:] = -1
    found = draw_positions({"s": random(2, 3, 64, 64)}, 256, shared_draws(0, step_at()), scores)["s"]
    assert found.shape == (2, 256)
    left, low = (found[0] % 64 < 30), (found[1] // 64 >= 34)
    assert left[:128].all()
    assert low[:128].all()
    assert 40 < left[128:].sum() < 80


# The generator's features


@pytest.mark.parametrize("cls", FEATURED)
def test_features_come_from_the_pass_that_translates_and_stop_where_they_may(cls):
    network = small(cls, 3, 3, num_blocks=4)
    image = random(2, 3, 34, 40).clamp(-1, 1)
    translation = network(image)
    found = network.features(image, tuple(network.stages))
    assert list(network.stages)[-1] == TRANSLATION
    assert torch.equal(found[TRANSLATION], translation)
    assert {stage: tensor.shape[1] for stage, tensor in found.items()} == network.stages
    assert {*network.content_stages, *network.mirrored_stages, *network.mirrored_stages.values()} <= set(network.stages)
    for encoder, decoder in network.mirrored_stages.items():
        assert found[encoder].shape == found[decoder].shape
    ran = []
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda *_: ran.append(1))
    alone = network.features(image, network.content_stages)
    assert all(torch.equal(tensor, found[stage]) for stage, tensor in alone.items())
    assert len(ran) < sum(isinstance(layer, torch.nn.Conv2d) for layer in network.modules())


def test_features_are_compiled_with_the_generator_and_copies_are_not():
    """Traced whole, without a break, in the passes of a training."""
    network = small(ResNetGenerator, 3, 3, upsample="bilinear", downsample="cut")
    image, names = random(1, 3, 16, 16), ("stem", TRANSLATION)
    expected = network.features(image, names)
    network.compile(backend="eager", fullgraph=True)
    found = network.features(image, names)
    assert all(torch.equal(found[name], expected[name]) for name in names)
    assert network._compiled_compute is not None
    assert copy.deepcopy(network)._compiled_compute is None


@pytest.mark.parametrize("norm", ["none", "instance"])
def test_no_later_layer_writes_into_features(norm):
    network = small(ResNetGenerator, 3, 3, norm=norm, downsample="cut", upsample="cut")
    image = random(1, 3, 32, 32)
    found = network.features(image, tuple(network.stages))
    for stage in network.stages:
        assert torch.equal(found[stage], network.features(image, (stage,))[stage]), stage


def test_stages_are_the_published_layers():
    """0, 4, 8, 12 and 16 of CUT; 3, 7 and 13 with 28, 24 and 18 of EnCo."""
    theirs = originals.drawn(originals.ResNet(width=4, blocks=9, antialias=True, antialias_up=True))
    ours = ResNetGenerator(3, 3, base_channels=4, upsample="cut", downsample="cut")
    weights = [v for k, v in theirs.state_dict().items() if not k.endswith("filt")]
    ours.load_state_dict(dict(zip(ours.state_dict(), weights, strict=True)))
    image, outputs = random(1, 3, 32, 32), {}
    for number, layer in enumerate(theirs.model):
        layer.register_forward_hook(lambda _, __, out, number=number: outputs.update({number: out.clone()}))
    with torch.no_grad():
        theirs(image)
        found = ours.features(image, tuple(ours.stages))
    numbers = dict(zip(ours.content_stages, (0, 4, 8, 12, 16), strict=True))
    numbers |= dict(zip(ours.mirrored_stages, (3, 7, 13), strict=True))
    numbers |= dict(zip(ours.mirrored_stages.values(), (28, 24, 18), strict=True))
    for stage, number in numbers.items():
        torch.testing.assert_close(found[stage], outputs[number], msg=stage)


# The method


def sixteen(features):
    return draw_positions(features, 16, shared_draws(0, step_at()))


def turn_of(module, batch, step=None):
    step = step or step_at()
    images = module.generate(batch, step)
    return module.turn(module.players()[1], batch, images, step).losses


def cut(**options):
    return build(img2img.CUT, num_positions=16, **options)


def test_the_published_network_has_14_703_300_parameters():
    with torch.device("meta"):
        module = resolve(["-c", str(recipe_file("cut", "faithful")), "--data.root=x"]).build()[0]
        assert parameters(module.content) == 560_384
        assert parameters(module) == 14_703_300
        assert module.discriminator(torch.empty(1, 3, 256, 256))[0].shape == (1, 1, 30, 30)


def test_cut_is_equation_5():
    module, batch = cut(), batch_of()
    losses = turn_of(module, batch)
    fake = module.generator(batch.a)
    torch.testing.assert_close(losses["generator/adversarial"], (module.discriminator(fake)[0] - 1).square().mean())
    draws, names, generator = shared_draws(0, step_at()), module.content.inside, module.generator
    for key, source in (("content", batch.a), ("identity", batch.b)):
        queries, keys = generator.features(generator(source), names), generator.features(source, names)
        where = draw_positions(queries, 16, draws)
        q, k = module.content.heads(queries, where), module.content.heads(keys, where)
        expected = 0.5 * torch.stack([patch_nce(q[stage], k[stage]) for stage in names]).mean()
        torch.testing.assert_close(losses[f"generator/{key}"], expected)


def test_keys_of_the_translating_pass_are_those_of_a_pass_of_their_own():
    module, batch = cut(), batch_of()
    images = module.generate(batch, step_at())
    again = module.generator.features(batch.a, module.content.inside)
    assert all(torch.equal(images.features[stage], again[stage]) for stage in again)


def test_gradients_reach_generator_and_heads_but_not_through_the_keys():
    module, batch = cut(), batch_of()
    translation = batch.b.clone().requires_grad_()
    source = batch.a.clone().requires_grad_()
    keys = module.generator.features(source, module.content.inside)
    passed = Passed(source, mirrored=False, translation=translation, features=keys)
    module.content(module.generator, passed, sixteen).backward()
    assert source.grad is None
    assert translation.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in module.content.parameters() if p.dim() > 1)


def test_flip_equivariance_mirrors_every_other_batch():
    """The encoder sees G(mirrored a) mirrored back, beside a as it is."""
    module, batch = cut(flip_equivariance=True, identity_weight=0.0), batch_of()
    seen = {}
    for number in range(12):
        step = step_at(number)
        fake = module.generate(batch, step).fake
        mirrored = not torch.equal(fake, module.generator(batch.a))
        seen.setdefault(mirrored, (turn_of(module, batch, step)["generator/content"], step))
        shown = batch.a.flip(3) if mirrored else batch.a
        assert torch.equal(fake, module.generator(shown))
    assert set(seen) == {True, False}
    loss, step = seen[True]
    draws, names, generator = shared_draws(0, step), module.content.inside, module.generator
    torch.rand((), generator=draws)  # the coin
    queries = {s: f.flip(3) for s, f in generator.features(generator(batch.a.flip(3)), names).items()}
    where = draw_positions(queries, 16, draws)
    q, k = module.content.heads(queries, where), module.content.heads(generator.features(batch.a, names), where)
    torch.testing.assert_close(loss, torch.stack([patch_nce(q[stage], k[stage]) for stage in names]).mean())


def test_identity_goes_when_it_is_off_or_late_and_the_content_is_whole_again():
    batch = batch_of()
    assert "generator/identity" not in turn_of(cut(identity_weight=0.0), batch)
    module = cut(content="consistency", identity="pixels", identity_weight=10.0, identity_until=0.5)
    early, late = (turn_of(module, batch, step_at(0, share)) for share in (0.4, 0.5))
    torch.testing.assert_close(early["generator/identity"], 5 * (module.generator(batch.b) - batch.b).abs().mean())
    torch.testing.assert_close(early["generator/content"], 0.5 * late["generator/content"])
    assert "generator/identity" not in late


def test_consistency_takes_one_pass_and_leaves_the_encoder_as_it_is():
    module = cut(content="consistency", identity_weight=0.0, sampling="discriminator")
    passes = []
    module.generator.layers[0].register_forward_hook(lambda *_: passes.append(1))
    losses = turn_of(module, batch_of())
    assert len(passes) == 1
    stem = {s: random(2, module.generator.stages[s], 16, 16).requires_grad_() for s in module.content.inside}
    passed = Passed(None, mirrored=False, translation=None, features=stem)
    module.content(module.generator, passed, sixteen).backward()
    for encoder, decoder in module.content.pairs.items():
        assert stem[encoder].grad is None
        assert stem[decoder].grad.abs().sum() > 0
    assert losses["generator/content"].requires_grad


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"content": "consistency", "temperature": 0.1}, "temperature and content consistency contradict"),
        ({"content": "consistency", "flip_equivariance": True}, "flip_equivariance and content consistency"),
        ({"stages": ["stem", "blok1"]}, "none called 'blok1' .* did you mean 'block1'"),
        ({"content": "consistency", "stages": ["half9"]}, "none called 'half9'"),
        ({"channels_a": 1}, "content contrast shows the generator images of both domains"),
        ({"content": "consistency", "channels_a": 1}, "identity_weight 1 shows"),
        ({"identity_until": 0.0}, "identity_weight 0 is off"),
        ({"temperature": 0.0}, "temperature: expected more than 0"),
    ],
)
def test_contradictions_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        cut(**options)


def test_heads_are_saved_and_not_exported(tmp_path):
    module = cut()
    assert sum(key.startswith("content.heads") for key in module.state_dict()) == 4 * len(module.content.inside)
    img2img.save(module, tmp_path / "t.safetensors", domains=("horse", "zebra"))
    with safe_open(tmp_path / "t.safetensors", "pt") as file:
        assert len(file.keys()) == len(module.generator.state_dict())


@pytest.mark.parametrize("recipe", ["default", "faithful", "fastcut", "enco", "fast"])
def test_every_recipe_says_what_the_papers_say(recipe):
    with torch.device("meta"):
        module, data, training = resolve(["-c", str(recipe_file("cut", recipe)), "--data.root=x"]).build()
    assert parameters(module.generator) == 11_378_179
    assert module.optimization.init == "xavier"
    assert data.zoom_until == module.optimization.decay_from  # the zoom goes when the rate begins to fall
    lengths = {"faithful": 400, "default": 400, "fastcut": 200, "enco": 200, "fast": None}
    assert training.epochs == lengths[recipe]
    assert type(module.content).__name__ == ("Consistency" if recipe == "enco" else "Contrast")
    assert module.content_weight == {"fastcut": 10, "enco": 2}.get(recipe, 1)


def test_the_cost_of_a_step_is_what_the_passes_come_to():
    spec = importlib.util.spec_from_file_location("step_costs", ROOT / "scripts" / "step_costs.py")
    costs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(costs)
    enco, cut = (costs.build("cut", recipe) for recipe in ("enco", "faithful"))
    early, late = (costs.multiplications(enco, 64, progress) for progress in (0.0, 0.9))
    assert 1.7 < early / late < 1.85  # the identity's pass is gone, the discriminator's are not
    assert early < 0.7 * costs.multiplications(cut, 64, 0.0)  # nothing is encoded a second time


# The data's second phase


def test_the_zoom_ends_at_one_sample_whatever_the_epochs_and_resume(tmp_path):
    for folder in ("trainA", "trainB"):
        (tmp_path / folder).mkdir()
        for number in range(6):
            ramp = torch.arange(32, dtype=torch.uint8).mul(8).expand(32, 32).numpy()
            Image.fromarray(ramp).convert("RGB").save(tmp_path / folder / f"{number}.png")
    data = ImageData(
        str(tmp_path), paired=False, size=32, load_size=64, zoom_until=0.5, flip=False, workers=0, hold_out=0.2
    )
    data.setup()
    epoch = data.images_per_epoch(1)
    method = SimpleNamespace(length=Length(images=3 * epoch, seconds=None, images_per_epoch=epoch), seconds=0.0)
    data.trainer = SimpleNamespace(world_size=1, global_rank=0, lightning_module=method)

    def spans(skip=0):
        loader, found = data.train_dataloader(), []
        for number in range(3):
            loader.sampler.set_epoch(number)
            if number == 1:
                loader.load_state_dict({"samples": skip})
            found += [float(batch.a.max() - batch.a.min()) for batch in loader]
        return found

    whole = spans()
    half = 0.75 * max(whole)  # a crop of the enlarged image shows half of the ramp
    late = [span > half for span in whole]
    assert late == [False] * math.ceil(1.5 * epoch) + [True] * (3 * epoch - math.ceil(1.5 * epoch))
    assert spans(skip=2) == whole[:epoch] + whole[epoch + 2 :]
    method.length = Length(images=None, seconds=60.0, images_per_epoch=epoch)
    assert max(spans()) < half
    method.seconds = 31.0
    assert min(spans()) > half
    method.length = None  # a plain Trainer's
    data.trainer.max_steps, data.trainer.max_epochs = -1, 2
    assert [span > half for span in spans()] == [False] * epoch + [True] * 2 * epoch
    with pytest.raises(ValueError, match="zoom_until has nothing to change with resize none"):
        ImageData("x", paired=False, resize="none", zoom_until=0.5)


# Both directions


def test_dclgan_is_equation_6_with_one_embedding_for_each_domain():
    module, batch = build(img2img.DCLGAN, num_positions=16), batch_of()
    images = module.generate(batch, step_at())
    losses = module.turn(module.players()[-1], batch, images, step_at()).losses
    ab, ba, draws = module.generator_ab, module.generator_ba, shared_draws(0, step_at())
    expected = {
        "generator/adversarial_ab": 0.5 * (module.discriminator_b(ab(batch.a))[0] - 1).square().mean(),
        "generator/adversarial_ba": 0.5 * (module.discriminator_a(ba(batch.b))[0] - 1).square().mean(),
        "generator/identity_b": 0.5 * (ab(batch.b) - batch.b).abs().mean(),
        "generator/identity_a": 0.5 * (ba(batch.a) - batch.a).abs().mean(),
    }
    embeds = {"a": (ab, module.heads_a), "b": (ba, module.heads_b)}
    for key, source, fake, (domain, other) in (
        ("ab", batch.a, ab(batch.a), ("a", "b")),
        ("ba", batch.b, ba(batch.b), ("b", "a")),
    ):
        (encoder, heads), (its_encoder, its_heads) = embeds[domain], embeds[other]
        queries = its_encoder.features(fake, module.stages)
        where = draw_positions(queries, 16, draws)
        q, k = its_heads(queries, where), heads(encoder.features(source, module.stages), where)
        each = torch.stack([patch_nce(q[stage], k[stage]) for stage in module.stages])
        expected[f"generator/contrast_{key}"] = 0.5 * 2 * each.mean()
    assert losses.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(losses[key], value)


def test_the_published_dual_network_has_two_of_each():
    with torch.device("meta"):
        module = resolve(["-c", str(recipe_file("dclgan", "faithful")), "--data.root=x"]).build()[0]
    assert "source" not in module.stages
    assert parameters(module) == 2 * (11_378_179 + 2_764_737 + 493_568)
    grey = build(img2img.DCLGAN, channels_a=1, identity_weight=0.0)
    assert (grey.generator_ab.in_channels, grey.generator_ba.in_channels) == (1, 3)
    turn_of_grey = grey.turn(grey.players()[-1], *_seen(grey, batch_of(channels_a=1)))
    assert all(loss.isfinite() for loss in turn_of_grey.losses.values())
    with pytest.raises(ValueError, match="identity_weight 1 needs equal channel counts"):
        build(img2img.DCLGAN, channels_a=1)


def _seen(module, batch):
    return batch, module.generate(batch, step_at()), step_at()
