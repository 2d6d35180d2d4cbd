"""Every generator and discriminator: what the papers state and what the base promises."""

from __future__ import annotations

import copy
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from img2img.configured import describe, factory
from img2img.networks.base import Generator
from img2img.networks.discriminators.multiscale import MultiscaleDiscriminator
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.discriminators.pixel import PixelDiscriminator
from img2img.networks.generators.resnet import ResNetGenerator
from img2img.networks.generators.unet import UNetGenerator
from img2img.networks.layers.init import initialise
from img2img.networks.layers.mirror import mirror_to
from img2img.networks.layers.norm import Norm2d, NormName
from img2img.networks.layers.resample import BlurHalf, DownsampleName, UpsampleName
from img2img.networks.layers.residual import PaddingName
from tests.discover import DISCRIMINATORS, GENERATORS

SMALL = {
    "UNetGenerator": {"depth": 5, "base_channels": 4},
    "ResNetGenerator": {"num_blocks": 2, "base_channels": 4},
    "MultiscaleDiscriminator": {"base_channels": 4},
    "PatchDiscriminator": {"base_channels": 4},
    "PixelDiscriminator": {"base_channels": 4},
}


def small(cls, *channels, **options):
    return cls(*channels, **{**SMALL.get(cls.__name__, {}), **options})


def parameters(network):
    return sum(p.numel() for p in network.parameters())


COUNTS = [  # published totals, by instantiating the reference code
    (ResNetGenerator, (3, 3), {}, 11_378_179),
    (ResNetGenerator, (3, 3), {"norm": "batch"}, 11_383_427),
    (ResNetGenerator, (3, 3), {"num_blocks": 6}, 7_837_699),
    (ResNetGenerator, (3, 3), {"num_blocks": 6, "norm": "batch"}, 7_841_411),
    (UNetGenerator, (3, 3), {}, 54_413_955),
    (UNetGenerator, (3, 3), {"norm": "instance"}, 54_409_603),
    (UNetGenerator, (1, 2), {}, 54_409_858),
    (UNetGenerator, (1, 3), {}, 54_411_907),
    (UNetGenerator, (3, 3), {"depth": 7}, 41_828_995),
    (UNetGenerator, (3, 3), {"depth": 7, "norm": "instance"}, 41_825_667),
    (UNetGenerator, (1, 2), {"depth": 7}, 41_824_898),
    (PatchDiscriminator, (3,), {}, 2_764_737),
    (PatchDiscriminator, (6,), {}, 2_767_809),
    (PatchDiscriminator, (1,), {}, 2_762_689),
    (PatchDiscriminator, (4,), {}, 2_765_761),
    (PatchDiscriminator, (3,), {"norm": "batch"}, 2_765_633),
    (PatchDiscriminator, (6,), {"norm": "batch"}, 2_768_705),
    (PatchDiscriminator, (4,), {"norm": "batch"}, 2_766_657),
    (PatchDiscriminator, (3,), {"num_layers": 1}, 136_385),
    (PatchDiscriminator, (3,), {"num_layers": 2}, 662_977),
    (PatchDiscriminator, (3,), {"num_layers": 4}, 6_959_553),
    (PatchDiscriminator, (3,), {"num_layers": 5}, 11_154_369),
    (PatchDiscriminator, (3,), {"num_layers": 6}, 15_349_185),
    (PatchDiscriminator, (3,), {"norm": "none", "spectral_norm": True}, 2_764_737),  # divides weights, adds none
    (MultiscaleDiscriminator, (6,), {}, 2 * 2_767_809),
    (MultiscaleDiscriminator, (6,), {"num_scales": 3}, 3 * 2_767_809),
    (PixelDiscriminator, (3,), {}, 8_705),
    (PixelDiscriminator, (6,), {}, 8_897),
    (PixelDiscriminator, (3,), {"norm": "batch"}, 8_832),
    (PixelDiscriminator, (6,), {"norm": "batch"}, 9_024),
]


@pytest.mark.parametrize(("cls", "channels", "options", "count"), COUNTS)
def test_parameter_counts_are_the_published_ones(cls, channels, options, count):
    with torch.device("meta"):
        assert parameters(cls(*channels, **options)) == count


def test_cyclegan_has_28_285_832_parameters():
    with torch.device("meta"):
        assert 2 * parameters(ResNetGenerator(3, 3)) + 2 * parameters(PatchDiscriminator(3)) == 28_285_832


