"""The house rules that a tool can hold."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import img2img
from tests.conftest import ROOT, run_command
from tests.discover import METHODS

SOURCES = sorted((ROOT / "img2img").rglob("*.py"))


def test_import_and_help_load_no_torch():
    heavy = "{'torch', 'lightning', 'numpy', 'wandb'} & {m.split('.')[0] for m in sys.modules}"
    code = f"import sys, img2img; from img2img.cli import app; print(bool({heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    help_code = """
import sys
sys.argv = ["img2img", "--help"]
from img2img.__main__ import main
try:
    main()
except SystemExit:
    pass
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", help_code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("False")


def test_public_names_are_sorted_and_load():
    names = img2img.__all__  # constants first, as ruff sorts them (RUF022)
    assert sorted(names, key=lambda name: (not name.isupper(), name[:1].islower(), name)) == names
    assert set(dir(img2img)) == set(img2img.__all__)
    for name in img2img.__all__:
        assert getattr(img2img, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'CycleGan'"):
        _ = img2img.CycleGan


def test_every_public_name_has_a_documented_schema():
    """Each constructor argument of a public class stands in its docstring."""
    for name in img2img.__all__:
        cls = getattr(img2img, name)
        if not inspect.isclass(cls) or issubclass(cls, Exception) or inspect.isabstract(cls):
            continue
        for parameter in inspect.signature(cls).parameters:
            assert re.search(rf"^\s+{parameter}: ", cls.__doc__, re.MULTILINE), f"{name}: {parameter}"


def test_only_the_base_moves_weights():
    """backward() and step() stand in methods/base.py alone."""
    for path in SOURCES:
        if path.relative_to(ROOT).as_posix() != "img2img/methods/base.py":
            text = path.read_text()
            assert not re.search(r"\.backward\(|manual_backward|optimizer\.step\(", text), path


def test_methods_are_abstract_or_final():
    for method in METHODS:
        assert not method.__subclasses__(), method


def test_no_file_grows_beyond_reading():
    for path in SOURCES:
        assert len(path.read_text().splitlines()) <= 400, path


def test_every_command_has_help_with_an_example():
    said = run_command("--help").stdout
    commands = re.findall(r"^│ (\w+) ", said, re.MULTILINE) or re.findall(r"^  (\w+) ", said, re.MULTILINE)
    assert {"train", "translate", "info", "demo", "bench"} <= set(commands)
    for command in ("train", "translate", "info"):
        text = run_command(command, "--help").stdout
        assert "Example" in text
        assert f"img2img {command}" in text


def test_start_is_measured_by_a_command():
    said = run_command("bench", "start", "--runs", "1").stdout
    assert re.search(r"import img2img +\d\.\d+ s", said)
    assert re.search(r"img2img --help +\d\.\d+ s", said)


def test_modules_mirror_the_tree():
    """Every module imports by itself: no hidden order."""
    names = [
        ".".join(p.relative_to(ROOT).with_suffix("").parts)
        for p in SOURCES
        if p.name not in {"__init__.py", "__main__.py"}
    ]
    for name in names:
        importlib.import_module(name)


def test_no_machine_is_named_in_the_repository():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    if not any(tracked):
        pytest.skip("not a git checkout")
    pattern = re.compile(r"(^|[\s\"'=(])/(home|root|work|Users)/")
    for name in tracked:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".yaml", ".toml", ".cff", ""} and path.is_file():
            assert not pattern.search(path.read_text(encoding="utf-8", errors="ignore")), name


@pytest.mark.skipif(os.environ.get("IMG2IMG_SKIP_WHEEL") == "1", reason="switched off by IMG2IMG_SKIP_WHEEL")
def test_the_wheel_trains_outside_the_clone(tmp_path):
    """Build the wheel, install it alone, and train and translate from an empty folder with what it ships."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    assert (site / "img2img" / "_shipped" / "configs" / "pix2pix.yaml").is_file()
    assert (site / "img2img" / "_shipped" / "datasets" / "line2flat" / "LICENSE").is_file()
    assert (site / "img2img" / "_shipped" / "translators" / "README.md").is_file()
    (tmp_path / "empty").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}
    code = """
import sys, img2img
from img2img.__main__ import main
print(img2img.__file__)
sys.argv = ["img2img", *sys.argv[1:]]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--minutes", "0.05", "--out", "demo"],
        cwd=tmp_path / "empty",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(site) in done.stdout
    page = tmp_path / "empty" / "demo" / "report.html"
    assert page.read_text().count("<figure>") == len(list((ROOT / "datasets/line2flat/val/line").glob("*.png")))
    assert 'src="data:image/png;base64,' in page.read_text()
    for name in ("translated", "the drawing itself", "a white page"):
        assert name in done.stdout


def test_the_demo_replaces_an_earlier_demo_and_nothing_else(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    done = run_command("demo", "--quick", "--out", tmp_path / "mine", code=1)
    assert "a folder with other files in it" in done.stderr
    assert Path(tmp_path / "mine" / "thesis.txt").read_text() == "precious"
