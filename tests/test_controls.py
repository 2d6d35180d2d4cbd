"""What artists ask for: some of the source, its colours, or only a part translated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import img2img
from img2img.checkpoint import save_translator
from img2img.errors import ConfigError
from img2img.translate.controls import Controls
from tests.conftest import drawing, run_here
from tests.test_checkpoint import a_file

LUMA = np.array([0.299, 0.587, 0.114])


def pixels(seed, dtype=np.uint8, channels=3):
    values = np.random.default_rng(seed).random((9, 7, channels))
    if dtype == np.float32:
        return (values * 2 - 1).astype(np.float32)
    return (values * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@given(strength=st.floats(0, 1))
def test_strength_goes_from_the_source_to_the_translation(dtype, strength):
    source, made = pixels(1, dtype), pixels(2, dtype)
    found = Controls(strength=strength).apply(source, made)
    assert found.dtype == dtype
    expected = source + strength * (made.astype(float) - source)
    assert np.abs(found - expected).max() <= (1e-5 if dtype == np.float32 else 0.51)
    assert np.array_equal(Controls(strength=1.0).apply(source, made), made)
    assert np.array_equal(Controls(strength=0.0).apply(source, made), source)


def test_kept_colours_have_the_translations_lightness_and_the_sources_colour_differences():
    source, made = pixels(1) // 2 + 64, pixels(2) // 8 + 112  # nothing needs clipping
    found = Controls(keep_color=True).apply(source, made).astype(float)
    assert np.abs(found @ LUMA - made @ LUMA).max() <= 0.6
    for one, other in ((0, 1), (1, 2)):
        kept = (found[..., one] - found[..., other]) - (source[..., one].astype(float) - source[..., other])
        assert np.abs(kept).max() <= 1
    grey = Controls(keep_color=True).apply(source, made[..., :1])
    assert grey.shape == source.shape  # a grey translation gets the colours of its source


def test_a_mask_says_where(tmp_path):
    source, made = pixels(1), pixels(2)
    mask = np.zeros((9, 7), np.uint8)
    mask[:, 3:] = 255
    found = Controls(masks=tmp_path).apply(source, made, mask)
    assert np.array_equal(found[:, :3], source[:, :3])
    assert np.array_equal(found[:, 3:], made[:, 3:])


def test_the_command_keeps_what_is_asked_and_its_journal_knows(tmp_path):
    file, _ = a_file(img2img.ResNetGenerator, num_blocks=1)
    model = tmp_path / "model.safetensors"
    save_translator(model, file)
    for folder in ("in", "masks"):
        (tmp_path / folder).mkdir()
    drawing(1, (40, 30))[1].save(tmp_path / "in" / "a.png")
    drawing(2, (40, 30))[1].save(tmp_path / "in" / "b.png")
    mask = Image.new("L", (20, 15))
    mask.paste(255, (10, 0, 20, 15))
    mask.save(tmp_path / "masks" / "a.jpg", quality=100)
    words = ("translate", model, tmp_path / "in", tmp_path / "out", "--device", "cpu", "--no-mark")
    said = run_here(*words, "--mask", tmp_path / "masks", code=3).stdout
    assert "failed: b.png: no mask of this name" in said
    run_here("translate", model, tmp_path / "in", tmp_path / "all", "--device", "cpu", "--no-mark")
    source, made, plain = (
        np.asarray(Image.open(tmp_path / folder / "a.png")).astype(int) for folder in ("in", "out", "all")
    )
    assert np.abs(made[:, :15] - source[:, :15]).max() <= 2
    assert np.abs(made[:, 25:] - plain[:, 25:]).max() <= 2
    assert np.abs(plain - source).mean() > 5
    refused = run_here(*words, "--strength", "0.5", code=1).stderr
    assert "made with other settings" in refused
    run_here(*words, "--strength", "0", "--keep-color", "--existing", "overwrite")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "a.png")), source)
    with pytest.raises(ConfigError, match="from 0 to 1"):
        Controls(strength=1.5)
    assert "no such folder of masks" in run_here(*words, "--mask", tmp_path / "nowhere", code=1).stderr
