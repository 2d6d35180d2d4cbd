"""Every generator and discriminator: what the papers state and what the base promises."""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import is_parametrized
from torch.utils._python_dispatch import TorchDispatchMode

from img2img.configured import describe, factory
from img2img.networks.base import Generator
from img2img.networks.discriminators.lite import LiteDiscriminator
from img2img.networks.discriminators.multiscale import MultiscaleDiscriminator
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.discriminators.pixel import PixelDiscriminator
from img2img.networks.frozen.base import FeatureNetwork, as_photos
from img2img.networks.generators.enhancer import LocalEnhancer
from img2img.networks.generators.resnet import ResNetGenerator
from img2img.networks.generators.resunet import ResUNetGenerator
from img2img.networks.generators.separable import SeparableGenerator
from img2img.networks.generators.spade import SpadeGenerator
from img2img.networks.generators.unet import UNetGenerator
from img2img.networks.layers.antialias import FilterDouble
from img2img.networks.layers.convolutions import ImageConv2d, StridedConv2d, TransposedConv2d, as_torch_does
from img2img.networks.layers.init import initialise
from img2img.networks.layers.mirror import mirror_to
from img2img.networks.layers.norm import Norm2d, NormName
from img2img.networks.layers.resample import BlurHalf, DownsampleName, ResizeConv, UpsampleName
from img2img.networks.layers.residual import PaddingName
from tests.discover import DISCRIMINATORS, GENERATORS
from tests.two_processes import norm_of_a_joint_batch


class TinyFeatures(FeatureNetwork):
    """A frozen network of three sizes that costs nothing."""

    file_name, advice = "tiny.pth", "nothing brings it"

    def __init__(self, weights: str | None = None):
        super().__init__()
        self.weights, self.sha256, self.shares, self.channels = weights, "", (1 / 3,) * 3, (2, 3, 4)
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.layers = nn.ModuleList(nn.Conv2d(i, o, 3, 2, 1) for i, o in pairwise((3, *self.channels)))

    def features(self, images):
        found = [as_photos(images, normalise=True)]
        for layer in self.layers:
            found.append(layer(found[-1]).relu())
        return found[1:]

    def take(self, tensors):
        self.load_state_dict(dict(tensors))


@functools.cache
def tiny_features():
    """A file of its weights."""
    path = Path(tempfile.mkdtemp(prefix="img2img-")) / "tiny.pth"
    torch.save({name: 2 * tensor for name, tensor in TinyFeatures().state_dict().items()}, path)
    return str(path)


SMALL = {
    "LocalEnhancer": {"num_global_halvings": 1, "num_global_blocks": 1, "num_blocks": 1, "base_channels": 2},
    "UNetGenerator": {"depth": 5, "base_channels": 4},
    "ResNetGenerator": {"num_blocks": 2, "base_channels": 4},
    "ResUNetGenerator": {"widths": (4, 8), "num_blocks": 1, "base_channels": 4, "attention_levels": 1},
    "SeparableGenerator": {"widths": (4, 8), "num_blocks": 1, "base_channels": 4},
    "SpadeGenerator": {"base_channels": 1, "hidden_channels": 2, "num_halvings": 1},
    "StyledGenerator": {"num_blocks": 1, "base_channels": 4, "style_channels": 8},
    "MultiscaleDiscriminator": {"base_channels": 4},
    "LiteDiscriminator": {"base_channels": 4},
    "PatchDiscriminator": {"base_channels": 4},
    "PixelDiscriminator": {"base_channels": 4},
    "ProjectedDiscriminator": {
        "base_channels": 4,
        "spectral_norm": False,
        "backbone": functools.partial(TinyFeatures, weights=tiny_features()),
    },
}


def small(cls, *channels, **options):
    return cls(*channels, **{**SMALL.get(cls.__name__, {}), **options})


def every(**choices):
    """Every generator with each combination of those options that it has."""
    found = []
    for cls in GENERATORS:
        known = {name: values for name, values in choices.items() if name in inspect.signature(cls).parameters}
        for values in itertools.product(*known.values()):
            options = dict(zip(known, values, strict=True))
            found.append(pytest.param(cls, options, id="-".join([cls.__name__, *values])))
    return found


