"""Dropout that is left on: the draw is that of seed and place, whatever the batch, order, threads and tiles."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from img2img.checkpoint import save_translator
from img2img.networks.generators.resnet import ResNetGenerator
from img2img.networks.generators.unet import UNetGenerator
from img2img.translate import memory
from img2img.translate.draws import PlacedDropout, placed
from img2img.translate.memory import Memory
from img2img.translate.translator import Translator
from tests.conftest import drawing, run_here
from tests.test_checkpoint import a_file
from tests.test_tiles import network_of, photo

NETWORKS = [
    (UNetGenerator, {"depth": 5, "base_channels": 4}, 512, (560, 530)),
    (ResNetGenerator, {"num_blocks": 2, "base_channels": 4}, 160, (270, 250)),
]


def translator(cls=ResNetGenerator, seed=0, memory=None, **options):
    network = network_of(cls, **{"dropout": 0.5, **options})
    return Translator({"a:b": network}, {}, stochastic=True, seed=seed, memory=memory)


def gap(one, other):
    return float((one - other).abs().max())


@pytest.mark.parametrize("statistics", ["exact", "norm by norm"])
@pytest.mark.parametrize(("cls", "options", "tile", "size"), NETWORKS)
def test_tiles_of_any_size_give_the_whole(cls, options, tile, size, statistics, monkeypatch):
    if statistics != "exact":
        monkeypatch.setattr(memory, "fitting_px", lambda *_: 0)
    whole = translator(cls, memory=Memory(tile_px=None), **options).tensor(photo(*size))
    tiled = translator(cls, memory=Memory(tile, statistics="exact"), **options).tensor(photo(*size))
    assert gap(whole, tiled) < 2e-3
    other = translator(cls, seed=1, memory=Memory(tile_px=None), **options).tensor(photo(*size))
    assert gap(whole, other) > 0.5


def test_an_image_in_a_batch_is_the_image_alone():
    images = torch.cat([photo(64, 64), photo(64, 64).flip(3), photo(64, 64).flip(2)])
    one = translator()
    alone = [one.tensor(image[None]) for image in images]
    assert gap(one.tensor(images), torch.cat(alone)) < 1e-5
    assert gap(one.tensor(images.flip(0)), torch.cat(alone[::-1])) < 1e-5


def test_what_came_before_and_torchs_own_numbers_play_no_part():
    one, image = translator(), photo(64, 64)
    first = one.tensor(image)
    one.tensor(photo(100, 90))
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    assert torch.equal(one.tensor(image), first)
    assert torch.equal(torch.random.get_rng_state(), before)
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(made, first) for made in pool.map(one.tensor, [image] * 8))


def test_a_folder_is_the_same_whatever_the_order_and_the_threads(tmp_path):
    save_translator(tmp_path / "m.safetensors", a_file(ResNetGenerator, ("a:b",), num_blocks=1, dropout=0.5)[0])
    (tmp_path / "in").mkdir()
    for index in range(5):
        drawing(index, (40 + index, 32))[0].save(tmp_path / "in" / f"{index}.png")
    command = ("translate", tmp_path / "m.safetensors", "--stochastic", "--seed", "7")
    run_here(*command, tmp_path / "in", tmp_path / "all", "--threads", "3")
    run_here(*command, tmp_path / "in" / "3.png", tmp_path / "one.png")
    run_here(*command[:-1], "8", tmp_path / "in" / "3.png", tmp_path / "other.png")
    assert (tmp_path / "all" / "3.png").read_bytes() == (tmp_path / "one.png").read_bytes()
    one, other = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("one", "other"))
    assert not np.array_equal(one, other)


def kept(seed=0, layer=0, probability=0.5, shape=(1, 64, 32, 32)):
    made = PlacedDropout(probability, seed, layer).eval()(torch.ones(shape))
    assert made.unique().tolist() == pytest.approx([0, 1 / (1 - probability)])
    return made > 0


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_as_many_are_dropped_as_asked(probability):
    found = kept(probability=probability).float()
    error = (probability * (1 - probability) / found.numel()) ** 0.5
    assert abs(float(found.mean()) - (1 - probability)) < 4 * error
    for dims in ((0, 1, 2), (0, 1, 3), (0, 2, 3)):  # nor are some columns, rows or channels favoured
        count = found.numel() / found.mean(dims).numel()
        assert float((found.mean(dims) - (1 - probability)).abs().max()) < 5 * error * (found.numel() / count) ** 0.5


def test_no_two_draws_resemble_one_another():
    one = kept()
    shifts = [one.roll(by, dim) for dim in (1, 2, 3) for by in (1, 2, 4, 8, 16)]
    others = [kept(seed=seed) for seed in (1, 2, 2**31, 2**40 + 1)] + [kept(layer=layer) for layer in (1, 2, 3)]
    for other in (*shifts, *others, kept(seed=1, layer=1)):
        agreement = float((one == other).float().mean())
        assert abs(agreement - 0.5) < 5 * 0.5 / one.numel() ** 0.5
    upper, lower = one[..., *torch.triu_indices(32, 32, 1)], one.mT[..., *torch.triu_indices(32, 32, 1)]
    assert abs(float((upper == lower).float().mean()) - 0.5) < 5 * 0.5 / upper.numel() ** 0.5


def test_a_window_draws_what_the_whole_draws_there():
    dropout = PlacedDropout(0.5, 3, 1)
    whole = dropout(torch.ones(1, 8, 40, 48))
    with placed(torch.nn.Sequential(dropout), top=4 * 8, left=4 * 12, height=4 * 20):  # features of stride 4
        part = dropout(torch.ones(2, 8, 20, 16))
    assert torch.equal(part, whole[:, :, 8:28, 12:28].expand(2, -1, -1, -1))
    assert torch.equal(dropout(torch.ones(1, 8, 40, 48)), whole)
