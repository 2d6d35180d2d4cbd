"""What a picture keeps on its way through: depth, alpha, colours, frames, metadata; and what is said when it cannot."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

import img2img
from img2img.errors import DataError
from img2img.image import (
    Mark,
    Picture,
    Pictures,
    check_writable,
    read_picture,
    read_pictures,
    suffixes,
    to_pixels,
    to_tensor,
    write_picture,
    write_pictures,
)
from img2img.image.colour import srgb_profile
from img2img.image.provenance import SOURCE_TYPE
from img2img.translate.translator import Translator
from tests import files
from tests.conftest import drawing

ADOBE = files.rgb_profile(files.ADOBE_RGB, files.gamma(2.2))
P3 = files.rgb_profile(files.DISPLAY_P3, files.SRGB_CURVE)


def deep_pixels(channels: int, height: int = 40, width: int = 48) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 65536, (height, width, channels)).astype(np.uint16)


def colours(seed: int = 0) -> np.ndarray:
    """Every corner of the cube and what lies between, uint8 [27, 27, 3]."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(27, 27, 3)
    return np.roll(cube, seed, axis=0)


def picture(pixels: np.ndarray, **kept: object) -> Picture:
    return Picture(pixels, kept.pop("alpha", None), "PNG", kept.pop("icc", None), kept.pop("exif", None), "", **kept)


def exif_of(**tags: object) -> bytes:
    exif = Image.Exif()
    exif[0x013B] = "the artist"
    exif.get_ifd(0x8769).update({0x829A: 0.004, 0x8827: 200, **tags.get("more", {})})
    return exif.tobytes()


