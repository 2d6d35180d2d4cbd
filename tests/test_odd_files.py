"""Ninety-odd bad and odd files: each is read whole or refused in one line with its name, quickly, whatever it is."""

from __future__ import annotations

import io
import os
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from img2img.errors import DataError
from img2img.image import Mark, Picture, Pictures, check_writable, read_pictures, write_picture, write_pictures
from tests import files
from tests.conftest import drawing

GOOD = drawing(7, (48, 40))[1]
READS, REFUSED, EITHER = "reads", "refused", "either"
Case = tuple[str, bytes | Callable[[Path], None], str]
_SECONDS = 2.0


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


SUFFIX = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "AVIF": "avif", "GIF": "gif"}
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))


def truncated() -> Iterator[Case]:
    for kind, suffix in SUFFIX.items():
        whole = saved(NOISE, kind)
        for name, length, expected in (
            ("tenth", len(whole) // 10, REFUSED),
            ("half", len(whole) // 2, REFUSED),
            ("most", len(whole) - 2, EITHER),
        ):
            yield f"truncated-{name}.{suffix}", whole[:length], expected


def damaged() -> Iterator[Case]:
    def flipped(data: bytes, at: int, mask: int = 0xFF) -> bytes:
        return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]

    png, jpeg = saved(NOISE, "PNG", icc_profile=ICC), saved(NOISE, "JPEG", icc_profile=ICC, exif=_exif(6))
    yield "damaged-signature.png", flipped(png, 1), REFUSED
    yield "damaged-header.png", flipped(png, 20), REFUSED
    yield "damaged-checksum.png", flipped(png, 30), REFUSED
    yield "damaged-data.png", flipped(png, png.index(b"IDAT") + 900), EITHER
    yield "damaged-profile.png", flipped(png, png.index(b"iCCP") + 40), EITHER
    yield "damaged-tables.jpg", flipped(jpeg, jpeg.index(b"\xff\xdb") + 30), EITHER
    yield "damaged-huffman.jpg", flipped(jpeg, jpeg.index(b"\xff\xc4") + 6), EITHER
    yield "damaged-scan.jpg", flipped(jpeg, len(jpeg) - 600), EITHER
    yield "damaged-profile.jpg", flipped(jpeg, jpeg.index(b"ICC_PROFILE") + 50), READS
    yield "damaged-exif.jpg", flipped(jpeg, jpeg.index(b"Exif") + 8), READS


def wrong_kinds() -> Iterator[Case]:
    for name, data in {
        "empty.png": b"",
        "text.jpg": b"this is not an image at all",
        "page.png": b"<!doctype html><html><title>404</title></html>",
        "paper.jpg": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "vector.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "script.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        "sky.png": b"SIMPLE  =                    T" + b" " * 2850,
        "layers.jpg": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 4, 4, 8, 3) + bytes(64),
        "archive.png": b"PK\3\4" + bytes(60),
        "program.jpg": b"\x7fELF\2\1\1" + bytes(60),
        "pickle.npy": b"\x80\4\x95\0\0",
        "array.npy": b"\x93NUMPY\1\0\x10\0{'descr': evil}\n",
    }.items():
        yield f"kind-{name}", data, REFUSED


def wrong_suffixes() -> Iterator[Case]:
    yield "suffix-png.jpg", saved(GOOD, "PNG"), READS
    yield "suffix-jpg.png", saved(GOOD, "JPEG"), READS
    yield "suffix-gif.webp", saved(GOOD, "GIF"), READS
    yield "suffix-tiff.png", saved(GOOD, "TIFF"), READS


