"""Files that no library writes on request: colour profiles, animations with partial frames, and broken things."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageCms

ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
"""XYZ (D50) of red, green and blue."""


def _icc(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Put a profile of version 2.4 together (ICC.1:2001, clauses 6.1 and 6.2)."""
    header = (
        b"none" + struct.pack(">I", 0x02400000) + kind + space + connection + struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    )
    header += b"acsp" + bytes(28) + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D) + bytes(48)
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += padded
    rest = header + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(rest) + 4) + rest


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


SRGB_CURVE = b"para\0\0\0\0" + struct.pack(
    ">HH5i", 3, 0, *(round(v * 65536) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)


def rgb_profile(primaries: Sequence[Sequence[float]], curve: bytes) -> bytes:
    tags = {b"wtpt": _xyz((0.9642, 1, 0.8249))}
    tags |= {name: _xyz(xyz) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _icc(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(curve: bytes) -> bytes:
    return _icc(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz((0.9642, 1, 0.8249)), b"kTRC": curve})


def _table(inputs: int, outputs: int, grid: int, lattice: np.ndarray) -> bytes:
    """A lut8Type (ICC.1:2001, clause 6.5.8) with straight curves."""
    matrix = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    straight = bytes(range(256))
    head = b"mft1\0\0\0\0" + bytes([inputs, outputs, grid, 0]) + matrix
    return head + straight * inputs + lattice.astype(np.uint8).tobytes() + straight * outputs


def _lab_bytes(image: Image.Image) -> np.ndarray:
    """Lab as a lut8Type writes it: L of 255, a and b from 128 (Pillow's are in two's complement)."""
    lab = ImageCms.createProfile("LAB")
    found = np.asarray(ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), lab, outputMode="LAB"))
    return np.dstack([found[..., 0], found[..., 1] ^ 0x80, found[..., 2] ^ 0x80])


DULL, DARK = 0.8, 30.0


def inked(rgb: np.ndarray) -> np.ndarray:
    """How colours in [0, 1] come out of the test's printer, in [0, 255]: dull, and black is not black."""
    return DARK + (255 - DARK) * (DULL * rgb + (1 - DULL) * rgb.mean(-1, keepdims=True))


def cmyk_profile() -> bytes:
    grid = 17
    cmyk = np.stack(np.meshgrid(*[np.linspace(0, 1, 9)] * 4, indexing="ij"), -1).reshape(-1, 4)
    rgb = inked((1 - cmyk[:, :3]) * (1 - cmyk[:, 3:]))
    forward = _lab_bytes(Image.fromarray(np.rint(rgb).astype(np.uint8).reshape(1, -1, 3)))
    steps = np.linspace(0, 255, grid).round().astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(grid, grid * grid, 3)
    stored = np.dstack([lattice[..., 0], lattice[..., 1] ^ 0x80, lattice[..., 2] ^ 0x80])
    image = Image.frombytes("LAB", (grid * grid, grid), np.ascontiguousarray(stored).tobytes())
    shown = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    dull = (np.asarray(shown).astype(float) - DARK) / (255 - DARK)
    inks = (1 - (dull - (1 - DULL) * dull.mean(-1, keepdims=True)) / DULL).clip(0, 1)
    back = np.rint(np.dstack([inks, np.zeros(inks.shape[:2])]) * 255)
    tags = {b"wtpt": _xyz((0.9642, 1, 0.8249)), b"A2B0": _table(4, 3, 9, forward), b"B2A0": _table(3, 4, grid, back)}
    return _icc(b"prtr", b"CMYK", b"Lab ", tags)


def scanner_profile() -> bytes:
    """A table from RGB to Lab, without a way back."""
    steps = np.linspace(0, 1, 9)
    rgb = inked(np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3))
    forward = _lab_bytes(Image.fromarray(np.rint(rgb).astype(np.uint8).reshape(1, -1, 3)))
    tags = {b"wtpt": _xyz((0.9642, 1, 0.8249)), b"A2B0": _table(3, 3, 9, forward)}
    return _icc(b"scnr", b"RGB ", b"Lab ", tags)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, bits: int, colour: int, raw: bytes, *more: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def gif(
    size: tuple[int, int],
    palette: np.ndarray,
    frames: Sequence[tuple[tuple[int, int], np.ndarray, int, int, int | None]],
    loop: int | None = 0,
) -> bytes:
    """Write a GIF 89a.

    Args:
        size: (width, height) of the canvas.
        palette: uint8 [128, 3].
        frames: ((left, top), indices [h, w], disposal, hundredths of a second, transparent index or None) each.
        loop: times to repeat, or None for no word of it.
    """
    out = bytearray(b"GIF89a" + struct.pack("<HHBBB", *size, 0xF6, 0, 0) + palette.astype(np.uint8).tobytes())
    if loop is not None:
        out += b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", loop) + b"\0"
    for (left, top), indices, disposal, hundredths, clear in frames:
        out += b"\x21\xf9\x04" + struct.pack("<BHBB", disposal << 2 | (clear is not None), hundredths, clear or 0, 0)
        out += b"\x2c" + struct.pack("<HHHHB", left, top, indices.shape[1], indices.shape[0], 0) + b"\x07"
        flat = indices.astype(np.uint8).tobytes()
        # 8-bit codes throughout: the dictionary is cleared (0x80) before it would need a ninth
        codes = b"".join(b"\x80" + flat[i : i + 120] for i in range(0, len(flat), 120)) + b"\x81"
        out += (
            b"".join(bytes([len(codes[i : i + 255])]) + codes[i : i + 255] for i in range(0, len(codes), 255)) + b"\0"
        )
    return bytes(out + b";")


def composited(
    size: tuple[int, int],
    palette: np.ndarray,
    frames: Sequence[tuple[tuple[int, int], np.ndarray, int, int, int | None]],
) -> list[np.ndarray]:
    """What a viewer shows of :func:`gif`, uint8 [H, W, 4] a frame (GIF 89a, clause 23: 2 clears, 3 restores)."""
    canvas = np.zeros((size[1], size[0], 4), np.uint8)
    shown = []
    for (left, top), indices, disposal, _, clear in frames:
        before = canvas.copy()
        area = canvas[top : top + indices.shape[0], left : left + indices.shape[1]]
        drawn = np.ones(indices.shape, bool) if clear is None else indices != clear
        area[drawn] = np.dstack([palette[indices], np.full(indices.shape, 255)])[drawn]
        shown.append(canvas.copy())
        if disposal == 2:
            area[:] = 0
        elif disposal == 3:
            canvas = before
    return shown