def srgb_light(levels: np.ndarray | float) -> np.ndarray:
    v = np.asarray(levels, float) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def srgb_levels(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255


@pytest.fixture
def translator():
    torch.manual_seed(0)
    network = img2img.ResNetGenerator(3, 3, base_channels=4, num_blocks=1)
    return Translator({"a:b": network}, {"sha256": "0123456789abcdef" * 4})


# ---------------------------------------------------------------------------------------------------- 16 bits


def test_every_one_of_65536_levels_survives_the_range():
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    image = to_tensor(levels)
    assert (float(image.min()), float(image.max())) == (-1, 1)
    assert np.array_equal(to_pixels(image, np.uint16), levels)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("transparent", [False, True])
def test_16_bits_come_back_bit_for_bit_with_all_that_travels_along(tmp_path, suffix, channels, transparent):
    pixels = deep_pixels(channels)
    alpha = deep_pixels(2)[..., 0] if transparent else None
    icc = P3 if channels == 3 else files.grey_profile(files.gamma(2.2))
    given = picture(pixels, alpha=alpha, exif=exif_of(), dpi=(300.0, 300.0))
    path = tmp_path / f"x.{suffix}"
    assert write_picture(path, given, mark=Mark("abc")) == ()
    (found,) = read_pictures(path).frames
    assert found.reduced == ""
    shown = found.pixels if channels == 3 else found.pixels[..., :1]  # grey with alpha is stored as RGB with alpha
    assert np.array_equal(shown, pixels)
    assert (found.alpha is None) == (alpha is None)
    assert alpha is None or np.array_equal(found.alpha, alpha)
    other = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert other.dtype == np.uint16
    assert other.shape[:2] == pixels.shape[:2]
    assert found.dpi == pytest.approx((300, 300), abs=0.1)
    assert SOURCE_TYPE.encode() in found.xmp
    with Image.open(path) as image:
        assert image.getexif()[0x013B] == "the artist"
        assert image.getexif().get_ifd(0x8769)[0x8827] == 200
        assert float(image.getexif().get_ifd(0x8769)[0x829A]) == pytest.approx(0.004)
    if channels == 3 or not transparent:
        write_picture(path, replace(given, icc_profile=icc), icc="keep")
        with Image.open(path) as image:
            assert image.info["icc_profile"] == icc


@pytest.mark.parametrize("compression", [1, 5, 8, 32946])
def test_16_bit_tiffs_of_other_programs_are_read_whole(tmp_path, compression):
    pixels = deep_pixels(3)
    cv2.imwrite(str(tmp_path / "x.tif"), pixels[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    assert np.array_equal(read_pictures(tmp_path / "x.tif").frames[0].pixels, pixels)


def test_16_bit_tiffs_stand_upright_whatever_their_orientation(tmp_path):
    pixels = deep_pixels(3)
    for orientation in range(1, 9):
        tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
        deep = read_pictures(tmp_path / "x.tif").frames[0]
        assert deep.reduced == "", orientation
        assert np.array_equal(deep.pixels >> 8, read_picture(tmp_path / "x.tif").pixels), orientation


def test_12_bits_and_white_is_zero_are_understood(tmp_path):
    values = deep_pixels(1)[..., 0]
    tifffile.imwrite(tmp_path / "x.tif", values, photometric="miniswhite")
    assert np.array_equal(read_pictures(tmp_path / "x.tif").frames[0].pixels[..., 0], 65535 - values)


def test_16_bit_png_transparency_by_colour(tmp_path):
    pixels = deep_pixels(3, 4, 5)
    clear = pixels[1, 2]
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    (tmp_path / "x.png").write_bytes(files.png(5, 4, 16, 2, raw, files.chunk(b"tRNS", clear.astype(">u2").tobytes())))
    found = read_pictures(tmp_path / "x.png").frames[0]
    assert np.array_equal(found.pixels, pixels)
    assert np.array_equal(found.alpha == 0, (pixels == clear).all(axis=2))


def test_half_a_16_bit_file_is_refused(tmp_path):
    """OpenCV would give its upper half without a word."""
    for suffix in ("png", "tif"):
        path = tmp_path / f"x.{suffix}"
        write_picture(path, picture(deep_pixels(3)))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DataError, match=r"^x\.\w+: damaged or truncated"):
            read_pictures(path, path.name)


def test_a_16_bit_translation_has_16_bits(translator, tmp_path):
    write_picture(tmp_path / "x.png", picture(deep_pixels(3)))
    pictures = read_pictures(tmp_path / "x.png").each(translator.picture)
    write_pictures(tmp_path / "y.png", pictures)
    out = cv2.imread(str(tmp_path / "y.png"), cv2.IMREAD_UNCHANGED)
    assert out.dtype == np.uint16
    assert len(np.unique(out)) > 1000
    assert (out % 257 != 0).mean() > 0.9
    eight = translator.picture(read_picture(tmp_path / "x.png"))
    assert eight.pixels.dtype == np.uint8


@pytest.mark.parametrize("suffix", ["jpg", "webp", "bmp"])
def test_formats_of_8_bits_say_so(tmp_path, suffix):
    pixels = deep_pixels(3)
    notes = write_picture(tmp_path / f"x.{suffix}", picture(pixels))
    assert any("16 bits reduced to 8" in note for note in notes)
    assert notes == check_writable(tmp_path / f"x.{suffix}", picture(pixels))
    assert read_pictures(tmp_path / f"x.{suffix}").frames[0].pixels.dtype == np.uint8


def test_a_resized_16_bit_picture_keeps_its_alpha_and_depth(translator):
    given = picture(deep_pixels(3), alpha=deep_pixels(2)[..., 0])
    small = translator.picture(given, size=20)
    assert (small.pixels.dtype, small.alpha.dtype) == (np.uint16, np.uint16)
    assert small.pixels.shape[:2] == small.alpha.shape == (20, 24)


# ---------------------------------------------------------------------------------------------------- colours


@pytest.mark.parametrize("profile", [ADOBE, P3])
def test_profiles_are_converted_to_srgb_as_littlecms_does(tmp_path, profile):
    Image.fromarray(colours()).save(tmp_path / "x.png", icc_profile=profile)
    found = read_picture(tmp_path / "x.png")
    expected = ImageCms.profileToProfile(
        Image.fromarray(colours()),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert np.array_equal(found.pixels, np.asarray(expected))
    assert not np.array_equal(found.pixels, colours())
    write_picture(tmp_path / "y.png", found)
    with Image.open(tmp_path / "y.png") as image:
        assert image.info["icc_profile"] == srgb_profile()
        assert np.array_equal(np.asarray(image), found.pixels)


@pytest.mark.parametrize("profile", [ADOBE, P3])
def test_16_bit_conversion_agrees_with_littlecms_and_is_finer(tmp_path, profile):
    write_picture(tmp_path / "x.png", picture(colours().astype(np.uint16) * 257))
    plain = (tmp_path / "x.png").read_bytes()
    model = io.BytesIO()
    Image.new("RGB", (1, 1)).save(model, "PNG", icc_profile=profile)
    start = model.getvalue().index(b"iCCP") - 4
    piece = model.getvalue()[start : model.getvalue().index(b"IDAT") - 4]
    (tmp_path / "x.png").write_bytes(plain[:33] + piece + plain[33:])
    deep = read_pictures(tmp_path / "x.png").frames[0].pixels
    Image.fromarray(colours()).save(tmp_path / "y.png", icc_profile=profile)
    assert np.abs(deep / 257 - read_picture(tmp_path / "y.png").pixels).max() < 1
    assert (deep % 257 != 0).mean() > 0.3


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp", "avif"])
def test_keep_converts_back_and_embeds_the_sources_profile(tmp_path, suffix, depth):
    """Colours that sRGB has come back as they were; the profile is the source's, byte for byte."""
    inside = np.asarray(drawing(3)[1]) // 2 + 64
    pixels = inside if depth == 8 else inside.astype(np.uint16) * 257
    write_picture(tmp_path / f"x.{suffix}", picture(pixels, icc=P3), icc="keep")
    with Image.open(tmp_path / f"x.{suffix}") as image:
        assert image.info["icc_profile"] == P3
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - inside).max() > 4  # they are P3's numbers
    found = read_pictures(tmp_path / f"x.{suffix}").frames[0].at_8_bits()
    assert np.abs(found.pixels.astype(int) - inside).mean() < 2


def test_a_file_without_a_profile_stays_without_and_srgb_is_not_touched(tmp_path):
    Image.fromarray(colours()).save(tmp_path / "bare.png")
    Image.fromarray(colours()).save(tmp_path / "srgb.png", icc_profile=srgb_profile())
    for name, profile in (("bare.png", None), ("srgb.png", srgb_profile())):
        found = read_picture(tmp_path / name)
        assert np.array_equal(found.pixels, colours())
        for icc in ("srgb", "keep"):
            write_picture(tmp_path / "out.png", found, icc=icc)
            with Image.open(tmp_path / "out.png") as image:
                assert image.info.get("icc_profile") == profile


def test_grey_profiles_and_grey_pictures_with_a_profile_for_rgb(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    grey = files.grey_profile(files.gamma(1.8))
    for profile in (grey, ADOBE):
        Image.fromarray(ramp).save(tmp_path / "x.tif", icc_profile=profile)
        found = read_picture(tmp_path / "x.tif")
        exponent = 1.8 if profile is grey else 2.2
        expected = srgb_levels((ramp / 255) ** exponent)
        assert found.pixels.shape == (16, 16, 1)
        assert np.abs(found.pixels[..., 0] - expected).max() < 1.5
    Image.fromarray(ramp).save(tmp_path / "x.tif", icc_profile=grey)
    write_picture(tmp_path / "y.tif", read_picture(tmp_path / "x.tif"), icc="keep")
    with Image.open(tmp_path / "y.tif") as image:
        assert image.info["icc_profile"] == grey
        assert np.abs(np.asarray(image).astype(int) - ramp).max() <= 2


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("icc", ["srgb", "keep"])
def test_a_profile_for_grey_is_never_put_into_a_file_of_colours(tmp_path, suffix, depth, transparent, icc):
    """Nor one for RGB into a file of grey."""
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).astype(f"uint{depth}")
    alpha = np.full((16, 16), np.iinfo(grey.dtype).max, grey.dtype) if transparent else None
    for profile in (files.grey_profile(files.gamma(1.8)), ADOBE):
        write_picture(tmp_path / f"x.{suffix}", picture(grey, alpha=alpha, icc=profile), icc=icc)
        with Image.open(tmp_path / f"x.{suffix}") as image:
            embedded = image.info.get("icc_profile")
            kind = ImageCms.ImageCmsProfile(io.BytesIO(embedded)).profile.xcolor_space.strip() if embedded else None
            expected = "GRAY" if image.mode in {"L", "LA", "I;16"} else "RGB"
            assert kind in {None, expected}
            assert (kind == "RGB") == (expected == "RGB")


@pytest.mark.parametrize(
    ("profile", "mode"), [(b"this is no profile", "RGB"), (ADOBE[:200], "RGB"), (b"\xff" * 4000, "L"), (P3, "CMYK")]
)
def test_a_broken_or_foreign_profile_is_ignored_and_said(tmp_path, profile, mode):
    Image.fromarray(colours()).convert(mode).save(tmp_path / "x.tif", icc_profile=profile)
    found = read_picture(tmp_path / "x.tif")
    assert "profile" in found.reduced
    assert found.icc_profile is None
    assert np.array_equal(
        found.pixels.squeeze(), np.asarray(Image.open(tmp_path / "x.tif").convert("L" if mode == "L" else "RGB"))
    )


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_is_read_through_its_profile_and_given_back_as_cmyk(tmp_path, suffix):
    profile = files.cmyk_profile()
    rgb = np.asarray(drawing(4)[1]).astype(float)
    cmyk = Image.fromarray(rgb.astype(np.uint8)).convert("CMYK")
    cmyk.save(tmp_path / f"x.{suffix}", icc_profile=profile, **({"quality": 100} if suffix == "jpg" else {}))
    found = read_picture(tmp_path / f"x.{suffix}")
    light = srgb_light(files.inked(rgb / 255))  # of these inks
    black = srgb_light(files.DARK)
    shown = srgb_levels((light - black) / (1 - black))  # black point compensation: their black becomes black
    assert np.abs(found.pixels - shown).mean() < 4
    assert check_writable(tmp_path / f"y.{suffix}", found) == ("CMYK becomes RGB",)
    assert write_picture(tmp_path / f"y.{suffix}", found) == ("CMYK becomes RGB",)
    with Image.open(tmp_path / f"y.{suffix}") as image:
        assert (image.mode, image.info["icc_profile"]) == ("RGB", srgb_profile())
    assert write_picture(tmp_path / f"z.{suffix}", found, icc="keep") == ()
    with Image.open(tmp_path / f"z.{suffix}") as image:
        assert (image.mode, image.info["icc_profile"]) == ("CMYK", profile)
    assert np.abs(read_picture(tmp_path / f"z.{suffix}").pixels.astype(float) - found.pixels).mean() < 4


def test_a_profile_of_tables_is_read_with_8_bits_and_one_without_a_way_back_is_said(tmp_path):
    profile = files.scanner_profile()
    write_picture(tmp_path / "x.tif", picture(colours().astype(np.uint16) * 257))
    with tifffile.TiffFile(tmp_path / "x.tif") as tiff:
        tifffile.imwrite(tmp_path / "y.tif", tiff.asarray(), photometric="rgb", iccprofile=profile)
    found = read_pictures(tmp_path / "y.tif").frames[0]
    assert (found.pixels.dtype, found.reduced) == (np.uint8, "16 bits reduced to 8")
    assert np.abs(found.pixels.astype(int) - colours()).max() > 20
    notes = write_picture(tmp_path / "z.tif", found, icc="keep")
    assert notes == ("the source's colour profile cannot be kept in an RGB TIFF: sRGB instead",)
    with Image.open(tmp_path / "z.tif") as image:
        assert image.info["icc_profile"] == srgb_profile()


def test_the_embedded_profile_does_not_tell_the_time(tmp_path):
    """littlecms stamps its profiles with the hour; two runs must write the same bytes."""
    assert srgb_profile()[24:36] == b"\x07\xd0\0\x01\0\x01\0\0\0\0\0\0"
    assert ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())).profile.creation_date.year == 2000


