"""What is wrong with a data folder is found, named and told from what is right."""

from __future__ import annotations

import importlib
import io
import json
import os
import pkgutil
import re
import shutil
import time

import numpy as np
import pytest
from PIL import Image

import img2img.data.check as check_package
from img2img.data.check import KINDS, SEVERITIES, Kind, check, pairing, tree
from img2img.data.check.alike import SAME, close, likeness, same
from img2img.data.check.look import look
from img2img.data.check.matching import exchanged, match
from img2img.data.source import Source
from img2img.data.transforms import load_pixels
from img2img.errors import DataError
from tests.broken_sets import BROKEN, GOOD, scene
from tests.conftest import ROOT, TINY_PIX2PIX, run_here
from tests.test_odd_files import GROUPS


def grave(report):
    return {finding.kind.name for finding in report.findings if finding.kind.severity != "note"}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return {name: make(tmp_path_factory.mktemp("good") / "set") for name, make in GOOD.items()}


@pytest.fixture
def broken(good, tmp_path, monkeypatch):
    """Make a broken set of a case; a locked folder is locked for the superuser, too."""

    def locked(folder, scan=os.scandir):
        if os.fsdecode(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(folder))
        return scan(folder)

    def make(case):
        root = tmp_path / "data"
        shutil.copytree(good[case.base], root)
        words = case.make(root)
        if case.kind is tree.LOCKED:
            monkeypatch.setattr(os, "scandir", locked)
        return root, words

    return make


def test_every_kind_has_a_broken_example_and_stands_in_one_list():
    found = set()
    for module in pkgutil.iter_modules(check_package.__path__):
        names = vars(importlib.import_module(f"{check_package.__name__}.{module.name}"))
        found |= {value for value in names.values() if isinstance(value, Kind)}
    assert found == set(KINDS)
    assert {case.kind for case in BROKEN} == found
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert {kind.severity for kind in KINDS} == set(SEVERITIES)


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: f"{case.kind.name}-{case.make.__name__.strip('_')}")
def test_a_fault_is_found_with_its_files_and_nothing_else_is_blamed(case, broken):
    root, words = broken(case)
    began = time.perf_counter()
    report = check([root / case.inside], **case.options)
    assert time.perf_counter() - began < 10
    finding = next(f for f in report.findings if f.kind is case.kind)
    told = "\n".join([finding.said, *finding.names])
    assert all(word in told for word in words), told
    assert "\n" not in finding.line
    assert finding.line.startswith(f"{case.kind.severity}: ")
    assert finding.line.endswith(case.kind.remedy)
    finding.line.encode()
    assert grave(report) - {case.kind.name} == {kind.name for kind in case.also}


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("name", GOOD)
def test_a_good_set_is_blamed_for_nothing(name, quick, good):
    to = {"pairs": "colour", "side by side": "A", "unpaired": None}[name]
    report = check([good[name]], to=to, quick=quick)
    assert report.findings == ()
    advice = dict(report.facts)["advice"]
    assert ("pix2pix" in advice) == (name != "unpaired")
    assert "--size 64 " in advice
    preset = dict(report.facts).get("preset", "")
    assert ("--preset few-shot" in preset) == (name != "unpaired")


def test_a_preset_is_named_where_names_or_label_maps_tell(good, tmp_path):
    for split in ("trainA", "trainB"):
        shutil.copytree(good["unpaired"] / split, tmp_path / split)
    named = check([tmp_path], domains=["winter", "summer"], quick=True)
    assert "--preset season" in dict(named.facts)["preset"]


def test_the_bundled_drawings_are_blamed_for_nothing_before_a_training():
    report = check([ROOT / "datasets" / "line2flat"], to="flat", quick=True)
    assert grave(report) == set()
    assert "--size 128 " in dict(report.facts)["advice"]


def test_domains_in_folders_of_their_own(good):
    root = good["pairs"]
    report = check([root / "line", root / "colour"])
    assert report.findings == ()
    assert "line -> colour" in dict(report.facts)["layout"]


def test_numbered_sets_without_a_relation_are_taken_as_unpaired_where_that_is_said(broken):
    root, _ = broken(next(case for case in BROKEN if case.kind is pairing.STRANGERS))
    assert "not pairs" in grave(check([root], to="colour"))
    assert "not pairs" not in grave(check([root], to="colour", paired=False))


# What the verdicts rest on


