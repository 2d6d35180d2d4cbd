"""pix2pixHD and its relatives: sums over scales, a global network held still, likeness judged by frozen features."""

from __future__ import annotations

import functools

import pytest
import torch
from torch.nn import functional as F

import img2img
from img2img.configured import describe
from img2img.losses.perceptual import perceptual
from img2img.methods.frozen import load_frozen
from img2img.networks.frozen.efficientnet import EfficientNetLite0
from img2img.networks.frozen.vgg import VGG19, ShiftTolerantVGG16
from img2img.shipped import shipped
from img2img.training.config import resolve
from tests.conftest import TINY_CYCLEGAN, TINY_PIX2PIX, run_here
from tests.test_methods import SMALL_D, SMALL_G, batch_of, build, loader, step_at, trainer


def published():
    with torch.device("meta"):
        return resolve(["-c", str(shipped("configs", "pix2pixhd-faithful.yaml")), "--data.root=x"]).build()


def test_faithful_pix2pixhd_is_the_published_one():
    module, data, training = published()
    assert sum(p.numel() for p in module.generator.parameters()) == 182_443_267
    assert sum(p.numel() for p in module.discriminator.parameters()) == 5_535_618
    assert (module.l1_weight, module.perceptual_weight, module.perceptual().normalise) == (0, 10, False)
    assert (data.preprocessing.size, training.epochs) == ((512, 1024), 200)


def test_the_weights_of_pix2pixhd_are_the_published_sums():
    """Least squares summed over two scales; 10 / num_D * 4 / (n_layers + 1) times a sum of feature distances."""
    weights = published()[0]
    options = SMALL_D["MultiscaleDiscriminator"] | {"num_layers": 3, "padding_px": 2}
    module = img2img.Pix2Pix(
        functools.partial(img2img.ResNetGenerator, **SMALL_G["ResNetGenerator"]),
        functools.partial(img2img.MultiscaleDiscriminator, **options),
        adversarial="lsgan",
        adversarial_weight=weights.adversarial_weight,
        l1_weight=0.0,
        feature_matching_weight=weights.feature_matching_weight,
    )
    batch = batch_of(1)
    images = module.generate(batch, step_at())
    losses = module.turn(module.players()[1], batch, images, step_at()).losses
    fake, real = (module.discriminator.features(torch.cat([batch.a, b], 1)) for b in (images.fake, batch.b))
    adversarial = sum((stages[-1] - 1).square().mean() for stages in fake)
    pairs = [(f, r) for fs, rs in zip(fake, real, strict=True) for f, r in zip(fs[:-1], rs[:-1], strict=True)]
    matching = 10 / 2 * 4 / (3 + 1) * sum(F.l1_loss(f, r.detach()) for f, r in pairs)
    assert len(pairs) == 8
    assert losses.keys() == {"generator/adversarial", "generator/feature_matching"}
    torch.testing.assert_close(losses["generator/adversarial"], adversarial)
    torch.testing.assert_close(losses["generator/feature_matching"], matching)


def test_the_global_network_is_held_still_for_a_share_of_the_training():
    module = build(img2img.Pix2Pix, "LocalEnhancer", hold_until=0.5)
    start = {name: p.detach().clone() for name, p in module.generator.named_parameters()}
    stood = []

    def watch(self, *words):
        original(self, *words)
        moved = {n for n, p in module.generator.named_parameters() if not torch.equal(start[n], p)}
        stood.append((any(n.startswith("coarse.") for n in moved), any(n.startswith("image.") for n in moved)))

    original = img2img.Pix2Pix._move
    module._move = functools.partial(watch, module)
    trainer(max_epochs=1).fit(module, loader(4))
    assert stood[1::2] == [(False, True), (False, True), (True, True), (True, True)]
    assert all(p.requires_grad for p in module.generator.parameters())


