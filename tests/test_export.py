"""An exported file does what the translator does: any size, any batch, in programs that know nothing of this one."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import io
import json
import re
import shutil
import subprocess
import sys
import threading
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

import img2img
from img2img.__main__ import main
from img2img.checkpoint import save_translator
from img2img.errors import ConfigError, ModelFileError
from img2img.exchange import exporting
from img2img.exchange.agreement import Difference
from img2img.exchange.exporting import METADATA_FILE, OPSET, export
from img2img.exchange.graph import captured
from img2img.networks.base import Generator
from tests.conftest import CHROMIUM, ROOT, drawing, in_chromium
from tests.discover import GENERATORS
from tests.test_checkpoint import a_file

TINY = {"num_blocks": 0, "num_halvings": 0}
"""Two convolutions: what is tested is around them, and an exporter takes its time for every layer."""


def tiny(**options):
    return a_file(img2img.ResNetGenerator, **{**TINY, **options})


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A translator and what ``img2img export`` made of it: its folder, the file, the network and what was said."""
    folder = tmp_path_factory.mktemp("ready")
    file, networks = tiny(channels=(1, 3))
    save_translator(folder / "model.safetensors", file)
    said = io.StringIO()
    words = (folder / "model.safetensors", folder / "m.onnx", "--weights", "raw", "--licence", "research only")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(sys, "argv", ["img2img", "export", *map(str, words)])
        with pytest.raises(SystemExit, match="0"):
            main()
    return folder, file, img2img.Translator(networks, file.header), said.getvalue()


