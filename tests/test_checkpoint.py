"""The translator file: self-describing, and refusing everything else in one line."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import img2img
from img2img.checkpoint import (
    FORMAT,
    TranslatorFile,
    header_of,
    load_translator,
    read_header,
    save_translator,
    tensors_of,
)
from img2img.configured import describe
from img2img.errors import ConfigError, ModelFileError
from img2img.networks.layers.convolutions import as_torch_does
from img2img.networks.layers.init import initialise
from tests.discover import GENERATORS
from tests.test_networks import SMALL


def a_file(cls=img2img.UNetGenerator, directions=("line:colour",), channels=(3, 3), **options):
    torch.manual_seed(0)
    networks, tensors = {}, {}
    for direction in directions:
        network = cls(*channels, **{**SMALL[cls.__name__], **options})
        initialise(network, gain=0.3)
        networks[direction] = network
        tensors |= tensors_of(direction, network, "raw")
        averaged = {k.replace("/raw/", "/ema/"): v * 1.01 for k, v in tensors_of(direction, network, "raw").items()}
        tensors |= averaged
    header = header_of(
        tuple(directions[0].split(":")), networks, {d: describe(n) for d, n in networks.items()}, {}, {"scores": {}}
    )
    return TranslatorFile(header, tensors), networks


@pytest.mark.parametrize("cls", GENERATORS)
@pytest.mark.parametrize("channels", [(3, 3), (1, 3)])
def test_a_translator_needs_nothing_but_its_file(tmp_path, monkeypatch, cls, channels):
    file, networks = a_file(cls, channels=channels)
    save_translator(tmp_path / "m.safetensors", file)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    translator = img2img.load("../m.safetensors", "cpu", precision="fp32", weights="raw")
    image = torch.rand(1, channels[0], 37, 50) * 2 - 1
    as_torch_does(networks["line:colour"])
    with torch.no_grad():
        assert torch.equal(translator.tensor(image), networks["line:colour"].eval()(image))
    assert not torch.equal(
        img2img.load("../m.safetensors", "cpu", precision="fp32").tensor(image), translator.tensor(image)
    )  # ema by default


def test_the_header_says_what_the_issue_asks_for(tmp_path):
    file, _ = a_file(img2img.ResNetGenerator, ("horse:zebra", "zebra:horse"))
    save_translator(tmp_path / "m.safetensors", file)
    header = read_header(tmp_path / "m.safetensors")
    assert header["format"] == FORMAT
    assert header["domains"] == ["horse", "zebra"]
    direction = header["directions"]["zebra:horse"]
    assert direction["generator"]["class_path"] == "img2img.ResNetGenerator"
    assert direction["input"] == {"name": "zebra", "type": "image", "channels": 3, "range": [0, 255]}
    assert direction["size_multiple"] == 4
    assert direction["norm_statistics"] == "the translated image itself"


def test_directions_by_name(tmp_path):
    file, _ = a_file(img2img.ResNetGenerator, ("horse:zebra", "zebra:horse"))
    save_translator(tmp_path / "m.safetensors", file)
    translator = img2img.load(tmp_path / "m.safetensors", "cpu", precision="fp32")
    assert translator.direction() == "horse:zebra"
    assert translator.direction("horse") == "zebra:horse"
    with pytest.raises(ConfigError, match="did you mean 'zebra'"):
        translator.direction("zebr")


def damaged(tmp_path, kind):
    path = tmp_path / "m.safetensors"
    file, _ = a_file()
    save_translator(path, file)
    data = path.read_bytes()
    match kind:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(data[:-100])
        case "cut in the header":
            path.write_bytes(data[:50])
        case "huge header":
            path.write_bytes((2**60).to_bytes(8, "little") + data[8:])
        case "pickle":
            path.write_bytes(pickle.dumps({"x": 1}))
        case "torch file":
            torch.save({"x": torch.zeros(2)}, path)
        case "foreign":
            save_file({"x": torch.zeros(2)}, path)
        case "newer":
            save_translator(path, TranslatorFile({**file.header, "format": FORMAT + 1, "version": "9.9"}, file.tensors))
        case "damaged header":
            save_file({"x": torch.zeros(2)}, path, metadata={"img2img": "{not json"})
        case "no direction":
            save_file({"x": torch.zeros(2)}, path, metadata={"img2img": json.dumps({"format": 1, "directions": {}})})
        case "wrong shape":
            name = next(iter(file.tensors))
            save_translator(
                path,
                TranslatorFile(
                    file.header, {**file.tensors, name: torch.zeros(1), name.replace("raw", "ema"): torch.zeros(1)}
                ),
            )
        case "missing tensor":
            save_translator(path, TranslatorFile(file.header, dict(list(file.tensors.items())[1:-1])))
        case "nan":
            name = next(iter(file.tensors))
            save_translator(
                path, TranslatorFile(file.header, {**file.tensors, name: file.tensors[name] * float("nan")})
            )
        case "code":
            header = json.loads(json.dumps(file.header))
            header["directions"]["line:colour"]["generator"] = {
                "class_path": "subprocess.Popen",
                "init_args": {"args": ["false"]},
            }
            save_translator(path, TranslatorFile(header, file.tensors))
        case "flipped byte":
            path.write_bytes(data[:-1000] + bytes([data[-1000] ^ 1]) + data[-999:])
        case "folder":
            path = tmp_path
            (tmp_path / "m.safetensors").unlink()
    return path


KINDS = {
    "missing": "no such",
    "empty": "not a safetensors file, or truncated",
    "cut": "truncated",
    "cut in the header": "truncated",
    "huge header": "truncated",
    "pickle": "pickle",
    "torch file": "pickle",
    "foreign": "not an img2img translator",
    "newer": "written by img2img 9.9",
    "damaged header": "damaged",
    "no direction": "no direction",
    "wrong shape": "expected .* of shape",
    "missing tensor": "expected .* of shape",
    "nan": "NaN",
    "code": "cannot be built",
    "flipped byte": "not those it was saved with",
    "folder": "no translator.safetensors",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_bad_file_is_refused_in_one_line(tmp_path, kind):
    path = damaged(tmp_path, kind)
    with pytest.raises(ModelFileError, match=KINDS[kind]) as caught:
        img2img.load(path, "cpu", precision="fp32")
    assert "\n" not in str(caught.value)


def test_unknown_optional_keys_are_ignored(tmp_path):
    file, _ = a_file()
    save_translator(tmp_path / "m.safetensors", TranslatorFile({**file.header, "future": [1]}, file.tensors))
    assert load_translator(tmp_path / "m.safetensors").directions == ["line:colour"]


def test_weights_stand_under_direction_and_kind(tmp_path):
    file, _ = a_file()
    save_translator(tmp_path / "m.safetensors", file)
    assert {name.rsplit("/", 1)[0] for name in load_file(tmp_path / "m.safetensors")} == {
        "line:colour/raw",
        "line:colour/ema",
    }


def test_every_kind_of_image_comes_back_as_its_kind(tmp_path):
    file, _ = a_file()
    save_translator(tmp_path / "m.safetensors", file)
    translator = img2img.load(tmp_path / "m.safetensors", "cpu", precision="fp32")
    array = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    out = translator(array)
    assert (out.dtype, out.shape) == (np.uint8, (20, 30, 3))
    assert np.array_equal(np.asarray(translator(Image.fromarray(array))), out)
    from img2img.image import to_pixels, to_tensor

    assert np.array_equal(to_pixels(translator(to_tensor(array))), out)
    assert [x.shape for x in translator([array, array[:5]])] == [(20, 30, 3), (5, 30, 3)]
    assert translator(array[..., 0]).shape == (20, 30, 3)  # grey in, as the network's channels ask
    with pytest.raises(TypeError, match="expected a PIL image"):
        translator("photo.png")
    with pytest.raises(TypeError, match="uint8"):
        translator(array.astype(float))
    with pytest.raises(TypeError, match="float tensor"):
        translator(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        translator(torch.full((3, 8, 8), 255.0))


def test_python_keeps_of_a_picture_what_the_command_keeps(tmp_path):
    """Alpha carried along, orientation applied: the same table for ``translator(image)`` and ``img2img translate``."""
    file, _ = a_file()
    save_translator(tmp_path / "m.safetensors", file)
    translator = img2img.load(tmp_path / "m.safetensors", "cpu", precision="fp32")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as opened:
        out = translator(opened)
    translator.folder(tmp_path / "x.png", tmp_path / "y.png")
    with Image.open(tmp_path / "y.png") as written:
        assert (written.mode, written.size) == ("RGBA", (20, 30))
        assert written.tobytes() == out.tobytes()
    assert np.array_equal(translator(np.asarray(picture))[..., 3], np.asarray(picture)[..., 3])


def test_dropout_is_off_unless_stochastic_and_seeded(tmp_path):
    file, _ = a_file(dropout=0.5)
    save_translator(tmp_path / "m.safetensors", file)
    image = torch.rand(1, 3, 32, 32) * 2 - 1

    def out(**options):
        return img2img.load(tmp_path / "m.safetensors", "cpu", precision="fp32", **options).tensor(image)

    assert torch.equal(out(), out())
    assert torch.equal(out(stochastic=True, seed=1), out(stochastic=True, seed=1))
    assert not torch.equal(out(stochastic=True, seed=1), out(stochastic=True, seed=2))
    assert not torch.equal(out(stochastic=True, seed=1), out())
    file, _ = a_file(dropout=0.0)
    save_translator(tmp_path / "plain.safetensors", file)
    with pytest.raises(ConfigError, match="no dropout"):
        img2img.load(tmp_path / "plain.safetensors", "cpu", precision="fp32", stochastic=True)


def test_batch_norm_generators_translate_as_published(tmp_path):
    """The published inference is batch norm in training mode, one image at a time; ours gives the same, batched too."""
    file, networks = a_file(img2img.UNetGenerator, norm="batch")
    save_translator(tmp_path / "m.safetensors", file)
    translator = img2img.load(tmp_path / "m.safetensors", "cpu", precision="fp32", weights="raw")
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    published = networks["line:colour"]
    as_torch_does(published)
    for module in list(published.modules()):
        for name, child in list(module.named_children()):
            if type(child).__name__ == "Norm2d":
                norm = torch.nn.BatchNorm2d(child.channels).train()
                norm.weight, norm.bias = child.weight, child.bias
                setattr(module, name, norm)
    published.eval()
    for layer in published.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.train()
    with torch.no_grad():
        one_by_one = torch.cat([published(image[None]) for image in images])
    assert torch.equal(torch.cat([translator.tensor(image[None]) for image in images]), one_by_one)
    torch.testing.assert_close(translator.tensor(images), one_by_one, atol=1e-5, rtol=0)