# ----------------------------------------------------------------------------------------------------- frames

PALETTE = np.random.default_rng(1).integers(0, 256, (128, 3)).astype(np.uint8)


def partial_frames() -> list:
    """A canvas with a hole, then a patch that is cleared, one that is undone, and one that stays."""
    rng = np.random.default_rng(2)
    background = rng.integers(1, 100, (20, 30))
    background[3:9, 4:12] = 0
    patch = lambda h, w, low: rng.integers(low, low + 20, (h, w))  # noqa: E731
    second = patch(6, 8, 40)
    second[2:4, 2:4] = 0
    return [
        ((0, 0), background, 1, 7, 0),
        ((5, 6), second, 2, 13, 0),
        ((10, 2), patch(9, 9, 60), 3, 20, 0),
        ((1, 1), patch(4, 5, 80), 1, 5, 0),
        ((20, 10), patch(5, 5, 90), 1, 30, 0),
    ]


def same_picture(found: Picture, expected: np.ndarray) -> bool:
    seen = expected[..., 3] > 0
    alpha = np.full(seen.shape, 255) if found.alpha is None else found.alpha
    return np.array_equal(alpha > 0, seen) and np.array_equal(found.pixels[seen], expected[..., :3][seen])


def test_frames_of_a_gif_are_whole_pictures(tmp_path):
    (tmp_path / "x.gif").write_bytes(files.gif((30, 20), PALETTE, partial_frames(), loop=3))
    found = read_pictures(tmp_path / "x.gif")
    expected = files.composited((30, 20), PALETTE, partial_frames())
    assert [same_picture(f, e) for f, e in zip(found.frames, expected, strict=True)] == [True] * 5
    assert found.durations == (70, 130, 200, 50, 300)
    assert found.loop == 3
    first = read_pictures(tmp_path / "x.gif", frames="first")
    assert (len(first.frames), first.reduced) == (1, "first frame only")
    assert same_picture(first.frames[0], expected[0])
    assert first.durations == ()


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
@pytest.mark.parametrize("transparent", [False, True])
def test_an_animation_comes_back_frame_for_frame(tmp_path, suffix, transparent):
    frames = []
    for i in range(4):
        alpha = np.where(np.arange(48)[None] < 12 * i, 0, 255).repeat(40, 0).astype(np.uint8) if transparent else None
        frames.append(picture(np.asarray(drawing(i)[1]), alpha=alpha))
    written = Pictures(tuple(frames), (70, 120, 200, 40), 5)
    write_pictures(tmp_path / f"x.{suffix}", written)
    found = read_pictures(tmp_path / f"x.{suffix}")
    assert (found.durations, found.loop) == (written.durations, 5)
    for before, after in zip(written.frames, found.frames, strict=True):
        seen = np.ones((40, 48), bool) if before.alpha is None else before.alpha > 0
        assert np.array_equal(seen, np.ones_like(seen) if after.alpha is None else after.alpha > 0)
        assert np.array_equal(before.pixels[seen], after.pixels[seen])


