"""Images in tiles: they equal the whole, within the memory there is, and files that are never in memory whole."""

from __future__ import annotations

import importlib.util
import itertools
import zlib

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from img2img.errors import ConfigError, DataError
from img2img.networks.base import Generator
from img2img.networks.generators.resnet import ResNetGenerator
from img2img.networks.generators.resunet import ResUNetGenerator
from img2img.networks.generators.unet import UNetGenerator
from img2img.networks.layers.norm import Norm2d
from img2img.translate import fitting, memory, tiles
from img2img.translate.engines.eager import Eager
from img2img.translate.fitting import AliveBytes, bytes_per_px, control_group_bytes, fitting_px, is_out_of_memory
from img2img.translate.grid import spans
from img2img.translate.memory import Memory
from img2img.translate.regions import Source
from img2img.translate.statistics import measure_at_once, reach_px, translate_with
from img2img.translate.tiff import TiffForm, open_regions, translate_tiff, write_tiff
from img2img.translate.tiles import translate_bands, translate_tiled, translate_within
from tests.discover import GENERATORS
from tests.test_networks import SMALL


def network_of(cls=ResNetGenerator, *channels, **options):
    """With torch's own weights: those of a fresh GAN generator are so small that nothing would show."""
    torch.manual_seed(1)
    return cls(*(channels or (3, 3)), **{**SMALL.get(cls.__name__, {}), **options}).eval()


def photo(height=300, width=260, channels=3):
    """Dark to the left, bright and busy to the right: tiles with statistics of their own must disagree."""
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(-0.9, 0.5, width).expand(1, channels, height, width)
    noise = torch.rand(1, channels, height, width, generator=generator) - 0.5
    return (ramp + noise * torch.linspace(0.1, 0.9, width)).clamp(-1, 1)


def whole(network, image):
    with torch.inference_mode():
        return network(image)


@pytest.fixture
def passes(monkeypatch):
    """No image fits at once, so that statistics take a pass over the tiles for every norm."""
    monkeypatch.setattr(memory, "fitting_px", lambda *_: 0)


# geometry


@given(
    multiple=st.sampled_from([1, 4, 32]),
    side=st.integers(1, 60),
    core=st.integers(1, 12),
    overlap=st.integers(0, 6),
)
def test_tiles_cover_an_image_once(multiple, side, core, overlap):
    core = max(core, overlap)
    side, tile, overlap = side * multiple, (core + 2 * overlap) * multiple, overlap * multiple
    found = spans(side, tile, overlap, multiple)
    weights, cores = torch.zeros(side), torch.zeros(side)
    for span in found:
        weights[slice(*span.counts)] += span.weights
        cores[slice(*span.core)] += 1
        assert span.start % multiple == span.core[0] % multiple == span.core[1] % multiple == 0
        assert 0 <= span.start <= span.counts[0] <= span.core[0] < span.core[1] <= span.counts[1] <= span.stop <= side
        assert span.core[0] - span.start >= overlap or span.start == 0
        assert span.stop - span.core[1] >= overlap or span.stop == side
    torch.testing.assert_close(weights, torch.ones(side), atol=1e-6, rtol=0)
    assert torch.equal(cores, torch.ones(side))
    assert [span.settled for span in found][-1] == side
    for one, other in itertools.pairwise(found):
        assert one.settled == other.counts[0]  # nothing is added to rows that were given out


def test_reach_is_that_of_the_layers():
    """7x7 and 3x3 convolutions at strides 1, 2 and 4: 3 + 1 + 2 + 2 blocks of 8 + up and out, by hand."""
    reach = reach_px(network_of(), 200)
    assert 27 <= reach <= 34
    assert reach_px(network_of(num_blocks=4), 200) == reach + 16
    assert reach_px(network_of(), 10) is None

    class Plain(Generator):
        size_multiple = smallest_side = 1
        in_channels = out_channels = 1

        def __init__(self):
            super().__init__()
            self.layer = nn.Sequential(nn.Conv2d(1, 1, 5, padding=2), Norm2d(1, "batch"), nn.Conv2d(1, 1, 3, padding=1))

        def translate(self, source):
            return self.layer(source)

    assert reach_px(Plain().eval(), 16) == 3


# the promise: tiled equals whole