def parameters(network):
    return sum(p.numel() for p in network.parameters())


COUNTS = [  # published totals, by instantiating the reference code
    (ResNetGenerator, (3, 3), {}, 11_378_179),
    (ResNetGenerator, (3, 3), {"norm": "batch"}, 11_383_427),
    (ResNetGenerator, (3, 3), {"upsample": "cut", "downsample": "cut"}, 11_378_179),
    (ResNetGenerator, (3, 3), {"num_blocks": 6}, 7_837_699),
    (ResNetGenerator, (3, 3), {"num_blocks": 6, "norm": "batch"}, 7_841_411),
    (ResNetGenerator, (3, 3), {"num_halvings": 4}, 182_443_267),  # pix2pixHD's global generator
    (ResNetGenerator, (36, 3), {"num_halvings": 4}, 182_546_755),
    (LocalEnhancer, (36, 3), {}, 182_857_059),
    (SpadeGenerator, (36, 3), {}, 93_048_003),  # Cityscapes
    (SpadeGenerator, (184, 3), {}, 97_480_899),  # COCO-Stuff
    (UNetGenerator, (3, 3), {}, 54_413_955),
    (UNetGenerator, (3, 3), {"norm": "instance"}, 54_409_603),
    (UNetGenerator, (1, 2), {}, 54_409_858),
    (UNetGenerator, (1, 3), {}, 54_411_907),
    (UNetGenerator, (3, 3), {"depth": 7}, 41_828_995),
    (UNetGenerator, (3, 3), {"depth": 7, "norm": "instance"}, 41_825_667),
    (UNetGenerator, (1, 2), {"depth": 7}, 41_824_898),
    (PatchDiscriminator, (3,), {}, 2_764_737),
    (PatchDiscriminator, (3,), {"downsample": "cut"}, 2_764_737),
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
    (MultiscaleDiscriminator, (6,), {}, 5_535_618),
    (MultiscaleDiscriminator, (39,), {}, 5_603_202),
    (MultiscaleDiscriminator, (39,), {"num_scales": 3}, 8_404_803),
    (ResUNetGenerator, (3, 3), {}, 15_961_635),  # and its variant of fewer blocks: counts of a prototype
    (ResUNetGenerator, (3, 3), {"widths": (48, 96, 192, 384, 384), "num_blocks": 1}, 17_469_411),
    (SeparableGenerator, (3, 3), {}, 854_171),  # our own
    (LiteDiscriminator, (6,), {"num_scales": 1}, 1_254_337),
    (LiteDiscriminator, (6,), {}, 2 * 1_254_337),
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


FIELDS = [
    *((PatchDiscriminator, {"num_layers": n}, side) for n, side in ((1, 16), (2, 34), (3, 70), (4, 142), (5, 286))),
    (PatchDiscriminator, {"num_layers": 1, "downsample": "cut"}, 18),
    (PatchDiscriminator, {"num_layers": 3, "downsample": "cut"}, 84),
    (LiteDiscriminator, {"num_scales": 1}, 54),
]


@pytest.mark.parametrize(("cls", "options", "side"), FIELDS)
def test_receptive_field_is_the_published_one(cls, options, side):
    """The gradient of one logit is non-zero on exactly side x side pixels, with the norm removed."""
    network = cls(1, base_channels=2, norm="none", **options)
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


def test_pix2pixhd_pads_by_two_and_judges_at_two_sizes():
    with torch.device("meta"):
        maps = MultiscaleDiscriminator(6, padding_px=2)(torch.empty(1, 6, 256, 256))
    assert [logits.shape[-1] for logits in maps] == [35, 19]


def test_the_local_enhancer_begins_with_a_global_network_and_adds_to_its_features():
    """Without its local features it is the global network on the halved image, but for the last layers."""
    options = {"num_blocks": 1, "base_channels": 4, "num_halvings": 1}
    coarse, fine = ResNetGenerator(3, 3, **options).eval(), small(LocalEnhancer, 3, 3).eval()
    fine.start_from(coarse)
    nn.init.zeros_(fine.encoder[3].weight)  # and the instance norm behind it gives 0
    image, seen = torch.rand(1, 3, 32, 32) * 2 - 1, []
    fine.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    half = F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
    with torch.no_grad():
        fine(image)
        torch.testing.assert_close(seen[0], coarse.layers[:-1](half))
    again = small(LocalEnhancer, 3, 3)
    again.start_from(fine)
    assert torch.equal(again.image.weight, fine.image.weight)


def test_blur_keeps_a_flat_image_and_removes_the_finest_stripes():
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 2, 16, 16)
    assert BlurHalf()(stripes)[..., 1:-1].abs().max() == 0  # a plain stride would give all 1 or all -1
    torch.testing.assert_close(BlurHalf()(torch.full((1, 2, 16, 16), 0.7)), torch.full((1, 2, 8, 8), 0.7))


