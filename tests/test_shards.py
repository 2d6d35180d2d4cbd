"""Shards: the samples of the folder that they were made from, bit for bit; whatever is wrong with them, in one line."""

from __future__ import annotations

import json
import shutil

import pytest

from img2img.data.folder import find_layout
from img2img.data.shards import INDEX
from img2img.data.tools.shard import write_shards
from img2img.errors import DataError
from tests.conftest import drawing, run_here
from tests.test_cache import assert_equal, batches
from tests.test_data import data_of, names


@pytest.fixture
def dotted(tmp_path):
    """Pairs in splits and folders, with stems that have dots and bytes that are no UTF-8."""
    root = tmp_path / "dotted"
    for split, stems in {"train": ["a.b", "a_b", "deep/x", "1%2E"], "val": ["a.b", "y"]}.items():
        for i, stem in enumerate(stems):
            for folder, image, ending in zip(("line.art", "colour"), drawing(i), ("PNG", "jpg"), strict=True):
                path = root / split / folder / f"{stem}.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path)
    return root


def small(data, out, size="6KB"):
    run_here("data", "shard", data, out, "--size", size)
    return out


LAYOUTS = {
    "pairs": {"domains": ["line", "colour"]},
    "side_by_side": {"domains": ["colour", "line"], "to": "colour"},
    "unpaired": {"paired": False, "cache": "disk"},
    "dotted": {"resize": "none", "workers": 2},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_are_those_of_the_folder(layout, request, tmp_path, monkeypatch):
    monkeypatch.setenv("IMG2IMG_CACHE", str(tmp_path / "cache"))
    root, options = request.getfixturevalue(layout), LAYOUTS[layout]
    words = ["--domains", *options["domains"]] if layout == "side_by_side" else []
    said = run_here("data", "shard", root, tmp_path / "out", "--size", "6KB", *words).stdout
    assert len(list((tmp_path / "out").glob("*.tar"))) > 1
    assert f"{tmp_path / 'out'} (" in said
    wanted = batches(root, 2, **options)
    shutil.move(root, tmp_path / "gone")
    if layout == "side_by_side":  # the halves have names now
        options = {"to": "colour"}
    assert_equal(batches(tmp_path / "out", 2, **options), wanted)
    if options.get("cache"):
        assert_equal(batches(tmp_path / "out", 2, **options), wanted)


def test_every_split_and_name_is_there(dotted, tmp_path):
    before = find_layout([dotted], paired=True)
    after = find_layout([small(dotted, tmp_path / "out")], paired=True)
    assert after.domains == before.domains == ("colour", "line.art")
    assert names(after.train) == names(before.train)
    assert names(after.validation) == names(before.validation)
    assert [s.read() for s in after.validation.b] == [s.read() for s in before.validation.b]
    assert find_layout([tmp_path / "out"], paired=True, domains=["line.art", "colour"]).domains[1] == "colour"
    with pytest.raises(DataError, match=r"--domains x y: the domains in .* are colour and line\.art"):
        find_layout([tmp_path / "out"], paired=True, domains=["x", "y"])


def test_a_resumed_training_goes_on_with_the_same_samples(pairs, tmp_path):
    whole = batches(pairs)
    loader = data_of(small(pairs, tmp_path / "out"), hold_out=0.0).train_dataloader()
    loader.load_state_dict({"samples": 5})
    assert_equal(list(loader), whole[5:])


def test_webdataset_reads_pairs_as_samples(dotted, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    out = small(dotted, tmp_path / "out")
    found = []
    for path in sorted(out.glob("*.tar")):
        with path.open("rb") as file:  # which WebDataset(path) leaves open
            files = ({**one, "__url__": ""} for one in webdataset.tariterators.tar_file_iterator(file))
            found += list(webdataset.tariterators.group_by_keys(files))
    assert len(found) == 6
    assert {sample["__key__"] for sample in found} >= {"train/a%2Eb", "train/a_b", "train/deep/x", "train/1%252E"}
    for sample in found:
        stem = sample["__key__"].partition("/")[2].replace("%2E", ".").replace("%25", "%")
        folder = dotted / sample["__key__"].partition("/")[0]
        assert sample["line%2eart.png"] == (folder / "line.art" / f"{stem}.PNG").read_bytes()
        assert sample["colour.jpg"] == (folder / "colour" / f"{stem}.jpg").read_bytes()


def changed(index, number, **values):
    lines = index.read_text().splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **values})
    index.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda out: (out / "000001.tar").write_bytes(b"x" * 700),
            r"000001\.tar: expected [\d,]+ bytes, got 700: trunc",
        ),
        (lambda out: (out / "000000.tar").unlink(), r"000000\.tar: no such file, but index"),
        (lambda out: (out / INDEX).write_text("{}\n"), r"index\.jsonl: not an index of shards"),
        (lambda out: (out / INDEX).write_text(""), r"index\.jsonl: not an index of shards"),
        (
            lambda out: (out / INDEX).write_text((out / INDEX).read_text()[:-20]),
            r"index\.jsonl: not an index of shards",
        ),
        (lambda out: changed(out / INDEX, 3, offset=10**12), r"index\.jsonl, line 4: expected a place inside"),
        (lambda out: changed(out / INDEX, 3, shard=99), r"index\.jsonl, line 4: expected a place inside"),
        (lambda out: changed(out / INDEX, 0, format=2), r"index\.jsonl: expected format 1, got 2"),
        (lambda out: changed(out / INDEX, 1, length=5), r"does not have it where index\.jsonl says"),
    ],
)
def test_shards_that_do_not_fit_their_index_are_refused_in_one_line(pairs, tmp_path, spoil, message):
    out = small(pairs, tmp_path / "out")
    spoil(out)
    with pytest.raises(DataError, match=message) as caught:
        find_layout([out], paired=True).train.a[0].read()
    assert "\n" not in str(caught.value)


def test_what_needs_files_says_so(pairs, tmp_path):
    out = small(pairs, tmp_path / "out")
    for words in (["check", out], ["split", out, tmp_path / "new"]):
        assert "does not look into shards; expected the folder" in run_here("data", *words, code=1).stderr
    assert "expected a new or empty folder" in run_here("data", "shard", pairs, out, code=1).stderr
    assert (
        "expected a number of bytes" in run_here("data", "shard", pairs, tmp_path / "x", "--size", "big", code=1).stderr
    )
    with pytest.raises(DataError, match="expected a data folder"):
        write_shards([out / INDEX], tmp_path / "new", 1000)
    assert not (tmp_path / "new").exists()