@pytest.mark.parametrize("deep", [False, True])
def test_pages_of_a_tiff_keep_their_sizes_and_depth(tmp_path, deep):
    pages = [np.asarray(drawing(i, (48 + i, 40))[1]) for i in range(3)]
    pages = [page.astype(np.uint16) * 257 + 1 if deep and i == 1 else page for i, page in enumerate(pages)]
    assert write_pictures(tmp_path / "x.tif", Pictures(tuple(picture(p, icc=P3) for p in pages))) == ()
    found = read_pictures(tmp_path / "x.tif")
    assert found.durations == ()
    for before, after in zip(pages, found.frames, strict=True):
        assert after.pixels.dtype == before.dtype
        assert np.array_equal(after.pixels, before)
    assert read_picture(tmp_path / "x.tif").reduced == "first frame only"


def test_the_still_of_an_apng_and_the_views_of_an_mpo_are_not_frames(tmp_path):
    still, *moving = [drawing(i)[1] for i in range(4)]
    still.save(tmp_path / "x.png", save_all=True, append_images=moving, default_image=True, duration=50)
    found = read_pictures(tmp_path / "x.png")
    assert [np.array_equal(f.pixels, np.asarray(m)) for f, m in zip(found.frames, moving, strict=True)] == [True] * 3
    still.save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=moving)
    views = read_pictures(tmp_path / "x.jpg")
    assert (len(views.frames), views.reduced) == (1, "first frame only")
    write_pictures(tmp_path / "y.jpg", views)
    buffer = io.BytesIO()
    write_pictures(buffer, views)
    assert buffer.getvalue() == (tmp_path / "y.jpg").read_bytes()