def test_bilinear_doubling_is_the_filter_of_cut():
    """So its weights go either way, and the cheaper one can be trained."""
    features = torch.randn(2, 3, 5, 4)
    grown = F.interpolate(features, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(FilterDouble()(features), grown)
    cut, bilinear = (small(ResNetGenerator, 3, 3, upsample=kind) for kind in ("cut", "bilinear"))
    bilinear.load_state_dict(cut.state_dict())
    image = torch.rand(1, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(cut(image), bilinear(image), atol=1e-5, rtol=0)


def test_a_network_that_adds_its_source_begins_by_copying_it():
    torch.manual_seed(0)
    source = torch.rand(2, 3, 16, 16) * 2 - 1
    network = small(ResNetGenerator, 3, 3, add_source=True).eval()
    initialise(network, "xavier")
    with torch.no_grad():
        copied, published = ((one(source) - source).abs().mean() for one in (network, small(ResNetGenerator, 3, 3)))
        assert copied < 0.1 < published
        for parameter in network.layers[-1].parameters():
            parameter.zero_()
        torch.testing.assert_close(network(source), 0.98 * source)
        assert torch.equal(network.features(source, ["translation"])["translation"], network(source))
    black = torch.full((1, 3, 16, 16), -1.0, requires_grad=True)
    small(ResNetGenerator, 3, 3, add_source=True)(black).sum().backward()
    assert torch.isfinite(black.grad).all()
    with pytest.raises(ValueError, match="as many channels in as out, got 1 and 3"):
        ResNetGenerator(1, 3, add_source=True)


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


LAYERS = {
    "upsample": get_args(UpsampleName),
    "downsample": get_args(DownsampleName),
    "norm": get_args(NormName),
}


@pytest.mark.parametrize(("cls", "options"), every(**LAYERS, padding=get_args(PaddingName)))
def test_every_generator_option_builds_and_learns(cls, options):
    torch.manual_seed(0)
    network = small(cls, 3, 3, **options)
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


@given(size=st.tuples(st.integers(1, 7), st.integers(1, 7)), bias=st.booleans())
def test_resize_convolution_is_nearest_then_convolution(size, bias):
    """Values and every gradient, border included: it is one transposed convolution for the sake of time alone."""
    torch.manual_seed(0)
    quick = ResizeConv(3, 2, bias=bias).double()
    plain = nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(3, 2, 3, padding=1, bias=bias))
    plain.double().load_state_dict(quick.state_dict())
    image = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 2, 2 * size[0], 2 * size[1], dtype=torch.float64)
    torch.testing.assert_close(quick(image), plain(image))
    found = torch.autograd.grad((quick(image) * weight).sum(), [image, *quick.parameters()])
    expected = torch.autograd.grad((plain(image) * weight).sum(), [image, *plain.parameters()])
    torch.testing.assert_close(found, expected)


