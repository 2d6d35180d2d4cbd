"""The README's table "What is kept of an image": each row is a promise, made to a real file by the command.

``python -m tests.test_kept`` prints the table as it must stand in the README.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageSequence

import img2img
from img2img.checkpoint import save_translator
from tests.conftest import ROOT, drawing, run_here
from tests.files import ADOBE_RGB, gamma, rgb_profile
from tests.test_checkpoint import a_file
from tests.test_video import film, heard, shown

SIZE = (46, 33)
PICTURE = drawing(3, SIZE)[1]
WIDE = rgb_profile(ADOBE_RGB, gamma(2.2))


class Row(NamedTuple):
    """What the input has, what becomes of it, files that have it, and what must hold of a file and its translation."""

    given: str
    kept: str
    make: Callable[[Path], None]
    check: Callable[[Path, Path], None]


def opened(folder, name):
    with Image.open(folder / name) as image:
        image.load()
        return image


def make_tree(root):
    (root / "sub" / "deep").mkdir(parents=True)
    for name in ("a.png", "a.jpg", "sub/b.webp", "sub/deep/c.bmp", "sub/d.avif", "e.tif", "f.gif", "g.jp2"):
        PICTURE.save(root / name)


def same_tree(before, after):
    names = {p.relative_to(before) for p in before.rglob("*") if p.is_file()}
    assert names == {p.relative_to(after) for p in after.rglob("*") if p.is_file() and p.name[0] != "."} - {
        Path("report.jsonl"),
        Path("report.html"),
    }
    assert all(opened(before, name).format == opened(after, name).format for name in names)


def make_sizes(root):
    for width, height in ((1, 1), (1, 70), (3, 3), (65, 47), (64, 64)):
        PICTURE.resize((width, height)).save(root / f"{width}x{height}.png")


def same_sizes(before, after):
    for path in before.iterdir():
        assert opened(after, path.name).size == opened(before, path.name).size


def make_turned(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    PICTURE.save(root / "turned.jpg", exif=exif)


def upright(_, after):
    image = opened(after, "turned.jpg")
    assert image.size == SIZE[::-1]
    assert image.getexif().get(0x0112, 1) == 1


def make_deep(root):
    levels = np.random.default_rng(0).integers(0, 65536, (*SIZE[::-1], 3)).astype(np.uint16)
    for name in ("colour.png", "colour.tif"):
        cv2.imwrite(str(root / name), levels)
    cv2.imwrite(str(root / "grey.png"), levels[..., 0])
    cv2.imwrite(str(root / "grey.tif"), levels[..., 0])


def deep(_, after):
    for name in ("colour.png", "colour.tif", "grey.png", "grey.tif"):
        levels = cv2.imread(str(after / name), cv2.IMREAD_UNCHANGED)
        assert levels.dtype == np.uint16
        assert len(np.unique(levels % 257)) > 100  # not 8 bits made wider


def make_transparent(root):
    with_alpha = PICTURE.convert("RGBA")
    with_alpha.putalpha(Image.linear_gradient("L").resize(SIZE))
    for name in ("t.png", "t.webp", "t.tif"):
        with_alpha.save(root / name, **({"lossless": True} if name.endswith("webp") else {}))


def same_alpha(before, after):
    for name in ("t.png", "t.webp", "t.tif"):
        one, other = opened(before, name).getchannel("A"), opened(after, name).getchannel("A")
        assert np.array_equal(np.asarray(one), np.asarray(other))


def make_wide(root):
    PICTURE.save(root / "wide.jpg", icc_profile=WIDE, quality=95)
    PICTURE.save(root / "plain.jpg", quality=95)


def embeds_srgb(_, after):
    profile = opened(after, "wide.jpg").info["icc_profile"]
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    assert "icc_profile" not in opened(after, "plain.jpg").info


def make_described(root):
    exif = Image.Exif()
    exif[0x013B] = "the artist"
    exif.get_ifd(0x8769)[0x829A] = 0.25
    for name in ("d.jpg", "d.png", "d.tif", "d.webp"):
        PICTURE.save(root / name, exif=exif, dpi=(300, 300))


def described(_, after):
    for name in ("d.jpg", "d.png", "d.tif", "d.webp"):
        image = opened(after, name)
        assert image.getexif()[0x013B] == "the artist"
        if name != "d.tif":  # Pillow writes no such directory into the input
            assert float(image.getexif().get_ifd(0x8769)[0x829A]) == 0.25
        assert name == "d.webp" or round(float(image.info["dpi"][0])) == 300


def make_moving(root):
    frames = [drawing(seed, SIZE)[1] for seed in range(3)]
    for name, options in (("m.gif", {}), ("m.png", {}), ("m.webp", {"lossless": True})):
        frames[0].save(
            root / name, save_all=True, append_images=frames[1:], duration=[100, 200, 300], loop=2, **options
        )
    frames[0].save(root / "pages.tif", save_all=True, append_images=frames[1:])


def moving(_, after):
    for name in ("m.gif", "m.png", "m.webp", "pages.tif"):
        with Image.open(after / name) as image:
            assert image.n_frames == 3
            times = [frame.load() and frame.info.get("duration") for frame in ImageSequence.Iterator(image)]
            assert name == "pages.tif" or [round(time) for time in times] == [100, 200, 300]


def make_other_modes(root):
    PICTURE.convert("P").save(root / "palette.png")
    PICTURE.convert("CMYK").save(root / "cmyk.jpg")
    PICTURE.convert("YCbCr").save(root / "ycc.tif")
    PICTURE.convert("1").save(root / "bits.png")


def other_modes(before, after):
    for path in before.iterdir():
        assert opened(after, path.name).mode in {"RGB", "CMYK", "L"}


def make_broken(root):
    PICTURE.save(root / "good.png")
    (root / "cut.png").write_bytes((root / "good.png").read_bytes()[:-40])
    (root / "page.jpg").write_text("<html>404</html>")


def named(_, after):
    lines = [json.loads(line) for line in (after / "report.jsonl").read_text().splitlines()]
    assert {line["input"]: line["status"] for line in lines} == {
        "good.png": "translated",
        "cut.png": "failed",
        "page.jpg": "failed",
    }
    assert all(line["reason"] for line in lines if line["status"] == "failed")


def make_plain(root):
    for name in ("p.png", "p.jpg", "p.webp", "p.tif", "p.avif"):
        PICTURE.save(root / name)


def marked(_, after):
    for name in ("p.png", "p.jpg", "p.webp", "p.tif", "p.avif"):
        assert b"digitalsourcetype/trainedAlgorithmicMedia" in (after / name).read_bytes()


def make_film(root):
    film(root / "clip.mp4", sound=True, turn=(90, False))


def same_film(before, after):
    (one, times), (other, new_times) = shown(before / "clip.mp4"), shown(after / "clip.mp4")
    assert other.shape == (len(one), one.shape[2], one.shape[1], 3)
    assert np.allclose(times, new_times)
    assert heard(before / "clip.mp4") == heard(after / "clip.mp4")


ROWS = [
    Row("every image, its name, its folder, its format", "kept", make_tree, same_tree),
    Row(
        "height and width, any from 1 px",
        "kept: mirrored up to the network's multiple inside, cropped back; never resized unless `--size`",
        make_sizes,
        same_sizes,
    ),
    Row("orientation (EXIF)", "applied, and the tag removed, so that no viewer turns it again", make_turned, upright),
    Row(
        "16 bits a channel, grey or colour",
        "kept in PNG and TIFF, computed in float32; 8 bits in other formats, and said",
        make_deep,
        deep,
    ),
    Row(
        "alpha",
        "carried along untouched; onto white (`--background`) where the format has none, and said",
        make_transparent,
        same_alpha,
    ),
    Row(
        "colour profile",
        "converted to sRGB for the network; sRGB is embedded, or with `--icc keep` it is converted back",
        make_wide,
        embeds_srgb,
    ),
    Row(
        "EXIF of the picture, XMP, resolution",
        "kept, without thumbnail; `--strip-metadata` leaves them out",
        make_described,
        described,
    ),
    Row(
        "all frames and pages of GIF, PNG, WebP and TIFF, their times",
        "kept; `--frames first` takes the first, and says so",
        make_moving,
        moving,
    ),
    Row(
        "a video's size, times of frames, sound, subtitles, colours",
        "kept; its rotation is applied ([more](docs/translate.md#videos))",
        make_film,
        same_film,
    ),
    Row("palette, CMYK, YCbCr, 1 bit", "read right, as RGB or grey", make_other_modes, other_modes),
    Row("a broken file, a place that cannot be written", "named, passed over, exit code 3", make_broken, named),
    Row(
        "that a network made it (nothing in the input)",
        "said in XMP (`DigitalSourceType`, translator, version); `--no-mark` leaves it out",
        make_plain,
        marked,
    ),
]


def table():
    head = "| of the input | in the output |\n|---|---|\n"
    return head + "".join(f"| {row.given} | {row.kept} |\n" for row in ROWS)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_translator(path, a_file(img2img.ResNetGenerator, num_blocks=1)[0])
    return path


@pytest.mark.parametrize("row", ROWS, ids=[row.given for row in ROWS])
def test_what_the_readme_promises_is_kept(model, tmp_path, row):
    (tmp_path / "in").mkdir()
    row.make(tmp_path / "in")
    code = 3 if row.make is make_broken else 0
    run_here("translate", model, tmp_path / "in", tmp_path / "out", "--device", "cpu", code=code)
    row.check(tmp_path / "in", tmp_path / "out")


def test_the_readme_has_this_table():
    assert table() in (ROOT / "README.md").read_text()


if __name__ == "__main__":
    sys.stdout.write(table())