def test_too_many_frames_are_refused_before_they_are_decoded(tmp_path):
    frame = ((0, 0), np.zeros((1, 1), int), 0, 1, None)
    (tmp_path / "long.gif").write_bytes(files.gif((1, 1), PALETTE, [frame] * 100_000))
    with pytest.raises(DataError, match=r"more than the 5000 frames.*--frames first"):
        read_pictures(tmp_path / "long.gif")
    frame = ((0, 0), np.zeros((1, 1), int), 0, 1, None)
    (tmp_path / "wide.gif").write_bytes(files.gif((4000, 4000), PALETTE, [frame] * 30))
    with pytest.raises(DataError, match=r"megapixels together.*--max-pixels"):
        read_pictures(tmp_path / "wide.gif")
    assert read_pictures(tmp_path / "long.gif", frames="first").frames[0].pixels.shape == (1, 1, 3)


def test_max_pixels_lets_larger_images_in_and_smaller_ones_out(tmp_path):
    drawing(1)[1].save(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"48x40 px is more than the 0.0019 megapixels that are read; .*--max-pixels"):
        read_picture(tmp_path / "x.png", max_pixels=48 * 40 - 20)
    Image.new("1", (10_000, 9_000)).save(tmp_path / "large.png")
    with pytest.raises(DataError, match=r"more than the 89\.48 megapixels"):
        read_picture(tmp_path / "large.png")
    limit = Image.MAX_IMAGE_PIXELS
    assert read_picture(tmp_path / "large.png", max_pixels=100_000_000).pixels.shape == (9000, 10_000, 1)
    assert limit == Image.MAX_IMAGE_PIXELS


