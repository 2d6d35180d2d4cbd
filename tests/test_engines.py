"""Whatever runs the network: the same pictures, and a batch that goes on keeps to what it began with."""

from __future__ import annotations

import importlib.util
import json
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

import img2img
from img2img.errors import ConfigError
from img2img.networks.generators.resnet import ResNetGenerator
from img2img.translate.engines import choice, graphs
from img2img.translate.engines.base import Engine, EngineName
from img2img.translate.engines.choice import engine_of, fastest
from img2img.translate.engines.eager import Eager
from img2img.translate.memory import Memory
from tests.conftest import drawing, run_here
from tests.test_batches import tree
from tests.test_tiles import network_of, photo

CPU = torch.device("cpu")
BESIDE = [name for name in get_args(EngineName) if name not in {"eager", "int8"}]
MODULES = {"onnx": "onnxruntime", "openvino": "openvino", "int8": "onnxruntime"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMG2IMG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def sizes(tmp_path):
    """Eight drawings, five of one size."""
    folder = tmp_path / "sizes"
    folder.mkdir()
    for i in range(8):
        drawing(i, (40, 32) if i % 3 else (36, 48 - i))[0].save(folder / f"{i}.png")
    return folder


def needed(engine):
    if engine in MODULES:
        pytest.importorskip(MODULES[engine])


@pytest.mark.parametrize("engine", BESIDE)
def test_every_engine_gives_the_pictures_of_eager(engine):
    needed(engine)
    network = network_of(num_blocks=1)
    run, exact = engine_of(engine, network, CPU, "fp32", Memory()), Eager(network, CPU)
    for image in (photo(60, 50), torch.cat([photo(33, 41), photo(33, 41).flip(3)])):  # the second: another size, two
        found = run(image)
        assert found.shape == image.shape
        assert float((found - exact(image)).abs().max()) < 1e-3  # an eighth of a level


def test_openvino_in_bf16_is_as_near_as_eager_in_bf16():
    needed("openvino")
    network, image = network_of(num_blocks=1), photo(60, 50)
    exact = Eager(network, CPU)(image)
    far = [
        float((run(image) - exact).abs().mean())
        for run in (engine_of("openvino", network, CPU, "bf16", Memory()), Eager(network, CPU, "bf16"))
    ]
    assert 0 < far[0] < 2 * far[1]


def test_integers_come_near_and_are_calibrated_once_on_the_batch(model, sizes, tmp_path, monkeypatch, cache):
    needed("int8")
    run_here("translate", model, sizes, tmp_path / "exact", "--precision", "fp32")
    run_here("translate", model, sizes, tmp_path / "o", "--engine", "int8")
    monkeypatch.setattr("onnxruntime.quantization.quantize_static", lambda *_, **__: pytest.fail("made again"))
    gaps = [np.abs(pixels(tmp_path / "o" / p.name) - pixels(p)) for p in sorted((tmp_path / "exact").glob("*.png"))]
    assert len(gaps) == 8
    assert (
        0 < np.mean([gap.mean() for gap in gaps]) < 8
    )  # of 255; norms of weights that nobody trained amplify rounding
    (tmp_path / "o" / "3.png").unlink()
    before = tree(tmp_path / "o")
    assert (
        "1 translated, 0 failed, 7 skipped"
        in run_here("translate", model, sizes, tmp_path / "o", "--engine", "int8").stdout
    )
    assert len(tree(tmp_path / "o")) == len(before) + 1
    (sizes / "0.png").unlink()  # one of those it was calibrated on
    (sizes / "8.png").write_bytes((sizes / "1.png").read_bytes())
    said = run_here("translate", model, sizes, tmp_path / "o", "--engine", "int8", code=1).stderr
    assert "outputs were made with other settings (calibration " in said
    with pytest.raises(ConfigError, match="translate a folder, not one image"):
        img2img.load(model, "cpu", engine="int8")(drawing(0)[0])


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_a_graph_is_made_once_and_old_ones_go(engine, cache, monkeypatch):
    needed(engine)
    monkeypatch.setattr(graphs, "_KEPT_FILES", 1)
    engine_of(engine, network_of(num_blocks=1), CPU, "fp32", Memory())
    first = list(cache.rglob("*.onnx"))
    monkeypatch.setattr("img2img.exchange.exporting.onnx_bytes", lambda *_: b"another")
    engine_of(engine, network_of(num_blocks=1), CPU, "fp32", Memory())
    assert list(cache.rglob("*.onnx")) == first
    other = graphs.onnx_file(network_of(num_blocks=2))
    assert list(cache.rglob("*.onnx")) == [other]
    assert other.read_bytes() == b"another"


def test_what_a_graph_has_no_memory_for_goes_operation_by_operation():
    network, image, said = network_of(num_blocks=1), photo(300, 300), []
    exact = Eager(network, CPU)

    def fails(_):
        raise RuntimeError("Can't allocate memory")

    def never(_):
        pytest.fail("the graph saw a picture that goes in tiles")

    found = graphs.Graph(fails, Eager(network, CPU, memory=Memory(say=said.append)))(image)
    assert torch.equal(found, exact(image))
    assert said == ["out of memory: going on operation by operation"]
    tiled = Memory(tile_px=160, statistics="exact")
    found = graphs.Graph(never, Eager(network, CPU, memory=tiled))(image)
    assert torch.equal(found, Eager(network, CPU, memory=tiled)(image))
    with pytest.raises(RuntimeError, match="shape"):
        graphs.Graph(lambda _: (_ for _ in ()).throw(RuntimeError("shape")), exact)(photo(20, 20))


class Slow(Engine):
    def __init__(self, wrong=0.0):
        self.wrong, self.seen = wrong, 0

    def __call__(self, source):
        self.seen += 1
        return source + self.wrong


@pytest.mark.parametrize(
    ("seconds", "wrong", "best"),
    [((4, 3), 0.0, "openvino"), ((3, 4), 0.0, "eager"), ((4, 3.9), 0.0, "eager"), ((4, 1), 0.1, "eager")],
)
def test_the_fastest_that_is_right_is_measured_once_and_remembered(monkeypatch, cache, seconds, wrong, best):
    """An engine that is hardly faster is not worth its graph, and one that is wrong never is."""
    monkeypatch.delenv("IMG2IMG_ENGINE")
    monkeypatch.setattr(choice, "_candidates", lambda *_: ["eager", "openvino"])
    monkeypatch.setattr(choice, "_installed", lambda _: True)
    monkeypatch.setattr(choice, "Eager", lambda *_: Slow())
    engines = {"eager": Slow(), "openvino": Slow(wrong)}
    monkeypatch.setattr(choice, "engine_of", lambda name, *_: engines[name])
    monkeypatch.setattr(choice, "_version", lambda _: "1")
    clock = [0.0]

    def now():  # each engine takes its time
        turn = len(spent) % 4
        if turn % 2:
            clock[0] += seconds[turn // 2] if wrong == 0 else seconds[0]
        spent.append(turn)
        return clock[0]

    spent, said = [], []
    monkeypatch.setattr(choice.time, "perf_counter", now)
    network = network_of(num_blocks=1)
    assert fastest(network, CPU, "fp32", 199, said.append) == "eager"
    assert not said  # few pictures do not wait
    assert fastest(network, CPU, "fp32", 200, said.append) == best
    assert fastest(network, CPU, "fp32", 199, said.append) == "eager"  # nor for a graph that is not made yet
    monkeypatch.setattr(choice, "graph_of", lambda _: cache)
    assert fastest(network, CPU, "fp32", 199, said.append) == best
    seen = engines["eager"].seen
    assert fastest(network, CPU, "fp32", 200, said.append) == best
    assert (engines["eager"].seen, len(said)) == (seen, 1)
    assert f"engine {best} from now on" in said[0]
    assert list(json.loads((cache / "engines.json").read_text()).values()) == [best]
    (cache / "engines.json").write_text("{ torn")
    assert fastest(network, CPU, "fp32", 200, said.append) == best
    assert len(said) == 2


def test_an_engine_can_be_named_in_the_environment(monkeypatch):
    monkeypatch.setenv("IMG2IMG_ENGINE", "onnx")
    assert fastest(network_of(num_blocks=1), CPU, "fp32", 200, print) == "onnx"
    monkeypatch.setenv("IMG2IMG_ENGINE", "onix")
    with pytest.raises(ConfigError, match="IMG2IMG_ENGINE=onix: expected one of eager"):
        fastest(network_of(num_blocks=1), CPU, "fp32", 200, print)


def test_a_missing_engine_is_one_line_that_says_what_to_install(model, sizes, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name))
    said = run_here("translate", model, sizes, tmp_path / "o", "--engine", "openvino", code=1).stderr
    assert said == "error: this engine needs openvino: pip install 'img2img-toolkit[openvino]'\n"
    said = run_here("translate", model, sizes, tmp_path / "o", "--engine", "onnx", "--precision", "bf16", code=1).stderr
    assert "say --precision fp32" in said
    assert not list(tmp_path.glob("o/*.png"))


def test_more_than_8_bits_never_go_through_another_precision(model, tmp_path, monkeypatch):
    asked = []
    build = engine_of
    monkeypatch.setattr(
        "img2img.translate.translator.engine_of",
        lambda name, *rest: asked.append((name, rest[2])) or build(name, *rest),
    )
    translator = img2img.load(model, "cpu", precision="bf16", engine="eager")
    Image.fromarray(np.full((20, 20), 30000, np.uint16)).save(tmp_path / "deep.png")
    drawing(0)[0].save(tmp_path / "plain.png")
    translator.folder(tmp_path / "deep.png", tmp_path / "o" / "deep.png")
    translator.folder(tmp_path / "plain.png", tmp_path / "o" / "plain.png")
    assert asked == [("eager", "fp32"), ("eager", "bf16")]


def test_a_batch_that_goes_on_keeps_its_engine_and_its_tiles(model, sizes, tmp_path, monkeypatch):
    """Else a machine that is busier today, or has another library, would leave a folder of two kinds."""
    out = tmp_path / "o"
    run_here("translate", model, sizes, out)
    before = tree(out)
    last = max(out.glob("*.png"))
    last.unlink()
    with monkeypatch.context() as patch:
        patch.setattr("img2img.translate.translator.fastest", lambda *_: pytest.fail("chose again"))
        patch.setattr("img2img.translate.memory.free_bytes_of", lambda _: pytest.fail("asked again"))
        said = run_here("translate", model, sizes, out).stdout
    assert "1 translated, 0 failed, 7 skipped" in said
    assert tree(out) == before
    said = run_here("translate", model, sizes, out, "--batch", "2", code=1).stderr
    assert "batch 1, now 2" in said


def test_a_picture_does_not_depend_on_its_batch(model, sizes, tmp_path):
    """Neither on how full it is, nor on where in it the picture lies, nor on the device beside."""
    few = tmp_path / "few"
    few.mkdir()
    for name in ("2.png", "7.png"):
        (few / name).write_bytes((sizes / name).read_bytes())
    run_here("translate", model, few, tmp_path / "o", "--batch", "4")
    run_here("translate", model, sizes, tmp_path / "all", "--batch", "4")
    for name in ("2.png", "7.png"):
        assert (tmp_path / "o" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()
    run_here("translate", model, sizes, tmp_path / "one")
    run_here("translate", model, sizes, tmp_path / "two", "--devices", "cpu,cpu")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--devices", "2"], "--devices 2: this machine's torch sees 0 CUDA devices"),
        (["--devices", "cpu,tpu"], "--device tpu: unknown"),
        (["--device", "cuda:7"], "this machine's torch has no cuda:7 device; available: cpu"),
        (
            ["--engine", "onix"],
            "--engine onix: expected auto, eager, compiled, onnx, openvino, int8; did you mean 'onnx'?",
        ),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="has the devices that are refused here")
def test_what_is_not_there_is_said(model, sizes, tmp_path, words, said):
    assert said in run_here("translate", model, sizes, tmp_path / "o", *words, code=1).stderr


def test_dropout_is_drawn_by_eager_alone(tmp_path, model):
    with pytest.raises(ConfigError, match="no dropout"):
        img2img.load(model, "cpu", stochastic=True)
    network = {"a:b": ResNetGenerator(3, 3, base_channels=4, num_blocks=1, dropout=0.5)}
    with pytest.raises(ConfigError, match="by engine eager alone, got onnx"):
        img2img.translate.translator.Translator(network, {}, stochastic=True, engine="onnx")
