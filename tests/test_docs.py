"""What the documents say is so."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from img2img.shipped import recipes
from tests.conftest import ROOT, run_command

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "configs/README.md",
    "datasets/README.md",
    "docs/compare.md",
    "docs/data.md",
    "docs/distill.md",
    "docs/evaluation.md",
    "docs/export.md",
    "docs/methods.md",
    "docs/tiles.md",
    "docs/training.md",
    "docs/translate.md",
    "examples/web/README.md",
    "docs/networks.md",
    "docs/numbers.md",
    "docs/photos.md",
    "docs/recipes.md",
    "translators/README.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)", text) + re.findall(r'src="([^"]+)"', text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"
    for target, section in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text):
        path = (ROOT / page).parent / target if target else ROOT / page
        heads = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
        assert section in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, (
            f"{page}: #{section}"
        )


@pytest.mark.parametrize("page", PAGES)
def test_options_of_shown_commands_exist(page):
    """Every ``img2img ...`` line of a document uses commands and options that the program knows."""
    shown = re.findall(r"^ *(?:\$ )?(img2img \w+.*)$", (ROOT / page).read_text(), re.MULTILINE)
    helps: dict[str, str] = {}
    for line in shown:
        words = shlex.split(line.split(" #")[0].replace("\\", ""))
        command = " ".join(words[1:3] if words[1] in {"bench", "data"} else words[1:2])
        if command not in helps:
            helps[command] = run_command(*command.split(), "--help").stdout
        for word in words[2:]:
            if word.startswith("--") and "." not in word:
                assert word.split("=")[0] in helps[command], f"{page}: {line}"


def test_readme_has_the_two_commands_and_the_method_table():
    text = (ROOT / "README.md").read_text()
    assert "./scripts/demo" in text
    assert "./scripts/test" in text
    for path in (ROOT / "configs").glob("*.yaml"):
        assert path.name in text + (ROOT / "configs/README.md").read_text(), path.name
    for method, files in recipes().items():
        (row,) = (line for line in text.splitlines() if line.startswith(f"| [`{method}`](docs/methods.md#"))
        assert all(f"(configs/{path.name})" in row for path in files.values()), method


def test_contributing_is_short_and_citation_is_valid():
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 60
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    from img2img import __version__

    assert citation["version"] == __version__
    assert f"[{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