def jpeg(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


CHANGES = {
    "jpeg": lambda i: jpeg(i, 40),
    "half": lambda i: i.resize((i.width // 2, i.height // 2)),
    "cropped": lambda i: i.crop((3, 2, i.width - 2, i.height - 4)),
    "brighter": lambda i: i.point(lambda v: min(255, int(1.15 * v + 8))),
}


def thumbnail(image):
    return np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_known_again_and_strangers_are_not(change):
    originals = [scene(number)[1] for number in range(40)]
    thumbnails = [thumbnail(image) for image in originals]
    changed = [thumbnail(CHANGES[change](image)) for image in originals]
    found = same(thumbnails + changed, close(thumbnails + changed))
    assert all(b == a + 40 for a, b in found)  # no strangers
    assert len(found) >= 36
    assert likeness(thumbnails[0], changed[1]) < SAME


def test_edges_tell_pairs_from_strangers_at_the_stated_significance():
    lines, colours = ([thumbnail(scene(number)[side]) for number in range(40)] for side in (0, 1))
    assert match(lines, colours).z > 10
    rng = np.random.default_rng(0)
    strangers = [match(lines, [colours[i] for i in rng.permutation(40)]).z for _ in range(40)]
    assert np.mean(np.abs(strangers) < 2) > 0.8
    assert match(lines[:4], colours[:4]) is None
    assert match([np.zeros((64, 64), np.uint8)] * 9, [np.zeros((64, 64), np.uint8)] * 9) is None


def test_domains_that_look_alike_are_never_called_exchanged():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 60, 8)).astype(np.float32)
    assert exchanged(first, second) == []
    apart = second + 12
    assert exchanged(first, apart) == []
    first[[4, 9]], apart[[4, 9]] = apart[[4, 9]].copy(), first[[4, 9]].copy()
    assert exchanged(first, apart) == [4, 9]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_it_reads_what_a_training_reads(group, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content, _ in group():
        path = tmp_path / name
        path.write_bytes(content) if isinstance(content, bytes) else content(path)
        source = Source(tmp_path, "whole", name)
        refused = ""
        try:
            load_pixels(source, 3)
        except DataError as error:
            refused = str(error)
        for draft in (False, True):
            assert bool(look([source], decode=True, draft=draft)[source].error) == bool(refused), name


def test_the_quick_half_looks_at_a_bounded_part(tmp_path):
    small = Image.new("RGB", (9, 8))
    for folder in ("trainA", "trainB"):
        (tmp_path / folder).mkdir()
        for number in range(1500):
            small.putpixel((0, 0), (number % 256, number // 256, len(folder)))
            small.save(tmp_path / folder / f"{folder}{number}.bmp")
    began = time.perf_counter()
    looked = dict(check([tmp_path], quick=True).facts)["looked at"]
    assert time.perf_counter() - began < 10
    heads, pictures = (int(n.replace(",", "")) for n in re.findall(r"([\d,]+) (?:heads|pictures)", looked))
    assert heads < 1500
    assert 300 <= pictures <= 320


# The commands


def test_the_command_says_a_line_each_and_exits_by_the_worst(good, broken, tmp_path):
    case = next(case for case in BROKEN if case.make.__name__ == "_truncate")
    root, _ = broken(case)
    page = tmp_path / "page.html"
    said = run_here("data", "check", root, "--to", "colour", "--page", page).stdout
    assert len(re.findall(r"^warning: ", said, re.MULTILINE)) == 1
    assert "1 warning" in said
    assert "line/005.png" in page.read_text()
    assert page.read_text().count("data:image/jpeg;base64,") >= 12
    run_here("data", "check", root, "--to", "colour", "--strict", code=1)
    (root / "line" / "008.png").unlink()
    run_here("data", "check", root, "--to", "colour", code=1)
    assert "nothing wrong" in run_here("data", "check", good["pairs"], "--to", "colour", "--quick", "--strict").stdout
    assert "expected pix2pix or cyclegan" in run_here("data", "check", root, "--method", "gan", code=1).stderr
    missing = run_here("data", "check", tmp_path / "missing", code=1)
    assert "no such data folder" in missing.stdout


def test_json_has_the_documented_shape(broken):
    case = next(case for case in BROKEN if case.kind is tree.NOT_TEXT)
    root, _ = broken(case)
    found = json.loads(run_here("data", "check", root, "--to", "colour", "--json").stdout)
    assert found.keys() == {"data", "facts", "findings"}
    assert {"layout", "images", "sizes", "files", "pairs", "advice"} <= found["facts"].keys()
    (finding,) = found["findings"]
    assert finding.keys() == {"kind", "severity", "said", "names", "count", "remedy"}
    assert (finding["kind"], finding["severity"], finding["count"]) == ("name not UTF-8", "warning", 2)


def test_a_training_says_what_matters_and_nothing_about_a_good_set(good, broken, tmp_path):
    options = (*TINY_PIX2PIX, "--images", "2", "--to", "colour", "--batch", "1", "--wandb", "off", "--guard", "off")
    said = run_here("train", "--method", "pix2pix", "--data", good["pairs"], "--out", tmp_path / "good", *options)
    assert "data warning" not in said.stdout + said.stderr
    case = next(case for case in BROKEN if case.make.__name__ == "_mispair")
    root, _ = broken(case)
    said = run_here("train", "--method", "pix2pix", "--data", root, "--out", tmp_path / "bad", *options).stdout
    assert len(re.findall(r"^data (?:warning|error): ", said, re.MULTILINE)) == 1
    assert "line/003.png (fits" in said


def test_the_page_of_the_manual_lists_every_kind():
    rows = re.findall(
        r"^\| ([^|]+) \| (error|warning|note) \| ([^|]+) \|$", (ROOT / "docs" / "data.md").read_text(), re.MULTILINE
    )
    assert set(rows) == {(kind.name, kind.severity, kind.meaning) for kind in KINDS}
