"""One sketch, several photos: modulation as the paper has it, latents that show, and a seed that decides."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import img2img
from img2img.checkpoint import save_translator
from img2img.exchange.exporting import export
from img2img.losses.diversity import sameness
from img2img.networks.generators.spade import SpadeGenerator
from img2img.networks.generators.styled import StyledGenerator
from img2img.networks.layers.modulation import Modulated
from img2img.networks.layers.norm import Norm2d
from img2img.networks.layers.spade import Spade
from img2img.networks.layers.spectral import settle_spectrum
from img2img.translate.memory import Memory
from tests.conftest import drawing, run_here
from tests.test_checkpoint import a_file
from tests.test_methods import batch_of, build, loader, step_at, trainer
from tests.test_networks import small

LAYERS = [
    (nn.Conv2d(6, 5, 3, padding=1, bias=False), F.conv2d, {"padding": 1}),
    (nn.ConvTranspose2d(6, 5, 4, stride=2, padding=1, bias=False), F.conv_transpose2d, {"stride": 2, "padding": 1}),
]


@pytest.mark.parametrize(("layer", "convolve", "options"), LAYERS)
def test_modulation_is_a_convolution_with_scaled_and_normalised_weights(layer, convolve, options):
    """Equations 1 and 3, image by image, with weights of its own for each."""
    torch.manual_seed(0)
    modulated = Modulated(layer, 6, 5, 4).double()
    nn.init.normal_(modulated.bias)
    features, style = torch.randn(3, 6, 8, 8, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    transposed = isinstance(layer, nn.ConvTranspose2d)
    found = modulated(features, style)
    for image, one in enumerate(style):
        scale = 1 + modulated.scale(one[None])[0]
        weight = layer.weight * (scale[:, None, None, None] if transposed else scale[None, :, None, None])
        taps = weight.transpose(0, 1) if transposed else weight
        sigma = (taps.square().sum((1, 2, 3)) / (4 if transposed else 1) + 1e-8).sqrt()
        weight = weight / (sigma[None, :, None, None] if transposed else sigma[:, None, None, None])
        expected = convolve(features[image : image + 1], weight, modulated.bias, **options)
        torch.testing.assert_close(found[image : image + 1], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layer", [layer for layer, *_ in LAYERS])
@pytest.mark.parametrize("size", [0.01, 10.0])
def test_demodulation_gives_unit_variance_whatever_weights_and_style(layer, size):
    torch.manual_seed(0)
    wide = type(layer)(64, 5, layer.kernel_size, layer.stride, layer.padding, bias=False)
    nn.init.normal_(wide.weight, 0, size)
    made = Modulated(wide, 64, 5, 4)(torch.randn(2, 64, 64, 64), 3 * torch.randn(2, 4))
    spread = made[..., 2:-2, 2:-2].detach().std((2, 3))
    torch.testing.assert_close(spread, torch.ones_like(spread), atol=0.1, rtol=0)


def test_sameness_is_highest_where_outputs_collapse_and_bounded_where_they_part():
    latents = torch.zeros(2, 4), torch.ones(2, 4)
    one = torch.zeros(2, 3, 8, 8)
    found = [float(sameness(one, one + gap, latents, bound=0.3)) for gap in (0.0, 0.1, 0.2, 0.3, 0.9)]
    assert found == pytest.approx([0, -0.1, -0.2, -0.3, -0.3], abs=1e-4)
    near = latents[0], 0.5 * latents[1]
    assert float(sameness(one, one + 0.1, near, bound=1)) == pytest.approx(-0.2, abs=1e-4)  # nearer latents, more asked


def test_pix2pix_asks_that_two_latents_give_two_pictures():
    module, batch = build(img2img.Pix2Pix, "StyledGenerator", diversity_weight=2.0, diversity_bound=9.0), batch_of()
    torch.manual_seed(1)
    images = module.generate(batch, step_at())
    torch.manual_seed(2)
    losses = module.turn(module.players()[1], batch, images, step_at()).losses
    torch.manual_seed(2)
    latent = torch.randn(2, module.generator.latent_channels)
    expected = sameness(images.fake, module.generator(batch.a, latent), (images.latent, latent), 9.0)
    torch.testing.assert_close(losses["generator/sameness"], 2 * expected)
    assert float(expected.detach()) < 0


def test_diversity_without_latents_is_refused():
    with pytest.raises(ValueError, match="diversity_weight 1: ResNetGenerator has one translation"):
        build(img2img.Pix2Pix, diversity_weight=1.0)
    with pytest.raises(ValueError, match="diversity_bound: expected more than 0"):
        build(img2img.Pix2Pix, diversity_bound=0.0)


def test_a_training_makes_styles_differ_and_keeps_their_mean():
    """Any output fits this data: with the loss seeds part, without it they stay where they are."""

    def spread(weight):
        module = build(img2img.Pix2Pix, "StyledGenerator", diversity_weight=weight, l1_weight=1.0)
        trainer(max_epochs=10).fit(module, loader(4))
        network = module.best_generators()["ab"].eval()
        latents = torch.randn(2, network.latent_channels, generator=torch.Generator().manual_seed(0))
        image = batch_of(1).a.expand(2, -1, -1, -1)
        with torch.no_grad():
            one, other = network(image, latents)
            assert torch.equal(network.style, module.generator.style)  # the average has the mean style too
            assert float(network.style.abs().max()) > 0
        return float((one - other).abs().mean())

    assert spread(20.0) > 3 * spread(0.0)


def test_a_latent_is_of_the_image_and_drawn_as_dropout_is():
    network, image = small(StyledGenerator, 3, 3), torch.rand(1, 3, 16, 16).expand(3, -1, -1, -1)
    torch.manual_seed(0)
    first = network(image).detach()
    torch.manual_seed(0)
    assert torch.equal(network(image), first)
    assert not torch.allclose(first[0], first[1])
    network.eval()
    with torch.no_grad():
        latents = torch.randn(3, network.latent_channels)
        alone = torch.cat([network(image[:1], latent[None]) for latent in latents])
        torch.testing.assert_close(network(image, latents), alone)


# As a user


@pytest.fixture(scope="module")
def styled(tmp_path_factory):
    path = tmp_path_factory.mktemp("styled") / "m.safetensors"
    save_translator(path, a_file(StyledGenerator, ("line:photo",))[0])
    return path


def test_a_seed_is_a_photo_alone_in_a_folder_and_in_tiles(styled, tmp_path):
    (tmp_path / "in").mkdir()
    for index in range(3):
        drawing(index, (100 + index, 90))[0].save(tmp_path / "in" / f"{index}.png")
    one = tmp_path / "in" / "2.png"
    run_here("translate", styled, tmp_path / "in", tmp_path / "all", "--seed", "1", "--threads", "3")
    run_here("translate", styled, one, tmp_path / "one.png", "--seed", "1")
    run_here("translate", styled, one, tmp_path / "two.png", "--seed", "2")
    run_here("translate", styled, one, tmp_path / "mean.png")
    run_here("translate", styled, one, tmp_path / "tiles.png", "--seed", "1", "--tile", "96", "--overlap", "32",
             "--statistics", "exact", "--precision", "fp32")  # fmt: skip
    run_here("translate", styled, one, tmp_path / "whole.png", "--seed", "1", "--precision", "fp32")
    assert (tmp_path / "all" / "2.png").read_bytes() == (tmp_path / "one.png").read_bytes()
    seen = {p.stem: np.asarray(Image.open(p)).astype(int) for p in tmp_path.glob("*.png")}
    assert abs(seen["one"] - seen["two"]).mean() > 1
    assert abs(seen["one"] - seen["mean"]).mean() > 1
    assert abs(seen["tiles"] - seen["whole"]).max() <= 1


def test_a_batch_of_another_seed_is_another_batch(styled, tmp_path):
    settings = [img2img.load(styled, "cpu", seed=seed).settings() for seed in (None, 0, 1)]
    assert len({str(s) for s in settings}) == 3


def test_seeds_that_would_change_nothing_are_refused(model, tmp_path):
    drawing(0)[0].save(tmp_path / "in.png")
    said = run_here("translate", model, tmp_path / "in.png", tmp_path / "out.png", "--seed", "3", code=1)
    assert "--seed 3: this translator has one style" in said.stderr
    assert "--seed 3" in run_here("export", model, tmp_path / "m.pt2", "--seed", "3", code=1).stderr


def test_a_style_is_said_and_exported(styled, tmp_path):
    assert "--seed 1, 2" in run_here("info", styled).stdout
    file = img2img.checkpoint.load_translator(styled)
    made = export(file, tmp_path / "m.pt2", seed=3, values="float", check=False)
    assert made.metadata["style"] == "of seed 3"
    image = torch.rand(2, 3, 20, 33) * 2 - 1
    program = torch.export.load(tmp_path / "m.pt2").module()
    for seed, same in ((3, True), (4, False), (None, False)):
        expected = img2img.load(styled, "cpu", precision="fp32", seed=seed, memory=Memory(tile_px=None)).tensor(image)
        assert torch.allclose(program(image), expected, atol=1e-4) == same


# SPADE


def test_spade_scales_and_shifts_by_the_label_at_each_pixel():
    """Two labels side by side: inside each, away from the border, the features have its scale and shift."""
    torch.manual_seed(0)
    layer = Spade(4, 2, "instance", 8).double().requires_grad_(requires_grad=False)
    labels = torch.zeros(1, 2, 16, 32, dtype=torch.float64)
    labels[:, 0, :, :16], labels[:, 1, :, 16:] = 1, 1
    features = torch.randn(1, 4, 16, 32, dtype=torch.float64) * 3 + 5
    plain, found = F.instance_norm(features), layer(features, labels)
    for columns in (slice(4, 12), slice(20, 28)):
        x, y = (t[0, :, 4:12, columns].flatten(1) for t in (plain, found))
        slope = (y[:, 1] - y[:, 0]) / (x[:, 1] - x[:, 0])
        torch.testing.assert_close(y, slope[:, None] * (x - x[:, :1]) + y[:, :1], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found[..., 8, 8], found[..., 8, 24])
    nn.init.zeros_(layer.scale.weight), nn.init.zeros_(layer.scale.bias)
    nn.init.zeros_(layer.shift.weight), nn.init.zeros_(layer.shift.bias)
    torch.testing.assert_close(layer(features, labels), plain)  # weights of zero change nothing


def test_spade_is_built_on_the_one_norm_without_its_weights():
    for kind in ("instance", "batch", "batch-running"):
        norms = [m for m in small(SpadeGenerator, 3, 3, norm=kind).modules() if isinstance(m, Norm2d)]
        assert len(norms) == 18
        assert all(m.weight is None and m.bias is None for m in norms)


def test_settled_spectral_norm_is_the_same_picture_with_plain_weights():
    network = small(SpadeGenerator, 3, 3).eval()
    plain = small(SpadeGenerator, 3, 3, spectral_norm=False).eval()
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        expected = network(image)
        settle_spectrum(network)
        plain.load_state_dict(network.state_dict())
        assert torch.equal(network(image), expected)
        assert torch.equal(plain(image), expected)


def test_a_training_starts_from_a_translator_with_spectral_norm(tmp_path, pairs):
    from img2img.training.run import init_from

    file, networks = a_file(SpadeGenerator)
    save_translator(tmp_path / "m.safetensors", file)
    module = build(img2img.Pix2Pix, "SpadeGenerator")
    init_from(module, tmp_path / "m.safetensors", ("line", "colour"))
    mine = module.generator.state_dict()
    for name, tensor in networks["line:colour"].state_dict().items():
        torch.testing.assert_close(mine[name], tensor * 1.01, msg=name)


def test_spade_refuses_more_halvings_than_blocks():
    with pytest.raises(ValueError, match="num_halvings: expected 6 or fewer, got 7"):
        functools.partial(SpadeGenerator, num_halvings=7)(3, 3)
