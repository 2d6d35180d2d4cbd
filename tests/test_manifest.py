"""Manifests: typed columns are read, trained on, and written back as what they were."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import img2img
from img2img.checkpoint import TranslatorFile, header_of, save_translator, tensors_of
from img2img.configured import describe
from img2img.data.columns import parse_column
from img2img.data.manifest import is_manifest, read_manifest
from img2img.data.tools.pair import pair_in_list
from img2img.errors import ConfigError, DataError, Img2ImgError
from img2img.image import KINDS, Classes, channels_of, resized_side
from img2img.image.kinds import packed, unit_of, unpacked
from img2img.networks.base import Generator
from img2img.training.config import resolve
from img2img.translate.controls import Controls
from img2img.translate.files import Files
from img2img.translate.translator import Translator
from tests.conftest import TINY_PIX2PIX, drawing, run_here
from tests.test_data import data_of


class Identity(Generator):
    """Gives the last of its channels back as they are."""

    size_multiple, smallest_side = 1, 1

    def __init__(self, in_channels=3, out_channels=3):
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def translate(self, source):
        return source[:, -self.out_channels :]


def kind_of(text, options=None):
    return parse_column(f"a:{text}", options).kind


def header(inputs, output, scale=1):
    """The header of an identity from columns ``a:...`` to ``b:...``, as it stands in a file."""
    columns = [[parse_column(f"a:{text}") for text in inputs], [parse_column(f"a:{output}")]]
    sides = [tuple(column.kind for column in side) for side in columns]
    formats = {
        letter: [{"column": column.key, **column.kind.plain()} for column in side]
        for letter, side in zip("ab", columns, strict=True)
    }
    network = Identity(*map(channels_of, sides))
    described = {"source:target": describe(network)}
    whole = header_of(("source", "target"), {"source:target": network}, described, {}, {}, {**formats, "scale": scale})
    return network, json.loads(json.dumps(whole))


def identity(inputs, output, scale=1):
    network, whole = header(inputs, output, scale)
    return Translator({"source:target": network}, whole)


def write(path, values):
    """Write [H, W] or [H, W, C] as the ending says."""
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".tif":
        tifffile.imwrite(
            path, values, photometric="minisblack", **({"planarconfig": "contig"} if values.ndim > 2 else {})
        )
    else:
        Image.fromarray(values).save(path)


def read(path):
    if path.suffix == ".npy":
        return np.load(path)
    return tifffile.imread(path) if path.suffix == ".tif" else np.asarray(Image.open(path))


KIND_CASES = {
    "rgb": (np.uint8, (3,), ".png"),
    "gray": (np.uint8, (), ".png"),
    "edge": (np.uint8, (), ".png"),
    "mask": (np.uint8, (), ".png"),
    "gray16": (np.uint16, (), ".png"),
    "rgb16": (np.uint16, (3,), ".tif"),
    "label*12": (None, (), ".png"),
    "uint8*5": (np.uint8, (5,), ".npy"),
    "uint16*2": (np.uint16, (2,), ".tif"),
    "float*4[-2..6]": (np.float32, (4,), ".tif"),
    "float[0..1]": (np.float32, (), ".npy"),
}


def test_every_kind_has_a_round_trip():
    assert {kind_of(text).name for text in KIND_CASES} == set(KINDS)


@pytest.mark.parametrize("text", KIND_CASES)
@given(data=st.data())
@settings(max_examples=5)
def test_what_is_read_is_what_is_written(text, data, tmp_path_factory):
    """Through the real translate path, with a network that changes nothing."""
    height, width, seed = (data.draw(st.integers(1, high)) for high in (40, 40, 2**31))
    rng = np.random.default_rng(seed)
    dtype, channels, ending = KIND_CASES[text]
    shape = (height, width, *channels)
    if dtype is None:
        values = rng.integers(0, 12, shape).astype(np.uint8)
    elif dtype == np.float32:
        low, high = kind_of(text).value_range
        values = rng.uniform(low, high, shape).astype(np.float32).clip(low, high)
    else:
        values = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    folder = tmp_path_factory.mktemp("round")
    (folder / "in").mkdir()
    if text == "rgb16":
        tifffile.imwrite(folder / "in" / f"x{ending}", values, photometric="rgb")
    else:
        write(folder / "in" / f"x{ending}", values)
    report = identity([text], text).folder(folder / "in", folder / "out")
    assert [entry.status for entry in report.entries] == ["translated"], report.entries
    found = read(folder / "out" / f"x{ending}")
    assert (found.dtype, found.shape) == (values.dtype, values.shape)
    if dtype == np.float32:  # a network's input is float32 in [-1, 1], of which 2**-24 is the finest step
        assert np.abs(found - values).max() <= (high - low) * 2**-23
    else:
        assert np.array_equal(found, values)


def test_a_label_map_comes_back_with_its_palette_and_its_void(tmp_path):
    colours = [[0, 0, 255], [0, 255, 0], [9, 9, 9]]
    options = {"a:label": {"classes": {3: "sky", 7: "tree", 200: "wall"}, "palette": colours, "void": 255}}
    kind = kind_of("label", options)
    ids = np.array([[3, 7, 200, 255], [255, 200, 7, 3]], np.uint8)
    painted = np.array([[*colours, colours[0]]], np.uint8)
    write(tmp_path / "ids.png", ids)
    write(tmp_path / "painted.png", painted)
    network = Identity(3, 3)
    formats = {letter: [{"column": f"{letter}:label", **kind.plain()}] for letter in "ab"}
    whole = header_of(("s", "t"), {"s:t": network}, {"s:t": describe(network)}, {}, {}, formats)
    report = Translator({"s:t": network}, whole).folder(
        [tmp_path / "ids.png", tmp_path / "painted.png"], tmp_path / "out"
    )
    assert [entry.status for entry in report.entries] == ["translated"] * 2, report.entries
    with Image.open(tmp_path / "out" / "ids.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), ids)
        assert image.convert("RGB").getpixel((0, 0)) == tuple(colours[0])
    with Image.open(tmp_path / "out" / "painted.png") as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), painted)


@given(seed=st.integers(0, 2**31), size=st.tuples(st.integers(1, 30), st.integers(1, 30)))
def test_planes_of_several_kinds_go_together_and_come_apart(seed, size):
    side = tuple(map(kind_of, ("rgb", "gray16", "label*5", "float*2[0..1]")))
    rng = np.random.default_rng(seed)
    each = [
        rng.integers(0, 256, (9, 7, 3)).astype(np.uint8),
        rng.integers(0, 65536, (9, 7, 1)).astype(np.uint16),
        rng.integers(0, 5, (9, 7, 1)).astype(np.uint8),
        rng.uniform(-1, 1, (9, 7, 2)).astype(np.float32),
    ]
    whole = packed(each)
    assert all(np.array_equal(mine, planes) for mine, (_, planes) in zip(each, unpacked(side, whole), strict=True))
    image = unit_of(side, img2img.image.as_tensor(whole)[None])
    alone = [kind.unit(img2img.image.as_tensor(one)[None]) for kind, one in zip(side, each, strict=True)]
    assert torch.equal(image, torch.cat(alone, 1))
    one_hot = image[0, 4:9]
    assert torch.equal(one_hot.max(0).values, torch.ones(9, 7))
    assert torch.equal(one_hot.sum(0), torch.full((9, 7), -3.0))  # one 1 among four -1
    *_, (_, labels), _ = unpacked(side, resized_side(side, whole, *size))
    assert set(np.unique(labels)) <= set(np.unique(each[2]))


# Reading


def listed(folder, text, name="list.csv"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty list"),
        ("a:rgb,b:rgb\n", "header without rows"),
        ("a:rgb,a:rgb,b:rgb\nx,y,z\n", r"list\.csv line 1, column a:rgb: it stands there twice"),
        ("a:rgb,a:rgb=gray,b:rgb\nx,y,z\n", r"line 1, column a:rgb=gray: a duplicate of a:rgb"),
        ("a:rbg,b:rgb\nx,y\n", r"line 1, column a:rbg: no such kind: rbg; did you mean 'rgb'"),
        ("c:rgb,b:rgb\nx,y\n", r"line 1, column c:rgb: side c: expected a \(source\) or b"),
        ("photo,b:rgb\nx,y\n", r"line 1, column photo: expected SIDE:KIND"),
        ("a:label,b:rgb\nx,y\n", r"column a:label: label: expected a number of classes"),
        ("a:label*1,b:rgb\nx,y\n", "expected 2 to 255 classes, got 1"),
        ("a:float,b:rgb\nx,y\n", r"column a:float: float: expected the range"),
        ("a:float[1..0],b:rgb\nx,y\n", r"expected the range"),
        ("a:rgb*4,b:rgb\nx,y\n", "fixed number of channels"),
        ("a:rgb[0..1],b:rgb\nx,y\n", "its range follows from its bits"),
        ("a:rgb,b:mask\nx,y\n", "column b:mask: losses are not weighted"),
        ("a:rgb,b:rgb\nx,y\nx\n", r"line 3: 1 cells, where the header has 2 columns"),
        ("a:rgb,b:rgb,split\nx,y,trian\n", r"line 2, column split: no such split: trian; did you mean 'train'"),
        (b"a:rgb,b:rgb\nx,y\n\xe4,z\n", r"line 3: not UTF-8"),
        ('a:rgb,b:rgb\n"x,y\n', "not valid CSV"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused_with_line_and_column(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(listed(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"a:rgb": "x", "b:rgb": "y"}\n{"a:rgb": "x", "b:rbg": "y"}',
            r"line 2, column b:rbg: the first line has no such",
        ),
        ('{"a:rgb": "x", "a:rgb": "y"}', "line 1, column a:rgb: it stands there twice"),
        ('{"a:rgb": 3, "b:rgb": "y"}', "line 1, column a:rgb: expected the path of a file in quotes, got 3"),
        ('{"a:rgb": "x"\n', "line 1: not valid JSON"),
        ("[1]", "line 1: expected an object"),
    ],
)
def test_json_lines_too(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_manifest(listed(tmp_path, text, "list.jsonl"))


@pytest.fixture
def scene(tmp_path):
    """Eight photos with ids, 16 bits and five bands of them."""
    rng = np.random.default_rng(0)
    for folder in ("photo", "ids", "deep", "bands"):
        (tmp_path / folder).mkdir()
    for i in range(8):
        colour = np.asarray(drawing(i)[1])
        write(tmp_path / "photo" / f"{i}.png", colour)
        write(tmp_path / "ids" / f"{i}.png", (colour[..., 0] // 64).astype(np.uint8))
        write(tmp_path / "deep" / f"{i}.png", colour[..., 1].astype(np.uint16) * 200 + 3)
        write(tmp_path / "bands" / f"{i}.npy", rng.integers(0, 256, (*colour.shape[:2], 5)).astype(np.uint8))
    return tmp_path


def rows(folder, head, *patterns, name="list.csv", count=8):
    lines = [",".join(pattern.format(i) for pattern in patterns) for i in range(count)]
    return listed(folder, "\n".join([head, *lines]), name)


@pytest.mark.parametrize(
    ("head", "patterns", "message"),
    [
        ("a:rgb,b:rgb", ("photo/{}.png", "photos/{}.png"), r"line 2, column b:rgb: photos/0\.png: no such file"),
        ("a:gray16,b:rgb", ("photo/{}.png", "photo/{}.png"), r"column a:gray16: photo/0\.png: 8 bits .* gray16 has 16"),
        ("a:rgb,b:rgb", ("deep/{}.png", "photo/{}.png"), r"16 bits a channel, where rgb has 8 \(say rgb16\)"),
        ("a:gray,b:rgb", ("photo/{}.png", "photo/{}.png"), "a picture in colours, where gray is grey"),
        ("a:label*3,b:rgb", ("ids/{}.png", "photo/{}.png"), r"\*3: ids/0\.png: ids 3 are none of the classes 0 to 2"),
        ("a:label*3,b:rgb", ("photo/{}.png", "photo/{}.png"), "state the palette"),
        ("a:uint8*4,b:rgb", ("bands/{}.npy", "photo/{}.png"), "5 channels, where 4 were said"),
        ("a:uint16*5,b:rgb", ("bands/{}.npy", "photo/{}.png"), "an array of uint8, where uint16 was said"),
        ("a:float*5[0..99],b:rgb", ("bands/{}.npy", "photo/{}.png"), r"leave the stated range 0\.\.99"),
        ("a:rgb,b:rgb", ("photo/{}.png", ""), "column b:rgb: no file; a pair has both sides"),
        ("a:rgb", ("photo/{}.png",), "no column of side b"),
        ("a:rgb,b:rgb,b:gray16", ("photo/{}.png", "photo/{}.png", "deep/{}.png"), "a translation is one file"),
    ],
)  # fmt: skip
def test_files_are_looked_at_before_training(scene, head, patterns, message):
    with pytest.raises(DataError, match=message) as caught:
        data_of(rows(scene, head, *patterns))
    assert "list.csv line" in str(caught.value)


def test_a_folder_is_the_short_form_of_a_manifest(pairs):
    """The list that ``img2img data pair`` writes gives the samples of the folders, bit for bit."""
    path = pairs / "pairs.csv"
    pair_in_list(pairs / "line", pairs / "colour", path)
    assert is_manifest(path)
    options = {"photometric": 0.5, "seed": 3, "batch_size": 2}
    folder, manifest = data_of(pairs, domains=["line", "colour"], **options), data_of(path, **options)
    for mine, theirs in zip(folder.train_dataloader(), manifest.train_dataloader(), strict=True):
        assert torch.equal(mine.a, theirs.a)
        assert torch.equal(mine.b, theirs.b)
    assert manifest.domains == ("A", "B")


@pytest.mark.parametrize("cache", ["off", "disk"])
def test_several_inputs_are_concatenated(scene, cache, monkeypatch):
    monkeypatch.setenv("IMG2IMG_CACHE", str(scene / "cache"))
    path = rows(scene, "a:label*4;a:gray16;b:uint8*5".replace(";", ","), "ids/{}.png", "deep/{}.png", "bands/{}.npy")
    data = data_of(path, size=[40, 48], load_size=[40, 48], flip=False, hold_out=0.0, cache=cache)
    assert (data.channels_a, data.channels_b, data.domains) == (5, 5, ("label", "uint8"))
    for _ in range(2):
        for batch in data.train_dataloader():
            name = batch.names_a[0].removeprefix("ids/")
            image = data.on_after_batch_transfer(batch, 0)
            ids = torch.from_numpy(read(scene / "ids" / name).astype(np.int64))
            assert torch.equal(image.a[0, :4].argmax(0), ids)
            deep = torch.from_numpy(read(scene / "deep" / name).astype(np.float32))
            assert torch.equal(image.a[0, 4], deep / 32767.5 - 1)
            bands = torch.from_numpy(np.load(scene / "bands" / name.replace("png", "npy")))
            assert torch.equal(image.b[0], bands.permute(2, 0, 1).float() / 127.5 - 1)


def test_splits_sides_and_directions(scene):
    splits = ["train"] * 5 + ["val", "VALID", "test"]
    text = "\n".join(["a:rgb,b:label*4,split", *(f"photo/{i}.png,ids/{i}.png,{s}" for i, s in enumerate(splits))])
    data = data_of(listed(scene, text), to="rgb")
    assert (data.domains, data.channels_a, data.channels_b) == (("label", "rgb"), 4, 3)
    layout = data.layout
    assert (len(layout.train.a), len(layout.validation.a), len(layout.test.a)) == (5, 2, 1)
    assert layout.train.b[0].name == "photo/0.png"
    with pytest.raises(DataError, match="--to photo: the domains here are rgb and label"):
        data_of(listed(scene, text), to="photo")


def test_unpaired_rows_hold_one_side_or_lists_of_their_own(scene):
    text = "\n".join(["a:rgb,b:gray16", *(f"photo/{i}.png," for i in range(8)), *(f",deep/{i}.png" for i in range(5))])
    mixed = data_of(listed(scene, text), paired=False, hold_out=0.0)
    rows(scene, "a:rgb", "photo/{}.png", name="photos.csv")
    rows(scene, "b:gray16", "deep/{}.png", name="deep.csv", count=5)
    data = img2img.ImageData(
        [str(scene / "photos.csv"), str(scene / "deep.csv")], paired=False, size=32, workers=0, hold_out=0.0
    )
    data.setup()
    for one in (mixed, data):
        assert (one.channels_a, one.channels_b) == (3, 1)
        assert len(one.layout.train.a) > len(one.layout.train.b) > 0
        batch = next(iter(one.train_dataloader()))
        assert (batch.a.dtype, batch.b.dtype) == (torch.uint8, torch.uint16)
    with pytest.raises(DataError, match="a pair has both sides"):
        data_of(scene / "list.csv")


def test_options_beside_the_list(scene):
    path = rows(scene, "a:zones=label,b:rgb", "ids/{}.png", "photo/{}.png")
    beside = scene / "list.columns.yaml"
    beside.write_text("'a:zones': {classes: [none, sky, wall, door], void: 9}")
    kind = data_of(path).sides[0][0]
    assert kind.classes == Classes((0, 1, 2, 3), ("none", "sky", "wall", "door"), None, 9)
    for text, message in (
        ("'a:zone': {classes: 4}", "column a:zone: list.csv has no such column; did you mean 'a:zones'"),
        ("'a:zones': {clases: 4}", "label has no option clases; did you mean 'classes'"),
        ("'a:zones': {classes: 4, palette: [[0, 0, 0]]}", "expected 4 different colours"),
        ("[1]", "expected options by column"),
        ("{", "not valid YAML"),
    ):
        beside.write_text(text)
        with pytest.raises(DataError, match=message):
            data_of(path)
    assert data_of(path, columns={"a:zones": {"classes": 4}}).channels_a == 4


def test_what_cannot_go_together_is_refused_in_one_line(scene, pairs):
    path = rows(scene, "a:label*4,b:rgb", "ids/{}.png", "photo/{}.png")
    for options, message in (
        ({"photometric": 0.5}, "--data.photometric changes light and colour, which label has not"),
        ({"channels_a": 1}, "channels_a: a manifest has no use for it"),
        ({"allow_orphans": True}, "allow_orphans: a manifest has no use for it"),
        ({"scale": 2, "paired": False}, "scale: expected 1"),
        ({"scale": 2}, "expected a target 2 times as large"),
    ):
        with pytest.raises((ValueError, Img2ImgError), match=message):
            next(iter(data_of(path, **options).train_dataloader()))
    with pytest.raises(ValueError, match="columns: a folder has no use for it"):
        data_of(pairs, columns={})
    data = data_of(path)
    data.trainer = type("Trainer", (), {"lightning_module": type("Module", (), {"channels_a": 3, "channels_b": 3})})
    with pytest.raises(ConfigError, match="channels_a: the data has 4, the method takes 3; build it with channels_a=4"):
        data.setup()


# Different sizes


def test_crops_of_larger_targets_are_of_the_same_place(tmp_path):
    for i in range(8):
        y, x = np.mgrid[:64, :96]
        large = np.stack([4 * y, 2 * x, 0 * x + 20 * i], 2).astype(np.uint8)
        small = np.asarray(Image.fromarray(large).resize((24, 16), Image.Resampling.BOX))
        write(tmp_path / f"b{i}.png", large)
        write(tmp_path / f"a{i}.png", small)
    data = data_of(rows(tmp_path, "a:rgb,b:rgb", "a{}.png", "b{}.png"), scale=4, resize="none")
    for batch in data.train_dataloader():
        assert batch.a.shape == batch.b.shape == (1, 3, 32, 32)
        assert (batch.a.float() - batch.b.float()).abs().max() <= 8
    translator = identity(["rgb"], "rgb", scale=4)
    write(tmp_path / "c.png", small)
    translator.folder(tmp_path / "c.png", tmp_path / "d.png")
    assert np.abs(read(tmp_path / "d.png").astype(int) - large).max() <= 8


# Training and translating


def test_channels_come_from_the_manifest(scene):
    path = rows(scene, "a:label*4,a:gray16,b:uint8*5", "ids/{}.png", "deep/{}.png", "bands/{}.npy")
    words = [f"--data.root={path}", "--data.workers=0", "--model=Pix2Pix"]
    module, data, _ = resolve(words).build()
    assert (module.channels_a, module.channels_b) == (5, 5)
    data.setup()
    with pytest.raises(DataError, match="line 1, column a:x"):
        resolve([f"--data.root={listed(scene, 'a:x', 'bad.csv')}", "--model=Pix2Pix"])


def test_a_translator_of_typed_columns_from_training_to_files(scene):
    """Trained by the command on two inputs, it reads them from a list and writes palette PNGs."""
    path = rows(scene, "a:rgb,a:gray16,b:zones=label*4", "photo/{}.png", "deep/{}.png", "ids/{}.png")
    run, out = scene / "run", scene / "out"
    words = ("--method", "pix2pix", "--data", path, "--images", 2, "--training.validations", 1, "--guard", "off")
    run_here("train", *words, "--out", run, *TINY_PIX2PIX)
    said = run_here("info", run).stdout
    assert "channels      4 -> 4: a:rgb (rgb), a:gray16 (gray16) -> b:zones (label of 4 classes)" in said
    assert len(list((run / "samples").iterdir())) == 1
    run_here("translate", run, path, out, "--device", "cpu")
    files = sorted((out / "photo").iterdir())
    assert [file.name for file in files] == [f"{i}.png" for i in range(8)]
    with Image.open(files[0]) as image:
        assert (image.mode, image.size) == ("P", (48, 40))
        assert set(np.unique(np.asarray(image))) <= {0, 1, 2, 3}
    assert "8 translated" not in run_here("translate", run, path, out, "--device", "cpu").stdout  # all are there
    few = rows(scene, "a:rgb,b:label*4", "photo/{}.png", "ids/{}.png", name="few.csv")
    said = run_here("translate", run, few, scene / "other", "--device", "cpu", code=1).stderr
    assert "few.csv line 1: no column a:gray16; this translator takes a:rgb (rgb), a:gray16 (gray16)" in said
    said = run_here("translate", run, scene / "photo", scene / "other", "--device", "cpu", code=1)
    assert "give a manifest" in said.stdout + said.stderr


@pytest.mark.parametrize(
    ("inputs", "output", "source", "target"),
    [
        (["rgb"], "label*3", "x.jpg", "x.png"),
        (["label*3"], "rgb", "x.png", "x.png"),
        (["uint8*3"], "gray16", "x.npy", "x.png"),
        (["rgb"], "float*3[0..1]", "x.png", "x.tif"),
        (["rgb"], "uint8*3", "x.png", "x.tif"),
    ],
)
def test_outputs_have_an_ending_of_their_kind(inputs, output, source, target, tmp_path):
    translator = identity(inputs, output)
    values = np.zeros((6, 8) if "label" in inputs[0] else (6, 8, 3), np.uint8)
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / source, values)
    report = translator.folder(tmp_path / "in", tmp_path / "out")
    assert [entry.status for entry in report.entries] == ["translated"], report.entries
    assert (tmp_path / "out" / target).is_file()


def test_files_of_another_kind_are_refused_by_name_when_translating(tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "shallow.png", np.zeros((4, 4), np.uint8))
    write(tmp_path / "in" / "good.png", np.zeros((4, 4), np.uint16))
    report = identity(["gray16"], "gray16").folder(tmp_path / "in", tmp_path / "out")
    assert [(e.name, e.status) for e in report.entries] == [("good.png", "translated"), ("shallow.png", "failed")]
    assert "8 bits a channel, where gray16 has 16" in report.entries[1].reason


def test_a_picture_is_no_input_of_typed_columns():
    translator = identity(["label*3"], "rgb")
    with pytest.raises(DataError, match=r"expected files of a:label \(label\), got a picture"):
        translator(Image.new("RGB", (4, 4)))
    batch = torch.zeros(1, 3, 4, 4)
    assert torch.equal(translator(batch), batch)
    for options, message in (
        ({"controls": Controls(strength=0.5)}, "are for pictures"),
        ({"files": Files(value_range=(0, 1))}, "--value-range"),
    ):
        with pytest.raises(ConfigError, match=message):
            translator.how(**options)


def test_a_translator_file_keeps_kinds(tmp_path):
    network, whole = header(["label*5"], "label*5")
    tensors = tensors_of("source:target", network, "raw")
    save_translator(tmp_path / "t.safetensors", TranslatorFile(whole, tensors))
    formats = img2img.load(tmp_path / "t.safetensors", "cpu").formats()
    assert formats.inputs == (kind_of("label*5"),) == (formats.output,)
    assert partial(kind_of, "label*5")().plain() == formats.output.plain()