# ----------------------------------------------------------------------------------------------------- floats


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_floats_are_mapped_by_their_range_and_back_without_rounding(tmp_path, suffix, channels):
    values = np.random.default_rng(0).uniform(-5, 20, (9, 7, channels)).astype(np.float32)
    stored = values[..., 0] if channels == 1 else values
    path = tmp_path / f"x.{suffix}"
    np.save(path, stored) if suffix == "npy" else tifffile.imwrite(
        path, stored, compression="zlib", photometric="rgb" if channels == 3 else "minisblack"
    )
    with pytest.raises(DataError, match=r"no known range; state it with --value-range"):
        read_picture(path)
    found = read_picture(path, value_range=(-5, 20))
    assert found.pixels.dtype == np.float32
    assert np.array_equal(to_pixels(to_tensor(found.pixels), np.float32), found.pixels)
    assert np.allclose(found.pixels, (values + 5) / 12.5 - 1, atol=1e-6)
    write_picture(tmp_path / f"y.{suffix}", found)
    again = np.load(tmp_path / "y.npy") if suffix == "npy" else tifffile.imread(tmp_path / "y.tif")
    assert (again.dtype, again.shape) == (np.float32, stored.shape)
    assert np.allclose(again, stored, atol=5e-6)
    write_picture(tmp_path / f"y.{suffix}", found, value_range=(0, 1))
    again = np.load(tmp_path / "y.npy") if suffix == "npy" else tifffile.imread(tmp_path / "y.tif")
    assert np.allclose(again, (stored + 5) / 25, atol=1e-6)
    with pytest.raises(DataError, match=r"PNG holds no floats"):
        check_writable(tmp_path / "y.png", found)


def test_pages_of_floats_and_what_lies_outside_the_range(tmp_path, translator):
    stack = np.random.default_rng(0).uniform(0, 10, (3, 16, 12)).astype(np.float32)
    tifffile.imwrite(tmp_path / "x.tif", stack, photometric="minisblack")
    found = read_pictures(tmp_path / "x.tif", value_range=(0, 8))
    assert len(found.frames) == 3
    assert found.reduced == "values outside 0 to 8 were clipped"
    out = found.each(translator.picture)
    write_pictures(tmp_path / "y.tif", out)
    assert tifffile.imread(tmp_path / "y.tif").shape == (3, 16, 12, 3)
    first = read_picture(tmp_path / "x.tif", value_range=(0, 20))
    assert first.reduced == "first frame only"
    assert read_picture(tmp_path / "x.tif", value_range=(0, 20)).value_range == (0, 20)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((4, 5, 2)), r"\[H, W, C\] with C 1 or 3, got \[4, 5, 2\]"),
        (np.zeros(7), r"got \[7\]"),
        (np.zeros((4, 5), complex), "real numbers"),
        (np.array([[{}, 1]]), "real numbers"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.zeros((0, 4)), "no pixels"),
    ],
)
def test_other_arrays_are_refused_with_the_reason(tmp_path, array, reason):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=reason):
        read_picture(tmp_path / "x.npy", value_range=(0, 1))
    np.save(tmp_path / "x.npy", np.zeros((4, 4)))
    with pytest.raises(DataError, match="LOW below HIGH"):
        read_picture(tmp_path / "x.npy", value_range=(1, 1))