@pytest.mark.parametrize(("options", "said"), [({"hold_until": 0.5}, "no part to hold"), ({"hold_until": 2}, "0 to 1")])
def test_a_share_that_holds_nothing_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        build(img2img.Pix2Pix, **options)


# Frozen features


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """Random weights in the layout and the sizes of torchvision's file."""
    from torchvision.models import vgg19

    with torch.device("meta"):
        layers = vgg19().features
    random = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in layers.state_dict().items():
        fan = tensor[0].numel() if tensor.ndim == 4 else 1
        state[f"features.{name}"] = torch.randn(tensor.shape, generator=random) * (2 / fan) ** 0.5 * (tensor.ndim == 4)
    path = tmp_path_factory.mktemp("weights") / "vgg.pth"
    torch.save({**state, "classifier.0.weight": torch.zeros(1)}, path)
    return path, state


def test_vgg_features_are_torchvisions_before_and_after_the_loss(vgg):
    from torchvision.models import vgg19

    path, state = vgg
    network = load_frozen(VGG19(str(path), sha256=""), "perceptual_weight")
    theirs = vgg19().features[:29].eval()
    theirs.load_state_dict({k.removeprefix("features."): v for k, v in state.items()}, strict=False)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def expected(shown):
        found = []
        for number, layer in enumerate(theirs):
            shown = layer(shown)
            found += [shown.clone()] if number in {1, 6, 11, 20, 29} else []
        return found

    theirs = torch.nn.Sequential(*theirs, torch.nn.ReLU())  # relu5_1 is layer 29
    with torch.no_grad():
        torch.testing.assert_close(network.features(image), expected(((image + 1) / 2 - mean) / deviation))
        network.normalise = False  # as pix2pixHD's code shows it
        torch.testing.assert_close(network.features(image), expected(image.clone()))
    assert network.features(image[:, :1])[0].shape == (1, 64, 32, 32)


def test_perceptual_loss_is_the_weighted_sum_of_mean_distances():
    real = [torch.zeros(1, 2, 4, 4, requires_grad=True), torch.zeros(1, 2, 2, 2)]
    fake = [torch.full((1, 2, 4, 4), 2.0, requires_grad=True), torch.full((1, 2, 2, 2), -4.0)]
    loss = perceptual(real, fake, (0.5, 0.25))
    assert float(loss.detach()) == 0.5 * 2 + 0.25 * 4
    loss.backward()
    assert real[0].grad is None
    assert fake[0].grad is not None


def test_a_frozen_network_is_no_part_of_checkpoint_or_players(vgg):
    weights = functools.partial(VGG19, weights=str(vgg[0]), sha256="")
    module = build(img2img.Pix2Pix, perceptual_weight=10.0, perceptual=weights, l1_weight=0.0)
    names = set(module.state_dict())
    module.setup("fit")
    assert set(module.state_dict()) == names
    batch = batch_of(1)
    before = module._frozen[0].blocks[0][0][0].weight.clone()
    losses = module.turn(module.players()[1], batch, module.generate(batch, step_at()), step_at()).losses
    losses["generator/perceptual"].backward()
    assert max(float(p.grad.abs().max()) for p in module.generator.parameters() if p.grad is not None) > 0
    assert all(p.grad is None for p in module._frozen[0].parameters())
    assert torch.equal(module._frozen[0].blocks[0][0][0].weight, before)
    said = describe(module)["init_args"]["perceptual"]["init_args"]
    assert said == {"weights": str(vgg[0]), "sha256": ""}


def test_weights_are_taken_in_the_order_of_their_file_without_what_is_not_theirs():
    """As the published files lie: fixed filters between, other layers behind."""
    for network, prefix in ((ShiftTolerantVGG16(), "net."), (EfficientNetLite0(), "_")):
        wanted = {k: torch.full_like(v, n) for n, (k, v) in enumerate(network.state_dict().items())}
        file = {f"{prefix}{name}": tensor for name, tensor in wanted.items()}
        if prefix == "net.":
            file = {k: v for name in file for k, v in ((f"{name}.filt", torch.zeros(1)), (name, file[name]))}
        network.take({**file, "lin0.weight": torch.zeros(1)})
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, wanted[name]), name
        assert len(network.eval().features(torch.zeros(1, 1, 64, 64))) == len(network.shares)


