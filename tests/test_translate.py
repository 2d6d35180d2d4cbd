"""Folders in, the same folders out: real files, real processes."""

from __future__ import annotations

import os
import sys

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

import img2img
from img2img.errors import ConfigError, DataError
from img2img.image import Picture, read_picture, resized
from tests.conftest import drawing, run_command, run_here


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "in"
    (root / "sub" / "deep").mkdir(parents=True)
    picture = drawing(1, (70, 33))[1]
    picture.save(root / "a.png")
    picture.save(root / "a.jpg")
    picture.convert("L").save(root / "sub" / "grey.PNG")
    picture.convert("RGBA").save(root / "sub" / "deep" / "alpha é.webp")
    picture.resize((5, 300)).save(root / "tall.tiff")
    (root / "broken.png").write_bytes((root / "a.png").read_bytes()[:-60])
    (root / "notes.txt").write_text("not an image")
    (root / ".hidden.png").write_bytes(b"")
    return root


def size_of(path):
    with Image.open(path) as image:
        return image.size


GOOD = ["a.jpg", "a.png", "sub/deep/alpha é.webp", "sub/grey.PNG", "tall.tiff"]


def test_every_image_keeps_name_place_size_and_the_broken_one_is_reported(model, folder, tmp_path):
    done = run_here("translate", model, folder, tmp_path / "out", code=3)
    written = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert written == [".img2img-journal.jsonl", *GOOD[:2], "report.html", "report.jsonl", *GOOD[2:]]
    for name in GOOD:
        with Image.open(folder / name) as before, Image.open(tmp_path / "out" / name) as after:
            assert (before.size, before.format) == (after.size, after.format)
            assert ("A" in after.getbands()) == ("A" in before.getbands())
    assert "failed: broken.png: damaged or truncated" in done.stdout
    assert "5 translated, 1 failed, 2 other files left alone" in done.stdout
    assert "line -> colour" in done.stdout