def test_arrays_are_images_only_with_a_range():
    assert ".npy" not in suffixes()
    assert suffixes((0, 1)) - suffixes() == {".npy"}


# ------------------------------------------------------------------------------------------------- provenance


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif"])
@pytest.mark.parametrize("frames", [1, 2])
def test_the_mark_is_read_back_by_another_library(tmp_path, suffix, frames):
    if frames == 2 and suffix not in {"png", "webp", "tif"}:
        frames = 1
    pictures = Pictures(
        tuple(picture(np.asarray(drawing(i)[1]), exif=exif_of()) for i in range(frames)), (40,) * frames
    )
    path = tmp_path / f"x.{suffix}"
    assert write_pictures(path, pictures, mark=Mark("0123456789ab", "9.9")) == ()
    with Image.open(path) as image:
        image.load()
        said = image.info["xmp"].decode()
        assert image.getexif().get_ifd(0x8769)[0x8827] == 200
    for words in (f'DigitalSourceType="{SOURCE_TYPE}"', 'CreatorTool="img2img 9.9"', "img2img translator 0123456789ab"):
        assert words in said
    write_pictures(path, pictures)
    with Image.open(path) as image:
        assert "xmp" not in image.info


@pytest.mark.parametrize("suffix", ["gif", "bmp", "jp2"])
def test_formats_without_xmp_say_so(tmp_path, suffix):
    notes = write_picture(tmp_path / f"x.{suffix}", picture(np.asarray(drawing(1)[1])), mark=Mark("abc"))
    assert any("the mark of provenance is left out" in note for note in notes)


XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="uuid:1"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 tiff:Orientation="6" xmp:CreatorTool="a camera" xmlns:own="http://example.org/own/" own:thing="kept">
<i:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture</i:DigitalSourceType>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">\u00a9 somebody</rdf:li></rdf:Alt></dc:rights>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def test_the_sources_xmp_is_kept_and_merged(tmp_path):
    drawing(1)[1].save(tmp_path / "x.jpg", xmp=XMP.encode() + b"\0" * 20)
    found = read_picture(tmp_path / "x.jpg")
    assert write_picture(tmp_path / "y.jpg", found, mark=Mark("abc")) == ()
    said = read_picture(tmp_path / "y.jpg").xmp.decode()
    for kept in ("\u00a9 somebody", 'thing="kept"', SOURCE_TYPE, "dc:rights", 'about="uuid:1"'):
        assert kept in said, kept
    for gone in ("Orientation", "a camera", "digitalCapture"):
        assert gone not in said, gone
    write_picture(tmp_path / "y.jpg", found)
    unmarked = read_picture(tmp_path / "y.jpg").xmp.decode()
    assert "somebody" in unmarked
    assert "Orientation" not in unmarked
    assert SOURCE_TYPE not in unmarked


@pytest.mark.parametrize(
    "hostile",
    [
        b"<not xml",
        b"\xff\xfe\0junk",
        XMP.replace("<x:xmpmeta", "<!DOCTYPE a [<!ENTITY b 'bbbb'>]><x:xmpmeta").encode(),
        b"<a/>",
        b"<a>" * 50_000 + b"</a>" * 50_000,
        XMP.encode().replace(b"<dc:rights>", b"<dc:rights>" + b"<a>" * 5000 + b"</a>" * 5000),
        XMP.encode() + b"<!--" + b"x" * 2_000_000 + b"-->",
    ],
)
def test_hostile_xmp_is_dropped_and_the_mark_stays(tmp_path, hostile):
    notes = write_picture(tmp_path / "x.png", picture(np.asarray(drawing(1)[1]), xmp=hostile), mark=Mark("abc"))
    assert any("XMP" in note for note in notes)
    said = read_picture(tmp_path / "x.png").xmp.decode()
    assert SOURCE_TYPE in said
    assert len(said) < 2000


