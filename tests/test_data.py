"""Layouts, pairs, draws: what becomes of a folder before it reaches a network."""

from __future__ import annotations

import os
import shutil
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import img2img
from img2img.data.folder import find_layout, list_images
from img2img.data.sampler import EpochSampler, Position, SeekableLoader, mix
from img2img.data.source import Source
from img2img.data.split import copies, hold_out
from img2img.data.transforms import Preprocessing, Transforms, load_pixels
from img2img.errors import DataError
from img2img.image import read_picture, with_channels
from tests.conftest import drawing


def data_of(root, *, paired=True, **options):
    data = img2img.ImageData(str(root), paired, **{"size": 32, "workers": 0, **options})
    data.setup()
    return data


def names(split):
    return [(a.name, b.name) for a, b in zip(split.a, split.b, strict=True)]


# Layouts


def test_two_folders_pair_by_stem_whatever_the_endings(pairs):
    layout = find_layout([pairs], paired=True)
    assert layout.domains == ("colour", "line")
    assert names(layout.train)[0] == ("00.jpg", "00.png")
    layout = find_layout([pairs], paired=True, domains=["line", "colour"])
    assert layout.domains == ("line", "colour")
    assert find_layout([pairs], paired=True, to="line").domains == ("colour", "line")
    assert find_layout([pairs], paired=True, to="colour").domains == ("line", "colour")
    assert find_layout([pairs / "line", pairs / "colour"], paired=True).domains == ("line", "colour")


def test_side_by_side_in_either_order(side_by_side):
    left_to_right = find_layout([side_by_side], paired=True, domains=["colour", "line"])
    assert left_to_right.domains == ("colour", "line")
    to_left = find_layout([side_by_side], paired=True, domains=["colour", "line"], to="colour")
    assert to_left.domains == ("line", "colour")
    source, target = to_left.train.a[0], to_left.train.b[0]
    assert (source.half, target.half) == ("right", "left")
    line, colour = drawing(0)
    assert np.array_equal(load_pixels(source, 3), np.asarray(line))
    assert np.array_equal(load_pixels(target, 3), np.asarray(colour))


def test_train_a_train_b(unpaired):
    layout = find_layout([unpaired], paired=False, domains=["horse", "zebra"])
    assert layout.domains == ("horse", "zebra")
    assert (len(layout.train.a), len(layout.train.b), len(layout.test.a)) == (10, 14, 2)
    assert find_layout([unpaired], paired=False, domains=["horse", "zebra"], to="horse").train.a == layout.train.b


def test_splits_with_named_folders(pairs, tmp_path):
    root = tmp_path / "split"
    for split in ("train", "val"):
        shutil.copytree(pairs, root / split)
    layout = find_layout([root], paired=True, domains=["line", "colour"])
    assert len(layout.validation.a) == 12
    assert layout.test is None


def test_splits_inside_the_domain_folders_and_underscores(pairs, tmp_path):
    for split in ("train", "test"):
        for domain in ("line", "colour"):
            shutil.copytree(pairs / domain, tmp_path / "inside" / domain / split)
            shutil.copytree(pairs / domain, tmp_path / "under" / f"{split}_{'A' if domain == 'line' else 'B'}")
    inside = find_layout([tmp_path / "inside"], paired=True)
    assert (inside.domains, len(inside.train.a), len(inside.test.a)) == (("colour", "line"), 12, 12)
    under = find_layout([tmp_path / "under"], paired=True)
    assert (under.domains, len(under.train.a), len(under.test.a)) == (("A", "B"), 12, 12)


def test_orphans_are_named_and_refused_unless_allowed(pairs):
    (pairs / "line" / "07.png").unlink()
    with pytest.raises(DataError, match=r"07\.jpg.*--allow-orphans"):
        find_layout([pairs], paired=True)
    assert len(find_layout([pairs], paired=True, allow_orphans=True).train.a) == 11


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "no such data folder"),
        (lambda root: root.mkdir(), "known layout"),
        (lambda root: [(root / n).mkdir(parents=True) for n in ("trainA", "trainB")], "no images found"),
        (
            lambda root: [(root / n).mkdir(parents=True) or drawing(0)[0].save(root / n / "x.png") for n in "ab"],
            "at least two",
        ),
        (
            lambda root: [(root / n).mkdir(parents=True) or drawing(0)[0].save(root / n / "x.png") for n in "abc"],
            "--domains",
        ),
    ],
)
def test_folders_that_cannot_be_used_say_why(tmp_path, make, message):
    root = tmp_path / "data"
    make(root)
    with pytest.raises(DataError, match=message):
        find_layout([root], paired=False)