@given(
    kernel=st.integers(3, 4),
    size=st.tuples(st.integers(2, 5), st.integers(2, 5)),
    batch=st.integers(1, 3),
    bias=st.booleans(),
)
def test_a_convolution_as_a_matrix_product_is_the_convolution(kernel, size, batch, bias):
    """Values and every gradient; that both ways were taken shows in the names of what autograd recorded."""
    torch.manual_seed(0)
    image = torch.randn(batch, 64, *size, dtype=torch.float64, requires_grad=True)
    grow = {"stride": 2, "padding": 1, "output_padding": 4 - kernel}
    for layer, plain in (
        (StridedConv2d(64, 64, kernel, 2, 1, bias=bias), F.conv2d),
        (TransposedConv2d(64, 64, kernel, bias=bias, **grow), F.conv_transpose2d),
    ):
        layer.double()
        options = grow if plain is F.conv_transpose2d else {"stride": 2, "padding": 1}
        found, expected = layer(image), plain(image, layer.weight, layer.bias, **options)
        few = layer.weight.numel() >= 8 * image.numel() or (expected.shape[3] == 1 and plain is F.conv2d)
        assert ("Convolution" not in found.grad_fn.name()) == few
        torch.testing.assert_close(found, expected)
        weight = torch.randn_like(expected)
        of = [image, *layer.parameters()]
        torch.testing.assert_close(
            torch.autograd.grad((found * weight).sum(), of), torch.autograd.grad((expected * weight).sum(), of)
        )
        as_torch_does(layer)
        assert torch.equal(layer(image), expected)


@pytest.mark.parametrize("cls", GENERATORS)
@pytest.mark.parametrize("size", [(1500, 9), (9, 1500)])
def test_narrow_images_in_bf16_depend_on_nothing_but_themselves(cls, size):
    """Kernels of the CPU that read what earlier work left in memory would give other pictures, or no numbers."""
    image, network = torch.rand(1, 3, *size) * 2 - 1, cls(3, 3, **SMALL[cls.__name__]).eval()
    found = []
    for _ in range(8):
        left = [torch.full((number,), float("nan")) for number in range(1000, 200_000, 5000)]
        del left
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            found.append(network(image))
    assert all(torch.equal(one, found[0]) for one in found)


@given(
    kernel=st.integers(1, 7),
    channels=st.integers(1, 4),
    size=st.tuples(st.integers(8, 12), st.integers(8, 12)),
    padding=st.sampled_from(["zeros", "reflect", "replicate"]),
    bias=st.booleans(),
)
def test_a_convolution_to_an_image_by_rows_is_the_convolution(kernel, channels, size, padding, bias):
    torch.manual_seed(0)
    layer = ImageConv2d(5, channels, kernel, padding=kernel // 2, padding_mode=padding, bias=bias).double()
    image = torch.randn(2, 5, *size, dtype=torch.float64, requires_grad=True)
    found = layer(image)
    layer.as_matrix = False
    expected = layer(image)
    torch.testing.assert_close(found, expected)
    weight, of = torch.randn_like(expected), [image, *layer.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad((found * weight).sum(), of), torch.autograd.grad((expected * weight).sum(), of)
    )


@pytest.mark.parametrize("kind", ["instance", "batch", "group"])
def test_norms_of_one_image_are_the_same_in_either_layout_and_keep_it(kind):
    torch.manual_seed(0)
    norm, image = Norm2d(6, kind), torch.randn(1, 6, 9, 7)
    nhwc = image.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(norm(nhwc), norm(image))
    assert norm(nhwc).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(norm(nhwc.expand(2, -1, -1, -1))[:1], norm(image))


@pytest.mark.parametrize("upsample", get_args(UpsampleName))
def test_an_exported_generator_keeps_its_convolutions(upsample):
    network = UNetGenerator(
        3, 3, depth=5, base_channels=16, dropout=0.0, upsample=upsample, norm="batch-running"
    ).eval()
    image = torch.rand(1, 3, 32, 32)
    graph = torch.export.export(network, (image,))
    called = {str(node.target) for node in graph.graph.nodes if node.op == "call_function"}
    assert not any("im2col" in name or "col2im" in name for name in called)
    with torch.no_grad():
        torch.testing.assert_close(graph.module()(image), network(image), atol=1e-5, rtol=1e-4)


class Padded(TorchDispatchMode):
    """Notes what is padded by mirroring."""

    def __init__(self):
        super().__init__()
        self.dtypes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "reflection_pad2d" in str(func) and "backward" not in str(func):
            self.dtypes.append(args[0].dtype)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("downsample", get_args(DownsampleName))
def test_borders_are_mirrored_in_the_precision_of_the_features(downsample):
    network = small(ResNetGenerator, 3, 3, downsample=downsample)
    with Padded() as padded, torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(1, 3, 32, 32))
    first, *body, last = padded.dtypes
    assert first == last == torch.float32  # the image itself; and what the last convolution takes, in float32
    assert len(body) >= 4
    assert set(body) == {torch.bfloat16}


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