def bombs() -> Iterator[Case]:
    nothing = b"\0" * 10
    row = b"\0" + bytes(12_000 // 8)
    yield "bomb-claim.png", files.png(60_000, 60_000, 8, 2, nothing), REFUSED
    yield "bomb-144-megapixels.png", files.png(12_000, 12_000, 1, 0, row * 12_000), REFUSED
    packed = zlib.compress(bytes(50_000_000), 1)
    yield "bomb-profile.png", files.png(2, 2, 8, 0, bytes(6), files.chunk(b"iCCP", b"x\0\0" + packed)), REFUSED
    yield "bomb-text.png", files.png(2, 2, 8, 0, bytes(6), files.chunk(b"zTXt", b"x\0\0" + packed)), REFUSED
    yield "bomb-frames.png", _apng(100_000), REFUSED
    yield "bomb-pages.tif", _pages(100_000), REFUSED
    jp2 = saved(GOOD, "JPEG2000", no_jp2=True)
    size = jp2.index(b"\xff\x51") + 6
    for name, values in {"claim": (60_000, 60_000, 0, 0, 60_000, 60_000), "tiles": (9000, 9000, 0, 0, 1, 1)}.items():
        yield f"bomb-{name}.jp2", jp2[:size] + struct.pack(">6I", *values) + jp2[size + 24 :], REFUSED
    yield "row.png", files.png(65_500, 1, 8, 0, bytes(65_501)), READS
    yield "column.png", files.png(1, 65_500, 8, 0, bytes(131_000)), READS


def modes() -> Iterator[Case]:
    for mode in ("1", "L", "LA", "P", "RGBA"):
        yield f"mode-{mode}.png", saved(GOOD.convert(mode), "PNG"), READS
    clear = GOOD.quantize(8)
    yield "mode-P-transparent.png", saved(clear, "PNG", transparency=bytes(range(0, 80, 10))), READS
    deep = np.random.default_rng(0).integers(0, 65536, (8, 9, 4)).astype(np.uint16)
    yield "mode-I16.png", saved(Image.fromarray(deep[..., 0]), "PNG"), READS
    for channels in (3, 4):
        yield f"mode-16-bits-{channels}.png", cv2.imencode(".png", deep[..., :channels])[1].tobytes(), READS
    yield "mode-F.tif", saved(Image.new("F", (4, 4)), "TIFF"), REFUSED
    yield "mode-I.tif", saved(Image.new("I", (4, 4)), "TIFF"), REFUSED
    yield "mode-floats.tif", cv2.imencode(".tif", np.zeros((4, 4, 3), np.float32))[1].tobytes(), REFUSED
    cmyk = saved(GOOD.convert("CMYK"), "JPEG")
    yield "mode-CMYK.jpg", cmyk, READS
    at = cmyk.index(b"Adobe") + 11
    yield "mode-YCCK.jpg", cmyk[:at] + b"\2" + cmyk[at + 1 :], READS
    lab = ImageCms.profileToProfile(
        GOOD, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    yield "mode-LAB.tif", saved(lab, "TIFF"), READS
    yield "mode-interlaced.png", _interlaced(), READS
    yield "mode-2-bits.png", files.png(5, 3, 2, 0, b"\0\x1b\xc0" * 3), READS


def animations() -> Iterator[Case]:
    more = {"save_all": True, "append_images": [NOISE, GOOD.resize(NOISE.size)], "duration": 50}
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        yield f"frames.{SUFFIX[kind]}", saved(NOISE, kind, **more), READS
    yield "frames.jpg", saved(NOISE, "MPO", **more), READS


def orientations() -> Iterator[Case]:
    for orientation in (1, 2, 3, 4, 5, 6, 7, 8, 0, 99):
        yield f"orientation-{orientation}.jpg", saved(GOOD, "JPEG", exif=_exif(orientation)), READS


def profiles() -> Iterator[Case]:
    for name, profile in {
        "adobe": ICC,
        "p3": files.rgb_profile(files.DISPLAY_P3, files.SRGB_CURVE),
        "broken": ICC[:150],
        "grey": files.grey_profile(files.gamma(2.2)),
        "cmyk": files.cmyk_profile(),
    }.items():
        yield f"profile-{name}.png", saved(GOOD, "PNG", icc_profile=profile), READS


def sizes() -> Iterator[Case]:
    for width, height in ((1, 1), (1, 5000), (3, 3), (255, 257), (256, 256), (4097, 2160), (7, 5), (64, 32)):
        yield f"size-{width}x{height}.png", saved(Image.new("RGB", (width, height), "teal"), "PNG"), READS


def metadata() -> Iterator[Case]:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x927C] = bytes(65_000)
    yield "exif-64-kb.jpg", saved(GOOD, "JPEG", exif=exif), READS
    loop = b"II*\0" + struct.pack("<IHHHIIHHIII", 8, 2, 0x8769, 4, 1, 8, 0x8825, 4, 1, 8, 8)
    yield "exif-recursive.jpg", saved(GOOD, "JPEG", exif=b"Exif\0\0" + loop), READS
    large = files.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"<a>" * 3_400_000)
    yield "xmp-10-mb.png", files.png(2, 2, 8, 0, bytes(6), large), READS
    yield "text-nul.png", files.png(2, 2, 8, 0, bytes(6), files.chunk(b"tEXt", b"Title\0a\0b\0c")), READS