def session_of(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def assert_close(found, expected):
    error = np.abs(found.astype(float) - expected.astype(float))
    assert error.max() <= 1
    assert error.mean() < 1e-4 * 127.5


SIZES = [(1, 5, 9), (3, 33, 47), (2, 64, 32)]
RESIZED = {"upsample": "resize", "downsample": "blur", "norm": "batch", "padding": "replicate"}
SMOOTH = {"upsample": "bilinear", "norm": "batch-running", "padding": "zeros"}
CUT = {"upsample": "cut", "downsample": "cut", "norm": "none"}
FEW_LAYERS = {"num_halvings": 1, "num_blocks": 0}
SUBJECTS = [
    *((cls, (1, 3), {}) for cls in GENERATORS),
    (img2img.UNetGenerator, (3, 3), {**RESIZED, "depth": 3, "dropout": 0}),
    *((img2img.ResNetGenerator, (3, 1), {**options, **FEW_LAYERS}) for options in (SMOOTH, CUT)),
]


@pytest.mark.parametrize(("cls", "channels", "options"), SUBJECTS)
def test_every_generator_exports_for_any_size_and_batch(tmp_path, cls, channels, options):
    file, networks = a_file(cls, channels=channels, **options)
    made = export(file, tmp_path / "m.onnx", weights="raw")
    assert len(made.differences) == 6
    session = session_of(tmp_path / "m.onnx")
    translator = img2img.Translator(networks, file.header)
    for batch, height, width in SIZES:
        pictures = noise(batch, height, width, channels[0])
        expected = np.stack([translator(picture) for picture in pictures])
        (found,) = session.run(None, {"image": pictures})
        assert found.dtype == np.uint8
        assert_close(found.reshape(expected.shape), expected)


class Turned(Generator):
    """Turns its input upside down, so that what was mirrored below the image comes to lie on top, where it is kept."""

    size_multiple, smallest_side = 16, 32

    def __init__(self, in_channels=3, out_channels=3):
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels

    def translate(self, source):
        return source.flip(-2).flip(-1)


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_mirroring_and_cropping_inside_the_graph_are_exact(suffix):
    """Also where the pad is larger than the image, and for one pixel."""
    program = captured(Turned(), "uint8")
    data = exporting.onnx_bytes(program, {"target": "turned"}) if suffix == ".onnx" else exporting._pt2(program, {})
    run = (exporting._onnx_run if suffix == ".onnx" else exporting._pt2_run)(data)
    for height, width in ((1, 1), (1, 40), (2, 3), (16, 33), (31, 32), (32, 48), (70, 5)):
        for batch in (1, 2):
            picture = noise(batch, height, width, 3)
            source = torch.from_numpy(picture).permute(0, 3, 1, 2).float() / 127.5 - 1
            expected = ((Turned()(source) + 1) * 127.5).round().permute(0, 2, 3, 1).to(torch.uint8).numpy()
            assert np.array_equal(run(picture), expected), (height, width, batch)


def test_floats_stay_below_a_ten_thousandth(tmp_path):
    file, networks = tiny()
    export(file, tmp_path / "m.onnx", weights="raw", values="float")
    image = torch.rand(2, 3, 37, 50) * 2 - 1
    (found,) = session_of(tmp_path / "m.onnx").run(None, {"image": image.numpy()})
    with torch.no_grad():
        expected = networks["line:colour"].eval()(image).numpy()
    assert found.dtype == np.float32
    assert np.abs(found - expected).mean() < 1e-4


def test_torch_export(tmp_path):
    file, networks = tiny(num_halvings=1)
    made = export(file, tmp_path / "m.pt2", weights="raw")
    assert len(made.differences) == 6
    extra = {METADATA_FILE: ""}
    module = torch.export.load(tmp_path / "m.pt2", extra_files=extra).module()
    assert json.loads(extra[METADATA_FILE])["target"] == "colour"
    with zipfile.ZipFile(tmp_path / "m.pt2") as archive:
        assert not any(str(ROOT).encode() in archive.read(name) for name in archive.namelist()), (
            "a path of this machine"
        )
    pictures = noise(3, 21, 40, 3)
    translator = img2img.Translator(networks, file.header)
    found = module(torch.from_numpy(pictures)).numpy()
    assert_close(found, np.stack([translator(picture) for picture in pictures]))


def test_the_file_says_what_it_is(ready):
    folder, file, _, _ = ready
    said = session_of(folder / "m.onnx").get_modelmeta().custom_metadata_map
    assert (said["source"], said["target"], said["licence"]) == ("line", "colour", "research only")
    assert said["input"] == "uint8 [batch, height, width, channels], 0 to 255"
    assert (said["size_multiple"], said["smallest_side"], said["channels_in"]) == ("1", "4", "1")
    model = onnx.load(folder / "m.onnx")
    onnx.checker.check_model(model)
    assert {o.domain: o.version for o in model.opset_import}[""] == OPSET
    for value, channels in ((model.graph.input[0], 1), (model.graph.output[0], 3)):
        dims = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        assert dims == ["batch", "height", "width", channels]
    assert str(ROOT).encode() not in (folder / "m.onnx").read_bytes(), "a path of this machine"
    assert "not stated" in exporting._metadata(file.header, "line:colour", "uint8", "")["licence"]
    its_own = {**file.header, "licence": "CC BY 4.0"}
    assert exporting._metadata(its_own, "line:colour", "float", "")["licence"] == "CC BY 4.0"


def test_direction_and_weights_can_be_chosen(tmp_path):
    file, networks = tiny(directions=("horse:zebra", "zebra:horse"))
    picture = noise(1, 16, 16, 3)
    export(file, tmp_path / "m.onnx", to="horse", weights="raw", check=False)
    (found,) = session_of(tmp_path / "m.onnx").run(None, {"image": picture})
    assert_close(found[0], img2img.Translator(networks, file.header)(picture[0], "horse"))
    made = export(file, tmp_path / "m.onnx", check=False)
    assert made.direction == "horse:zebra"
    averaged = {direction: file.generator(direction, "ema") for direction in file.directions}
    (found,) = session_of(tmp_path / "m.onnx").run(None, {"image": picture})
    assert_close(found[0], img2img.Translator(averaged, file.header)(picture[0], "zebra"))
    with pytest.raises(ConfigError, match="did you mean 'zebra'"):
        export(file, tmp_path / "m.onnx", to="zebr")


def test_a_graph_that_is_wrong_is_not_written(tmp_path, monkeypatch, ready):
    folder, file, _, _ = ready
    monkeypatch.setattr(exporting, "onnx_bytes", lambda *_: (folder / "m.onnx").read_bytes())
    (tmp_path / "m.onnx").write_bytes(b"an earlier file")
    honest = exporting._onnx_run

    def dishonest(data):
        run = honest(data)
        return lambda image: (run(image) // 8) * 8

    monkeypatch.setattr(exporting, "_onnx_run", dishonest)
    with pytest.raises(ModelFileError, match=r"differs .* levels.* nothing was written"):
        export(file, tmp_path / "m.onnx", weights="raw")
    assert (tmp_path / "m.onnx").read_bytes() == b"an earlier file"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert not Difference(1, 8, 8, float("nan"), float("nan")).within


def test_a_file_that_onnx_cannot_hold_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "_LARGEST_ONNX", 1000)
    with pytest.raises(ConfigError, match=r"less than 2 GB.*use NAME.pt2"):
        export(tiny()[0], tmp_path / "m.onnx")


@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
def test_what_is_not_installed_is_named(tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'img2img-toolkit\[onnx\]'") as caught:
        export(tiny()[0], tmp_path / "m.onnx")
    assert missing in str(caught.value)
    assert ("--no-check" in str(caught.value)) == (missing == "onnxruntime")


def test_the_command_prints_the_differences(ready):
    said = ready[-1]
    assert re.search(r"m\.onnx: line -> colour, ONNX, opset 18, \d+\.\d MB", said)
    assert len(re.findall(r"px, batch [13]: differs from the network by at most \S+ of 255 levels, \S+ on", said)) == 6


def test_the_example_program_needs_neither_torch_nor_this_package(tmp_path, ready):
    folder, _, translator, _ = ready
    drawing(1, (70, 33))[0].save(tmp_path / "in.png")
    alone = "import sys, runpy; sys.modules |= {'torch': None, 'img2img': None}; p = sys.argv.pop(1); sys.argv[0] = p; "
    done = subprocess.run(
        [
            *(sys.executable, "-c", alone + "runpy.run_path(p, run_name='__main__')"),
            *(ROOT / "examples/onnxruntime_translate.py", folder / "m.onnx", tmp_path / "in.png", tmp_path / "out.png"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "line -> colour; licence: research only" in done.stdout
    translator.folder(tmp_path / "in.png", tmp_path / "ours.png")
    with Image.open(tmp_path / "out.png") as found, Image.open(tmp_path / "ours.png") as expected:
        assert_close(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("m.pth",), "ends in .onnx or .pt2"),
        (("m.onnx", "--to", "line"), "cannot translate to 'line'"),
        (("m.onnx", "--range", "unit"), "expected uint8 or float"),
        (("m.onnx", "--weights", "best"), "expected ema or raw"),
        (("nowhere/m.onnx",), "existing folder"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, ready, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["img2img", "export", str(ready[0] / "model.safetensors"), *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert message in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


RUNTIME = ROOT / "examples/web/ort/ort.wasm.min.js"


WAIT = """
<img src="/held" alt="">
<script>
  const tell = () => (byId("after").dataset.png || byId("status").textContent.startsWith("Failed")) && fetch("/done");
  new MutationObserver(tell).observe(document.body, { attributes: true, childList: true, subtree: true });
</script>
"""
"""A browser that only prints a page waits for its images and not for its computing: one that comes when all is done."""


class Server(http.server.SimpleHTTPRequestHandler):
    done = threading.Event()

    def do_GET(self):
        if self.path == "/held":
            self.done.wait(90)
        elif self.path == "/done":
            self.done.set()
        else:
            super().do_GET()
            return
        self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.mark.skipif(not (RUNTIME.exists() and CHROMIUM), reason="examples/web/README.md: onnxruntime-web and Chromium")
def test_the_page_translates_in_a_browser(tmp_path, ready):
    site = tmp_path / "site"
    shutil.copytree(ROOT / "examples/web", site)
    shutil.copy(ready[0] / "m.onnx", site / "model.onnx")
    page = (site / "index.html").read_text()
    (site / "index.html").write_text(page.replace("</html>", WAIT + "</html>"))
    drawing(1, (70, 33))[0].save(site / "in.png")
    Server.done.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=site))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/index.html?image=in.png"
        done = in_chromium(tmp_path, "--virtual-time-budget=30000", "--dump-dom", address)
    finally:
        server.shutdown()
        server.server_close()
    found = re.search(r'data-png="data:image/png;base64,([^"]+)"', done.stdout)
    assert found, re.findall(r'role="status">([^<]*)', done.stdout) or done.stderr[-500:]
    ready[2].folder(site / "in.png", tmp_path / "ours.png")
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as page, Image.open(tmp_path / "ours.png") as ours:
        assert_close(np.asarray(page.convert("RGB")), np.asarray(ours))