@pytest.mark.parametrize(("cls", "options"), every(**LAYERS))
def test_a_state_dict_is_all_that_a_generator_needs(cls, options):
    """Built without memory and given its weights, as translators are loaded, it translates as before."""
    network, image = small(cls, 3, 3, **options).eval(), torch.rand(1, 3, 32, 32)
    with torch.device("meta"):
        again = small(cls, 3, 3, **options).eval()
    again.load_state_dict(network.state_dict(), assign=True)
    with torch.no_grad():
        assert torch.equal(again(image), network(image))


# Mixed precision


CONVOLUTIONS = nn.Conv2d | nn.ConvTranspose2d | ResizeConv


def width(layer):
    return (layer[1] if isinstance(layer, ResizeConv) else layer).out_channels


def heads(network, images):
    """Return dtypes in and out of the convolutions that make what leaves the network, and what leaves it."""
    seen = []
    hooks = [
        layer.register_forward_hook(lambda m, args, out: seen.append((m, args[0].dtype, out.dtype)))
        for layer in network.modules()
        if isinstance(layer, CONVOLUTIONS)
    ]
    with torch.autocast("cpu", torch.bfloat16):
        out = network(images)
    for hook in hooks:
        hook.remove()
    channels = network.out_channels if isinstance(network, Generator) else 1
    last = [(given, made) for m, given, made in seen if width(m) == channels]
    body = {made for m, _, made in seen if width(m) != channels}
    return last, body, out if isinstance(out, list) else [out]


@pytest.mark.parametrize("cls", [*GENERATORS, *DISCRIMINATORS])
@pytest.mark.parametrize("option", [{}, {"upsample": "resize"}, {"spectral_norm": True}])
def test_heads_compute_in_float32_under_autocast(cls, option):
    generator = issubclass(cls, Generator)
    if not option.keys() <= inspect.signature(cls).parameters.keys():
        pytest.skip("an option of other networks")
    network = small(cls, *((3, 3) if generator else (3,)), **option)
    last, body, out = heads(network, torch.rand(2, 3, 64, 64) * 2 - 1)
    assert body == {torch.bfloat16}  # the rest is in mixed precision: the claim is about the head alone
    assert last == [(torch.float32, torch.float32)] * len(out)
    assert {t.dtype for t in out} == {torch.float32}
    values = torch.cat([t.flatten() for t in out])
    assert not torch.equal(values, values.bfloat16().float())  # it was never rounded
    sum(t.square().mean() for t in out).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("cls", GENERATORS)
def test_heads_are_the_last_convolution_and_a_tanh(cls):
    network = small(cls, 3, 3).eval()
    last = []
    hook = [m for m in network.modules() if isinstance(m, CONVOLUTIONS)][-1].register_forward_hook(
        lambda _, args, out: last.append(out)
    )
    with torch.no_grad():
        out = network(torch.rand(1, 3, network.fit(32), network.fit(32)))
    hook.remove()
    assert torch.equal(out, torch.tanh(last[0]))