def test_a_wrong_domain_names_the_right_ones(pairs):
    with pytest.raises(DataError, match=r"colour and line.*did you mean 'colour'"):
        find_layout([pairs], paired=True, to="color")
    with pytest.raises(DataError, match="the folders"):
        find_layout([pairs], paired=True, domains=["sketch", "photo"])


def test_same_stem_twice_is_refused(pairs):
    shutil.copy(pairs / "line" / "00.png", pairs / "line" / "00.webp")
    with pytest.raises(DataError, match="same stem"):
        find_layout([pairs], paired=True)


def test_a_single_photo_is_no_pair(tmp_path):
    for i in range(3):
        Image.new("RGB", (41, 20), (i, 0, 0)).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match="odd width"):
        next(iter(data_of(tmp_path, hold_out=0.3).train_dataloader()))


@pytest.mark.parametrize("paired", [True, False])
def test_ordinary_pictures_are_not_cut_in_half(tmp_path, paired):
    for i in range(6):
        drawing(i, (60, 40))[1].save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match="looks like one picture"):
        find_layout([tmp_path], paired=paired)
    assert find_layout([tmp_path], paired=paired, domains=["left", "right"]).kind == "side by side"


# Holding out


def test_hold_out_is_seeded_bounded_and_disjoint(pairs):
    split = find_layout([pairs], paired=True).train
    train, held = hold_out(split, 0.05, seed=3, paired=True)
    assert (len(train.a), len(held.a)) == (10, 2)  # 5 % would be 8 at least, a fifth is the most
    assert not set(train.a) & set(held.a)
    assert hold_out(split, 0.05, seed=3, paired=True) == (train, held)
    assert {names(hold_out(split, 0.05, seed=s, paired=True)[1])[0] for s in range(8)} != {names(held)[0]}


