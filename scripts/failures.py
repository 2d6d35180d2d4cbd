"""Show that the health monitor names six injected failures, each first and alone, and lets healthy trainings be.

Usage: python scripts/failures.py [--out failures] [--batches 400] [--size 64] [CASE ...]

Trains small networks on the bundled drawings: with a discriminator 100 times as fast as its generator, a generator
that makes one image, a generator that copies, a batch of NaN, twenty training images, generators that hide their input
in +-2/255 of their output; then three seeds without any of that. Prints what was said after how many batches and the
share of the time that the monitor took, keeps one picture per verdict in ``--out``, and exits with 1 if a failure was
not named first, brought anything but its known consequences, or a healthy training was accused.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from rich.console import Console
from torch import Tensor, nn

from img2img.data.module import ImageData
from img2img.methods.base import TranslationModule
from img2img.methods.cyclegan import CycleGAN
from img2img.methods.optimization import Optimization
from img2img.methods.pix2pix import Pix2Pix
from img2img.networks.base import Generator
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.generators.unet import UNetGenerator
from img2img.schedule import Length
from img2img.shipped import shipped
from img2img.training import rules
from img2img.training.events import read_events
from img2img.training.health import Health

_NUM_FEW, _NUM_HELD_OUT, _NUM_RECOLOURED = 20, 16, 240


class Constant(Generator):
    """Makes one image, whatever it is given."""

    size_multiple, smallest_side = 1, 1

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.colour = nn.Parameter(torch.zeros(1, out_channels, 1, 1))

    def translate(self, source: Tensor) -> Tensor:
        """Return the one colour."""
        return self.colour.tanh().expand(len(source), -1, *source.shape[-2:])


class Copy(Generator):
    """Returns its input."""

    size_multiple, smallest_side = 1, 1

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.nothing = nn.Parameter(torch.zeros(1))

    def translate(self, source: Tensor) -> Tensor:
        """Return the source; the parameter is there to be optimised."""
        return source + 0 * self.nothing


class Hider(Generator):
    """Exchanges colour channels, hides its input in +-2 levels of its output, and finds it there on the way back.

    Levels of the translation are multiples of 8 plus 4, as those of the real images are (:func:`hiding`); what lies
    beside them is the hidden image. The picture alone is right, so nothing but the cycle's error can give it away.
    """

    size_multiple, smallest_side = 1, 1

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.shift = 1
        self.nothing = nn.Parameter(torch.zeros(1))

    def translate(self, source: Tensor) -> Tensor:
        """Return the image hidden in the source if there is one, else a translation that hides the source."""
        levels = (source + 1) * 127.5
        shown = coarse(levels)
        beside = levels - shown
        hides = (beside.abs().amax((1, 2, 3)) > 0.5)[:, None, None, None]  # noqa: PLR2004 (of a level)
        carrier = shown.roll(self.shift, 1) + 2 * source
        return torch.where(hides, (beside / 2).clamp(-1, 1), carrier / 127.5 - 1) + 0 * self.nothing


def coarse(levels: Tensor) -> Tensor:
    """Round levels of 255 to multiples of 8 plus 4."""
    return (levels / 8).floor().clamp(0, 31) * 8 + 4


class SpoilBatch(Callback):
    """Fills the source of one batch with NaN."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Spoil the batch when it comes."""
        del trainer, batch_idx
        assert isinstance(pl_module, TranslationModule)
        if pl_module.batches == self.number:
            batch.a.fill_(torch.nan)


class Case(NamedTuple):
    """A training, and what must be said about it.

    Attributes:
        expected: the verdict that must come first, or "" for none at all.
        build: method and data from (seed, folder for images, side in pixels).
        callbacks: that inject the failure.
    """

    expected: str
    build: Callable[[int, Path, int], tuple[TranslationModule, ImageData]]
    callbacks: tuple[Callback, ...] = ()
    seed: int = 0


def drawings(
    root: Path, size: int, *, paired: bool = True, batch_size: int = 8, domains: Sequence[str] = ("line", "flat")
) -> ImageData:
    """Return the bundled drawings, or others in such folders."""
    return ImageData(str(root), paired, list(domains), size=size, load_size=size, batch_size=batch_size, workers=0)


def pairs(
    seed: int,
    _: Path,
    size: int,
    generator: Callable[..., Generator] | None = None,
    learning_rate: float = 5e-4,
) -> tuple[Any, ImageData]:
    """Return a small pix2pix on the bundled drawings."""
    torch.manual_seed(seed)
    unet = functools.partial(
        UNetGenerator, depth=5, base_channels=16, norm="batch-running", dropout=0.0, upsample="resize"
    )
    module = Pix2Pix(
        generator=generator or unet,
        discriminator=functools.partial(PatchDiscriminator, num_layers=2, base_channels=16),
        adversarial="lsgan",
        optimization=Optimization(learning_rate=learning_rate, beta2=0.99, decay_from=0.3),
        seed=seed,
    )
    return module, drawings(shipped("datasets", "line2flat"), size)


def fast_discriminator(seed: int, folder: Path, size: int) -> tuple[Any, ImageData]:
    """Return pairs with a discriminator that learns 100 times as fast as the generator, at a rate that it can follow.

    At rates above about 0.01 a discriminator does not win but is thrown about, and ends up knowing nothing.
    """
    module, data = pairs(seed, folder, size, learning_rate=2e-5)
    module.rates["discriminator"] = 100.0
    return module, data