@pytest.mark.parametrize("kind", ["instance", "batch", "batch-running", "group"])
def test_norm_statistics_of_bfloat16_features_are_float32(kind):
    """Mean 100 and spread 1: the error is that of rounding the result, half of 2^-8 of it, and no more."""
    features = (torch.randn(2, 4, 64, 64, generator=torch.Generator().manual_seed(0)) + 100).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = Norm2d(4, kind)(features)
    exact = Norm2d(4, kind).double()(features.double())
    assert ((found.double() - exact).abs() <= 2**-8 * exact.abs() + 1e-4).all()
    assert abs((found.double() - exact.bfloat16().double()).mean().item()) < 2e-4


# Discriminators: features, spectral norm


@pytest.mark.parametrize("cls", DISCRIMINATORS)
def test_features_end_in_the_logits(cls):
    network, images = small(cls, 3), torch.rand(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        scales, maps = network.features(images), network(images)
    assert len(scales) == len(maps)
    for stages, logits in zip(scales, maps, strict=True):
        assert len(stages) > 1
        assert torch.equal(stages[-1], logits)
        assert all(stage.ndim == 4 and len(stage) == 2 and stage.requires_grad for stage in stages)


def test_weights_keep_the_names_of_files_already_written():
    keys = list(PatchDiscriminator(3, num_layers=1, base_channels=2, norm="batch").state_dict())
    assert keys == [
        f"layers.{k}" for k in ("0.weight", "0.bias", "2.weight", "3.weight", "3.bias", "5.weight", "5.bias")
    ]


@pytest.mark.parametrize("cls", DISCRIMINATORS)
@pytest.mark.parametrize("gain", [0.02, 1.0])
def test_spectral_norm_keeps_the_largest_singular_value_of_every_convolution_at_1(cls, gain):
    torch.manual_seed(0)
    network = small(cls, 3, norm="none", spectral_norm=True)
    initialise(network, gain=gain)
    images = torch.rand(2, 3, 64, 64)
    for _ in range(20):
        network(images)
    convolutions = [m for m in network.eval().modules() if isinstance(m, nn.Conv2d)]
    assert all(is_parametrized(m, "weight") for m in convolutions)
    for m in convolutions:
        assert torch.linalg.matrix_norm(m.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)
    first = convolutions[0].parametrizations.weight.original
    assert first.std().item() == pytest.approx(gain, rel=0.3)  # the draw is that of the weight before the division
    again = small(cls, 3, norm="none", spectral_norm=True).eval()
    again.load_state_dict(network.state_dict())
    with torch.no_grad():
        expected = network(images)
        for copied in (again, copy.deepcopy(network)):
            assert all(torch.equal(x, y) for x, y in zip(copied(images), expected, strict=True))
    twin = copy.deepcopy(network)
    nn.init.zeros_(twin.get_parameter(next(n for n, _ in twin.named_parameters() if n.endswith("original"))))
    assert first.abs().max() > 0


# Several processes


def test_synchronised_norm_of_two_processes_is_that_of_the_joint_batch(tmp_path):
    torch.manual_seed(0)
    norm = Norm2d(3, "batch-running")
    nn.init.normal_(norm.weight, 1, 0.5)
    nn.init.normal_(norm.bias)
    features, towards = torch.randn(4, 3, 5, 6) * 2 + 100, torch.randn(4, 3, 5, 6)
    torch.save({"state": norm.state_dict(), "features": features, "towards": towards}, tmp_path / "inputs.pt")
    torch.multiprocessing.spawn(norm_of_a_joint_batch, (str(tmp_path),), nprocs=2)
    left = [torch.load(tmp_path / f"left-{rank}.pt", weights_only=True) for rank in range(2)]  # shares of 1 and 3
    norm.synchronised = True  # one process: nothing to wait for
    features.requires_grad_()
    out = norm(features)
    (out * towards).sum().backward()
    torch.testing.assert_close(torch.cat([one["out"] for one in left]), out.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.cat([one["gradient"] for one in left]), features.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sum(one["weight_gradient"] for one in left), norm.weight.grad, rtol=1e-4, atol=1e-4)
    for one in left:
        torch.testing.assert_close(one["state"], dict(norm.state_dict()))