def test_copies_stay_on_one_side(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        for i in range(20):
            picture = drawing(i // 2)[1]  # every picture twice
            if i % 2:
                picture = picture.resize((96, 80))
            picture.save(tmp_path / folder / f"{i:02d}.png")
    split = find_layout([tmp_path], paired=True).train
    groups = copies(split.a)
    assert all(groups[i] == groups[i + 1] for i in range(0, 20, 2))
    assert len(set(groups)) == 10
    for seed in range(5):
        train, held = hold_out(split, 0.1, seed, paired=True)
        stems = [{int(s.name[:2]) // 2 for s in part.a} for part in (train, held)]
        assert not stems[0] & stems[1]


def test_of_a_large_set_copies_are_told_by_their_bytes_without_decoding(tmp_path, monkeypatch):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        for i in range(40):  # files of two lengths, every content twice
            (tmp_path / folder / f"{i:02d}.png").write_bytes(bytes([i // 2] * (20 + i // 2 % 2)))
        (tmp_path / folder / "gone.png").symlink_to("nowhere")
    monkeypatch.setattr(img2img.data.split, "MOST_SEEN", 40)
    monkeypatch.setattr(img2img.data.split, "_thumbnail", None)
    train, held = hold_out(find_layout([tmp_path], paired=False).train, 0.1, 3, paired=False)
    for kept, out in ((train.a, held.a), (train.b, held.b)):
        stems = [{int(s.stem) // 2 for s in part if s.stem != "gone"} for part in (kept, out)]
        assert len(stems[1]) >= 3
        assert not stems[0] & stems[1]


# Draws


def coordinates(height, width):
    """A picture whose colours say where each pixel came from."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 255 // max(height - 1, 1), x * 255 // max(width - 1, 1), np.full_like(y, 128)], -1).astype(
        np.uint8
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    resize=st.sampled_from(["short-side", "stretch", "none"]),
    height=st.integers(20, 70),
    width=st.integers(20, 70),
)
def test_one_geometry_for_both_images_of_a_pair(seed, resize, height, width):
    transforms = Transforms(Preprocessing((24, 32), (30, 40), resize, flip=True, photometric=0.0))
    picture = coordinates(height, width)
    a, b = transforms.paired(picture, picture.copy(), "x", seed)
    assert a.image.shape == (3, 24, 32)
    assert torch.equal(a.image, b.image)


def test_light_and_colour_change_for_the_source_only():
    transforms = Transforms(Preprocessing((32, 32), (36, 36), "stretch", flip=True, photometric=1.0))
    plain = Transforms(Preprocessing((32, 32), (36, 36), "stretch", flip=True, photometric=0.0))
    picture = coordinates(40, 40)
    changed = 0
    for seed in range(10):
        a, b = transforms.paired(picture, picture, "x", seed)
        reference = plain.paired(picture, picture, "x", seed)[1].image
        assert torch.equal(b.image, reference)
        changed += not torch.equal(a.image, reference)
    assert changed >= 9


@pytest.mark.parametrize("channels", [(1, 3), (3, 1), (1, 1)])
def test_grey_and_rgb_pairs(pairs, channels):
    data = data_of(pairs, channels_a=channels[0], channels_b=channels[1], photometric=0.5)
    batch = next(iter(data.train_dataloader()))
    assert (batch.a.shape[1], batch.b.shape[1]) == channels
    assert batch.a.dtype == torch.uint8


def test_levels_become_the_floats_that_files_stand_for(pairs):
    """On the device or before it: bit for bit, in the same order in memory."""
    levels = np.random.default_rng(0).permutation(np.arange(65536, dtype=np.uint16)).reshape(1, 128, 256, 2)
    for pixels in (levels[0], (levels[0] >> 8).astype(np.uint8)):
        image = img2img.image.to_unit(img2img.image.as_tensor(pixels)[None])
        assert torch.equal(image[0], img2img_tensor(pixels))
        assert image.is_contiguous()
    data = data_of(pairs, hold_out=0.0, size=40, load_size=40, flip=False)
    batch = next(iter(data.train_dataloader()))
    finished = data.on_after_batch_transfer(batch, 0)
    assert torch.equal(finished.b, batch.b.float() / 127.5 - 1)
    assert finished[2:] == batch[2:]


@pytest.mark.parametrize("paired", [True, False])
def test_the_stream_is_a_function_of_seed_epoch_and_index(pairs, paired):
    """The same with 0, 1 and 4 workers; other in another epoch or with another seed."""

    def stream(workers, epochs=2, seed=0):
        data = data_of(pairs, paired=paired, workers=workers, batch_size=2, seed=seed, domains=["line", "colour"])
        loader = data.train_dataloader()
        found = []
        for epoch in range(epochs):
            loader.sampler.set_epoch(epoch)
            found.append([(b.names_a, b.names_b, b.a, b.b) for b in loader])
        return found

    def same(x, y):
        return all(
            p[:2] == q[:2] and torch.equal(p[2], q[2]) and torch.equal(p[3], q[3]) for p, q in zip(x, y, strict=True)
        )

    reference = stream(0)
    for workers in (1, 4):
        for mine, theirs in zip(reference, stream(workers), strict=True):
            assert same(mine, theirs)
    assert not same(reference[0], reference[1])
    assert not same(reference[0], stream(0, seed=1)[0])


def test_unpaired_partners_are_random_and_the_epoch_is_the_longer_domain(unpaired):
    data = data_of(unpaired, paired=False, hold_out=0.0)
    loader = data.train_dataloader()
    longest = max(len(data.layout.train.a), len(data.layout.train.b))
    assert len(loader) == longest
    partners = []
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        partners.append([(b.names_a[0], b.names_b[0]) for b in loader])
        assert {a for a, _ in partners[-1]} == {s.name for s in data.layout.train.a}
    assert len({b for a, b in [pair for epoch in partners for pair in epoch] if a == partners[0][0][0]}) > 1


def test_evaluation_is_deterministic_and_unflipped(pairs):
    data = data_of(pairs, size=40, load_size=44)
    first, second = ([b.a for b in data.val_dataloader()] for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


def test_aspect_is_kept_unless_stretched():
    circle = np.asarray(drawing(0, (100, 50))[1])
    kept = Transforms(Preprocessing((32, 32), (32, 32), "short-side", flip=False, photometric=0)).fixed(circle)
    stretched = Transforms(Preprocessing((32, 32), (32, 32), "stretch", flip=False, photometric=0)).fixed(circle)
    middle = np.asarray(Image.fromarray(circle).resize((64, 32), Image.Resampling.BICUBIC))[:, 16:48]
    assert torch.equal(kept, img2img.image.as_tensor(middle))
    assert not torch.equal(kept, stretched)


def img2img_tensor(pixels):
    from img2img.image import to_tensor

    return to_tensor(np.ascontiguousarray(pixels))


def test_images_below_the_crop_are_mirrored_up_and_noted(pairs):
    data = data_of(pairs, size=64, resize="none")
    batch = next(iter(data.train_dataloader()))
    assert batch.a.shape[-2:] == (64, 64)
    assert batch.notes[0].startswith("small: ")
    with pytest.raises(DataError, match="below the crop"):
        data_of(pairs, size=64, resize="none", strict=True)


def test_unreadable_images_are_passed_over_and_named(pairs):
    data = data_of(pairs)
    broken = data.layout.train.a[3]
    broken.path.write_bytes(broken.path.read_bytes()[:60])
    loader = data.train_dataloader()
    notes = [note for batch in loader for note in batch.notes]
    assert len(notes) == 1
    assert notes[0].startswith(f"unreadable: {broken.label}: ")
    with pytest.raises(DataError, match=broken.name):
        data_of(pairs, strict=True)


def test_constant_images_are_noted_and_refused_under_strict(pairs):
    data = data_of(pairs)
    source = data.layout.train.a[2]
    Image.new("RGB", (48, 40), "white").save(source.path)
    notes = [note for batch in data.train_dataloader() for note in batch.notes]
    assert notes == [f"constant: {source.label}: every pixel is the same"]
    with pytest.raises(DataError, match=f"{source.label}: every pixel"):
        data_of(pairs, strict=True)


def test_pairs_of_different_shapes_are_refused_before_training_unless_stretched(pairs):
    with Image.open(pairs / "line" / "00.png") as image:
        image.resize((48, 80)).save(pairs / "line" / "00.png")
    with pytest.raises(DataError, match=r"1 pairs differ in shape.*00\.png 48x80"):
        data_of(pairs)
    assert len(data_of(pairs, resize="stretch").train_dataloader())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 64, "load_size": 32}, "below size"),
        ({"photometric": 2.0}, "photometric"),
        ({"batch_size": 0}, "batch_size"),
        ({"channels_a": 2}, "channels"),
        ({"size": [1, 2, 3]}, "size"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        img2img.ImageData("x", paired=True, **options)


# Order


@given(length=st.integers(1, 40), ranks=st.integers(1, 5), epoch=st.integers(0, 3))
def test_ranks_share_an_epoch_evenly_without_overlap(length, ranks, epoch):
    dealt = []
    for rank in range(ranks):
        sampler = EpochSampler(length, 0, rank, ranks)
        sampler.set_epoch(epoch)
        mine = list(sampler)
        assert len(mine) == len(sampler)
        assert all(p.epoch == epoch for p in mine)
        dealt.append([p.sample for p in mine])
    together = [index for mine in dealt for index in mine]
    if length >= ranks:
        assert len(set(together)) == len(together) == length // ranks * ranks
    assert set(together) <= set(range(length))


@given(consumed=st.integers(0, 6))
def test_a_loader_goes_on_where_it_stood(consumed):
    class Echo(torch.utils.data.Dataset):
        def __getitem__(self, position: Position):
            return position.sample

        def __len__(self):
            return 12

    def fresh():
        return SeekableLoader(Echo(), batch_size=2, sampler=EpochSampler(12, 5))

    whole = [b.tolist() for b in fresh()]
    first, it = fresh(), []
    for i, batch in enumerate(first):
        if i == consumed:
            break
        it.append(batch.tolist())
    state = {"samples": 2 * consumed}
    second = fresh()
    second.load_state_dict(state)
    rest = [b.tolist() for b in second]
    assert rest == (whole[consumed:] if consumed < 6 else whole)
    assert [b.tolist() for b in second] == whole  # and the epoch after is whole again


def test_seeds_of_samples_do_not_collide():
    seeds = {mix(0, epoch, index) for epoch in range(20) for index in range(1000)}
    assert len(seeds) > 19_990


def test_crops_come_from_anywhere_or_from_the_middle():
    picture = coordinates(64, 64)
    for crop, expected in (("random", 5), ("centre", 1)):
        transforms = Transforms(Preprocessing((16, 16), (64, 64), "none", flip=False, photometric=0, crop=crop))
        found = {tuple(transforms.alone(picture, "x", seed).image[:2, 0, 0].tolist()) for seed in range(12)}
        assert (len(found) >= expected) if expected > 1 else found == {tuple(picture[24, 24, :2].tolist())}


def test_no_flip_means_no_flip():
    picture = coordinates(16, 16)
    transforms = Transforms(Preprocessing((16, 16), (16, 16), "stretch", flip=False, photometric=0))
    flipping = Transforms(Preprocessing((16, 16), (16, 16), "stretch", flip=True, photometric=0))
    plain = img2img.image.as_tensor(picture)
    assert all(torch.equal(transforms.alone(picture, "x", seed).image, plain) for seed in range(8))
    found = [torch.equal(flipping.alone(picture, "x", seed).image, plain) for seed in range(20)]
    assert 3 < sum(found) < 17


def test_crop_and_flip_are_drawn_apart():
    """albumentations gives the height of the crop and the flip the same number; ours must not."""
    picture = coordinates(64, 64)
    transforms = Transforms(Preprocessing((16, 16), (64, 64), "none", flip=True, photometric=0))
    found = []
    for seed in range(300):
        image = transforms.alone(picture, "x", seed).image
        found.append([float(image[0, 0, 0]), float(image[1].min()), float(image[1, 0, 0] > image[1, 0, -1])])
    together = np.corrcoef(np.array(found).T)
    assert np.abs(together - np.eye(3)).max() < 0.2


# Pixels


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(286, 286), (60, 90), (300, 500), (7, 5)])
def test_resizing_is_pillows_but_for_rounding(channels, shape):
    rng = np.random.default_rng(0)
    pixels = np.asarray(drawing(3, (240, 200))[1]).copy()[..., :channels]
    pixels = (pixels * 0.8 + rng.integers(0, 50, pixels.shape)).astype(np.uint8)
    found = img2img.image.resized(pixels, *shape).astype(int)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    wanted = np.asarray(image.resize(shape[::-1], Image.Resampling.BICUBIC)).reshape(found.shape)
    assert np.abs(found - wanted).max() <= 2
    assert (found != wanted).mean() < 0.02


def photo(path, size=(160, 120), **options):
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    coarse.resize(size, Image.Resampling.BICUBIC).convert(options.pop("mode", "RGB")).save(path, **options)


@pytest.mark.parametrize("options", [{}, {"mode": "L"}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpegs_are_read_as_pillow_reads_them(tmp_path, options, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo(tmp_path / "x.jpg", exif=exif, quality=90, **options)
    source = Source(tmp_path, "whole", "x.jpg")
    assert np.array_equal(load_pixels(source, 3), with_channels(read_picture(source.path).pixels, 3))


def test_a_truncated_jpeg_is_refused(tmp_path):
    photo(tmp_path / "x.jpg")
    data = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="truncated"):
        load_pixels(Source(tmp_path, "whole", "x.jpg"), 3)


@pytest.mark.parametrize(("smallest", "shape"), [(60, (120, 160)), (30, (60, 80)), (15, (30, 40)), (7, (15, 20))])
def test_large_jpegs_are_decoded_small_and_look_the_same(tmp_path, smallest, shape):
    photo(tmp_path / "x.jpg")
    source = Source(tmp_path, "whole", "x.jpg")
    small = load_pixels(source, 3, (smallest, smallest))
    assert small.shape == (*shape, 3)
    half = (smallest, smallest * 4 // 3)
    near = img2img.image.resized(small, *half).astype(int)
    assert np.abs(near - img2img.image.resized(load_pixels(source, 3), *half)).mean() < 2


def test_a_hundred_thousand_files_are_listed_in_seconds_and_take_little_memory(tmp_path):
    count = 50_000
    for domain in "ab":
        (tmp_path / domain).mkdir()
        for i in range(count):
            os.close(os.open(tmp_path / domain / f"{i:06d}.jpg", os.O_CREAT))
    tracemalloc.start()
    layout = find_layout([tmp_path], paired=False)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(layout.train.a), len(layout.train.b)) == (count, count)
    assert kept / (2 * count) < 250  # bytes a file


def test_subfolders_stand_where_their_names_do(tmp_path):
    for name in ("b/x.png", "a-c.png", "a/z.JPG", "a/.hidden.png", ".hidden/y.png", "a/b/q.webp", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert list_images(tmp_path) == [tmp_path / name for name in ("a/b/q.webp", "a/z.JPG", "a-c.png", "b/x.png")]


# Augmentation on the device


def finished(root, **options):
    data = data_of(root, hold_out=0.0, **options)
    return [data.finished(batch) for batch in data.train_dataloader()]


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("resize", "batch_size"), [("stretch", 3), ("short-side", 1), ("none", 1)])
def test_a_device_cuts_what_workers_would_cut(pairs, paired, resize, batch_size):
    options = {"paired": paired, "resize": resize, "batch_size": batch_size}
    by_workers, by_device = finished(pairs, **options), finished(pairs, augment="device", **options)
    assert len(by_workers) == len(by_device) >= 3
    for one, two in zip(by_workers, by_device, strict=True):
        assert one[2:] == two[2:]
        assert torch.equal(one.a, two.a)
        assert torch.equal(one.b, two.b)


def test_light_on_the_device_follows_from_the_seed_alone_and_pairs_keep_their_target(pairs):
    options = {"augment": "device", "photometric": 0.5, "resize": "stretch", "batch_size": 2}
    plain = finished(pairs, **{**options, "photometric": 0.0})
    torch.manual_seed(1)
    first = finished(pairs, **options)
    torch.manual_seed(2)
    again = finished(pairs, workers=2, **options)
    for one, two, dull in zip(first, again, plain, strict=True):
        assert torch.equal(one.a, two.a)
        assert torch.equal(one.b, dull.b)
        assert not torch.equal(one.a, dull.a)
        assert -1 <= one.a.min() <= one.a.max() <= 1
    shown = finished(pairs, paired=False, **options)
    assert not any(torch.equal(one.b, dull.b) for one, dull in zip(shown, finished(pairs, paired=False), strict=False))


def test_light_is_that_of_albumentations_factor_by_factor():
    from albumentations.augmentations.pixel import functional as A

    from img2img.batch import Draw
    from img2img.data.augment import lit
    from img2img.image import to_pixels, to_tensor

    pixels = np.asarray(drawing(4)[1])
    steps = {
        0: A.adjust_brightness_torchvision,
        1: A.adjust_contrast_torchvision,
        2: A.adjust_saturation_torchvision,
        3: A.adjust_hue_torchvision,
    }
    for which, step in steps.items():
        factor = 0.05 if which == 3 else 0.8
        light = [1.0, 1.0, 1.0, 0.0]
        light[which] = factor
        found = to_pixels(lit(to_tensor(pixels)[None], [Draw(0, 0, mirrored=False, light=tuple(light))])[0])
        wanted = step(pixels, factor)
        assert np.abs(found.astype(int) - wanted).max() <= 3
        assert np.abs(found.astype(int) - pixels).max() > 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 2}, "one size: resize stretch"),
        ({"derive": img2img.data.derive.Canny()}, "sources that are files"),
    ],
)
def test_what_a_device_cannot_cut_is_refused(pairs, options, message):
    with pytest.raises(ValueError, match=message):
        data_of(pairs, augment="device", **options)
