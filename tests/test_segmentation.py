"""A segmentation model of the user's own scores outputs, and always the real images beside them."""

from __future__ import annotations

import sys
import types
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_jaccard_index

from img2img.errors import ConfigError, DataError, ModelFileError
from img2img.evaluate.segmentation import Scene, measure_segmentation, read_labels
from img2img.evaluate.segmenters import Segmenter, load_segmenter
from img2img.metrics.confusion import confusion_of, segmentation_scores

COLOURS = ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255))
CLASSES = ("void", "red", "green", "blue")
LEVELS = np.array(COLOURS, np.uint8)


class ByColour(nn.Module):
    """Knows four classes by their colours; logits."""

    def __init__(self):
        super().__init__()
        self.register_buffer("colours", torch.tensor(COLOURS) / 127.5 - 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return -(image[:, None] - self.colours[None, :, :, None, None]).square().sum(2)


def labels(seed, side=24):
    ids = np.random.default_rng(seed).integers(0, 4, (side // 8, side // 8))
    return ids.repeat(8, 0).repeat(8, 1)


def scenes(spoiled=0.0, count=4):
    """Real images in the colours of their labels, and outputs of which a share of the pixels is black."""
    for seed in range(count):
        ids = labels(seed)
        real = LEVELS[ids]
        black = np.random.default_rng(seed).random(ids.shape) < spoiled
        yield Scene(str(seed), np.where(black[..., None], np.uint8(0), real), real, ids)


def measured(found, **options):
    by_colour = Segmenter("by colour", ByColour())
    return {n.name: n for n in measure_segmentation(by_colour, found, CLASSES, **options)}


def test_scores_are_those_of_the_paper_written_out():
    """Long et al. 2015, section 5, on two classes of 8 and 2 pixels of which 2 and 1 are mistaken."""
    label, guess = torch.tensor([0] * 8 + [1] * 2), torch.tensor([0] * 6 + [1] * 2 + [1, 0])
    found = segmentation_scores(confusion_of(guess, label, 2, 255))
    assert found.pixel_accuracy == pytest.approx(7 / 10)
    assert found.class_accuracy == pytest.approx((6 / 8 + 1 / 2) / 2)
    assert found.class_iou == pytest.approx((6 / 9 + 1 / 4) / 2)


def test_scores_are_torchmetrics_ones():
    g = torch.Generator().manual_seed(0)
    label, guess = (torch.randint(0, 5, (40, 40), generator=g) for _ in range(2))
    label[:4] = 255
    found = segmentation_scores(confusion_of(guess, label, 5, 255))
    options = {"num_classes": 5, "ignore_index": 255}
    assert found.pixel_accuracy == pytest.approx(float(multiclass_accuracy(guess, label, average="micro", **options)))
    assert found.class_accuracy == pytest.approx(float(multiclass_accuracy(guess, label, average="macro", **options)))
    assert found.class_iou == pytest.approx(float(multiclass_jaccard_index(guess, label, average="macro", **options)))


def test_real_images_stand_beside_outputs_and_bound_them():
    found = measured(scenes(spoiled=0.5))
    for name in ("pixel_accuracy", "class_accuracy", "class_iou"):
        assert found[f"{name}_of_real_images"].value == 1
        assert 0.4 < found[name].value < 0.8
        assert found[name].count == 4
    accuracy = found["pixel_accuracy"]
    assert accuracy.interval[0] < accuracy.value < accuracy.interval[1]
    assert accuracy.value == pytest.approx(np.mean([value for _, value in accuracy.each]))
    worse = measured(scenes(spoiled=0.8))["class_iou"].value
    assert worse < found["class_iou"].value


def test_a_class_that_no_label_has_is_named_and_left_out():
    def without_blue():
        for scene in scenes():
            ids = np.where(scene.label == 3, 1, scene.label)
            yield Scene(scene.name, LEVELS[ids], LEVELS[ids], ids)

    found = measured(without_blue())
    assert found["class_iou"].value == 1
    assert dict(found["class_iou"].settings)["classes_without_labelled_pixels"] == ("blue",)
    assert dict(found["class_iou"].settings)["ious"] == (("void", 1), ("red", 1), ("green", 1), ("blue", None))
    # one that is seen where it is not counts as 0 in IoU, as in the paper's own sum
    seen = [Scene(s.name, np.full_like(s.output, LEVELS[3]), s.real, s.label) for s in without_blue()]
    assert measured(seen)["class_iou"].value == 0


def test_pixels_that_do_not_count_do_not_count():
    spoiled = list(scenes(spoiled=0.5))
    kept = [s._replace(label=np.where((s.output == s.real).all(2), s.label, 255)) for s in spoiled]
    assert measured(kept)["pixel_accuracy"].value == 1


@pytest.mark.parametrize("kind", ["grey", "palette", "colours", "jpeg"])
def test_label_maps_are_read(tmp_path, kind):
    ids = labels(0, 64)
    path = tmp_path / ("x.jpg" if kind == "jpeg" else "x.png")
    image = Image.fromarray(ids.astype(np.uint8)) if kind in {"grey", "palette"} else Image.fromarray(LEVELS[ids])
    if kind == "palette":
        image.putpalette([level for colour in COLOURS[::-1] for level in colour])
    image.save(path, **({"quality": 60} if kind == "jpeg" else {}))
    found = read_labels(path, None if kind in {"grey", "palette"} else COLOURS)
    assert (found == ids).mean() > (0.9 if kind == "jpeg" else 0.9999)
    if kind == "colours":
        with pytest.raises(DataError, match=r"x.png: expected class ids .* got RGB; give the colours"):
            read_labels(path)


def files(tmp_path):
    example = torch.zeros(1, 3, 24, 24)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.*deprecated")
        torch.jit.trace(ByColour(), example).save(str(tmp_path / "model.pt"))
    torch.onnx.export(ByColour().eval(), (example,), tmp_path / "model.onnx", dynamo=True, verbose=False)
    return tmp_path / "model.pt", tmp_path / "model.onnx"


def test_a_model_is_a_file_a_class_or_a_function(tmp_path, monkeypatch):
    module = types.ModuleType("users_own")
    module.Model, module.model = ByColour, ByColour()
    module.ids = lambda image: module.model(image).argmax(1)
    module.small = lambda image: module.model(image)[..., ::8, ::8]
    monkeypatch.setitem(sys.modules, "users_own", module)
    where = [*map(str, files(tmp_path)), "users_own.Model", "users_own.model", "users_own.ids", "users_own.small"]
    for one in where:
        segmenter = load_segmenter(one)
        found = {n.name: n.value for n in measure_segmentation(segmenter, scenes(spoiled=0.3), CLASSES)}
        assert found["pixel_accuracy_of_real_images"] > (0.7 if one.endswith("small") else 0.9999), one
        assert found["pixel_accuracy"] < found["pixel_accuracy_of_real_images"] + 0.05
    assert "model.pt (sha256 " in load_segmenter(where[0]).name


def test_images_are_brought_to_the_size_of_their_labels():
    larger = [s._replace(output=s.real.repeat(3, 0).repeat(3, 1)) for s in scenes()]
    assert measured(larger)["pixel_accuracy"].value > 0.9


def test_what_cannot_be_scored_is_named(tmp_path):
    def fails(match, found, classes=CLASSES, network=None, error=DataError, **options):
        with pytest.raises(error, match=match) as raised:
            measure_segmentation(Segmenter("mine", network or ByColour()), found, classes, **options)
        assert "\n" not in str(raised.value)

    one = next(scenes())
    fails("two or more images to score, got 1", [one])
    fails(r"0: expected class ids from 0 to 3, or 255, got \[7\]", [one._replace(label=one.label * 0 + 7)])
    fails("0: every pixel of its label map is 255", [one._replace(label=one.label * 0 + 255)])
    fails(r"0: expected class ids \[H, W\], got \[24, 24, 3\]", [one._replace(label=one.real)])
    fails(
        r"mine: expected logits \[1, 4, h, w\] for 4 classes, got \[1, 3, 24, 24\]",
        [one],
        network=lambda image: image,
    )
    fails(r"mine: expected class ids \[24, 24\], got \[3\]", [one], network=lambda _: torch.zeros(3, dtype=torch.long))
    fails(r"mine: the model failed on an image of 24x24 \(.*channels", [one], network=nn.Conv2d(5, 4, 1))
    fails("from 0 to 3, got 9 to 9", [one], network=lambda _: torch.full((24, 24), 9))
    fails("got 1 classes", [], ("a",), error=ConfigError)
    fails("got 4 classes and 2 colours", [], palette=COLOURS[:2], error=ConfigError)
    for name, match in (("none.pt", "cannot be read"), ("text.pt", "TorchScript"), ("text.onnx", "an ONNX file")):
        if name.startswith("text"):
            (tmp_path / name).write_text("no model")
        with pytest.raises(ModelFileError, match=match):
            load_segmenter(str(tmp_path / name))
    with pytest.raises(ConfigError, match=r"no\.such\.thing: no such class or function"):
        load_segmenter("no.such.thing")
