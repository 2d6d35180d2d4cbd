"""Inputs made of photos: each derivation does what its source says, and depends on photo and seed alone."""

from __future__ import annotations

import inspect
import pickle

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import img2img
from img2img.data import derive
from img2img.data.derive import Derivation
from img2img.data.derive.dark import linear
from img2img.data.derive.line_art import without_specks
from img2img.data.sampler import Position
from img2img.errors import ConfigError, DataError
from img2img.translate.drawings import Drawings, is_drawing, measure
from tests.conftest import drawing, photo, run_here
from tests.discover import _all

DERIVATIONS = [kind for kind in _all(derive, Derivation) if kind not in {derive.Mixture, derive.Extractor}]
PAPER = 255


def whole(*sides):
    """An image of the grey levels given, in vertical bands."""
    return np.repeat(np.array([[sides]], np.uint8).reshape(1, -1, 1), 64, 0).repeat(64 // len(sides), 1).repeat(3, 2)


# Every derivation


class Foreign(Derivation):
    """As somebody else might write one, outside the package."""

    source = "negative"

    def __call__(self, photo, seed):
        return 255 - photo


def foreign_extractor(level: int = 0):
    """A stand-in for a learned extractor: light lines on black, at half the size."""

    def extract(image):
        edges = cv2.Canny(np.asarray(image.convert("L")), 50, 100)
        return Image.fromarray(np.maximum(edges, level)).resize((image.width // 2, image.height // 2))

    return extract


def edges_of(image, model):
    """A stand-in for a function of another package that takes a network that is made once."""
    return model(image)


def test_a_function_of_another_package_gets_what_is_made_for_it_once():
    made = {"maker": f"{__name__}.foreign_extractor", "arguments": {"level": 3}}
    by_function = derive.Extractor(function=f"{__name__}.edges_of", arguments={"model": made}, invert=True)
    assert np.array_equal(by_function(photo(), 0), EXTRACTOR(photo(), 0))
    with pytest.raises(ValueError, match="a maker or a function"):
        derive.Extractor()


EXTRACTOR = derive.Extractor(f"{__name__}.foreign_extractor", {"level": 3}, invert=True)
SUBJECTS = [
    *(kind() for kind in DERIVATIONS),
    derive.Grey(hints=(3, 6)),
    derive.LowResolution(blind=False),
    derive.Mixture([derive.Noisy(), derive.Masked()], [1, 2], steps=2),
    EXTRACTOR,
]


def test_every_derivation_is_public():
    assert {kind.__name__ for kind in _all(derive, Derivation)} | {"Derivation"} == set(derive.__all__)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("shape", [(96, 96), (50, 71)])
def test_every_derivation_keeps_shape_and_photo_and_follows_from_the_seed(subject, shape):
    image = photo(1)[: shape[0], : shape[1]]
    before = image.copy()
    made = subject(image, 5)
    assert made.shape == image.shape
    assert made.dtype == np.uint8
    assert np.array_equal(image, before)
    assert not np.array_equal(made, image)
    torch.rand(3)
    np.random.default_rng(0).random()
    assert np.array_equal(subject(image, 5), made)
    if subject is not EXTRACTOR and subject._description["init_args"].get("blind", True):
        draws = {subject(image, seed).tobytes() for seed in range(4)}
        fixed = isinstance(subject, derive.Grey) and subject.hints == (0, 0)
        assert len(draws) == 1 if fixed else len(draws) > 1


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: type(s).__name__)
def test_no_derivation_touches_a_random_state_of_the_process(subject):
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 (that nobody uses it)
    cv2.setRNGSeed(1)
    first = cv2.randu(np.zeros(4, np.float32), 0, 1)
    cv2.setRNGSeed(1)
    subject(photo(), 3)
    assert np.array_equal(cv2.randu(np.zeros(4, np.float32), 0, 1), first)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: type(s).__name__)
def test_every_derivation_can_be_sent_to_a_loader_process(subject):
    made = subject(photo(), 2)
    assert np.array_equal(pickle.loads(pickle.dumps(subject))(photo(), 2), made)  # noqa: S301 (our own)


@pytest.mark.parametrize("kind", DERIVATIONS, ids=lambda k: k.__name__)
def test_every_range_is_checked(kind):
    for name, parameter in inspect.signature(kind).parameters.items():
        if isinstance(parameter.default, tuple) and len(parameter.default) == 2:
            low, high = parameter.default
            with pytest.raises(ValueError, match=name):
                kind(**{name: (high + 1, low)})


@pytest.mark.parametrize("kind", [k for k in DERIVATIONS if k.drawing], ids=lambda k: k.__name__)
def test_drawings_are_dark_lines_on_paper(kind):
    plain = [is_drawing(kind()(photo(i), i)) for i in range(8)]
    assert sum(plain) >= 5, "styles with regions may fill a picture now and then"


# What each claims


def test_xdog_of_a_step_is_a_line_on_its_dark_side_and_paper_elsewhere():
    fixed = {"sigma_px": (4.0, 4.0), "sharpness": (20.0, 20.0), "epsilon": (0.7, 0.7), "phi": (10.0, 10.0)}
    drawn = derive.XDoG(**fixed, tone=(1.0, 1.0))(whole(190, 255), 0)[32, :, 0]
    assert drawn[31] < 100, "ink where it gets darker"
    assert (drawn[33:] == PAPER).all(), "none on the light side"
    assert (drawn[:24] == PAPER).all(), "none away from the edge"


def test_xdog_fills_the_dark_as_published_and_not_without_tone():
    dark = whole(40)
    filled = derive.XDoG(epsilon=(0.7, 0.7), tone=(1.0, 1.0))(dark, 0)
    lines = derive.XDoG(epsilon=(0.7, 0.7), tone=(0.0, 0.0))(dark, 0)
    assert filled.max() < 30
    assert lines.min() == PAPER


def test_canny_does_not_see_how_bright_it_is():
    image = (photo(2) // 2 + 20).astype(np.uint8)
    canny = derive.Canny(threshold=(0.05, 0.05))
    drawn = canny(image, 0)
    assert (drawn == 0).mean() > 0.01
    # each channel by the same level: luma moves by it too, but for rounding of its weights
    assert (canny(image + 60, 0) != drawn).mean() < 0.002


def test_lines_grow_with_the_image():
    small, large = (cv2.resize(photo(3), (side, side), interpolation=cv2.INTER_CUBIC) for side in (256, 512))
    fixed = derive.LineArt(window_px=(11.0, 11.0), offset=(8.0, 8.0))
    ratio = measure(fixed(large, 0)).line_width_px / measure(fixed(small, 0)).line_width_px
    assert 1.5 < ratio < 2.7


def test_dodge_and_pencil_leave_plain_areas_white():
    for kind in (derive.Dodge, derive.Pencil):
        assert kind()(whole(90), 0).min() >= 254, kind


def test_specks_go_and_strokes_stay():
    ink = np.zeros((40, 40), np.uint8)
    ink[5:7, 5:7] = 255
    ink[20, 5:35] = 255
    left = without_specks(ink, 10)
    assert left[5:7, 5:7].max() == 0
    assert left[20, 5:35].min() == 255


def test_regions_are_few_colours_of_the_photo():
    made = derive.Regions(colours=(5, 5))(photo(4), 1)
    assert 2 <= len(np.unique(made.reshape(-1, 3), axis=0)) <= 5
    assert abs(made.mean((0, 1)) - photo(4).mean((0, 1))).max() < 12


def test_grey_keeps_lightness_and_hints_are_the_photos_colours():
    image = photo(5)
    grey = derive.Grey()(image, 0)
    assert (grey.max(2) - grey.min(2)).max() <= 1
    lightness = [cv2.cvtColor(x, cv2.COLOR_RGB2LAB)[..., 0].astype(int) for x in (image, grey)]
    assert abs(lightness[0] - lightness[1]).max() <= 2
    flat = np.full((64, 64, 3), (200, 40, 90), np.uint8)
    hinted = derive.Grey(hints=(4, 4))(flat, 0)
    dots = (hinted == flat).all(2)
    assert 0 < dots.mean() < 0.5


def test_low_resolution_holds_no_detail_beyond_its_size():
    """Alternating columns vanish at a quarter of the size; a wide step stays."""
    fine = np.tile(np.array([0, 255], np.uint8), (64, 32))[..., None].repeat(3, 2)
    assert np.ptp(derive.LowResolution(blind=False)(fine, 0)[16:-16, 16:-16].astype(int)) < 12
    assert np.ptp(derive.LowResolution(blind=False)(whole(0, 255), 0)) > 200


def test_masked_covers_as_much_as_asked_and_nothing_else():
    made = derive.Masked(covered=(0.2, 0.2))(photo(6), 2)
    hole = (made == (255, 0, 255)).all(2)
    assert 0.2 <= hole.mean() < 0.6
    assert np.array_equal(made[~hole], photo(6)[~hole])


def test_noise_has_the_variance_it_says():
    level = np.full((128, 128, 3), 128, np.uint8)
    made = derive.Noisy(read=(6.0, 6.0), shot=(12.0, 12.0))(level, 0).astype(float)
    assert abs(made.mean() - 128) < 0.5
    assert made.var() == pytest.approx(36 + 144 * 128 / 255, rel=0.06)


def test_a_lower_quality_is_further_away():
    far, near = (derive.Compressed((q, q))(photo(7), 0).astype(int) - photo(7) for q in (8.0, 90.0))
    assert (far**2).mean() > 2 * (near**2).mean()


def test_dark_is_dark_in_linear_light():
    quiet = {"read": (0.0, 0.0), "shot": (0.0, 0.0), "cast": 1.0}
    made = derive.Dark(gamma=(2.0, 2.0), **quiet)(whole(180), 0)
    assert linear(made)[0, 0, 0] == pytest.approx(linear(whole(180))[0, 0, 0] ** 2, rel=0.05)


def test_a_mixture_draws_by_weight():
    mixture = derive.Mixture([Foreign(), derive.Compressed()], [3, 1])
    image = photo(8)
    negatives = sum(np.array_equal(mixture(image, seed), 255 - image) for seed in range(80))
    assert 48 <= negatives <= 72
    with pytest.raises(ValueError, match="one weight for each"):
        derive.Mixture([Foreign()], [1, 2])


def test_sketches_are_of_many_kinds():
    found = [measure(derive.Sketch()(photo(i), i)) for i in range(24)]
    widths, inks = ([getattr(one, name) for one in found] for name in ("line_width_px", "ink"))
    assert max(widths) - min(widths) >= 2
    assert max(inks) > 3 * min(inks)


def test_an_extractor_is_any_callable_by_its_path():
    made = EXTRACTOR(photo(9), 0)
    assert (made == PAPER - 3).mean() > 0.5, "inverted, and its argument reached it"
    for path in ("no_such_package.Thing", f"{__name__}.nothing", "img2img"):
        with pytest.raises(ConfigError, match="no such class or function"):
            derive.Extractor(path)(photo(), 0)
    with pytest.raises(ConfigError, match="expected an image"):
        derive.Extractor(f"{__name__}.floats", takes="array")(photo(), 0)


def floats():
    return lambda image: np.zeros((8, 8), np.float32)


# In a training


def data_of(root, **options):
    data = img2img.ImageData(str(root), paired=True, **{"size": 48, "workers": 0, "derive": derive.Sketch(), **options})
    data.setup()
    return data


def test_a_folder_of_photos_is_enough(photos):
    data = data_of(photos)
    assert data.domains == ("sketch", "photo")
    assert len(data.layout.train.b) + len(data.layout.validation.b) == 12
    assert data_of(photos, domains=["line", "horse"]).domains == ("line", "horse")
    (photos / "train").mkdir()
    (photos / "val").mkdir()
    for name in ("train", "train", "val"):
        Image.fromarray(photo(50)).save(photos / name / f"{len(list((photos / name).iterdir()))}.png")
    split = data_of(photos)
    assert (len(split.layout.train.b), len(split.layout.validation.b)) == (2, 1)


@pytest.mark.parametrize("channels", [(1, 3), (3, 1)])
def test_derived_pairs_have_the_channels_asked_for(photos, channels):
    batch = next(iter(data_of(photos, channels_a=channels[0], channels_b=channels[1]).train_dataloader()))
    assert (batch.a.shape[1], batch.b.shape[1]) == channels


def test_sources_are_made_of_their_targets_crop(photos):
    data = data_of(photos, derive=Foreign())
    for batch in map(data.finished, data.train_dataloader()):
        assert torch.allclose(batch.a, -batch.b, atol=1e-6)
    batch = data.finished(next(iter(data.val_dataloader())))
    assert torch.allclose(batch.a, -batch.b, atol=1e-6)


def test_drawings_do_not_depend_on_workers_and_change_every_epoch(photos):
    def epoch(workers, number):
        loader = data_of(photos, workers=workers).train_dataloader()
        loader.sampler.set_epoch(number)
        return {batch.names_b[0]: batch.a for batch in loader}

    alone, several = epoch(0, 1), epoch(2, 1)
    assert alone.keys() == several.keys()
    assert all(torch.equal(alone[name], several[name]) for name in alone)
    dataset = data_of(photos).train_dataloader().dataset
    assert not torch.equal(dataset[Position(0, 0)].a, dataset[Position(1, 0)].a)


def test_validation_drawings_stay_the_same(photos):
    first, second = ([batch.a for batch in data_of(photos, seed=3).val_dataloader()] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [({"to": "photo"}, "to photo"), ({"allow_orphans": True}, "allow_orphans"), ({"paired": False}, "makes pairs")],
)
def test_options_that_derived_pairs_have_no_use_for_are_refused(photos, options, said):
    with pytest.raises(ValueError, match=said):
        img2img.ImageData(str(photos), **{"paired": True, "derive": derive.Sketch(), **options})


def test_folders_without_photos_say_so(tmp_path, photos):
    with pytest.raises(DataError, match="one folder of photos"):
        data_of(tmp_path / "none")
    Image.fromarray(photo()).save(tmp_path / "alone.png")
    for path in photos.rglob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match="no images found"):
        data_of(photos)


# img2img data sketch


def test_data_sketch_draws_a_folder_the_same_each_time(photos, tmp_path):
    (photos / "broken.jpg").write_bytes(b"no picture")
    said = run_here("data", "sketch", photos, tmp_path / "out", "--style", "xdog", code=3)
    assert "broken.jpg" in said.stderr
    assert "12 drawn, 1 failed" in said.stdout
    (photos / "broken.jpg").unlink()
    (photos / "01.png").unlink()
    run_here("data", "sketch", photos, tmp_path / "again", "--style", "xdog")
    for path in (tmp_path / "again").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "out" / path.relative_to(tmp_path / "again")).read_bytes()
    run_here("data", "sketch", photos, tmp_path / "other", "--style", "xdog", "--seed", 1)
    assert (tmp_path / "other" / "03.png").read_bytes() != (tmp_path / "out" / "03.png").read_bytes()
    assert (
        "did you mean 'canny'" in run_here("data", "sketch", photos, tmp_path / "o", "--style", "cany", code=1).stderr
    )
    assert "replace the photos" in run_here("data", "sketch", photos, photos, code=1).stderr