def test_python_call_gives_the_bytes_of_the_command(model, folder, tmp_path):
    (folder / "broken.png").unlink()
    run_here("translate", model, folder, tmp_path / "out", "--to", "line")
    report = img2img.load(model, "cpu").folder(folder, tmp_path / "again", to="line")
    assert (report.inputs, sorted(report.translated), report.failed) == (5, GOOD, {})
    for name in GOOD:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_one_file_to_a_file_and_to_a_folder(model, folder, tmp_path):
    run_here("translate", model, folder / "a.png", tmp_path / "b.jpg")
    assert size_of(tmp_path / "b.jpg") == (70, 33)
    (tmp_path / "out").mkdir()
    run_here("translate", model, folder / "a.png", tmp_path / "out", "--size", "16")
    assert size_of(tmp_path / "out" / "a.png") == (34, 16)


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("nowhere", "out", "no such file or folder"),
        ("in", "in", "lies in the input folder"),
        ("in", "in/sub/out", "lies in the input folder"),
        ("in/a.png", "in/a.png", "the output is the input"),
        ("in/a.png", "out.xyz", "expected an existing folder or a name"),
        ("empty", "out", "no images or videos found"),
        ("in", "model.safetensors", "expected a folder to write into"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(model, folder, tmp_path, source, out, message):
    (tmp_path / "empty").mkdir()
    before = sorted(p for p in tmp_path.rglob("*"))
    with pytest.raises(DataError, match=message):
        img2img.load(model, "cpu").folder(tmp_path / source, tmp_path / out)
    assert sorted(p for p in tmp_path.rglob("*")) == before


def test_nothing_translated_is_exit_code_1_and_one_line(model, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.png").write_bytes(b"nonsense")
    run_here("translate", model, tmp_path / "in", tmp_path / "out", code=1)
    done = run_here("translate", model, tmp_path / "nowhere", tmp_path / "out", code=1)
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    debugged = run_command("translate", model, tmp_path / "nowhere", tmp_path / "out", "--debug", code=1)
    assert "Traceback" in debugged.stderr
    assert (
        "did you mean 'colour'"
        in run_here("translate", model, tmp_path / "in", tmp_path / "out", "--to", "color", code=1).stderr
    )


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_line(model, folder, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    done = run_here("translate", model, folder, tmp_path / "locked" / "out", code=1)
    assert done.stderr.startswith("error: Permission denied")


def test_pipes_and_dead_links_are_named_and_do_not_hang(model, folder, tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no FIFOs here")
    os.mkfifo(folder / "pipe.png")
    (folder / "dead.jpg").symlink_to(folder / "nowhere.jpg")
    said = run_command("translate", model, folder, tmp_path / "out", code=3, timeout=60).stdout
    assert "failed: pipe.png: expected an image file, got" in said
    assert "failed: dead.jpg: no such file" in said
    assert "5 translated, 3 failed" in said


LAB, SRGB = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16"])
@pytest.mark.parametrize("size", [None, 20])
def test_every_kind_of_tiff_gives_a_readable_tiff(model, tmp_path, mode, size):
    """A TIFF's tags also say how its pixels are stored; none of that may reach the new file."""
    (tmp_path / "in").mkdir()
    picture = drawing(1, (70, 33))[1]
    if mode == "I;16":
        stored = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    elif mode == "LAB":
        stored = ImageCms.profileToProfile(picture, SRGB, LAB, outputMode="LAB")
    else:
        stored = picture.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x013B] = "the artist"
    stored.save(tmp_path / "in" / "x.tif", exif=exif, dpi=(300, 300))
    report = img2img.load(model, "cpu").folder(tmp_path / "in", tmp_path / "out", size=size)
    assert report.failed == {}
    with Image.open(tmp_path / "out" / "x.tif") as out:
        out.load()
        assert out.size == ((33, 70) if size is None else (20, 42))
        assert out.mode in {"RGB", "RGBA"}
        assert out.getexif()[0x013B] == "the artist"
        assert out.getexif().get(0x0112, 1) == 1
        assert round(float(out.info["dpi"][0])) == 300


def test_lab_cmyk_and_ycbcr_keep_their_colours(tmp_path):
    picture = drawing(1, (70, 33))[1]
    lab = ImageCms.profileToProfile(picture, SRGB, LAB, outputMode="LAB")
    for name, stored in (("lab", lab), ("cmyk", picture.convert("CMYK")), ("ycc", picture.convert("YCbCr"))):
        stored.save(tmp_path / f"{name}.tif")
        found = read_picture(tmp_path / f"{name}.tif").pixels.astype(int)
        assert np.abs(found - np.asarray(picture)).mean() < 3, name


def test_sixteen_bit_colour_is_said(tmp_path):
    deep = (np.asarray(drawing(1)[1]).astype(np.uint16) * 257)[..., ::-1]
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    picture = read_picture(tmp_path / "deep.png")
    assert picture.reduced == "16 bits reduced to 8"
    assert np.array_equal(picture.pixels, np.asarray(drawing(1)[1]))


def test_places_that_cannot_be_written_fail_by_name(model, folder, tmp_path):
    (folder / "broken.png").unlink()
    out = tmp_path / "out"
    (out / "a.png").mkdir(parents=True)
    (out / "sub").write_text("a file where a folder is needed")
    report = img2img.load(model, "cpu").folder(folder, out)
    assert set(report.failed) == {"a.png", "sub/grey.PNG", "sub/deep/alpha é.webp"}
    assert sorted(report.translated) == ["a.jpg", "tall.tiff"]
    assert not list(out.rglob("*.tmp"))


def test_info_says_what_the_file_is(model):
    said = run_command("info", model).stdout
    for words in (
        "line -> colour",
        "colour -> line",
        "ResNetGenerator(num_blocks=1",
        "multiple of 4 px",
        "ema and raw",
        "licence         not stated",
    ):
        assert words in said


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_results_come_back_to_their_sources_sizes_where_asked(model, dtype):
    """The network works at the size given; the picture has its own again, alpha was never touched."""
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (37, 50, 4), dtype)
    source = Picture(values[..., :3], values[..., 3], "PNG", None, None, "")
    translator = img2img.load(model, "cpu")
    small, back = (translator.picture(source, size=16, restore_size=restored) for restored in (False, True))
    assert small.pixels.shape == (16, 22, 3)
    assert back.pixels.dtype == dtype
    assert np.array_equal(back.pixels, resized(small.pixels, 37, 50))
    assert np.array_equal(back.alpha, source.alpha)
    with pytest.raises(ConfigError, match="give --size too"):
        translator.picture(source, restore_size=True)


def test_restored_sizes_are_settings_of_a_batch(model, folder, tmp_path):
    words = ("translate", model, folder, tmp_path / "out")
    for more in ((), ("--dry-run",)):
        said = run_here(*words, "--restore-size", *more, code=1).stderr
        assert said == "error: --restore-size resizes results back from --size: give --size too, or leave it out\n"
    assert not (tmp_path / "out").exists()
    run_here(*words, "--size", "16", "--restore-size", code=3)
    for path in sorted((tmp_path / "out").rglob("*.png")):
        with Image.open(path) as made, Image.open(folder / path.relative_to(tmp_path / "out")) as source:
            assert made.size == ImageOps.exif_transpose(source).size
    assert "restore_size True, now None" in run_here(*words, "--size", "16", code=1).stderr
