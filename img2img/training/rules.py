"""The faults that a training can have: what shows each, what it means, what to do, what it brings along. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Level = Literal["warning", "alarm"]
"""``alarm``: what follows is lost time, so a guard that acts goes back; ``warning``: worth a change."""

YOUNG_PROGRESS, YOUNG_IMAGES = 0.05, 300
"""A training is not judged before this share of it and this many images: at first every generator fails."""


class Check(NamedTuple):
    """What is known at one moment of a training.

    Attributes:
        batches: batches done.
        images: images seen.
        progress: share of the training done, in [0, 1].
        signals: values by ``signal/subject``, the subject a player (``discriminator_b``) or a direction
            (``horse to zebra``). What is missing or not a number was not measured and changes nothing.
        names: files of a batch that was skipped.
    """

    batches: int
    images: int
    progress: float
    signals: Mapping[str, float]
    names: tuple[str, ...] = ()


class View(NamedTuple):
    """The signals of one subject; what is not there is not a number, and no comparison with that holds."""

    check: Check
    subject: str
    lowest_seen: Mapping[str, float]

    def __call__(self, signal: str) -> float:
        """Return a signal of the subject."""
        return self.check.signals.get(f"{signal}/{self.subject}", math.nan)

    def lowest(self, signal: str) -> float:
        """Return the lowest value that a signal of the subject has had."""
        return self.lowest_seen.get(f"{signal}/{self.subject}", math.nan)


@dataclass(frozen=True)
class Rule:
    """One fault.

    Args:
        name: stable, for people and programs.
        signal: the signal whose presence means that the rule can be judged.
        sees: returns the numbers in words where they show the fault, else "".
        cause: what it means.
        remedy: what to do in a paired training.
        remedy_unpaired: what to do in an unpaired one; the same by default.
        level: see :data:`Level`.
        checks: checks in a row that must show it.
        from_progress: not judged before this share of the training.
        always: judged in a young training too.
        consequences: faults that this one brings along, which are then not reported as faults of their own.
    """

    name: str
    signal: str
    sees: Callable[[View], str]
    cause: str
    remedy: str
    remedy_unpaired: str = ""
    level: Level = "warning"
    checks: int = 3
    from_progress: float = YOUNG_PROGRESS
    always: bool = False
    consequences: frozenset[str] = field(default_factory=frozenset)


NON_FINITE = "non-finite"
COLLAPSED = "outputs collapsed"
IGNORES = "output ignores input"
COPY = "identity copy"
INVERTED = "colours inverted"
HIDDEN = "hidden signal in the cycle"
OVERFITTING = "overfitting"
SATURATED = "discriminator saturated"
DEAD = "discriminator dead"
CHECKERBOARD = "checkerboard"
SPIKES = "gradient spikes"


def _non_finite(v: View) -> str:
    if not v("skipped") > 0:
        return ""
    count = len(v.check.names)
    shown = ", ".join(v.check.names[:3]) + (f" and {count - 3} more" if count > 3 else "")  # noqa: PLR2004 (on a line)
    return (
        f"a loss or gradient was not finite and the batch was left out ({shown})"
        if shown
        else ("its logits or gradients are not finite")
    )


def _collapsed(v: View) -> str:
    ratio = v("diversity")
    return f"outputs differ from one another only {ratio:.2f} times as much as the images do" if ratio < 0.3 else ""  # noqa: PLR2004


def _ignores(v: View) -> str:
    count, share, possible = v("probed"), v("retrieval"), v("retrieval_targets")
    if count >= 8 and share < 3 / count and not possible < 0.5:  # noqa: PLR2004 (where even targets do not match: no verdict)
        return f"{share:.0%} of {count:.0f} outputs fit their own input best ({1 / count:.0%} is chance)"
    return ""


def _copy(v: View) -> str:
    moved, wanted, told = v("identity"), v("identity_targets"), v("told_apart")
    paired = moved < 0.1 * wanted
    if moved < 0.01 and (paired or (math.isnan(wanted) and told > 1)):  # noqa: PLR2004
        by = f"targets by {wanted:.3f}" if paired else f"the discriminator tells them apart by {told:.1f} deviations"
        return f"outputs differ from their inputs by {moved:.4f} of the range, {by}"
    return ""


def _inverted(v: View) -> str:
    found, wanted = v("luma"), v("luma_targets")
    if found < -0.3 and not found > wanted - 0.3:  # noqa: PLR2004
        targets = "" if math.isnan(wanted) else f", targets at {wanted:.2f}"
        return f"light and dark of outputs and inputs correlate at {found:.2f}{targets}"
    return ""


def _hidden(v: View) -> str:
    ratio, noisy = v("hidden"), v("cycle_noisy")
    if ratio > 3 and noisy > 0.02:  # noqa: PLR2004 (an error that can be seen)
        return f"noise of 3/255 on the fake makes the way back {ratio:.1f} times worse"
    return ""


def _memorised(v: View) -> str:
    gap, nearest, now, best = v("l1_gap"), v("nearest_training"), v("validation_l1"), v.lowest("validation_l1")
    if gap > 2 and now > best:  # noqa: PLR2004
        risen = now / best - 1
        return f"the L1 of held-out images is {gap:.1f} times that of training images, {risen:.0%} above its best"
    if gap > 1.5 and nearest < 0.5:  # noqa: PLR2004
        times = 1 / max(nearest, 0.01)
        return f"outputs for held-out inputs are {times:.1f} times nearer to a training target than to their own"
    return ""


def _by_heart(v: View) -> str:
    share, sure = v("memory"), v("sure")
    if share > 0.6 and sure > 0.95:  # noqa: PLR2004
        return f"held-out reals count as fakes (r_v {share:.2f}), {sure:.0%} of those trained on as real"
    return ""


def _saturated(v: View) -> str:
    real, fake, gap = v("real_accuracy"), v("fake_accuracy"), v("gap")
    if min(real, fake) > 0.99 and gap > 6 and not v("memory") > 0.4:  # noqa: PLR2004 (else it has learnt its reals by heart)
        return f"{real:.1%} of reals and {fake:.1%} of fakes told right, {gap:.1f} deviations apart"
    return ""


def _dead(v: View) -> str:
    gap, deviation, alive = v("gap"), v("deviation"), v("alive")
    blind = deviation < 0.1 if math.isnan(alive) else alive < 0.05  # noqa: PLR2004 (as scattered as chance has made it)
    if abs(gap) < 0.05 and blind:  # noqa: PLR2004
        return f"reals and fakes get the same score ({gap:+.3f} deviations apart, deviation {deviation:.3f})"
    return ""


def _checkerboard(v: View) -> str:
    ratio = v("grid")
    return f"a regular grid of 2 or 4 px is {ratio:.1f} times as strong as in the images" if ratio > 8 else ""  # noqa: PLR2004


def _spikes(v: View) -> str:
    ratio = v("gradient_ratio")
    return f"gradients are {ratio:.0f} times their running median" if ratio > 10 else ""  # noqa: PLR2004


RULES = (
    Rule(
        NON_FINITE,
        "skipped",
        _non_finite,
        "one such step would destroy the weights",
        "look at the files named (constant or damaged images); if it goes on, --precision fp32 or a lower "
        "--model.optimization.learning_rate",
        checks=1,
        always=True,
        consequences=frozenset({COLLAPSED, IGNORES, SATURATED, DEAD, SPIKES}),
    ),
    Rule(
        COLLAPSED,
        "diversity",
        _collapsed,
        "the generator makes nearly one image of everything",
        "a lower --model.optimization.learning_rate, a higher --model.l1_weight, more varied images",
        "a lower --model.optimization.learning_rate, a higher --model.cycle_weight, more varied images",
        level="alarm",
        checks=2,
        from_progress=0.1,
        consequences=frozenset({IGNORES, SATURATED, INVERTED, CHECKERBOARD, SPIKES}),
    ),
    Rule(
        IGNORES,
        "retrieval",
        _ignores,
        "what comes out does not depend on what goes in",
        "check that sources and targets belong together; a higher --model.l1_weight, --model.conditional true",
        "a higher --model.cycle_weight, --model.identity_weight 5",
        level="alarm",
        checks=2,
        from_progress=0.1,
        consequences=frozenset({SATURATED, INVERTED}),
    ),
    Rule(
        COPY,
        "identity",
        _copy,
        "the generator leaves its input as it is",
        "check that targets are not sources; --precision fp32, a lower "
        "--model.optimization.discriminator_learning_rate",
        "--model.identity_weight 0, a lower --model.cycle_weight, --precision fp32",
        checks=3,
        from_progress=0.1,
        consequences=frozenset({SATURATED}),
    ),
    Rule(
        INVERTED,
        "luma",
        _inverted,
        "light has become dark and dark light",
        "check that targets are not negatives; start again with another --seed",
        "start again with another --seed and --model.identity_weight 10",
        from_progress=0.1,
        consequences=frozenset({SATURATED}),
    ),
    Rule(
        HIDDEN,
        "hidden",
        _hidden,
        "the input is hidden in the last bits of the output, which flatters the cycle and breaks in a JPEG",
        "--model.cycle_noise 0.02, a lower --model.cycle_weight",
    ),
    Rule(
        OVERFITTING,
        "l1_gap",
        _memorised,
        "the training images are learnt by heart",
        "more images, --data.photometric 0.5, --model.critic.augment adaptive; or stop at the best validation",
        from_progress=0.1,
        consequences=frozenset({SATURATED}),
    ),
    Rule(
        OVERFITTING,
        "memory",
        _by_heart,
        "the training images are learnt by heart",
        "more images, --model.critic.augment adaptive, --model.critic.r1_gamma 1; or stop at the best validation",
        from_progress=0.1,
        consequences=frozenset({SATURATED}),
    ),
    Rule(
        SATURATED,
        "real_accuracy",
        _saturated,
        "it has won, and the generator gets no direction to improve in",
        "a lower --model.optimization.discriminator_learning_rate, --model.critic.r1_gamma 1, or "
        "--model.critic.augment adaptive",
        consequences=frozenset({COLLAPSED, IGNORES, CHECKERBOARD, SPIKES}),
    ),
    Rule(
        DEAD,
        "gap",
        _dead,
        "it teaches nothing, and the other losses lead alone",
        "a higher --model.optimization.discriminator_learning_rate, --model.critic.r1_gamma 0",
    ),
    Rule(
        CHECKERBOARD,
        "grid",
        _checkerboard,
        "strided up-sampling shows",
        "--model.generator.upsample resize",
        from_progress=0.25,
        consequences=frozenset({SATURATED}),
    ),
    Rule(
        SPIKES,
        "gradient_ratio",
        _spikes,
        "the training jumps instead of walking",
        "a lower --model.optimization.learning_rate; look for odd images in the data",
        checks=2,
        consequences=frozenset({COLLAPSED, IGNORES, NON_FINITE}),
    ),
)
"""In the order of causes: of two faults that begin together and explain each other, the earlier is reported."""