def test_every_style_of_the_command_is_a_derivation():
    from img2img.cli.data_sketch import STYLES

    assert set(STYLES.values()) <= {kind.__name__ for kind in DERIVATIONS}


def test_derivations_are_timed_by_a_command(photos):
    said = run_here("bench", "derive", photos, "--size", 32, "--images", 2, "--rounds", 1).stdout
    assert all(kind.__name__ in said for kind in DERIVATIONS)
    assert "Canny, kornia" in said


# Drawings made by hand


def lines(width: int, side: int = 128) -> np.ndarray:
    """A frame of lines of a width, in black on white."""
    image = np.full((side, side, 3), 255, np.uint8)
    for at in (24, 64):
        image[at : at + width, 16:112] = 0
        image[16:112, at : at + width] = 0
    return image


def trained_on(widths=(1, 3)) -> Drawings:
    return Drawings.of([lines(width) for width in widths for _ in range(8)])


@pytest.mark.parametrize("width", [1, 3, 5, 9])
def test_line_width_is_measured(width):
    assert measure(lines(width)).line_width_px == width


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_light_on_dark_and_grey_paper_become_black_on_white(kind):
    def of_kind(pixels):
        scale = {np.uint8: 1, np.uint16: 257, np.float32: 2 / 255}[kind]
        return (pixels.astype(np.float64) * scale - (1 if kind is np.float32 else 0)).astype(kind)

    drawings, clean = trained_on(), lines(3)
    kept = drawings.normalise(of_kind(clean))
    assert np.array_equal(kept.pixels, of_kind(clean))
    assert kept.notes == ()
    inverted = drawings.normalise(of_kind(255 - clean))
    assert inverted.pixels.dtype == kind
    assert np.allclose(inverted.pixels, of_kind(clean), atol=1e-6)
    assert "inverted" in inverted.notes[0]
    paper = np.rint(clean * (np.array([190, 185, 170]) / 255)).astype(np.uint8)
    white = drawings.normalise(of_kind(paper))
    assert np.allclose(white.pixels, of_kind(clean), atol=257 if kind is np.uint16 else 0.02)
    assert white.notes == ("paper made white",)


