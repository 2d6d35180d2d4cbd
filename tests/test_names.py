"""Names, trees and links of every kind: each image is translated under its own name, or the reason is said."""

from __future__ import annotations

import io
import os
import sys

import pytest

from img2img.checkpoint import save_translator
from img2img.errors import DataError
from img2img.translate import inputs
from img2img.translate.inputs import plan
from tests.conftest import drawing, run_here
from tests.test_batches import lines, tree
from tests.test_checkpoint import a_file

NAMES = [
    "a b.png", "ä.png", "a\u0308.png", "日本.png", "🎨.png", "שלום.png", "'q'.png", '"q".png', "-rf.png", "$(x).png",
    "a\nb.png", "a.b.c.png", "[x].png", "x;y.png", "%20.png", "#.png", "&amp;.png", "<b>.png", "é" * 118 + ".png",
    "n" * 251 + ".png", "trailing..png", "CON.png", "a\\b.png", os.fsdecode(b"\xff\xfe.png"),
]  # fmt: skip
posix = pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="other file systems refuse or change such names")


def picture(number=0):
    data = io.BytesIO()
    drawing(number, (8, 8))[1].save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_translator(path, a_file()[0])
    return path


@pytest.fixture(scope="module")
def translated(small, tmp_path_factory):
    """All names in one folder, through the command once; its lines by their inputs, and the folder written."""
    root = tmp_path_factory.mktemp("names")
    (root / "in").mkdir()
    for number, name in enumerate(NAMES):
        (root / "in" / name).write_bytes(picture(number))
    said = run_here("translate", small, root / "in", root / "out").stdout
    assert f"{len(NAMES)} translated, 0 failed" in said
    return {line["input"]: line for line in lines(root / "out")}, root


@posix
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_every_name_that_a_file_can_have(translated, name):
    assert len(NAMES) == 24
    found, root = translated
    assert (found[name]["status"], found[name]["output"]) == ("translated", name)
    assert (root / "out" / name).read_bytes()[:4] == b"\x89PNG"


@posix
@pytest.mark.parametrize(
    ("words", "name"), [(("--suffix", "_long"), "n" * 251), (("--format", "tiff"), "é" * 125 + "n")]
)
def test_a_name_that_gets_too_long_fails_alone(small, tmp_path, words, name):
    (tmp_path / "in").mkdir()
    for each in (f"{name}.png", "short.png"):
        (tmp_path / "in" / each).write_bytes(picture())
    said = run_here("translate", small, tmp_path / "in", tmp_path / "out", *words, code=3).stdout
    assert "1 translated, 1 failed" in said
    assert ".png: cannot be written (File name too long)" in said
    assert (
        "1 failed, 1 skipped" in run_here("translate", small, tmp_path / "in", tmp_path / "out", *words, code=3).stdout
    )


# Collisions: each comes out under a name of its own, or all is refused before any work


def made(root, *names):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))


@pytest.mark.parametrize(
    ("names", "sources", "options", "expected"),
    [
        (("a.jpg", "a.png"), ("in",), {"file_format": "png"}, ["a.jpg.png", "a.png.png"]),
        (("a.jpg", "a.png", "a.jpg.png"), ("in",), {"file_format": "png"}, "would be written to"),
        (("x/1.png", "y/1.png"), ("in",), {}, ["x/1.png", "y/1.png"]),
        (("x/1.png", "y/1.png"), ("in/x", "in/y"), {}, "2 inputs would be written to"),
        (("photo", "photo.png"), ("in",), {}, ["photo.png", "photo.png.png"]),
        (("a.png", "a_c.png"), ("in",), {"suffix": "_c"}, ["a_c.png", "a_c_c.png"]),
        (("a.png",), ("in/a.png", "in/*.png"), {}, ["a.png"]),
        (("a.png",), ("in/a.png", "in/../in/a.png"), {}, "2 inputs would be written to"),
    ],
)
def test_names_that_would_collide(tmp_path, monkeypatch, names, sources, options, expected):
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "in", *names)
    if isinstance(expected, str):
        with pytest.raises(DataError, match=expected):
            plan(sources, "out", **options)
    else:
        targets = [job.target.relative_to("out").as_posix() for job in plan(sources, "out", **options).jobs]
        assert sorted(targets) == expected


