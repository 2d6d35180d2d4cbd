"""Pairs, splits and contact sheets, through the real command on real files."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from img2img.data.folder import find_layout
from img2img.data.tools.divide import SPLITS, divide
from img2img.data.tools.pair import pair_side_by_side
from img2img.data.tools.placing import LIST_NAME, place_files
from img2img.data.transforms import load_pixels
from img2img.errors import DataError
from img2img.image import Picture, montage, read_picture, write_picture
from tests.conftest import drawing, run_here


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def contents(folder):
    return {name: (folder / name).read_bytes() for name in files(folder)}


# Pairs


@pytest.mark.parametrize(("order", "halves"), [("ab", ("left", "right")), ("ba", ("right", "left"))])
def test_a_pair_side_by_side_trains_on_the_same_pixels_as_the_two_folders(pairs, tmp_path, order, halves):
    said = run_here("data", "pair", pairs / "line", pairs / "colour", tmp_path / "ab", "--order", order).stdout
    assert said == f"12 pairs: {tmp_path / 'ab'}\n"
    before = find_layout([pairs], paired=True, domains=["line", "colour"]).train
    after = find_layout([tmp_path / "ab"], paired=True).train
    by_half = {source.half: sources for sources in (after.a, after.b) for source in sources[:1]}
    for sources, half in ((before.a, halves[0]), (before.b, halves[1])):
        for one, both in zip(sources, by_half[half], strict=True):
            assert one.stem == both.stem
            assert np.array_equal(load_pixels(one, 3), load_pixels(both, 3))


@pytest.mark.parametrize("ending", ["npy", "xyz"])
def test_a_format_that_holds_no_pictures_is_refused_before_any_work(pairs, tmp_path, ending):
    words = ("data", "pair", pairs / "line", pairs / "colour", tmp_path / "ab", "--format", ending)
    assert run_here(*words, code=1).stderr.count("\n") == 1
    assert not (tmp_path / "ab").exists()


def test_depth_colour_and_alpha_of_either_image_are_kept(tmp_path):
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 65536, (8, 6, 3), dtype=np.uint16)
    grey = rng.integers(0, 256, (8, 6, 1), dtype=np.uint8)
    alpha = rng.integers(0, 256, (8, 6), dtype=np.uint8)
    for folder, picture in (
        ("a", Picture(deep, None, "", None, None, "")),
        ("b", Picture(grey, alpha, "", None, None, "")),
    ):
        (tmp_path / folder / "train").mkdir(parents=True)
        write_picture(tmp_path / folder / "train" / "x.png", picture)
    pair_side_by_side(tmp_path / "a", tmp_path / "b", tmp_path / "ab")
    both = read_picture(tmp_path / "ab" / "train" / "x.png", keep_16_bits=True)
    assert np.array_equal(both.pixels[:, :6], deep)
    assert np.array_equal(both.pixels[:, 6:], np.repeat(grey, 3, axis=2).astype(np.uint16) * 257)
    assert both.alpha is not None
    assert (both.alpha[:, :6] == 65535).all()
    assert np.array_equal(both.alpha[:, 6:], alpha.astype(np.uint16) * 257)
    said = run_here("data", "pair", tmp_path / "a", tmp_path / "b", tmp_path / "jpg", "--format", "jpg").stdout
    assert "note: 16 bits reduced to 8 (JPEG); transparency is shown on a colour" in said


def test_other_sizes_are_named_and_refused_or_brought_to_the_targets(pairs, tmp_path):
    line, colour = pairs / "line", pairs / "colour"
    with Image.open(line / "03.png") as image:
        image.resize((24, 30)).save(line / "03.png")
    said = run_here("data", "pair", line, colour, tmp_path / "ab", code=1).stderr
    assert "1 of 12 pairs differ in size: line/03.png 24x30 and colour/03.jpg 48x40" in said
    assert not (tmp_path / "ab").exists()
    said = run_here("data", "pair", line, colour, tmp_path / "ab", "--resize").stdout
    assert "note: stretched from 24x30 to 48x40: 03.png\n" in said
    with Image.open(tmp_path / "ab" / "03.png") as image:
        assert image.size == (96, 40)


def test_orphans_and_broken_images_are_named_and_the_rest_is_made(pairs, tmp_path):
    line, colour = pairs / "line", pairs / "colour"
    (line / "00.png").unlink()
    (line / "01.png").write_bytes((line / "01.png").read_bytes()[:-40])
    said = run_here("data", "pair", line, colour, tmp_path / "ab", code=1).stderr
    assert "colour/00.jpg" in said
    said = run_here("data", "pair", line, colour, tmp_path / "ab", "--allow-orphans", code=3).stdout
    assert "left out, no partner: colour/00.jpg\n" in said
    assert "failed: 01.png: line/01.png: damaged or truncated" in said
    assert "10 pairs, 1 failed, 1 left out" in said
    assert files(tmp_path / "ab") == [f"{i:02d}.png" for i in range(2, 12)]


def test_nothing_is_overwritten_unless_asked(pairs, tmp_path):
    words = ("data", "pair", pairs / "line", pairs / "colour", tmp_path / "ab")
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "05.png").write_bytes(b"precious")
    assert "05.png is there already" in run_here(*words, code=1).stderr
    assert contents(tmp_path / "ab") == {"05.png": b"precious"}
    assert "11 pairs, 1 there already" in run_here(*words, "--existing", "skip").stdout
    assert (tmp_path / "ab" / "05.png").read_bytes() == b"precious"
    assert "12 pairs" in run_here(*words, "--existing", "overwrite").stdout
    assert (tmp_path / "ab" / "05.png").read_bytes() != b"precious"
    assert "lies in the input folder" in run_here(*words[:4], pairs / "line" / "ab", code=1).stderr


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_list_names_each_pair_relative_to_itself(pairs, tmp_path, ending):
    path = tmp_path / "lists" / f"drawings.{ending}"
    words = ("data", "pair", pairs / "line", pairs / "colour", "--manifest", path)
    assert "12 pairs" in run_here(*words).stdout
    text = path.read_text(encoding="utf-8")
    rows = (
        list(csv.DictReader(text.splitlines())) if ending == "csv" else [json.loads(row) for row in text.splitlines()]
    )
    assert list(rows[0]) == ["a:rgb", "b:rgb"]
    found = [tuple((path.parent / row[column]).resolve() for column in row) for row in rows]
    assert found == [
        ((pairs / f"line/{i:02d}.png").resolve(), (pairs / f"colour/{i:02d}.jpg").resolve()) for i in range(12)
    ]
    assert "there already" in run_here(*words, code=1).stderr
    assert "--resize: a list names the images as they are" in run_here(*words, "--resize", code=1).stderr
    assert "one of the two" in run_here(*words, tmp_path / "ab", code=1).stderr


# Splits


@pytest.fixture
def many(tmp_path):
    """60 side-by-side stand-ins, of noise: no two look alike."""
    root = tmp_path / "many"
    root.mkdir()
    for i in range(60):
        noise(root / f"{i:03d}.png", i)
    return root


def noise(path, seed):
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)


def splits_of(division):
    return {place.source.name: place.split for place in division.places}


@pytest.mark.parametrize("how", ["copy", "link", "move", "list"])
@pytest.mark.parametrize("layout", ["pairs", "unpaired", "side_by_side"])
def test_every_layout_is_divided_and_no_file_is_lost(request, tmp_path, layout, how):
    root, out = request.getfixturevalue(layout), tmp_path / "out"
    before = contents(root)
    kind = find_layout([root], paired=layout != "unpaired").kind
    run_here("data", "split", root, out, "--how", how)
    after = contents(out)
    with (out / LIST_NAME).open(newline="") as file:
        listed = list(csv.DictReader(file))
    after.pop(LIST_NAME)
    assert sorted(after) == ([] if how == "list" else sorted(row["file"] for row in listed))
    assert len(listed) == len(before)
    if how != "list":
        assert sorted(after.values()) == sorted(before.values())
        found = find_layout([out], paired=layout != "unpaired")
        assert None not in {found.validation, found.test}
        assert found.kind == {"two folders": "folders per split and domain"}.get(kind, kind)
    assert contents(root) == ({} if how == "move" else before)
    assert "expected a new or empty folder" in run_here("data", "split", root, out, code=1).stderr


def test_pairs_and_copies_stay_together(pairs):
    for i in range(12):  # each drawing once more under another name, in other colours
        shutil.copy(pairs / "line" / f"{i:02d}.png", pairs / "line" / f"z{i:02d}.png")
        drawing(100 + i)[1].save(pairs / "colour" / f"z{i:02d}.jpg", quality=80)
    for seed in range(5):
        where = {}
        for place in divide([pairs], seed=seed).places:
            where.setdefault(place.target.stem.removeprefix("z"), set()).add(place.split)
        assert all(len(splits) == 1 for splits in where.values())
        assert {split for splits in where.values() for split in splits} == set(SPLITS)


def test_shares_are_met_on_average_and_the_seed_decides(many):
    held = [list(splits_of(divide([many], validation=0.2, test=0.3, seed=seed)).values()) for seed in range(40)]
    assert np.mean([split.count("validation") for split in held]) == pytest.approx(12, abs=1.5)  # deviation 3.1 / 40^.5
    assert np.mean([split.count("test") for split in held]) == pytest.approx(18, abs=1.7)
    assert held[0] != held[1]
    assert held[0] == list(splits_of(divide([many], validation=0.2, test=0.3, seed=0)).values())


def test_images_that_are_added_later_move_no_other(many):
    before = splits_of(divide([many]))
    for i in range(60, 90):
        noise(many / f"new {i}.png", i)
    after = splits_of(divide([many]))
    assert {name: after[name] for name in before} == before
    assert len(after) == 90
    wider = splits_of(divide([many], validation=0.3))
    assert {name for name, split in wider.items() if split == "test"} == {n for n, s in after.items() if s == "test"}


def test_splits_that_are_there_stay_and_leaks_into_them_are_named(unpaired, tmp_path):
    shutil.copy(unpaired / "testA" / "00.png", unpaired / "trainA" / "leak.png")
    (unpaired / "extra").mkdir()
    noise(unpaired / "extra" / "other.png", 1)
    said = run_here("data", "split", unpaired, tmp_path / "out").stdout
    assert files(tmp_path / "out" / "testA") == files(unpaired / "testA")
    assert f"for training all the same: {unpaired / 'trainA' / 'leak.png'}\n" in said
    assert f"outside the layout, left where it is: {unpaired / 'extra' / 'other.png'}\n" in said
    refused = run_here("data", "split", unpaired, tmp_path / "again", "--test", "0.2", code=1).stderr
    assert "--test 0.2: there are test images already" in refused


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_a_failure_on_the_way_leaves_every_original_and_nothing_else(many, tmp_path, how):
    before, places = contents(many), divide([many]).places

    def fail(done, total):
        assert total == 60
        if done == 30:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        place_files(places, tmp_path / "out", how, fail)
    assert contents(many) == before
    assert [path.name for path in tmp_path.iterdir()] == ["many"]


def test_what_cannot_be_divided_is_refused(many, tmp_path):
    for shares, message in (((0.6, 0.4), "below 1"), ((0.0, 0.0), "nothing to divide")):
        with pytest.raises(DataError, match=message):
            divide([many], validation=shares[0], test=shares[1])
    assert "lies in the data folder" in run_here("data", "split", many, many / "out", code=1).stderr
    for path in list(many.iterdir())[2:]:
        path.unlink()
    with pytest.raises(DataError, match="at least 3 training images that do not look alike, got 2"):
        divide([many])
    (many / "dead.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"dead\.png: expected an image file"):
        divide([many])


# Sheets


def test_a_sheet_shows_the_pictures_in_their_places(side_by_side, tmp_path):
    run_here("data", "sheet", side_by_side, tmp_path / "s.png", "--count", "4", "--columns", "2", "--size", "96")
    sheet = read_picture(tmp_path / "s.png").pixels
    assert sheet.shape == (2 * 40 + 8 + 2 * 22, 2 * 96 + 8, 3)
    for place, name in enumerate(["0", "2", "5", "7"]):  # evenly spaced over ten
        top, left = (40 + 22 + 8) * (place // 2), (96 + 8) * (place % 2)
        shown = read_picture(side_by_side / "train" / f"{name}.png").pixels
        assert np.array_equal(sheet[top : top + 40, left : left + 96], shown)
        assert (sheet[top + 40 : top + 56, left : left + 96] < 128).any()  # its name
    assert "there already" in run_here("data", "sheet", side_by_side, tmp_path / "s.png", code=1).stderr


def test_pairs_stand_side_by_side_and_the_unreadable_is_named(pairs, tmp_path):
    (pairs / "line" / "00.png").write_bytes(b"nonsense")
    words = ("data", "sheet", pairs / "line", pairs / "colour", tmp_path / "s.png", "--pairs", "--columns", "1")
    assert "failed: line/00.png: not an image" in run_here(*words, code=3).stdout
    sheet = read_picture(tmp_path / "s.png").pixels
    assert sheet.shape[:2] == (11 * (40 + 22 + 8) - 8, 48 + 2 + 48)
    assert np.array_equal(sheet[:40, :48], np.asarray(drawing(1)[0]))
    for path in (pairs / "line").iterdir():
        path.write_bytes(b"nonsense")
    assert "none of 12 images can be read" in run_here(*words, "--existing", "overwrite", code=1).stderr


def test_a_sheet_takes_any_sizes_and_refuses_to_be_too_large():
    white, black = Image.new("L", (30, 10), 255), Image.new("RGB", (10, 20))
    drawn = np.asarray(montage([[white, black], [black]], captions=[["a" * 50, ""], ["name"]], gap_px=3))
    assert drawn.shape == (20 + 20 + 3 + 2 * 22, 30 + 30 + 3, 3)
    assert (drawn[:20, 33:43] == 0).all()
    assert (drawn[:20, :30] == 255).all()
    assert drawn[20:42].min() < 200  # the caption
    with pytest.raises(DataError, match=r"more than the 89\.48 megapixels"):
        montage([[Image.new("L", (10_000, 10_000))]])