def specials() -> Iterator[Case]:
    def listen(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(path))  # an absolute one may be too long for a socket

    yield "folder.png", Path.mkdir, REFUSED
    yield "dead-link.png", lambda path: path.symlink_to("nowhere.png"), REFUSED
    yield "loop.png", lambda path: path.symlink_to(path.name), REFUSED
    if hasattr(os, "mkfifo"):
        yield "pipe.png", os.mkfifo, REFUSED
        yield "socket.png", listen, REFUSED
    if hasattr(os, "geteuid") and os.geteuid():
        yield "unreadable.png", lambda path: (path.write_bytes(saved(GOOD, "PNG")), path.chmod(0)), REFUSED


ICC = files.rgb_profile(files.ADOBE_RGB, files.gamma(2.2))


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "camera"
    return exif.tobytes()


def _apng(claimed: int) -> bytes:
    control = files.chunk(b"acTL", struct.pack(">II", claimed, 0))
    frame = files.chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 2, 2, 0, 0, 1, 10, 0, 0))
    return files.png(2, 2, 8, 0, bytes(6), control, frame)


def _pages(count: int) -> bytes:
    """A chain of pages of one pixel."""
    out = bytearray(b"II*\0" + struct.pack("<I", 10) + b"\x80\0")
    tags = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1))
    entries = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    for page in range(count):
        out += entries + struct.pack("<I", len(out) + len(entries) + 4 if page < count - 1 else 0)
    return bytes(out)


def _interlaced() -> bytes:
    """Adam7, 8x8 grey (PNG specification, clause 8.2)."""
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    raw = b"".join(b"\0" + row.tobytes() for y, x, dy, dx in starts for row in pixels[y::dy, x::dx])
    head = files.chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + head + files.chunk(b"IDAT", zlib.compress(raw)) + files.chunk(b"IEND", b"")


GROUPS = (
    truncated, damaged, wrong_kinds, wrong_suffixes, bombs, modes, animations, orientations, profiles, sizes, metadata,
    specials,
)  # fmt: skip


