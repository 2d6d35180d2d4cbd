"""The makers of bad and odd image files, by group: what strangers' folders hold, made on the spot."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms

from tests import files
from tests.conftest import drawing

GOOD = drawing(7, (48, 40))[1]
READS, REFUSED, EITHER = "reads", "refused", "either"
Case = tuple[str, bytes | Callable[[Path], None], str]


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

    png, jpeg = saved(NOISE, "PNG", icc_profile=ICC), saved(NOISE, "JPEG", icc_profile=ICC, exif=exif(6))
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
        "pickle.png": b"\x80\4\x95\0\0",
        "array.jpg": b"\x93NUMPY\1\0\x10\0{'descr': evil}\n",
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
    text = b"XML:com.adobe.xmp\0\1\0\0\0" + packed
    yield "bomb-xmp.png", files.png(2, 2, 8, 0, bytes(6), files.chunk(b"iTXt", text)), REFUSED
    yield "bomb-frames.png", _apng(100_000), REFUSED
    yield "bomb-frames.gif", _gif(100_000), REFUSED
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
    yield "mode-interlaced.png", interlaced(), READS
    yield "mode-2-bits.png", files.png(5, 3, 2, 0, b"\0\x1b\xc0" * 3), READS


def animations() -> Iterator[Case]:
    more = {"save_all": True, "append_images": [NOISE, GOOD.resize(NOISE.size)], "duration": 50}
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        yield f"frames.{SUFFIX[kind]}", saved(NOISE, kind, **more), READS
    yield "frames.jpg", saved(NOISE, "MPO", **more), READS


def orientations() -> Iterator[Case]:
    for orientation in (1, 2, 3, 4, 5, 6, 7, 8, 0, 99):
        yield f"orientation-{orientation}.jpg", saved(GOOD, "JPEG", exif=exif(orientation)), READS


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
    noted = Image.Exif()
    noted.get_ifd(0x8769)[0x927C] = bytes(65_000)
    yield "exif-64-kb.jpg", saved(GOOD, "JPEG", exif=noted), READS
    loop = b"II*\0" + struct.pack("<IHHHIIHHIII", 8, 2, 0x8769, 4, 1, 8, 0x8825, 4, 1, 8, 8)
    yield "exif-recursive.jpg", saved(GOOD, "JPEG", exif=b"Exif\0\0" + loop), READS
    large = files.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"<a>" * 3_400_000)
    yield "xmp-10-mb.png", files.png(2, 2, 8, 0, bytes(6), large), READS
    yield "text-nul.png", files.png(2, 2, 8, 0, bytes(6), files.chunk(b"tEXt", b"Title\0a\0b\0c")), READS


def specials() -> Iterator[Case]:
    def listen(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(path))  # an absolute one may be too long for a socket

    def unreadable(path: Path) -> None:
        if hasattr(os, "geteuid") and not os.geteuid():  # who may read everything: a file whose reading fails
            path.symlink_to("/proc/self/mem")
        else:
            path.write_bytes(saved(GOOD, "PNG"))
            path.chmod(0)

    yield "folder.png", Path.mkdir, REFUSED
    yield "dead-link.png", lambda path: path.symlink_to("nowhere.png"), REFUSED
    yield "loop.png", lambda path: path.symlink_to(path.name), REFUSED
    if hasattr(os, "mkfifo"):
        yield "pipe.png", os.mkfifo, REFUSED
        yield "socket.png", listen, REFUSED
    yield "unreadable.png", unreadable, REFUSED


ICC = files.rgb_profile(files.ADOBE_RGB, files.gamma(2.2))


def exif(orientation: int) -> bytes:
    found = Image.Exif()
    found[0x0112] = orientation
    found[0x010F] = "camera"
    return found.tobytes()


def _apng(claimed: int) -> bytes:
    control = files.chunk(b"acTL", struct.pack(">II", claimed, 0))
    frame = files.chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 2, 2, 0, 0, 1, 10, 0, 0))
    return files.png(2, 2, 8, 0, bytes(6), control, frame)


def _gif(count: int) -> bytes:
    frame = ((0, 0), np.zeros((1, 1), np.uint8), 1, 2, None)
    one, two = (files.gif((1, 1), np.zeros((128, 3)), [frame] * number) for number in (1, 2))
    return one[:-1] + two[len(one) - 1 : -1] * (count - 1) + b";"


def _pages(count: int) -> bytes:
    """A chain of pages of one pixel."""
    out = bytearray(b"II*\0" + struct.pack("<I", 10) + b"\x80\0")
    tags = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1))
    entries = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    for page in range(count):
        out += entries + struct.pack("<I", len(out) + len(entries) + 4 if page < count - 1 else 0)
    return bytes(out)


def interlaced() -> bytes:
    """Adam7, 8x8 grey (PNG specification, clause 8.2)."""
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    raw = b"".join(b"\0" + row.tobytes() for y, x, dy, dx in starts for row in pixels[y::dy, x::dx])
    head = files.chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + head + files.chunk(b"IDAT", zlib.compress(raw)) + files.chunk(b"IEND", b"")


PROMISED = {
    truncated: 12, damaged: 10, wrong_kinds: 10, wrong_suffixes: 4, bombs: 8, modes: 16, animations: 5,
    orientations: 10, profiles: 5, sizes: 8, metadata: 4, specials: 4,
}  # fmt: skip
"""How many of each group there are at least."""

GROUPS = tuple(PROMISED)


def make(folder: Path, cases: Iterable[Case]) -> None:
    """Write files into a folder, which must be the working folder (for the name of a socket)."""
    for name, content, _ in cases:
        path = folder / name
        path.write_bytes(content) if isinstance(content, bytes) else content(path)
