"""Lengths and learning rates, at the epochs where published code is off by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import img2img
from img2img.methods.optimization import Optimization
from img2img.schedule import Length, Schedule, faded
from tests.test_methods import build, loader, trainer


def test_published_schedule_at_epochs_1_99_100_101_200():
    schedule = Schedule(Length(images=200 * 400, seconds=None, images_per_epoch=400), "epochs", 0.5)

    def factor(epoch):
        first, last = schedule.factor((epoch - 1) * 400), schedule.factor(epoch * 400 - 1)
        assert first == last  # constant within an epoch
        return first

    assert factor(1) == 1
    assert factor(99) == 1
    assert factor(100) == pytest.approx(100 / 101)  # the decay begins an epoch early
    assert factor(101) == pytest.approx(99 / 101)
    assert factor(199) == pytest.approx(1 / 101)
    assert factor(200) == 0  # and the last epoch learns nothing


@given(
    decay=st.sampled_from(["linear", "cosine", "constant"]),
    start=st.floats(0, 0.99),
    total=st.integers(1, 10**6),
    share=st.floats(0, 1),
)
def test_smooth_schedules_start_at_one_and_never_rise(decay, start, total, share):
    schedule = Schedule(Length(images=total, seconds=None, images_per_epoch=10), decay, start)
    assert schedule.factor(0) == pytest.approx(1)
    at = int(share * total)
    assert 0 <= schedule.factor(at + 1) <= schedule.factor(at) + 1e-12
    if decay != "constant":
        assert schedule.factor(total) == pytest.approx(0)


def test_warm_up_rises_to_one():
    schedule = Schedule(Length(images=1000, seconds=None, images_per_epoch=10), "constant", warmup_images=100)
    assert schedule.factor(0) == pytest.approx(0.01)
    assert schedule.factor(99) == schedule.factor(500) == 1


def test_a_warm_up_is_a_share_of_seconds_too_and_a_decay_ends_where_it_should():
    schedule = Schedule(Length(images=None, seconds=100.0, images_per_epoch=10), "cosine", 0.0, 0, 0.01, 0.1)
    assert schedule.factor(0, 5) == pytest.approx(0.5 * 0.994, abs=1e-3)
    assert schedule.factor(0, 100) == pytest.approx(0.01)
    assert faded(50, 25, 0.5) == pytest.approx(37.5)


def test_a_rate_for_a_batch_follows_the_root_of_the_batch():
    module = build(img2img.Pix2Pix, optimization=Optimization(rate_for_batch=16, decay="constant"))
    trainer(max_epochs=1).fit(module, loader(4, batch_size=4))
    (group,) = module.optimizers()[0].param_groups
    assert group["lr"] == pytest.approx(2e-4 / 2)
    with pytest.raises(ValueError, match="decay_to"):
        Optimization(decay="constant", decay_to=0.1)


def test_a_length_in_seconds_follows_the_seconds():
    schedule = Schedule(Length(images=None, seconds=100.0, images_per_epoch=10), "linear", 0.5)
    assert schedule.factor(10**9, 50) == 1
    assert schedule.factor(0, 75) == pytest.approx(0.5)
    assert schedule.length.progress(0, 200) == 1
    with pytest.raises(ValueError, match="epochs"):
        Schedule(schedule.length, "epochs")


@pytest.mark.parametrize("epochs", [0.5, 1.0, 3.0])
def test_the_published_decay_is_refused_where_it_would_learn_nothing(epochs):
    """One epoch of 100 + 100 scaled down would run at a rate of 0 from its first image to its last."""
    with pytest.raises(ValueError, match="decay linear"):
        Schedule(Length(images=int(epochs * 400), seconds=None, images_per_epoch=400), "epochs", 0.5)


@pytest.mark.parametrize(("images", "seconds"), [(None, None), (5, 5.0), (0, None), (-3, None)])
def test_a_length_has_one_positive_owner(images, seconds):
    with pytest.raises(ValueError, match="one positive length"):
        Length(images=images, seconds=seconds, images_per_epoch=1)


def test_warm_up_may_be_given_in_epochs():
    module = build(img2img.Pix2Pix, optimization=Optimization(warmup_epochs=2.0, decay="constant"))
    module.length = Length(images=1000, seconds=None, images_per_epoch=50)
    assert module.schedule().warmup_images == 100
    with pytest.raises(ValueError, match="expected one warm-up, got warmup_images 10 and warmup_epochs 2"):
        Optimization(warmup_images=10, warmup_epochs=2.0)
