"""The health monitor: each signal on images that show it, each rule on series that break it, and no false alarm."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import math
import re

import lightning
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from torch.utils._python_dispatch import TorchDispatchMode

import img2img
from img2img.batch import Batch
from img2img.errors import ConfigError
from img2img.methods.base import Skipped
from img2img.metrics import health as measure
from img2img.metrics.logits import Window, gap, held_out_share
from img2img.metrics.luma import luma
from img2img.metrics.spectrum import grid_peaks
from img2img.schedule import Length
from img2img.training import rules
from img2img.training.events import EVENTS, Events, health_section, read_events
from img2img.training.health import Health
from img2img.training.probes import Probe, decision_threshold, images_of, picture_of_batch
from img2img.training.rules import RULES, Check
from img2img.training.verdicts import Judge
from tests.conftest import ROOT
from tests.test_methods import SMALL_D, SMALL_G, build


def blobs(count=8, side=64, channels=3, seed=0):
    """Smooth images that all differ."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 4, 4, generator=g) * 2 - 1
    return F.interpolate(coarse, side, mode="bilinear").clamp(-1, 1)


# Signals of images


def test_diversity_is_0_for_one_image_and_the_same_for_the_same_images():
    assert measure.diversity(blobs()[:1].expand(5, -1, -1, -1)) == 0
    one, other = torch.full((1, 3, 40, 40), -1.0), torch.full((1, 3, 40, 40), 0.5)
    assert measure.diversity(torch.cat([one, other])) == pytest.approx(1.5, rel=1e-4)


def test_retrieval_finds_own_source_through_tint_softness_and_inversion_but_not_by_chance():
    sources = blobs(count=16)
    for outputs in (sources, 0.3 * sources + 0.2, -sources, F.avg_pool2d(sources, 5, 1, 2), luma(sources)):
        assert measure.retrieval(outputs, sources) == 1
    assert measure.retrieval(sources.roll(1, 0), sources) < 3 / 16
    assert measure.retrieval(torch.zeros_like(sources), sources) == pytest.approx(1 / 16)


def test_luma_correlation_tells_light_from_dark():
    images = blobs()
    assert measure.luma_correlation(images, images) == pytest.approx(1, abs=1e-5)
    assert measure.luma_correlation(-images, images) == pytest.approx(-1, abs=1e-5)
    assert measure.luma_correlation(torch.zeros_like(images), images) == 0