# ----------------------------------------------------------------------------------------- EXIF, alpha, limits


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif"])
def test_text_in_exif_keeps_its_accents(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x8298] = "\u00a9 Zo\u00eb".encode()
    exif.get_ifd(0x8769)[0xA434] = "50 mm \u00e9"
    stored = exif.tobytes().replace(b"50 mm ?", b"50 mm \xe9")  # of ASCII's type, as cameras write it
    drawing(1)[1].save(tmp_path / "x.jpg", exif=stored)
    write_picture(tmp_path / f"y.{suffix}", read_picture(tmp_path / "x.jpg"))
    write_picture(tmp_path / f"z.{suffix}", read_picture(tmp_path / f"y.{suffix}"))
    with Image.open(tmp_path / f"z.{suffix}") as image:
        assert image.getexif()[0x8298].encode("latin-1") == "\u00a9 Zo\u00eb".encode()
        assert image.getexif().get_ifd(0x8769)[0xA434] == "50 mm \u00e9"


def test_64_kb_of_exif_fit_into_every_format(tmp_path):
    exif = Image.Exif()
    exif[0x013B] = "the artist\0with a NUL"
    exif.get_ifd(0x8769).update({0x927C: bytes(range(256)) * 270, 0x8827: 400})
    for suffix in ("png", "jpg", "webp", "tif", "avif"):
        notes = write_picture(tmp_path / f"x.{suffix}", picture(np.asarray(drawing(1)[1]), exif=exif.tobytes()))
        assert bool(notes) == (suffix == "jpg")
        found = Image.Exif()
        found.load(read_picture(tmp_path / f"x.{suffix}").exif)
        assert found.get_ifd(0x8769)[0x8827] == 400
        assert found[0x013B].startswith("the artist")
        assert (0x927C in found.get_ifd(0x8769)) == (suffix != "jpg")


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "avif", "gif", "jp2"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_comes_back_untouched(tmp_path, suffix, mode):
    alpha = np.random.default_rng(0).integers(0, 256, (40, 48)).astype(np.uint8)
    alpha = np.where(alpha < 128, 0, 255).astype(np.uint8) if suffix == "gif" else alpha
    pixels = np.asarray(drawing(2)[1].convert(mode[:-1])).reshape(40, 48, -1)
    write_picture(tmp_path / f"x.{suffix}", picture(pixels, alpha=alpha))
    assert np.array_equal(read_picture(tmp_path / f"x.{suffix}").alpha, alpha)


@pytest.mark.parametrize("suffix", ["jpg", "bmp"])
def test_without_alpha_a_chosen_colour_shows_through(tmp_path, suffix):
    alpha = np.zeros((40, 48), np.uint8)
    alpha[:, 24:] = 255
    given = picture(np.zeros((40, 48, 3), np.uint8), alpha=alpha)
    notes = write_picture(tmp_path / f"x.{suffix}", given, background=(255, 0, 0))
    assert notes == check_writable(tmp_path / f"x.{suffix}", given)
    assert "transparency is shown on a colour" in notes[0]
    found = read_picture(tmp_path / f"x.{suffix}").pixels.astype(int)
    assert np.abs(found[20, 4] - (255, 0, 0)).max() < 4
    assert found[20, 44].max() < 4


@pytest.mark.parametrize(
    ("name", "shape", "count", "reason"),
    [
        ("x.webp", (16384, 1), 1, "WEBP holds at most 16383 px a side"),
        ("x.jpg", (1, 65501), 1, "JPEG holds at most 65500 px a side"),
        ("x.jpg", (4, 4), 2, "JPEG holds one picture, got 2"),
        ("x.xyz", (4, 4), 1, "expected a name that ends in"),
        ("x.npy", (4, 4), 1, "expected floats"),
    ],
)
def test_what_a_format_cannot_hold_is_known_before(tmp_path, name, shape, count, reason):
    pictures = Pictures((picture(np.zeros((*shape, 3), np.uint8)),) * count)
    for call in (check_writable, write_pictures):
        with pytest.raises(DataError, match=reason):
            call(tmp_path / name, pictures)
    assert not list(tmp_path.iterdir())


def test_the_size_to_come_can_be_asked_about(tmp_path):
    small = picture(np.zeros((4, 4, 3), np.uint8))
    assert check_writable(tmp_path / "x.webp", small) == ()
    with pytest.raises(DataError, match="20000x10"):
        check_writable(tmp_path / "x.webp", small, shape=(10, 20_000))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_a_row_of_65500_pixels_goes_through(tmp_path, suffix):
    row = np.arange(65500 * 3).reshape(1, 65500, 3).astype(np.uint8)
    write_picture(tmp_path / f"x.{suffix}", picture(row))
    assert read_picture(tmp_path / f"x.{suffix}").pixels.shape == row.shape