def few_images(seed: int, folder: Path, size: int) -> tuple[Any, ImageData]:
    """Return pairs with twenty of them to train on."""
    source = shipped("datasets", "line2flat")
    for split, count in (("train", _NUM_FEW), ("val", _NUM_HELD_OUT)):
        for domain in ("line", "flat"):
            (folder / split / domain).mkdir(parents=True)
            for path in sorted((source / split / domain).iterdir())[:: 3 if split == "val" else 7][:count]:
                shutil.copy(path, folder / split / domain)
    module, _ = pairs(seed, folder, size)
    return module, drawings(folder, size)


def hiding(seed: int, folder: Path, size: int) -> tuple[Any, ImageData]:
    """Return a CycleGAN between drawings and the same kind of drawings in other colours, that hides its inputs."""
    torch.manual_seed(seed)
    discriminator = functools.partial(PatchDiscriminator, num_layers=2, base_channels=16)
    module = CycleGAN(generator=Hider, discriminator=discriminator, identity_weight=0.0, seed=seed)
    cast("Hider", module.generator_ba).shift = -1
    source = shipped("datasets", "line2flat")
    for split in ("train", "val"):
        for index, path in enumerate(sorted((source / split / "flat").iterdir())[:_NUM_RECOLOURED]):
            image = Image.open(path).convert("RGB").resize((size, size))
            levels = coarse(torch.from_numpy(np.asarray(image).copy()))
            other = index % 2
            target = folder / split / ("other" if other else "flat")
            target.mkdir(parents=True, exist_ok=True)
            levels = levels.roll(1, 2) if other else levels
            Image.fromarray(levels.to(torch.uint8).numpy()).save(target / path.name)
    return module, drawings(folder, size, paired=False, batch_size=4, domains=["flat", "other"])


CASES = {
    "discriminator x100": Case(rules.SATURATED, fast_discriminator),
    "one image": Case(rules.COLLAPSED, functools.partial(pairs, generator=Constant)),
    "copy": Case(rules.COPY, functools.partial(pairs, generator=Copy)),
    "NaN batch": Case(rules.NON_FINITE, pairs, (SpoilBatch(30),)),
    "20 images": Case(rules.OVERFITTING, few_images),
    "hidden signal": Case(rules.HIDDEN, hiding),
    **{f"healthy, seed {seed}": Case("", pairs, seed=seed) for seed in (1, 2, 3)},
}


def run_case(
    case: Case, run: Path, *, batches: int, size: int, max_share: float = 1.0
) -> tuple[list[dict[str, Any]], float]:
    """Train a case; return the events and the share of the time that the monitor took.

    Looks are not limited to their share of so short a training by default, so that there are enough of them.
    """
    module, data = case.build(case.seed, run / "images", size)
    data.setup()
    epoch = len(data.train_dataloader()) * data.batch_size
    module.length = Length(images=batches * data.batch_size, seconds=None, images_per_epoch=epoch)
    health = Health(run, data, "warn", Console(quiet=True), max_share=max_share)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        limit_val_batches=0,
        logger=False,
        callbacks=[*case.callbacks, health],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(module, datamodule=data)
    return read_events(run), health.share(module)


def faults_of(case: Case, events: list[dict[str, Any]]) -> str:
    """Return what is wrong with what was said about a case, or ""."""
    said = [event["name"] for event in events if event["level"] in {"warning", "alarm"}]
    if not case.expected:
        return f"accused of {', '.join(said)}" if said else ""
    if said[:1] != [case.expected]:
        return f"expected {case.expected} first, got {', '.join(said) or 'nothing'}"
    allowed = {name for rule in rules.RULES if rule.name == case.expected for name in rule.consequences}
    beyond = sorted(set(said[1:]) - allowed)
    return f"also said {', '.join(beyond)}" if beyond else ""


def main() -> int:
    """Run the cases, print a row each, keep the pictures."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("cases", nargs="*", metavar="CASE")
    words.add_argument("--out", type=Path, default=Path("failures"))
    words.add_argument("--batches", type=int, default=400)
    words.add_argument("--size", type=int, default=64)
    given = words.parse_args()
    if unknown := sorted(set(given.cases) - set(CASES)):
        words.error(f"{', '.join(unknown)}: expected {', '.join(CASES)}")
    given.out.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for name in given.cases or CASES:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder)
            events, share = run_case(case, run, batches=given.batches, size=given.size)
            problem = faults_of(case, events)
            wrong += bool(problem)
            said = ", ".join(f"{e['name']} ({e['level']}) at {e['batches']}" for e in events if e["level"] != "again")
            print(
                f"{'FAIL' if problem else 'ok':5}{name:22}{said or 'nothing said'}; {share:.1%} of the time", flush=True
            )
            if problem:
                print(f"     {problem}", flush=True)
            for event in events:
                if event.get("picture"):
                    shutil.copy(run / event["picture"], given.out / f"{name} - {event['name']}.png")
            shutil.copy(run / "health.csv", given.out / f"{name}.csv")
            (given.out / f"{name}.json").write_text(json.dumps(events, indent=1), encoding="utf-8")
    if not given.cases:
        with tempfile.TemporaryDirectory() as folder:
            _, share = run_case(Case("", pairs), Path(folder), batches=given.batches, size=given.size, max_share=0.015)
        print(f"cost: {share:.2%} of the time in a training with the monitor as it is by default", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