def test_photos_and_flat_colours_are_left_as_they_are():
    image = photo(0, 128)
    made = trained_on().normalise(image)
    assert np.array_equal(made.pixels, image)
    assert "not lines on paper" in made.notes[0]


def test_what_is_unlike_the_training_is_said():
    drawings = trained_on()
    assert "line width above" in " ".join(drawings.normalise(lines(11)).notes)
    assert "share of ink below" in " ".join(drawings.normalise(lines(0)).notes)
    grey = np.where(lines(3) == 0, 150, 255).astype(np.uint8)
    grey[64:66] = np.where(lines(3)[64:66] == 0, 0, 255)
    assert "share of grey above" in " ".join(drawings.normalise(grey).notes)


def test_ranges_come_back_from_a_header():
    drawings = trained_on()
    assert Drawings.from_header({"preprocessing": {"drawings": drawings.plain()}}) == drawings
    assert Drawings.from_header({"preprocessing": {}}) is None
    assert Drawings.of([photo(i) for i in range(10)]) is None


def test_drawings_of_grey_images_stay_grey():
    one = np.asarray(drawing(0)[0].convert("L").resize((96, 96)))[..., None]
    dim = (one * 0.7).astype(np.uint8)
    made = trained_on().normalise(dim).pixels
    assert made.shape == dim.shape
    assert np.median(made) >= 254