def grid(side=64, period=2):
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.where(((x // (period // 2) + y // (period // 2)) % 2).bool(), 1.0, -1.0)


def strength(outputs, images):
    return float((grid_peaks(outputs) / grid_peaks(images).clamp_min(1)).max())


@given(
    period=st.sampled_from([2, 4]), levels=st.floats(8, 40), side=st.sampled_from([64, 100]), seed=st.integers(0, 99)
)
def test_a_regular_grid_shows_and_softness_sharpness_and_noise_do_not(period, levels, side, seed):
    images = blobs(side=side, seed=seed) * 0.5
    assert strength(images + levels * 2 / 255 * grid(side, period), images) > 8
    noise = 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    for other in (F.avg_pool2d(images, 5, 1, 2), images.sign() * 0.5, images + noise):
        assert strength(other, images) < 4


def test_images_too_small_for_a_spectrum_have_none():
    assert grid_peaks(blobs(side=16)) is None


def hide(image, shown):
    return ((shown + 1) * 127.5 / 8).floor() * 8 / 127.5 - 1 + 4 / 127.5 + 2 * image / 127.5


def reveal(carrier):
    levels = (carrier + 1) * 127.5
    return ((levels - (levels / 8).floor() * 8 - 4) / 2).clamp(-1, 1)


def test_a_hidden_image_survives_the_cycle_and_not_the_noise():
    """Chu et al. 2017: what is hidden in the last bits breaks with noise of about 3/256; a picture does not."""
    image, shown = blobs(seed=1), blobs(seed=2) * 0.9
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    clean = measure.distance(reveal(hide(image, shown)), image)
    noisy = measure.distance(reveal(measure.disturbed(hide(image, shown), noise)), image)
    assert measure.hidden_signal(clean, noisy) > 10
    honest = 0.8 * image  # what is seen is what comes back
    clean = measure.distance(honest / 0.7, image)
    noisy = measure.distance(measure.disturbed(honest, noise) / 0.7, image)
    assert measure.hidden_signal(clean, noisy) < 1.5


def test_memorisation_is_below_half_when_training_targets_come_back():
    targets, training = blobs(seed=1), blobs(seed=2)
    assert measure.memorisation(training, targets, training) < 0.1
    assert measure.memorisation(targets + 0.05, targets, training) > 2


def test_an_identity_task_and_grey_images_are_measured_against_what_targets_do():
    """Paired images that hardly differ, or have one colour, accuse nobody."""
    for inputs in (blobs(), torch.full((8, 1, 64, 64), 0.2)):
        signals = {
            key: value for key, value in images_of(inputs, inputs, inputs, paired=True).items() if value is not None
        }
        check = Check(1000, 9000, 0.5, {f"{key}/x": float(value) for key, value in signals.items()})
        judge = Judge(paired=True)
        assert [judge.look(check) for _ in range(5)] == [[]] * 5


def test_unpaired_inversion_is_not_judged_where_the_domains_are_negatives():
    inputs = blobs() * 0.4 + 0.5
    assert images_of(inputs, -inputs, -blobs(seed=5) * 0.4 - 0.5, paired=False)["luma"] is None
    assert images_of(inputs, -inputs, blobs(seed=5) * 0.4 + 0.5, paired=False)["luma"] < -0.9


# Signals of logits


@given(st.integers(1, 5), st.floats(-2, 2), st.floats(0.1, 3))
def test_the_window_is_the_same_however_its_batches_are_cut(count, shift, spread):
    g = torch.Generator().manual_seed(count)
    real, fake = (torch.randn(60, generator=g) * spread + s for s in (0.5 + shift, 0.5 - shift))
    window = Window(0.5)
    for r, f in zip(real.chunk(count), fake.chunk(count), strict=True):
        window.add(
            {"d/real_logits": r.view(-1, 1, 1, 1), "d/fake_logits": f.view(-1, 1, 1, 1)}, {"g": torch.tensor(3.0)}
        )
    found = window.read()
    assert found["gap/d"] == pytest.approx(float(gap(real, fake)), rel=1e-2, abs=1e-3)
    assert found["real_accuracy/d"] == pytest.approx(float((real > 0.5).float().mean()))
    assert found["fake_accuracy/d"] == pytest.approx(float((fake <= 0.5).float().mean()))
    assert found["gradient/g"] == pytest.approx(3)
    assert window.read() == {}


def test_watching_a_batch_computes_nothing():
    class Count(TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen += 1
            return func(*args, **(kwargs or {}))

    window, logits = Window(0.5), torch.randn(4, 1, 30, 30)
    with Count() as count:
        for _ in range(25):
            window.add({"d/real_logits": logits, "d/fake_logits": logits, "generator/fake": logits}, {"g": logits.sum})
    assert count.seen == 0


def test_a_discriminator_that_knows_its_reals_by_heart_takes_unseen_ones_for_fakes():
    g = torch.Generator().manual_seed(0)
    real, fake = torch.randn(500, generator=g) + 4, torch.randn(500, generator=g)
    assert held_out_share(real, fake, fake) == pytest.approx(1, abs=0.05)
    assert held_out_share(real, real.flip(0), fake) == pytest.approx(0, abs=0.05)
    assert held_out_share(fake, real, fake.flip(0)) == 0  # tells nothing apart


def test_the_threshold_is_that_of_the_loss():
    assert decision_threshold(build(img2img.Pix2Pix, adversarial="lsgan")) == 0.5
    assert decision_threshold(build(img2img.Pix2Pix, adversarial="bce")) == 0
    critic = functools.partial(img2img.PatchDiscriminator, **SMALL_D["PatchDiscriminator"], norm="instance")
    generator = functools.partial(img2img.ResNetGenerator, **SMALL_G["ResNetGenerator"])
    assert decision_threshold(img2img.Pix2Pix(generator, critic, adversarial="wgan-gp")) is None


# Rules

HEALTHY = {
    "skipped/discriminator": 0.0,
    "diversity/a to b": 0.7,
    "probed/a to b": 16.0,
    "retrieval/a to b": 0.9,
    "retrieval_targets/a to b": 1.0,
    "identity/a to b": 0.2,
    "identity_targets/a to b": 0.25,
    "told_apart/a to b": 2.0,
    "luma/a to b": 0.6,
    "luma_targets/a to b": 0.5,
    "hidden/a to b": 1.1,
    "cycle_noisy/a to b": 0.1,
    "l1_gap/a to b": 1.1,
    "nearest_training/a to b": 1.0,
    "validation_l1/a to b": 0.12,
    "memory/discriminator": 0.1,
    "sure/discriminator": 0.9,
    "real_accuracy/discriminator": 0.85,
    "fake_accuracy/discriminator": 0.9,
    "gap/discriminator": 2.0,
    "deviation/discriminator": 0.2,
    "alive/discriminator": 3.0,
    "grid/a to b": 1.5,
    "gradient_ratio/generator": 1.1,
}

SICK = {
    (rules.NON_FINITE, "skipped"): {"skipped/discriminator": 1.0},
    (rules.COLLAPSED, "diversity"): {"diversity/a to b": 0.1},
    (rules.IGNORES, "retrieval"): {"retrieval/a to b": 0.1},
    (rules.COPY, "identity"): {"identity/a to b": 0.004},
    (rules.INVERTED, "luma"): {"luma/a to b": -0.6},
    (rules.HIDDEN, "hidden"): {"hidden/a to b": 20.0},
    (rules.OVERFITTING, "l1_gap"): {"l1_gap/a to b": 3.0, "validation_l1/a to b": 0.15},
    (rules.OVERFITTING, "memory"): {"memory/discriminator": 0.8, "sure/discriminator": 0.99},
    (rules.SATURATED, "real_accuracy"): {
        "real_accuracy/discriminator": 0.999,
        "fake_accuracy/discriminator": 1.0,
        "gap/discriminator": 9.0,
    },
    (rules.DEAD, "gap"): {"gap/discriminator": 0.0, "deviation/discriminator": 0.01, "alive/discriminator": 0.0},
    (rules.CHECKERBOARD, "grid"): {"grid/a to b": 20.0},
    (rules.SPIKES, "gradient_ratio"): {"gradient_ratio/generator": 40.0},
}


def check(number, signals, progress=0.5, names=()):
    return Check(1000 + 100 * number, 8000 + 800 * number, progress, signals, names)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{rule.signal}")
def test_each_rule_speaks_once_after_its_checks_in_a_row_and_says_what_to_do(rule):
    judge = Judge(paired=True)
    judge.look(check(0, HEALTHY))
    sick = HEALTHY | SICK[rule.name, rule.signal]
    said = []
    for number in range(1, 8):
        said += [(number, verdict) for verdict in judge.look(check(number, sick, names=("x/1.png",)))]
    assert [(number, verdict.name) for number, verdict in said] == [(rule.checks, rule.name)]
    line = said[0][1].line
    assert "\n" not in line
    assert line.startswith(rule.name)
    assert re.search(r"\d", said[0][1].seen)
    assert "Do: " in line
    judge.look(check(8, HEALTHY))
    assert judge.active() == {}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{rule.signal}")
def test_a_fault_that_comes_and_goes_or_shows_in_a_young_training_is_not_called_one(rule):
    sick = HEALTHY | SICK[rule.name, rule.signal]
    if rule.checks > 1:
        judge = Judge(paired=False)
        assert not any(judge.look(check(n, sick if n % 2 else HEALTHY)) for n in range(12))
    young = Judge(paired=False)
    said = [young.look(check(n, sick, progress=0.04)) for n in range(6)]
    assert any(said) == rule.always
    few = Judge(paired=False)
    assert any(few.look(Check(n, 10 * n, 0.5, sick)) for n in range(6)) == rule.always


def test_a_fault_from_the_first_day_sends_to_the_data_first():
    judge = Judge(paired=True)
    said = [
        v for n in range(4) for v in judge.look(check(n, HEALTHY | SICK[rules.COLLAPSED, "diversity"], progress=0.12))
    ]
    assert "first look at the data" in said[0].line


@given(
    st.fixed_dictionaries({key: st.sampled_from([0.9, 1.0, 1.1]) for key in HEALTHY}),
    st.sets(st.sampled_from(list(HEALTHY))),
)
def test_healthy_series_and_missing_signals_accuse_nobody(factors, missing):
    judge = Judge(paired=True)
    for number in range(12):
        signals = {k: v * (1 if k.startswith("retrieval_t") or number % 2 else factors[k]) for k, v in HEALTHY.items()}
        signals = {k: math.nan if k in missing and number % 3 else v for k, v in signals.items()}
        assert judge.look(check(number, signals)) == []


def test_the_cause_is_said_and_its_echo_follows():
    collapsed = HEALTHY | SICK[rules.COLLAPSED, "diversity"] | SICK[rules.SATURATED, "real_accuracy"]
    judge = Judge(paired=True)
    said = [v for n in range(6) for v in judge.look(check(n, collapsed))]
    assert [(v.name, v.follows) for v in said] == [(rules.COLLAPSED, ""), (rules.SATURATED, rules.COLLAPSED)]
    judge = Judge(paired=True)  # the other way round: the discriminator won first
    for n in range(2):
        judge.look(check(n, HEALTHY | SICK[rules.SATURATED, "real_accuracy"]))
    said = [v for n in range(2, 6) for v in judge.look(check(n, collapsed))]
    assert [(v.name, v.follows) for v in said] == [(rules.SATURATED, ""), (rules.COLLAPSED, rules.SATURATED)]


def test_an_echo_waits_for_a_cause_that_is_slower():
    """A copying generator is judged from 10 % on; the discriminator that wins over it meanwhile is not the news."""
    sick = HEALTHY | SICK[rules.COPY, "identity"] | SICK[rules.SATURATED, "real_accuracy"]
    judge = Judge(paired=True)
    said = [v for n, p in enumerate((0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.14)) for v in judge.look(check(n, sick, p))]
    assert [v.name for v in said] == [rules.COPY, rules.SATURATED]
    assert said[1].follows == rules.COPY


@pytest.mark.parametrize(
    ("alive", "deviation", "said"), [(0.01, 0.3, True), (3.0, 0.01, False), (math.nan, 0.3, False)]
)
def test_a_discriminator_that_knows_spoilt_images_is_not_dead_and_one_that_does_not_is_however_its_scores_scatter(
    alive, deviation, said
):
    seen = {"gap/discriminator": 0.01, "alive/discriminator": alive, "deviation/discriminator": deviation}
    judge = Judge(paired=True)
    found = [v.name for n in range(4) for v in judge.look(check(n, HEALTHY | seen))]
    assert found == [rules.DEAD] * said


def test_every_verdict_that_images_can_show_has_an_injected_case():
    injected = {case.expected for case in failures().CASES.values()}
    assert injected == {rule.name for rule in RULES} - {rules.SPIKES} | {""}


def test_consequences_and_names_are_those_of_rules():
    names = {rule.name for rule in RULES}
    assert all(rule.consequences <= names - {rule.name} for rule in RULES)


def test_what_was_said_stays_said_across_a_checkpoint():
    sick = HEALTHY | SICK[rules.HIDDEN, "hidden"]
    judge = Judge(paired=False)
    assert sum(len(judge.look(check(n, sick))) for n in range(2)) == 0
    buffer = io.BytesIO()
    torch.save(judge.state_dict(), buffer)
    buffer.seek(0)
    again = Judge(paired=False)
    again.load_state_dict(torch.load(buffer, weights_only=True))
    assert [v.name for v in again.look(check(2, sick))] == [rules.HIDDEN]
    third = Judge(paired=False)
    third.load_state_dict(again.state_dict())
    assert third.look(check(3, sick)) == []


def test_remedies_name_real_options():
    from img2img.shipped import shipped
    from img2img.training.config import _check_keys
    from img2img.training.layers import flag_tree, lay, read_yaml

    words = " ".join(f"{rule.remedy} {rule.remedy_unpaired}" for rule in RULES)
    for option in sorted(set(re.findall(r"--(?:model|data)\.[\w.]+\w", words))):
        refused = []
        for config in ("pix2pix.yaml", "cyclegan.yaml"):
            try:
                _check_keys(lay([read_yaml(shipped("configs", config)), flag_tree(option[2:], "1")]))
            except ConfigError as error:
                refused.append(error)
        if len(refused) == 2:
            raise refused[0]


# In a training


@functools.cache
def failures():
    spec = importlib.util.spec_from_file_location("failures", ROOT / "scripts" / "failures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SHORT = {
    "one image": 100,
    "copy": 125,
    "hidden signal": 125,
    "penalty": 125,
    "gallery": 125,
    "negative": 125,
    "uneven kernel": 125,
}


@pytest.mark.parametrize(("name", "batches"), SHORT.items(), ids=SHORT)
def test_an_injected_failure_is_named_first_and_alone(name, batches, tmp_path):
    case = failures().CASES[name]
    events, _ = failures().run_case(case, tmp_path, batches=batches, size=32)
    assert failures().faults_of(case, events) == ""
    event = next(event for event in events if event["name"] == case.expected)
    assert (tmp_path / event["picture"]).is_file()
    assert event["evidence"]
    page = health_section(tmp_path)
    assert case.expected in page
    assert event["picture"].replace(" ", "%20") in page


def data_of(root, *, paired=True):
    domains = ["line", "colour"] if paired else None
    data = img2img.ImageData(str(root), paired, domains, size=32, load_size=32, batch_size=2, workers=0, hold_out=0.3)
    data.setup()
    return data


def fit(module, data, *callbacks, batches=50, run=None):
    module.length = Length(images=2 * batches, seconds=None, images_per_epoch=12)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        limit_val_batches=0,
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(module, datamodule=data, ckpt_path=run, weights_only=True)
    return trainer


def small(method, **options):
    torch.manual_seed(0)
    generator = functools.partial(img2img.UNetGenerator, depth=5, base_channels=4, norm="batch-running", dropout=0.5)
    discriminator = functools.partial(img2img.PatchDiscriminator, num_layers=1, base_channels=4, norm="batch-running")
    return method(generator, discriminator, **options)


@pytest.mark.parametrize("method", [img2img.Pix2Pix, img2img.CycleGAN], ids=lambda m: m.__name__)
def test_a_training_with_the_monitor_is_the_same_bit_for_bit(method, pairs, unpaired, tmp_path):
    """Dropout draws, running statistics, pools and optimizers: nothing notices that it is watched."""
    root = pairs if method.paired else unpaired
    plain, watched = small(method), small(method)
    torch.manual_seed(3)
    fit(plain, data_of(root, paired=method.paired))
    data = data_of(root, paired=method.paired)
    monitor = Health(tmp_path, data, "warn", Console(quiet=True), max_share=1.0)
    torch.manual_seed(3)
    fit(watched, data, monitor)
    assert (tmp_path / "health.csv").read_text().count("\n") == 3  # it did look, twice
    for (name, one), other in zip(plain.state_dict().items(), watched.state_dict().values(), strict=True):
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other), name


def test_a_look_leaves_modes_and_random_state(pairs):
    module = small(img2img.Pix2Pix).train()
    module.generator.eval()
    next(layer for layer in module.discriminator.modules() if list(layer.children()) == []).eval()
    modes = [layer.training for layer in module.modules()]
    state = {key: value.clone() for key, value in module.state_dict().items()}
    random = torch.get_rng_state()
    found = Probe(data_of(pairs), paired=True).look(module, 2)
    assert {"validation_l1/line to colour", "told_apart/line to colour"} <= found.keys()
    assert modes == [layer.training for layer in module.modules()]
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


class Skip(lightning.Callback):
    """Reports batches as skipped, as the base does."""

    def __init__(self, *numbers):
        self.numbers = numbers

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if module.batches in self.numbers:
            module.skipped = Skipped("generator", [f"line/{module.batches}.png"])


def test_a_skipped_batch_is_said_once_at_once_with_its_files(pairs, tmp_path):
    said = io.StringIO()
    data = data_of(pairs)
    monitor = Health(tmp_path, data, "warn", Console(file=said, width=400))
    fit(small(img2img.Pix2Pix), data, Skip(3, 5), monitor, batches=10)
    assert said.getvalue().count("non-finite") == 1
    assert "line/3.png" in said.getvalue()
    events = read_events(tmp_path)
    assert [(event["batches"], event["level"]) for event in events] == [(3, "warning"), (5, "again")]
    assert "line/5.png" in events[1]["seen"]
    assert events[0]["columns"] == ["input", "target"]
    assert (tmp_path / events[0]["picture"]).is_file()
    again = Health(tmp_path, data, "warn", Console(file=said, width=400))
    again.load_state_dict(monitor.state_dict())
    fit(small(img2img.Pix2Pix), data, Skip(7), again, batches=10)
    assert said.getvalue().count("non-finite") == 1


def test_logits_that_are_not_finite_are_said_even_where_nothing_was_skipped(pairs, tmp_path):
    class Spoil(lightning.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            module.observed = {k: v * math.nan for k, v in module.observed.items()}

    data = data_of(pairs)
    fit(small(img2img.Pix2Pix), data, Spoil(), Health(tmp_path, data, "warn", Console(quiet=True)), batches=26)
    assert [event["name"] for event in read_events(tmp_path)] == [rules.NON_FINITE]


def test_the_picture_of_a_batch_shows_first_what_is_broken_in_it():
    images = blobs(count=6)
    images[5, 0, 3, 4] = math.nan
    picture = picture_of_batch(Batch(images, blobs(channels=1)[:6], [""] * 6, [""] * 6, []), paired=True)
    first, target = picture.rows[0]
    assert first[3, 4].tolist() == [255, 0, 255]
    assert (first != picture.rows[1][0]).any()
    assert target.shape == first.shape == (64, 64, 3)
    assert len(picture.rows) == 4


# Records


def test_a_continued_run_drops_what_lies_beyond_its_checkpoint(tmp_path):
    events = Events(tmp_path, 0)
    for batches in (10, 20, 30):
        events.add("x", "warning", batches, 8 * batches, evidence={"gap": math.inf, "y": 0.123456789})
        events.row(batches, 8 * batches, {f"signal/{batches}": 1.0})
    with (tmp_path / EVENTS).open("a") as file:
        file.write('{"batches": 3')  # a crash while writing
    Events(tmp_path, 20).add("y", "alarm", 25, 200)
    lines = [json.loads(line) for line in (tmp_path / EVENTS).read_text().splitlines()]
    assert [(line["name"], line["batches"]) for line in lines] == [("x", 10), ("x", 20), ("y", 25)]
    assert lines[0]["evidence"] == {"gap": "inf", "y": 0.123457}
    assert {"time", "batches", "images", "name", "level"} <= lines[2].keys()
    Events(tmp_path, 20).row(25, 200, {"signal/25": 2.0})
    rows = (tmp_path / "health.csv").read_text().splitlines()
    assert rows[0] == "batches,images,signal/10,signal/20,signal/25"
    assert [row.split(",")[0] for row in rows[1:]] == ["10", "20", "25"]


def test_the_page_has_no_health_without_a_monitor_and_says_so_when_all_is_well(tmp_path):
    assert health_section(tmp_path) == ""
    Events(tmp_path, 0).row(10, 80, {"diversity/a to b": 0.8, "gap/discriminator": 2.0})
    page = health_section(tmp_path)
    assert "Nothing was found wrong" in page
    assert "<polyline" in page
