"""Ninety-odd bad and odd files: each is read whole or refused in one line with its name, quickly, whatever it is."""

from __future__ import annotations

import importlib.util
import io
import re
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.checkpoint import save_translator
from img2img.data.source import Source
from img2img.data.transforms import load_pixels, on_white
from img2img.errors import DataError
from img2img.image import (
    Mark,
    Picture,
    Pictures,
    check_writable,
    jpeg_head,
    read_picture,
    read_pictures,
    with_channels,
    write_picture,
    write_pictures,
)
from tests import files, odd_files
from tests.conftest import ROOT
from tests.odd_files import EITHER, GOOD, GROUPS, ICC, NOISE, READS, REFUSED, saved
from tests.test_batches import lines, tree
from tests.test_checkpoint import a_file

_SECONDS = 2.0


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


def test_training_sees_what_translating_sees_of_every_jpeg(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    groups = odd_files.wrong_suffixes, odd_files.modes, odd_files.orientations, odd_files.metadata
    p3 = files.rgb_profile(files.DISPLAY_P3, files.SRGB_CURVE)
    cases = [case for group in groups for case in group() if case[0].endswith(".jpg") and case[2] == READS]
    cases += [(f"icc-{i}.jpg", saved(NOISE, "JPEG", icc_profile=icc), READS) for i, icc in enumerate((ICC, p3))]
    odd_files.make(tmp_path, cases)
    own_decoder = 0
    for name, _, _ in cases:
        head = jpeg_head((tmp_path / name).read_bytes())
        own_decoder += head is not None
        seen, wanted = load_pixels(Source(tmp_path, "whole", name), 3), read_picture(tmp_path / name)
        apart = np.abs(seen.astype(int) - with_channels(on_white(wanted), 3)).max()
        assert apart <= (head is not None and head.tables is not None), name  # a level, where colours are converted
    assert 12 <= own_decoder < len(cases)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_file_is_read_or_refused_with_its_name(tmp_path, group, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    cases = list(group())
    assert len({name for name, _, _ in cases}) == len(cases) >= 4
    odd_files.make(tmp_path, cases)
    for name, _, expected in cases:
        path = tmp_path / name
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
    assert sum(odd_files.PROMISED.values()) == 96
    for group, promised in odd_files.PROMISED.items():
        assert len(list(group())) >= promised, group.__name__


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from Linux")
def test_a_folder_of_all_of_them_is_translated_as_far_as_it_can_be(tmp_path, monkeypatch):
    """In one process: each is told once, in plain words; the good ones come out as if the bad ones were not there."""
    file, _ = a_file()
    save_translator(tmp_path / "model.safetensors", file)
    (tmp_path / "all").mkdir()
    monkeypatch.chdir(tmp_path / "all")
    cases = [case for group in GROUPS for case in group()]
    odd_files.make(tmp_path / "all", cases)
    meant = {name: expected for name, _, expected in cases if not (tmp_path / "all" / name).is_dir()}

    def translate(source, out):
        words = ["translate", "../model.safetensors", source, out, "--device", "cpu"]
        done = subprocess.run(
            [sys.executable, "-c", _WATCHED, *words], capture_output=True, text=True, timeout=120, check=False
        )
        *said, peak = done.stdout.splitlines()
        assert "Traceback" not in done.stderr
        return done.returncode, said[-1], lines(tmp_path / out.name), int(peak.split()[1]) / 1e6

    code, said, found, peak_gb = translate(tmp_path / "all", tmp_path / "out")
    assert code == 3
    assert [line["input"] for line in found] == sorted(meant)
    statuses = {line["input"]: line["status"] for line in found}
    assert set(statuses.values()) == {"translated", "failed"}
    wrong = {n for n, expected in meant.items() if expected not in {EITHER, _EXPECTED[statuses[n]]}}
    assert not wrong
    good = [name for name, status in statuses.items() if status == "translated"]
    assert said.startswith(f"{len(good)} translated, {len(meant) - len(good)} failed, ")
    for line in found:
        if line["status"] == "failed":
            assert len(line["reason"]) > 10 and not _UNREADABLE.search(line["reason"]), line  # noqa: PT018

    (tmp_path / "good").mkdir()
    for name in good:
        shutil.copy(tmp_path / "all" / name, tmp_path / "good" / name)
    code, said, _, alone_gb = translate(tmp_path / "good", tmp_path / "alone")
    assert code == 0
    assert peak_gb < min(2.5, alone_gb + 0.3)  # torch alone has 0.6
    assert said.startswith(f"{len(good)} translated, 0 failed, ")
    assert tree(tmp_path / "alone") == tree(tmp_path / "out")
    assert len(tree(tmp_path / "out")) == len(good)


_EXPECTED = {"translated": READS, "failed": REFUSED}
_UNREADABLE = re.compile(r"[\n<>\[\]{}]|0x|Error|Errno|/tmp|object at|None|line \d|PngImagePlugin|struct|numpy")
"""What people do not say."""

_WATCHED = """
import atexit, sys
atexit.register(lambda: print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")), end=""))
from img2img.__main__ import main
main()
"""


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
        np.random.default_rng(0).integers(0, 65536, (9, 9, 3)).astype(np.uint16), None, "", ICC, odd_files.exif(1), ""
    )
    floats = Picture(np.zeros((9, 9, 3), np.float32), None, "", None, None, "", value_range=(0, 1))
    found = [saved(small, kind, **more) for kind in ("GIF", "PNG", "WEBP")]
    found += [saved(small, kind, icc_profile=ICC, exif=odd_files.exif(6)) for kind in ("JPEG", "AVIF")]
    found.append(saved(small.convert("CMYK"), "JPEG", icc_profile=files.scanner_profile()))
    for picture, kind in ((deep, "PNG"), (deep, "TIFF"), (floats, "TIFF"), (floats, "NPY")):
        buffer = io.BytesIO()
        write_pictures(buffer, Pictures((picture,)), file_format=kind, icc="keep", mark=Mark("abc"))
        found.append(buffer.getvalue())
    return tuple(found)


def test_odd_pngs_have_the_pixels_that_were_meant(tmp_path):
    (tmp_path / "x.png").write_bytes(odd_files.interlaced())
    assert np.array_equal(read_pictures(tmp_path / "x.png").frames[0].pixels[..., 0], np.arange(64).reshape(8, 8))
    (tmp_path / "x.png").write_bytes(files.png(4, 1, 2, 0, b"\0\x1b"))
    assert read_pictures(tmp_path / "x.png").frames[0].pixels.ravel().tolist() == [0, 85, 170, 255]


def test_damage_to_metadata_does_not_cost_the_picture(tmp_path):
    for name, data, _ in odd_files.metadata():
        (tmp_path / name).write_bytes(data)
        (found,) = read_pictures(tmp_path / name).frames
        notes = write_picture(tmp_path / f"out-{name}", found, mark=Mark("abc"))
        assert ("XMP" in "".join(notes)) == name.startswith("xmp")


def test_a_picture_of_nothing_else_needs_no_note():
    plain = Picture(np.asarray(GOOD), None, "PNG", None, None, "")
    for suffix in ("png", "jpg", "webp", "tif", "bmp", "avif", "jp2"):
        assert check_writable(Path(f"x.{suffix}"), plain) == ()


def test_the_fuzzing_script_counts_and_repeats_itself(tmp_path):
    """Two dozen mutants through the command, and the same bytes for the same number."""
    spec = importlib.util.spec_from_file_location("fuzz", ROOT / "scripts" / "fuzz.py")
    fuzz = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz)
    GOOD.save(tmp_path / "photo.png")
    made = fuzz.seeds(tmp_path / "photo.png", 32)
    assert len(made) == 8
    assert [fuzz.mutant(made, n) for n in range(9)] == [fuzz.mutant(made, n) for n in range(9)]
    assert all(fuzz.mutant(made, n) != list(made.values())[n % 8] for n in range(64))
    assert fuzz.outcome_of(lambda: 1 / 0) == "escape: ZeroDivisionError: division by zero"
    words = [sys.executable, ROOT / "scripts" / "fuzz.py", tmp_path, "--count", "24"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    read, refused = (int(number) for number in re.findall(r"(\d+) (?:read|refused)", said))
    assert read + refused == 24
    assert "0 crashes, 0 hangs, 0 escapes" in said