@pytest.mark.parametrize(("num_layers", "side"), [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_receptive_field_is_the_published_one(num_layers, side):
    """The gradient of one logit is non-zero on exactly side x side pixels, with the norm removed."""
    network = PatchDiscriminator(1, num_layers=num_layers, base_channels=2, norm="none")
    for parameter in network.parameters():  # positive weights and a large input: no path is cut by chance
        nn.init.constant_(parameter, 0.01)
    image = torch.ones(1, 1, 384, 384, requires_grad=True)
    (logits,) = network(image)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    touched = image.grad[0, 0] != 0
    assert (touched.any(0).sum(), touched.any(1).sum()) == (side, side)
    assert touched.sum() == side * side


@pytest.mark.parametrize(("num_layers", "side"), [(1, 126), (2, 62), (3, 30), (4, 14), (5, 6)])
def test_logit_maps_of_256_px_have_the_published_sides(num_layers, side):
    with torch.device("meta"):
        assert PatchDiscriminator(3, num_layers)(torch.empty(1, 3, 256, 256))[0].shape == (1, 1, side, side)


def test_blur_keeps_a_flat_image_and_removes_the_finest_stripes():
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 2, 16, 16)
    assert BlurHalf()(stripes)[..., 1:-1].abs().max() == 0  # a plain stride would give all 1 or all -1
    torch.testing.assert_close(BlurHalf()(torch.full((1, 2, 16, 16), 0.7)), torch.full((1, 2, 8, 8), 0.7))


@pytest.mark.parametrize("cls", GENERATORS)
@given(height=st.integers(1, 90), width=st.integers(1, 90), channels=st.sampled_from([(3, 3), (1, 3), (3, 1)]))
def test_any_size_in_same_size_out(cls, height, width, channels):
    network = small(cls, *channels).eval()
    with torch.no_grad():
        out = network(torch.rand(1, channels[0], height, width) * 2 - 1)
    assert out.shape == (1, channels[1], height, width)
    assert out.dtype == torch.float32
    assert torch.isfinite(out).all()
    assert out.abs().max() <= 1


@pytest.mark.parametrize("cls", GENERATORS)
def test_an_image_without_a_batch_is_refused(cls):
    with pytest.raises(ValueError, match=r"\[B, C, H, W\]"):
        small(cls, 3, 3)(torch.zeros(3, 32, 32))


@pytest.mark.parametrize("cls", GENERATORS)
def test_sizes_that_fit_are_not_touched(cls):
    network = small(cls, 3, 3).eval()
    side = network.fit(network.size_multiple * 2)
    image = torch.rand(1, 3, side, side) * 2 - 1
    with torch.no_grad():
        assert torch.equal(network(image), network.translate(image))


@pytest.mark.parametrize("cls", GENERATORS)
@pytest.mark.parametrize("upsample", get_args(UpsampleName))
@pytest.mark.parametrize("downsample", get_args(DownsampleName))
@pytest.mark.parametrize("norm", get_args(NormName))
@pytest.mark.parametrize("padding", get_args(PaddingName))
def test_every_generator_option_builds_and_learns(cls, upsample, downsample, norm, padding):
    torch.manual_seed(0)
    network = small(cls, 3, 3, upsample=upsample, downsample=downsample, norm=norm, padding=padding)
    initialise(network)
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    network(image).square().sum().backward()
    gradients = [p.grad.abs().max() for p in network.parameters() if p.dim() > 1]
    assert min(gradients) > 0


@pytest.mark.parametrize("cls", GENERATORS)
def test_generators_translate_images_of_a_batch_independently(cls):
    """Statistics come from each image itself, so a batch equals its images one by one."""
    network = small(cls, 3, 3, norm="batch").eval()
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(
            network(images), torch.cat([network(image[None]) for image in images]), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("cls", [*GENERATORS, *DISCRIMINATORS])
def test_networks_describe_themselves_and_are_rebuilt(cls):
    channels = (3, 3) if issubclass(cls, Generator) else (3,)
    network = small(cls, *channels)
    description = describe(network)
    again = factory(description, cls)()
    assert describe(again) == description
    again.load_state_dict(network.state_dict())
    assert describe(copy.deepcopy(network)) == description


@pytest.mark.parametrize("cls", DISCRIMINATORS)
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_discriminators_give_float32_logit_maps(cls, channels):
    maps = small(cls, channels)(torch.rand(2, channels, 64, 48) * 2 - 1)
    assert isinstance(maps, list)
    for logits in maps:
        assert logits.shape[:2] == (2, 1)
        assert logits.dtype == torch.float32


@given(side=st.integers(1, 12), target=st.integers(1, 60))
def test_mirror_is_repeated_reflection(side, target):
    image = torch.arange(side, dtype=torch.float32).reshape(1, 1, 1, side)
    wide = max(side, target)
    found = mirror_to(image, 1, wide)[0, 0, 0].tolist()
    up_and_down = [*range(side), *range(side - 2, 0, -1)]
    assert found == [float(up_and_down[i % len(up_and_down)]) for i in range(wide)]


def test_mirror_equals_torch_reflection_where_that_works():
    image = torch.rand(1, 2, 7, 9)
    expected = nn.functional.pad(image, (0, 5, 0, 4), mode="reflect")
    assert torch.equal(mirror_to(image, 11, 14), expected)


def test_batch_norm_in_training_on_one_image_equals_ours_bit_for_bit():
    """The published way to translate (batch norm in training mode, batch 1) and our ``batch`` norm are the same."""
    torch.manual_seed(0)
    ours, theirs = Norm2d(8, "batch"), nn.BatchNorm2d(8).train()
    nn.init.normal_(ours.weight, 1, 0.5)
    nn.init.normal_(ours.bias)
    theirs.load_state_dict({**theirs.state_dict(), "weight": ours.weight, "bias": ours.bias})
    for image in torch.randn(4, 1, 8, 16, 12):
        assert torch.equal(ours(image), theirs(image))


def test_running_norm_equals_torch_in_both_modes():
    ours, theirs = Norm2d(4, "batch-running"), nn.BatchNorm2d(4)
    for _ in range(3):
        batch = torch.randn(5, 4, 6, 6) * 3 + 1
        torch.testing.assert_close(ours(batch), theirs(batch))
    torch.testing.assert_close(ours.eval()(batch), theirs.eval()(batch))


def test_unet_has_no_norm_on_first_and_innermost_and_dropout_where_stated():
    def levels(placement):
        network = UNetGenerator(3, 3, base_channels=2, dropout_placement=placement)
        return [any(isinstance(layer, nn.Dropout) for layer in block.modules()) for block in network.decoder]

    assert levels("port") == [False, True, True, True, False, False, False, False]
    assert levels("paper") == [True, True, True, False, False, False, False, False]
    network = UNetGenerator(3, 3, base_channels=2)
    normed = [any(isinstance(layer, Norm2d) for layer in block.modules()) for block in network.encoder]
    assert normed == [False, True, True, True, True, True, True, False]


def test_resize_convolution_makes_less_checkerboard_than_transposed_at_init():
    """Energy at the 2 px frequency of a flat input's output: the reason for the option."""

    def energy(upsample):
        torch.manual_seed(0)
        total = 0.0
        for _ in range(4):
            network = small(ResNetGenerator, 3, 3, upsample=upsample)
            initialise(network, gain=0.2)
            with torch.no_grad():
                out = network(torch.full((1, 3, 64, 64), 0.5) + 0.01 * torch.randn(1, 3, 64, 64))[..., 16:48, 16:48]
            spectrum = torch.fft.rfft2(out - out.mean((-2, -1), keepdim=True)).abs().square()
            total += float((spectrum[..., 16, :].sum() + spectrum[..., :, 16].sum()) / spectrum.sum())
        return total

    assert energy("resize") < 0.5 * energy("transposed")


def test_normal_init_has_the_published_spread():
    torch.manual_seed(0)
    network = UNetGenerator(3, 3, depth=5, base_channels=32)
    initialise(network)
    weights = torch.cat(
        [m.weight.flatten() for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    )
    scales = torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, Norm2d)])
    assert abs(weights.std().item() - 0.02) < 2e-4
    assert abs(scales.mean().item() - 1) < 5e-3
    assert abs(scales.std().item() - 0.02) < 4e-3
    assert all(m.bias.abs().max().item() == 0 for m in network.modules() if getattr(m, "bias", None) is not None)


def test_unet_refuses_a_depth_without_room_for_its_dropout():
    with pytest.raises(ValueError, match="too small"):
        UNetGenerator(3, 3, depth=4)
