"""The range, and reading and writing real files."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from img2img.errors import DataError
from img2img.image import (
    Picture,
    atomically,
    read_picture,
    round_to_8_bits,
    to_pixels,
    to_tensor,
    with_channels,
    write_picture,
)
from tests.conftest import drawing


def test_every_level_survives_the_range():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    image = to_tensor(levels)
    assert (float(image.min()), float(image.max())) == (-1, 1)
    assert np.array_equal(to_pixels(image), levels)
    assert torch.equal(round_to_8_bits(image), image)


@given(st.floats(-1.5, 1.5))
def test_values_are_rounded_to_the_nearest_and_clipped(value):
    level = int(to_pixels(torch.full((1, 1, 1), value))[0, 0, 0])
    assert abs(level - min(max((value + 1) * 127.5, 0), 255)) <= 0.5 + 1e-4
    assert level == round(float((round_to_8_bits(torch.tensor(value)) + 1) * 127.5))


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "bmp"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossless_formats_give_back_what_was_written(tmp_path, suffix, mode):
    pixels = np.asarray(drawing(3)[1].convert(mode))
    pixels = pixels[..., None] if mode == "L" else pixels
    write_picture(tmp_path / f"x.{suffix}", Picture(pixels, None, "", None, None, ""))
    found = read_picture(tmp_path / f"x.{suffix}").pixels
    assert np.array_equal(with_channels(found, pixels.shape[2]), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured_once(tmp_path, orientation):
    """The pixels come upright and the tag is gone, so that no viewer turns them again."""
    upright = drawing(1)[1].crop((0, 0, 40, 24))
    turn = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = upright if turn is None else upright.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "camera"
    stored.save(tmp_path / "x.png", exif=exif)
    picture = read_picture(tmp_path / "x.png")
    assert np.array_equal(picture.pixels, np.asarray(upright))
    write_picture(tmp_path / "y.png", picture)
    with Image.open(tmp_path / "y.png") as again:
        assert 0x0112 not in again.getexif()
        assert again.getexif()[0x010F] == "camera"
        assert again.size == upright.size


def test_sixteen_bit_grey_is_scaled_not_saturated(tmp_path):
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "deep.png")
    picture = read_picture(tmp_path / "deep.png")
    assert picture.reduced == "16 bits reduced to 8"
    assert abs(float(picture.pixels.mean()) - 127.5) < 1
    assert np.abs(picture.pixels[..., 0].astype(float) - values / 257).max() <= 0.5


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_modes_become_grey_or_rgb(tmp_path, mode):
    image = drawing(2)[1]
    suffix = {"CMYK": "tif", "YCbCr": "jpg"}.get(mode, "png")
    converted = (
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
        if mode == "I;16"
        else image.convert(mode)
    )
    converted.save(tmp_path / f"x.{suffix}")
    picture = read_picture(tmp_path / f"x.{suffix}")
    assert picture.pixels.shape == (40, 48, 1 if mode in {"1", "L", "LA", "I;16"} else 3)
    assert (picture.alpha is not None) == (mode in {"LA", "RGBA"})


@pytest.mark.parametrize(("suffix", "kept"), [("png", True), ("webp", True), ("tif", True), ("jpg", False)])
def test_alpha_travels_where_the_format_has_it_else_white_shows(tmp_path, suffix, kept):
    pixels = np.zeros((8, 8, 3), np.uint8)
    alpha = np.full((8, 8), 255, np.uint8)
    alpha[:4] = 0
    write_picture(tmp_path / f"x.{suffix}", Picture(pixels, alpha, "", None, None, ""))
    found = read_picture(tmp_path / f"x.{suffix}")
    if kept:
        assert np.array_equal(found.alpha, alpha)
    else:
        assert found.pixels[0, 0].min() > 250
        assert found.pixels[7, 7].max() < 5


def test_damaged_files_become_one_line_with_the_name(tmp_path):
    buffer = io.BytesIO()
    drawing(1, (200, 200))[1].save(buffer, "JPEG")
    whole = buffer.getvalue()
    cases = {
        "cut.jpg": whole[: len(whole) // 2],
        "empty.png": b"",
        "text.png": b"this is not an image at all",
        "page.jpg": b"<!doctype html><html>404</html>",
        "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError) as caught:
            read_picture(tmp_path / name, name)
        assert str(caught.value).startswith(f"{name}: ")
        assert "\n" not in str(caught.value)


@given(
    position=st.integers(0, 10**6),
    value=st.integers(0, 255),
    cut=st.integers(0, 10**6),
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"]),
)
def test_no_damage_escapes_as_anything_but_a_data_error(position, value, cut, kind):
    buffer = io.BytesIO()
    drawing(5, (24, 24))[1].save(buffer, kind)
    data = bytearray(buffer.getvalue())
    data[position % len(data)] = value
    data = data[: len(data) - cut % 20]
    try:
        picture = read_picture(io.BytesIO(bytes(data)), "x")
    except DataError:
        return
    assert picture.pixels.dtype == np.uint8


def test_a_claim_of_gigapixels_is_refused_before_decoding(tmp_path):
    header = bytearray(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    import struct
    import zlib

    body = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    header += body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    (tmp_path / "bomb.png").write_bytes(bytes(header) + b"\x00\x00\x00\x00IEND\xaeB`\x82")
    with pytest.raises(DataError, match="megapixels"):
        read_picture(tmp_path / "bomb.png")


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "x.png").write_bytes(b"before")

    def fail_halfway():
        with atomically(tmp_path / "x.png") as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert (tmp_path / "x.png").read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