ALL_LOCAL = {"ResUNetGenerator": {"attention_levels": 0}}
"""Without the parts that look everywhere, which docs/tiles.md names."""


def exact_tile(network, sides=3):
    reach = reach_px(network, 400)
    assert reach is not None, "a network that looks everywhere cannot be tiled exactly: say so in docs/tiles.md"
    overlap = -(-reach * 4 // 3 // network.size_multiple) * network.size_multiple
    return {"tile_px": sides * overlap, "overlap_px": overlap}


@pytest.mark.parametrize("cls", GENERATORS)
@pytest.mark.parametrize("norm", ["instance", "batch", "group"])
@pytest.mark.usefixtures("passes")
def test_tiled_equals_whole_and_not_without_sharing(cls, norm):
    network = network_of(cls, norm=norm, **ALL_LOCAL.get(cls.__name__, {}))
    tile = exact_tile(network)
    image = photo(tile["tile_px"] + 75, tile["tile_px"] // 2 + 33)
    image = torch.cat([image, image.flip(3)], dim=3)
    expected = whole(network, image)
    shared = translate_tiled(network, image, Memory(**tile, statistics="exact"))
    alone = translate_tiled(network, image, Memory(**tile, statistics="none"))
    assert shared.shape == expected.shape
    assert (shared - expected).abs().max() < 1e-4
    assert (alone - expected).abs().max() > 0.05


def test_attention_sees_all_of_an_image_in_windows_beyond_a_side_and_tiles_say_that_they_differ():
    options = {"widths": (8, 64), "num_blocks": 1, "base_channels": 8, "attention_levels": 1}
    network, said = network_of(ResUNetGenerator, **options), []
    assert reach_px(network, 400) is None
    layer = network.encoder[-1][-1]
    layer.window = 8  # 32 px here
    image = photo(64, 96)
    expected = whole(network, image)
    features = torch.randn(1, 64, 16, 24)
    with torch.no_grad():
        parts = [layer._attend(p) for row in layer.project_in(features).split(8, 2) for p in row.split(8, 3)]
        in_windows = layer._in_windows(layer.project_in(features))
    assert torch.equal(in_windows[..., 8:, 16:], parts[-1])
    layer.window = 24
    assert (whole(network, image) - expected).abs().max() > 1e-4  # not the same as all of it
    layer.window = 1000
    shown = translate_tiled(network, image, Memory(tile_px=64, overlap_px=16, statistics="exact", say=said.append))
    assert torch.isfinite(shown).all()
    assert "the network looks more than" in " ".join(said)


@pytest.mark.parametrize("options", [{"upsample": "resize"}, {"upsample": "bilinear", "downsample": "blur"}])
@pytest.mark.parametrize("padding", ["reflect", "replicate", "zeros"])
def test_every_layer_option_tiles(options, padding):
    network = network_of(padding=padding, **options)
    image = photo(150, 201)
    tiled = translate_tiled(network, image, Memory(**exact_tile(network), statistics="exact"))
    assert (tiled - whole(network, image)).abs().max() < 1e-4


@pytest.mark.parametrize("norm", ["batch-running", "none"])
def test_networks_without_statistics_of_the_image_need_none_shared(norm):
    network = network_of(norm=norm)
    image = photo()
    for statistics in ("auto", "none"):
        tiled = translate_tiled(network, image, Memory(**exact_tile(network), statistics=statistics))
        assert (tiled - whole(network, image)).abs().max() < 1e-4


@given(height=st.integers(1, 150), width=st.integers(1, 150))
def test_any_size_in_same_size_out(height, width):
    network = network_of(num_blocks=0)
    image = photo(height, width)
    tiled = translate_tiled(network, image, Memory(tile_px=64, overlap_px=20, statistics="exact"))
    assert (tiled - whole(network, image)).abs().max() < 1e-4


def test_statistics_in_one_pass_and_in_a_pass_a_norm_are_the_same(monkeypatch):
    network, image = network_of(), photo()
    tile = exact_tile(network)
    once = translate_tiled(network, image, Memory(**tile, statistics="exact"))
    monkeypatch.setattr(memory, "fitting_px", lambda *_: 0)
    torch.testing.assert_close(
        once, translate_tiled(network, image, Memory(**tile, statistics="exact")), atol=1e-4, rtol=0
    )


def test_a_reduced_image_has_nearly_the_statistics(monkeypatch):
    """On an image that is smooth at the scale of the reduction; without sharing the tiles are far off."""
    network = network_of()
    image = nn.functional.interpolate(photo(40, 40), size=(320, 320), mode="bicubic").clamp(-1, 1)
    expected = whole(network, image)
    monkeypatch.setattr(tiles, "_REDUCED_PX", 160 * 160)
    tile = {"tile_px": 128, "overlap_px": 40}
    reduced = (translate_tiled(network, image, Memory(**tile, statistics="reduced")) - expected).abs().mean()
    alone = (translate_tiled(network, image, Memory(**tile, statistics="none")) - expected).abs().mean()
    assert 0 < reduced < alone / 2


def test_statistics_pooled_from_windows_are_nearer_than_those_of_a_reduced_image(monkeypatch):
    """Of a picture with texture, which a reduced one has not, and with as many pixels at once."""
    network, image = network_of(), photo(320, 320)
    image = (image + torch.randn(image.shape, generator=torch.Generator().manual_seed(0)) / 8).clamp(-1, 1)
    monkeypatch.setattr(tiles, "_REDUCED_PX", 160 * 160)
    expected = whole(network, image)
    far = {
        name: (translate_tiled(network, image, Memory(128, 40, name, whole_px=160 * 160)) - expected).abs().mean()
        for name in ("exact", "pooled", "reduced", "none")
    }
    assert far["exact"] < far["pooled"] < far["reduced"] / 2
    assert far["pooled"] < far["none"]


def test_what_does_not_fit_is_pooled_and_that_is_said():
    network, image, said = network_of(), photo(320, 320), []
    for whole_px in (0, 160 * 160):
        pooled = translate_tiled(network, image, Memory(128, 40, "pooled", whole_px=whole_px))
        auto = translate_tiled(network, image, Memory(128, 40, say=said.append, whole_px=whole_px))
        assert torch.equal(auto, pooled)
    assert sum("norms pooled from windows of it" in line for line in said) == 2


@given(
    height=st.integers(60, 400),
    width=st.integers(60, 400),
    whole_px=st.integers(5000, 40_000),
    groups=st.integers(1, 9),
)
def test_groups_of_windows_hold_the_whole_image_or_evenly_spread_parts(height, width, whole_px, groups):
    network = network_of(num_blocks=0)
    values = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width).expand(1, 3, -1, -1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "_GROUPS", groups)
        work = tiles._Work(network, Source(values, 3), Memory(64, 20, "pooled", whole_px=whole_px))
        made = list(work._groups())
    assert 1 <= len(made) <= groups
    side = made[0].shape[-1] * made[0].shape[-2]
    assert all(len(group) * side <= work.most + 2 * side for group in made)
    seen = torch.cat([group[:, 0].flatten() for group in made]).unique()
    if len(made) < groups:  # none was left out
        assert len(seen) == height * width
    middle = torch.tensor([float((group[:, 0] // width).mean()) for group in made])
    assert bool(((middle / height - 0.5).abs() < 0.35).all())  # each group is from top to bottom


@torch.inference_mode()
def test_given_statistics_are_used_in_order_and_taken_back():
    network, image = network_of(norm="batch"), photo(64, 64)
    moments = measure_at_once(network, image)
    torch.testing.assert_close(translate_with(network, image, moments), whole(network, image), atol=1e-5, rtol=0)
    assert (translate_with(network, image * 0.3, moments) - whole(network, image * 0.3)).abs().max() > 1e-2
    assert all(layer.given is None for layer in network.modules() if isinstance(layer, Norm2d))


def test_the_result_comes_from_the_top_in_pieces():
    network, image = network_of(), photo(500, 90)
    bands = list(translate_bands(network, image, Memory(tile_px=128, overlap_px=40)))
    assert len(bands) > 4
    torch.testing.assert_close(
        torch.cat(bands, 1)[None], translate_tiled(network, image, Memory(tile_px=128, overlap_px=40))
    )


def test_a_far_looking_network_and_a_tile_too_small_are_named():
    said = []
    network = network_of(UNetGenerator, depth=8, base_channels=1, dropout=0.0)
    tiling = tiles.plan(network, Memory("auto", None, say=said.append))
    assert tiling.overlap_px == 256
    assert "more than 192 px" in said[0]
    with pytest.raises(ConfigError, match="expected 768 px"):
        tiles.plan(network, Memory(512, 256, say=said.append))
    said.clear()
    assert tiles.plan(network_of(), Memory("auto", None, say=said.append)).overlap_px < 64
    assert not said
    tiles.plan(network_of(), Memory(256, 16, say=said.append))
    assert "overlap by 16 px" in said[0]


def test_a_training_network_with_running_averages_is_refused():
    with pytest.raises(ValueError, match="eval"):
        translate_tiled(network_of(norm="batch-running").train(), photo())


# memory


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 100 bytes."),
    RuntimeError("could not create a memory object"),
    RuntimeError("could not create a primitive"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    MemoryError(),
]


def failing(network, calls, error=ERRORS[0]):
    """Let the calls of these numbers fail."""
    translate, count = network.translate, itertools.count(1)

    def sometimes(source):
        if source.device.type != "meta" and next(count) in calls:  # there memory is counted
            raise error
        return translate(source)

    network.translate = sometimes
    return network


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_kind_of_shortage_is_known(error):
    assert is_out_of_memory(error)
    said = []
    network, image = network_of(), photo()
    expected = translate_tiled(network, image, Memory(tile_px=256, overlap_px=44))
    found = translate_tiled(failing(network, {3}, error), image, Memory(tile_px=256, overlap_px=44, say=said.append))
    assert said == ["out of memory: tiles of 256 px were too large, going on with 132 px"]
    assert (found - expected).abs().max() < 1e-5


@pytest.mark.parametrize("calls", [{1}, {2}, {3}, {5}, {7}, {9}, {1, 2}, {1, 5}], ids=str)
def test_running_out_of_memory_anywhere_changes_nothing(calls, monkeypatch):
    """Call 1 measures the statistics, then come the tiles of three rows."""
    network, image = network_of(num_blocks=1), photo(450, 250)
    reach = reach_px(network, 200)
    monkeypatch.setattr(tiles, "reach_px", lambda *_: reach)
    options = {**exact_tile(network, sides=6), "statistics": "exact"}
    expected = translate_tiled(network, image, Memory(**options))
    said = []
    found = translate_tiled(failing(network, calls), image, Memory(**options, say=said.append))
    assert len(said) == len(calls)
    assert all(line.startswith("out of memory") for line in said)
    assert (found - expected).abs().max() < 1e-5


@pytest.mark.parametrize("call", [1, 2, 4, 5, 20, 31])
@pytest.mark.usefixtures("passes")
def test_statistics_that_are_known_survive_a_shortage(call, monkeypatch):
    network, image = network_of(num_blocks=1), photo(250, 250)
    reach = reach_px(network, 200)
    monkeypatch.setattr(tiles, "reach_px", lambda *_: reach)
    options = {**exact_tile(network, sides=5), "statistics": "exact"}
    expected = translate_tiled(network, image, Memory(**options))
    said = []
    found = translate_tiled(failing(network, {call}), image, Memory(**options, say=said.append))
    assert len(said) == 1
    assert (found - expected).abs().max() < 1e-5


def test_what_is_no_shortage_is_raised_and_the_smallest_tile_ends_it():
    image = photo()
    with pytest.raises(RuntimeError, match="shape"):
        translate_tiled(
            failing(network_of(), {3}, RuntimeError("shape mismatch")), image, Memory(tile_px=256, overlap_px=44)
        )
    with pytest.raises(RuntimeError, match="shape"):
        translate_within(failing(network_of(), {1}, RuntimeError("shape mismatch")), image)
    with pytest.raises(DataError, match="not even a tile of 132 px fits"):
        translate_tiled(failing(network_of(), set(range(2, 99))), image, Memory(tile_px=256, overlap_px=44))
    with pytest.raises(MemoryError):
        translate_within(failing(network_of(), {1}, MemoryError()), image, Memory(tile_px=None))


def test_a_batch_is_halved_then_tiled():
    network, images = network_of(), torch.cat([photo(120, 140), photo(120, 140).flip(3), photo(120, 140) * 0.5])
    expected = torch.cat([whole(network, image[None]) for image in images])
    assert (translate_within(network, images) - expected).abs().max() < 1e-5
    for calls, lines in (({1}, 1), ({1, 2}, 2), ({1, 3}, 2)):
        said = []
        found = translate_within(failing(network_of(), calls), images, Memory(say=said.append))
        assert (found - expected).abs().max() < 1e-4
        assert sum(line.startswith("out of memory") for line in said) == lines


def test_an_image_that_fits_is_translated_whole_in_one_call(monkeypatch):
    network = network_of()
    calls = []
    translate = network.translate
    monkeypatch.setattr(network, "translate", lambda source: calls.append(1) or translate(source), raising=False)
    monkeypatch.setattr(memory, "free_bytes_of", lambda _: pytest.fail("asked for memory that is not needed"))
    image = photo(100, 100)
    found = translate_within(network, image)
    assert len(calls) == 1
    torch.testing.assert_close(found, whole(network, image))


def test_an_image_that_does_not_fit_is_tiled_without_being_asked(monkeypatch):
    network, image = network_of(), photo(600, 600)
    monkeypatch.setattr(memory, "free_bytes_of", lambda _: bytes_per_px(network) * 2 * 2 * 200 * 200)
    seen = []
    translate = network.translate
    network.translate = lambda source: (
        seen.append(not source.is_meta and source.shape[-2:].numel()) or translate(source)
    )
    found = translate_within(network, image, Memory(statistics="exact"))
    assert max(seen) <= 200 * 200
    del network.translate
    assert (found - whole(network, image)).abs().max() < 1e-4


def test_bytes_are_counted_while_tensors_live():
    with AliveBytes() as alive:
        one = torch.zeros(1000)
        view = one.view(10, 100)
        two = one + 1
        assert alive.now == 8000
        del one
        assert alive.now == 8000  # the view keeps it
        del view, two
        assert alive.now == 0
        three = torch.zeros(1500)
    assert (alive.peak, three.nbytes) == (8000, 6000)


def test_activations_are_measured_on_the_network():
    """Twice the channels, about twice the bytes."""
    narrow, wide = (bytes_per_px(network_of(base_channels=base)) for base in (8, 16))
    assert bytes_per_px(network_of(base_channels=8).bfloat16()) == narrow  # its image comes in float32
    assert 1.7 < wide / narrow < 2.1
    assert narrow >= 2 * 8 * 4  # what goes into the first norm and what comes out


@pytest.mark.parametrize("cls", GENERATORS)
def test_weights_rounded_to_bf16_count_like_others(cls):
    """So that images beyond 512x512 px, of which memory is asked, are translated in bf16 too."""
    network = network_of(cls)
    rounded = Eager(network, torch.device("cpu"), "bf16")
    assert rounded(torch.zeros(1, 3, 600, 600)).shape == (1, 3, 600, 600)
    # what is made of weights counts too, and is smaller by half
    assert bytes_per_px(rounded.network) == pytest.approx(bytes_per_px(network), rel=0.01)


@given(free=st.integers(0, 10**10))
def test_the_tile_fits_the_free_memory_and_the_grid(free):
    network = network_of()
    side = Memory(whole_px=fitting_px(network, free)).fitting_tile_px(network)
    assert side % network.size_multiple == 0
    assert side**2 * bytes_per_px(network) <= free
    assert (side + network.size_multiple) ** 2 * bytes_per_px(network) > free / 8


def test_free_memory_is_that_of_the_machine_and_its_control_groups(tmp_path):
    assert 0 < fitting.free_bytes_of(torch.device("cpu")) < 1 << 50
    own = tmp_path / "cgroup"
    assert control_group_bytes(tmp_path, own) is None
    job = tmp_path / "slurm" / "job"
    job.mkdir(parents=True)
    own.write_text("0::/slurm/job\n")
    assert control_group_bytes(tmp_path, own) is None
    for folder, limit in ((job, "max"), (job.parent, "1000")):
        (folder / "memory.max").write_text(limit + "\n")
        (folder / "memory.current").write_text("700\n")
        (folder / "memory.stat").write_text("anon 300\ninactive_file 100\n")
    assert control_group_bytes(tmp_path, own) == 400
    (job / "memory.max").write_text("750\n")
    assert control_group_bytes(tmp_path, own) == 150
    old = tmp_path / "memory" / "box"
    old.mkdir(parents=True)
    own.write_text("5:cpu,cpuacct:/\n4:memory:/box\n")
    (old / "memory.limit_in_bytes").write_text("900\n")
    (old / "memory.usage_in_bytes").write_text("850\n")
    (old / "memory.stat").write_text("total_inactive_file 30\n")
    assert control_group_bytes(tmp_path, own) == 80


# regions


def pixels(height=211, width=173, channels=3, dtype=np.uint8):
    levels = (photo(height, width, channels)[0].permute(1, 2, 0).numpy() + 1) / 2 * np.iinfo(dtype).max
    return levels.round().astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_regions_have_the_range_of_their_type(dtype):
    top = np.iinfo(dtype).max
    regions = np.array([[[0] * 3, [top] * 3]], dtype)
    torch.testing.assert_close(Source(regions, 3).read(0, 1, 0, 2)[0, 0], torch.tensor([[-1.0, 1.0]]))
    assert Source(regions, 1).read(0, 1, 0, 2).shape == (1, 1, 1, 2)
    assert Source(regions[..., 0], 3).read(0, 1, 0, 2).shape == (1, 3, 1, 2)


def test_other_images_are_refused():
    for image in (np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), torch.zeros(2, 3, 4, 4)):
        with pytest.raises(DataError, match="expected"):
            Source(image, 3)
    with pytest.raises(DataError, match="4 channels"):
        Source(np.zeros((4, 4, 3), np.uint8), 4)


@given(height=st.integers(1, 40), width=st.integers(1, 40), most=st.integers(1, 400))
def test_a_reduced_image_has_the_mean_and_few_pixels(height, width, most):
    image = photo(height, width)
    reduced = Source(image, 3).reduced(most)
    assert reduced.shape[2] * reduced.shape[3] <= most
    assert reduced.min() >= image.min()
    assert reduced.max() <= image.max()


STORED = [
    {"rowsperstrip": 16},
    {"rowsperstrip": 16, "compression": "zlib"},
    {"tile": (64, 48), "compression": "zlib"},
    {"tile": (64, 48)},
    {"rowsperstrip": 300},
    {"byteorder": ">"},
    {"rowsperstrip": 7, "compression": "zlib", "byteorder": ">"},
    {"tile": (64, 64), "compression": "zlib", "planarconfig": "separate"},
    {"rowsperstrip": 50, "planarconfig": "separate"},
    {"bigtiff": True, "tile": (32, 32), "compression": "zlib"},
]


@pytest.mark.parametrize("stored", STORED, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_regions_of_a_tiff_are_its_pixels(stored, dtype, channels, tmp_path):
    path, image = tmp_path / "a.tif", pixels(channels=channels, dtype=dtype)
    stored = dict(stored)
    if channels == 1:
        stored.pop("planarconfig", None)
        tifffile.imwrite(path, image[..., 0], photometric="minisblack", **stored)
    else:
        separate = stored.get("planarconfig") == "separate"
        tifffile.imwrite(path, np.moveaxis(image, 2, 0) if separate else image, photometric="rgb", **stored)
    with open_regions(path, 10**6) as regions:
        assert (regions.shape, regions.dtype) == (image.shape, image.dtype)
        for top, bottom, left, right in ((0, 211, 0, 173), (5, 6, 170, 173), (63, 130, 40, 100), (200, 211, 0, 50)):
            assert np.array_equal(regions[top:bottom, left:right], image[top:bottom, left:right])


def test_white_is_zero_in_some_tiffs(tmp_path):
    image = pixels(channels=1)[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", 255 - image, photometric="miniswhite")
    with open_regions(tmp_path / "a.tif", 10**6) as regions:
        assert np.array_equal(regions[0:211, 0:173][..., 0], image)


def test_tiffs_of_other_kinds_are_refused_in_words(tmp_path, monkeypatch):
    def refused(image, match, **stored):
        tifffile.imwrite(tmp_path / "a.tif", image, **stored)
        with pytest.raises(DataError, match=match), open_regions(tmp_path / "a.tif", 10**4):
            pass

    small = pixels(20, 20)
    refused(small.astype(np.float32), "8 or 16 bits", photometric="rgb")
    refused(np.zeros((20, 20, 4), np.uint8), "without alpha", photometric="rgb", extrasamples=["unassalpha"])
    refused(small, "upright", photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    refused(pixels(200, 200), "more than the 0 that are read", photometric="rgb")
    monkeypatch.setattr("img2img.translate.tiff._SEGMENT_BYTES", 1000)
    refused(small, "fewer rows", photometric="rgb", compression="zlib", rowsperstrip=20)
    (tmp_path / "a.tif").write_bytes(b"II*\0 and then nothing")
    with pytest.raises(DataError, match=r"a\.tif"), open_regions(tmp_path / "a.tif", 10**4):
        pass
    with pytest.raises(DataError, match="no such file"), open_regions(tmp_path / "none.tif", 10**4):
        pass


def test_a_truncated_tiff_is_named(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels(), photometric="rgb", tile=(64, 64), compression="zlib")
    whole_file = path.read_bytes()
    for spoilt in (whole_file[:-9000], whole_file[:-9000] + bytes(9000)):
        path.write_bytes(spoilt)
        with pytest.raises(DataError, match="damaged or truncated"), open_regions(path, 10**6) as regions:
            _ = regions[0:211, 0:173]


def test_only_what_is_needed_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("img2img.translate.tiff._CACHE_BYTES", 50_000)
    tifffile.imwrite(tmp_path / "a.tif", pixels(1000), photometric="rgb", rowsperstrip=10, compression="zlib")
    with open_regions(tmp_path / "a.tif", 10**6) as regions:
        _ = regions[0:1000, 0:173]
        assert sum(each.nbytes for each in regions._kept.values()) <= 50_000


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rows_are_written_as_they_come(channels, dtype, tmp_path):
    image = pixels(700, 300, channels, dtype)
    tensor = Source(image, channels).read(0, 700, 0, 300)[0]
    write_tiff(tmp_path / "a.tif", tensor.split([1, 255, 3, 300, 141], dim=1), TiffForm(image.shape, image.dtype))
    found = tifffile.imread(tmp_path / "a.tif")
    assert np.array_equal(found.reshape(image.shape), image)


def test_a_failure_leaves_no_file_and_the_old_one(tmp_path):
    def bands():
        yield torch.zeros(3, 300, 300)
        raise DataError("the second half is missing")

    path = tmp_path / "a.tif"
    path.write_bytes(b"old")
    with pytest.raises(DataError, match="second half"):
        write_tiff(path, bands(), TiffForm((600, 300, 3), np.dtype(np.uint8)))
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_is_translated_in_tiles_as_it_would_be_whole(tmp_path, dtype):
    network, image, said = network_of(), pixels(500, 420, dtype=dtype), []
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", tile=(64, 64), iccprofile=b"profile")
    translate_tiff(
        network,
        tmp_path / "a.tif",
        tmp_path / "b.tif",
        max_pixels=10**6,
        memory=Memory(**exact_tile(network), statistics="exact", say=said.append),
    )
    expected = whole(network, Source(image, 3).read(0, 500, 0, 420))[0].permute(1, 2, 0).numpy()
    found = tifffile.imread(tmp_path / "b.tif")
    assert found.dtype == dtype
    top = np.iinfo(dtype).max
    assert np.abs(found - ((expected + 1) / 2 * top)).max() < 0.5 + 1e-4 * top / 2
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages.first.tags["InterColorProfile"].value == b"profile"
    assert not said


def test_a_strip_that_holds_more_than_it_says_is_not_unpacked(tmp_path):
    """A few kilobytes of deflate can hold gigabytes."""
    path, bomb = tmp_path / "a.tif", zlib.compress(bytes(50_000_000), 9)
    tifffile.imwrite(path, iter([bomb]), shape=(16, 16, 3), dtype="uint8", photometric="rgb", compression="zlib")
    with pytest.raises(DataError, match="more pixels"), open_regions(path, 10**4):
        pass


@pytest.mark.skipif(importlib.util.find_spec("imagecodecs") is not None, reason="imagecodecs is here and decodes it")
def test_what_needs_a_further_package_says_so(tmp_path):
    Image.fromarray(pixels(20, 20)).save(tmp_path / "a.tif", compression="tiff_lzw")
    with pytest.raises(DataError, match=r"LZW.*pip install imagecodecs"), open_regions(tmp_path / "a.tif", 10**4):
        pass
