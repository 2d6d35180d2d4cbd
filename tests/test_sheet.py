"""Sheets that compare translators: what they show is what ``translate`` writes, and bad pictures are named."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from img2img.checkpoint import save_translator
from img2img.errors import ConfigError
from img2img.image import montage, on_white, read_picture, resized
from img2img.image.provenance import COMPOSITE_TYPE, SOURCE_TYPE
from img2img.networks.generators.unet import UNetGenerator
from img2img.translate.sheet import names_of
from tests.conftest import drawing, run_here
from tests.test_checkpoint import a_file


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "other.safetensors"
    save_translator(path, a_file(UNetGenerator, ("line:colour",), depth=2, base_channels=4, dropout=0)[0])
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for index, name in enumerate(("a.png", "b.jpg", "sub/c é.webp")):
        drawing(index, (120 - 30 * index, 60 + 20 * index))[index % 2].save(tmp_path / "in" / name)
    drawing(5)[0].convert("L").save(tmp_path / "in" / "grey.tif")
    Image.new("RGBA", (30, 20), (255, 0, 0, 100)).save(tmp_path / "in" / "clear.png")
    return tmp_path / "in"


def shows(sheet, pixels):
    """Whether a picture stands somewhere on the sheet, level for level."""
    found = cv2.matchTemplate(sheet, np.ascontiguousarray(pixels), cv2.TM_SQDIFF)
    top, left = np.unravel_index(found.argmin(), found.shape)
    return np.array_equal(sheet[top : top + pixels.shape[0], left : left + pixels.shape[1]], pixels)


def test_a_cell_is_the_reduced_translation(model, other, folder, tmp_path):
    for name, translator in (("one", model), ("two", other)):
        run_here("translate", translator, folder, tmp_path / name, "--format", "png")
    said = run_here("sheet", model, other, folder, tmp_path / "sheet.png", "--width", "50").stdout
    assert "5 pictures, 2 translators" in said
    sheet = read_picture(tmp_path / "sheet.png")
    assert COMPOSITE_TYPE.encode() in sheet.xmp
    for path in folder.rglob("*.*"):
        whole = path.relative_to(folder).with_suffix(".png")
        for picture in (path, tmp_path / "one" / whole, tmp_path / "two" / whole):
            pixels = np.asarray(on_white(read_picture(picture)))
            scale = min(50 / max(pixels.shape[:2]), 1)
            assert shows(sheet.pixels, resized(pixels, *(round(side * scale) for side in pixels.shape[:2]))), picture


def test_a_page_holds_the_translations_whole(model, other, folder, tmp_path):
    run_here("translate", other, folder, tmp_path / "two", "--format", "png")
    run_here("sheet", model, other, folder, tmp_path / "sheet.html", "--title", "<new> & old", "--width", "99")
    page = (tmp_path / "sheet.html").read_text()
    assert "&lt;new&gt; &amp; old" in page
    assert "--side: 99px" in page
    assert "sub/c é.webp" in page
    pngs = [base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]+)", page)]
    assert len(pngs) == 3 * 5
    assert [SOURCE_TYPE.encode() in png for png in pngs] == [False, True, True] * 5
    shown = np.asarray(Image.open(io.BytesIO(pngs[2])))
    assert np.array_equal(shown, np.asarray(Image.open(tmp_path / "two" / "a.png")))


def test_pictures_are_spread_over_the_folder(model, tmp_path):
    (tmp_path / "in").mkdir()
    for index in range(9):
        drawing(index)[0].save(tmp_path / "in" / f"{index}.png")
    run_here("sheet", model, tmp_path / "in", tmp_path / "out" / "x.html", "--count", "3")
    page = (tmp_path / "out" / "x.html").read_text()
    assert re.findall(r'class="name">(\d)\.png', page) == ["0", "4", "8"]


def test_bad_pictures_are_named_and_left_out(model, folder, tmp_path):
    (folder / "broken.png").write_bytes(b"no picture")
    done = run_here("sheet", model, folder, tmp_path / "x.png", code=3)
    assert "failed: broken.png: not an image" in done.stdout
    assert "5 pictures, 1 translator:" in done.stdout
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "broken.png").write_bytes(b"no picture")
    run_here("sheet", model, tmp_path / "bad", tmp_path / "y.png", code=1)
    assert not (tmp_path / "y.png").exists()


def test_the_direction_is_chosen_and_said(model, other, folder, tmp_path):
    run_here("sheet", model, folder, tmp_path / "x.html", "--to", "line")
    assert "<h1>colour to line</h1>" in (tmp_path / "x.html").read_text()
    done = run_here("sheet", model, other, folder, tmp_path / "y.png", "--to", "line", code=1)
    assert "other.safetensors: this translator cannot translate to 'line'" in done.stderr


def test_what_cannot_be_is_one_line(model, folder, tmp_path):
    for words, message in (
        ((model, folder, tmp_path / "x.pdf"), "or .html for a page"),
        ((model, model, folder, tmp_path / "x.png"), "one is given twice"),
        ((model, folder, folder / "x.png"), "would lie among the pictures"),
        ((model, folder / "a.png", folder / "a.png"), "would lie among the pictures"),
        ((model, tmp_path / "nowhere", tmp_path / "x.png"), "no such file or folder"),
        ((folder / "a.png", folder, tmp_path / "x.png"), "a.png"),
        ((model, folder, tmp_path / "x.png", "--weights", "best"), "expected ema, raw"),
    ):
        done = run_here("sheet", *words, code=1)
        assert done.stderr.startswith("error: ")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x.png").exists()


def test_models_have_the_shortest_names_that_differ(tmp_path):
    runs = [Path("runs/a"), Path("runs/b/best.safetensors"), Path("runs/c/best.safetensors")]
    assert names_of(runs[:2]) == ["a", "best"]
    assert names_of(runs) == ["runs/a", "b/best", "c/best"]
    assert names_of([Path("v1.0"), Path("v1.1")]) == ["v1.0", "v1.1"]
    with pytest.raises(ConfigError, match="given twice"):
        names_of([runs[0], runs[0].absolute()])


def test_words_fit_their_columns_and_no_words_take_no_room():
    cells = [[Image.new("L", (60, 40), 200)] * 3] * 2
    assert montage(cells).size == (60 * 3 + 2 * 4, 40 * 2 + 4)
    sheet = np.asarray(
        montage(cells, ["a name that is much too long for its column", "", "日本 é"], ["x", "y"], "title")
    )
    words = (sheet < 128).all(axis=2)
    head = words[: int((sheet == 200).all(axis=2).any(axis=1).argmax())]
    columns = head[-22:].any(axis=0).nonzero()[0]
    assert columns[0] >= 12
    assert not ((columns > 12 + 60) & (columns < 12 + 2 * 64)).any()  # the second column has no word
    assert columns[-1] < sheet.shape[1] - 12