def test_efficientnet_halves_as_tensorflow_does():
    """A convolution of stride 2 on an even size looks one pixel further at the bottom right."""
    network = EfficientNetLite0().eval()
    assert [f.shape[1:] for f in network.features(torch.zeros(1, 3, 64, 64))] == [
        (16, 32, 32), (24, 16, 16), (40, 8, 8), (112, 4, 4), (192, 2, 2)
    ]  # fmt: skip
    image = torch.arange(16.0).view(1, 1, 4, 4).expand(-1, 3, -1, -1)
    stem = network.stem[0]
    expected = F.conv2d(F.pad(image, (0, 1, 0, 1)), stem.weight, stride=2)
    torch.testing.assert_close(stem(image), expected)


def test_a_frozen_network_is_named_on_the_command_line():
    words = ["-c", str(shipped("configs", "pix2pix.yaml")), "--data.root=x", "--model.perceptual=EfficientNetLite0"]
    with torch.device("meta"):
        module = resolve([*words, "--model.perceptual.normalise=false"]).build()[0]
    assert isinstance(module.perceptual(), EfficientNetLite0)
    assert not module.perceptual().normalise
    with pytest.raises(img2img.ConfigError, match="did you mean 'EfficientNetLite0'"):
        resolve([*words[:-1], "--model.perceptual=EfficientNetLite"])


@pytest.mark.parametrize("network", [VGG19, ShiftTolerantVGG16, EfficientNetLite0])
def test_missing_weights_are_one_line_that_says_what_to_put_where(network, tmp_path, monkeypatch, pairs):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(img2img.ConfigError, match=rf"perceptual_weight: .*{network.file_name}.* leave") as raised:
        load_frozen(network(), "perceptual_weight")
    assert "\n" not in str(raised.value)
    with pytest.raises(img2img.ConfigError, match=r"nowhere.pth"):
        load_frozen(network("nowhere.pth"), "perceptual_weight")


def test_other_files_are_refused(vgg, tmp_path):
    with pytest.raises(img2img.ConfigError, match="begins with dcbb9e9d"):
        load_frozen(VGG19(str(vgg[0])), "perceptual_weight")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "few.pth")
    with pytest.raises(img2img.ConfigError, match="not the weights of VGG19: expected"):
        load_frozen(VGG19(str(tmp_path / "few.pth"), sha256=""), "perceptual_weight")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(img2img.ConfigError, match="not the weights of VGG19"):
        load_frozen(VGG19(str(tmp_path / "text.pth"), sha256=""), "perceptual_weight")


def test_a_training_without_the_weights_stops_before_it_begins(tmp_path, monkeypatch, pairs):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    tiny = (*TINY_CYCLEGAN, "--epochs=4")
    words = ("--method", "pix2pixhd", "--recipe", "faithful", "--data", pairs, "--out", tmp_path / "run", *tiny)
    said = run_here("train", *words, code=1)
    assert "perceptual_weight: VGG19 needs vgg19-dcbb9e9d.pth" in said.stderr
    nowhere = tmp_path / "nowhere.pth"
    late = ("--model.critic.projected_weight=0.5", f"--model.critic.projected_file={nowhere}")
    said = run_here("train", "--method=pix2pix", "--data", pairs, "--out", tmp_path / "2", *TINY_PIX2PIX, *late, code=1)
    assert (
        f"critic.projected_weight: EfficientNetLite0 needs efficientnet-lite0-57934424.pth, looked for in {nowhere}"
        in said.stderr
    )
    assert "as --model.critic.projected_file, or leave critic.projected_weight at 0" in said.stderr