def test_inputs_are_not_replaced_and_formats_are_known(tmp_path):
    made(tmp_path / "in", "a.png", "b.png")
    with pytest.raises(DataError, match="would replace an input"):
        plan([tmp_path / "in" / "a.png", tmp_path / "in" / "b.png"], tmp_path / "in")
    with pytest.raises(DataError, match="the output is the input"):
        plan([tmp_path / "in" / "a.png"], tmp_path / "in" / ".." / "in" / "a.png")
    with pytest.raises(DataError, match="expected one of"):
        plan([tmp_path / "in"], tmp_path / "out", file_format="psd")


@posix
@pytest.mark.parametrize("names", [("a.png", "A.png"), ("ä.png", "a\u0308.png")], ids=ascii)
def test_names_that_are_one_where_case_and_form_are_not_told_apart(tmp_path, monkeypatch, names):
    made(tmp_path / "in", *names)
    assert {job.target.name for job in plan([tmp_path / "in"], tmp_path / "out").jobs} == set(names)
    monkeypatch.setattr(inputs, "_ignores_case", lambda _: True)
    with pytest.raises(DataError, match="2 inputs would be written to"):
        plan([tmp_path / "in"], tmp_path / "out")


# Links


def test_links_to_folders_are_not_followed(tmp_path):
    made(tmp_path / "in", "a.png")
    made(tmp_path / "elsewhere", "b.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "away").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert [job.name for job in plan([tmp_path / "in"], tmp_path / "out").jobs] == ["a.png"]


def test_links_to_files_are_translated_or_named_and_what_they_lead_to_stays(small, tmp_path):
    made(tmp_path / "in", "a.png")
    made(tmp_path / "elsewhere", "b.png")
    for name, to in {"b.png": "../elsewhere/b.png", "dead.png": "nowhere.png", "loop.png": "loop.png"}.items():
        (tmp_path / "in" / name).symlink_to(to)
    said = run_here("translate", small, tmp_path / "in", tmp_path / "out", code=3).stdout
    assert "2 translated, 2 failed" in said
    assert "dead.png: no such file" in said
    assert "loop.png: cannot be read (" in said
    assert not (tmp_path / "out" / "b.png").is_symlink()
    assert (tmp_path / "elsewhere" / "b.png").read_bytes() == picture()


@pytest.mark.parametrize("kind", ["inside", "same", "link to it", "link into it", "by dots"])
def test_a_folder_is_not_written_into_itself(small, tmp_path, kind):
    source = tmp_path / "in"
    made(source, "a.png", "sub/b.png")
    out = {"inside": source / "out", "same": source, "by dots": tmp_path / "x" / ".." / "in"}.get(
        kind, tmp_path / "link"
    )
    if "link" in kind:
        out.symlink_to(source / "sub" if "into" in kind else source, target_is_directory=True)
    before = tree(source)
    said = run_here("translate", small, source, out, code=1).stderr
    assert "lies in the input folder" in said
    assert tree(source) == before


def test_what_stands_in_the_way_is_never_written_through(small, tmp_path):
    """An output that is a link to the input, a hard link of it, a link to a stranger's file, or a folder."""
    made(tmp_path / "in", "link.png", "hard.png", "away.png", "folder.png")
    made(tmp_path, "mine.png")
    out = tmp_path / "out"
    (out / "folder.png").mkdir(parents=True)
    os.link(tmp_path / "in" / "hard.png", out / "hard.png")
    (out / "away.png").symlink_to(tmp_path / "mine.png")
    (out / "link.png").symlink_to(tmp_path / "in" / "link.png")
    words = ("translate", small, tmp_path / "in", out)
    before = tree(tmp_path / "in")
    assert "link.png: the output would replace an input" in run_here(*words, "--existing", "overwrite", code=1).stderr
    (out / "link.png").unlink()
    assert "1 translated, 3 failed" in run_here(*words, code=3).stdout
    assert "3 translated, 1 failed" in run_here(*words, "--existing", "overwrite", code=3).stdout
    assert tree(tmp_path / "in") == before
    assert (tmp_path / "mine.png").read_bytes() == picture()
    assert not (out / "away.png").is_symlink()


def test_an_output_folder_that_cannot_be_made_is_one_line(small, tmp_path):
    made(tmp_path / "in", "a.png")
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    for out in ("file", "file/below", "dead"):
        assert "error: " in (said := run_here("translate", small, tmp_path / "in", tmp_path / out, code=1).stderr)
        assert said.count("\n") == 1