def read_or_refused(path: Path) -> Pictures | None:
    """Read as a user would; whatever goes wrong must be one line that begins with the name."""
    began = time.process_time()
    try:
        pictures = read_pictures(path, path.name)
    except DataError as error:
        said = str(error)
        assert said.startswith(f"{path.name}: "), said
        assert "\n" not in said
        assert len(said) > len(path.name) + 10
        pictures = None
    assert time.process_time() - began < _SECONDS
    return pictures


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_file_is_read_or_refused_with_its_name(tmp_path, group, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    cases = list(group())
    assert len({name for name, _, _ in cases}) == len(cases) >= 4
    for name, content, expected in cases:
        path = tmp_path / name
        path.write_bytes(content) if isinstance(content, bytes) else content(path)
        pictures = read_or_refused(path)
        assert expected == EITHER or (pictures is not None) == (expected == READS), name
        if pictures is None:
            continue
        for picture in pictures.frames:
            height, width = picture.pixels.shape[:2]
            assert picture.pixels.dtype.name in {"uint8", "uint16"}, name
            assert picture.alpha is None or picture.alpha.shape == (height, width), name
        held = pictures if path.suffix != ".jpg" else Pictures(pictures.frames[:1])
        check_writable(tmp_path / "out" / name, held, mark=Mark("abc"))
        for icc in ("srgb", "keep"):
            write_pictures(tmp_path / "out" / name, held, icc=icc, mark=Mark("abc"))
            again = read_pictures(tmp_path / "out" / name)
            assert again.frames[0].pixels.shape[:2] == pictures.frames[0].pixels.shape[:2], name


def test_there_are_as_many_as_were_promised():
    assert sum(len(list(group())) for group in GROUPS) >= 96


@settings(max_examples=150)
@given(st.data())
def test_no_mutant_escapes_as_anything_but_a_data_error(data):
    """Bytes changed and cut in files of several frames, of 16 bits, of floats, with profiles and directories."""
    mutant = bytearray(data.draw(st.sampled_from(_seeds())))
    for _ in range(data.draw(st.integers(1, 3))):
        mutant[data.draw(st.integers(0, len(mutant) - 1))] = data.draw(st.integers(0, 255))
    mutant = mutant[: len(mutant) - data.draw(st.integers(0, 20))]
    for value_range in (None, (0.0, 1.0)):
        try:
            pictures = read_pictures(io.BytesIO(bytes(mutant)), "x", value_range=value_range, max_pixels=1_000_000)
        except DataError:
            continue
        else:
            write_pictures(io.BytesIO(), pictures, file_format="TIFF", icc="keep", mark=Mark("abc"))


@cache
def _seeds() -> tuple[bytes, ...]:
    small = NOISE.resize((12, 12))
    more = {"save_all": True, "append_images": [small.rotate(90)], "duration": 50}
    deep = Picture(
        np.random.default_rng(0).integers(0, 65536, (9, 9, 3)).astype(np.uint16), None, "", ICC, _exif(1), ""
    )
    floats = Picture(np.zeros((9, 9, 3), np.float32), None, "", None, None, "", value_range=(0, 1))
    found = [saved(small, kind, **more) for kind in ("GIF", "PNG", "WEBP")]
    found += [saved(small, kind, icc_profile=ICC, exif=_exif(6)) for kind in ("JPEG", "AVIF")]
    found.append(saved(small.convert("CMYK"), "JPEG", icc_profile=files.scanner_profile()))
    for picture, kind in ((deep, "PNG"), (deep, "TIFF"), (floats, "TIFF"), (floats, "NPY")):
        buffer = io.BytesIO()
        write_pictures(buffer, Pictures((picture,)), file_format=kind, icc="keep", mark=Mark("abc"))
        found.append(buffer.getvalue())
    return tuple(found)


def test_odd_pngs_have_the_pixels_that_were_meant(tmp_path):
    (tmp_path / "x.png").write_bytes(_interlaced())
    assert np.array_equal(read_pictures(tmp_path / "x.png").frames[0].pixels[..., 0], np.arange(64).reshape(8, 8))
    (tmp_path / "x.png").write_bytes(files.png(4, 1, 2, 0, b"\0\x1b"))
    assert read_pictures(tmp_path / "x.png").frames[0].pixels.ravel().tolist() == [0, 85, 170, 255]


def test_damage_to_metadata_does_not_cost_the_picture(tmp_path):
    for name, data, _ in metadata():
        (tmp_path / name).write_bytes(data)
        (found,) = read_pictures(tmp_path / name).frames
        notes = write_picture(tmp_path / f"out-{name}", found, mark=Mark("abc"))
        assert ("XMP" in "".join(notes)) == name.startswith("xmp")


def test_a_picture_of_nothing_else_needs_no_note():
    plain = Picture(np.asarray(GOOD), None, "PNG", None, None, "")
    for suffix in ("png", "jpg", "webp", "tif", "bmp", "avif", "jp2"):
        assert check_writable(Path(f"x.{suffix}"), plain) == ()
