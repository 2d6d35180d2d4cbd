"""Show that the health monitor names ten injected failures, each first and alone, and lets healthy trainings be.

Usage: python scripts/failures.py [--out failures] [--batches 400] [--size 64] [--threads N] [CASE ...]

Trains small networks on the bundled drawings: with a discriminator that learns 100 times as fast as its generator or,
held down by its penalty, not at all; a batch of NaN; twenty training images; generators that make one image, show
pictures that have nothing to do with the input, copy, invert, draw a grid, or hide their input in +-2/255 of their
output; then three seeds without any of that. Prints what was said after how many batches and the share of the time
that the monitor took, keeps one picture per verdict in ``--out`` (rows of input, output, target; in a cycle input,
output, way back, way back after noise; of a batch left out input and target, magenta where a value is not finite), and
exits with 1 if a failure was not named first, brought anything but its known consequences, or a healthy training was
accused.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import sys
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from rich.console import Console
from torch import Tensor, nn

from img2img.data.module import ImageData
from img2img.image import to_tensor
from img2img.methods.base import TranslationModule
from img2img.methods.critic import Critic
from img2img.methods.cyclegan import CycleGAN
from img2img.methods.optimization import Optimization
from img2img.methods.pix2pix import Pix2Pix
from img2img.networks.base import Generator, GeneratorFactory
from img2img.networks.discriminators.patch import PatchDiscriminator
from img2img.networks.generators.unet import UNetGenerator
from img2img.schedule import Length
from img2img.shipped import shipped
from img2img.training import rules
from img2img.training.events import PICTURES, Events, read_events
from img2img.training.health import Health
from img2img.training.probes import Probe

_NUM_FEW, _NUM_HELD_OUT, _NUM_RECOLOURED, _NUM_HUNG = 20, 16, 240, 24
_ENLARGED, _HEALTHY = 2, "healthy"

UNET = functools.partial(UNetGenerator, depth=5, base_channels=16, norm="batch-running", dropout=0.0, upsample="resize")


class Fixed(Generator):
    """Does what it does whatever it is taught; the parameter is there to be optimised."""

    size_multiple, smallest_side = 1, 1

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.nothing = nn.Parameter(torch.zeros(1))

    def translate(self, source: Tensor) -> Tensor:
        """Return what :meth:`make` makes."""
        return self.make(source) + 0 * self.nothing

    @abstractmethod
    def make(self, source: Tensor) -> Tensor:
        """Return the image to make of a source."""


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


class Copy(Fixed):
    """Returns its input."""

    def make(self, source: Tensor) -> Tensor:
        """Return the source."""
        return source


class Negative(Fixed):
    """Makes light of dark and dark of light."""

    def make(self, source: Tensor) -> Tensor:
        """Return the negative."""
        return -source


class Gallery(Fixed):
    """Shows one of its pictures, picked by the last digits of the sum of the input's pixels."""

    pictures: Tensor
    """[N, C, H, W] in [-1, 1], of the size of the sources; to be hung."""

    def make(self, source: Tensor) -> Tensor:
        """Return pictures that have nothing to do with the sources."""
        digits = (source.double().sum((1, 2, 3)) * 1000).long()
        return self.pictures[digits % len(self.pictures)]


class Uneven(Generator):
    """A U-Net whose image is doubled last by a transposed convolution of 3 px, which its stride of 2 does not divide.

    Every other pixel is reached by one tap and those between by two (Odena et al. 2016, "Deconvolution and checkerboard
    artifacts"); taps of 1/2, 1, 1/2 would even that out, these do not, and are not learnt.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.unet = UNET(in_channels, out_channels)
        self.size_multiple, self.smallest_side = self.unet.size_multiple, self.unet.smallest_side
        taps = torch.tensor([2 / 3, 1.0, 2 / 3]) * 6 / 7
        self.register_buffer("kernel", (taps[:, None] * taps).expand(out_channels, 1, -1, -1).clone())

    def translate(self, source: Tensor) -> Tensor:
        """Return a translation with a grid of 2 px."""
        half = F.avg_pool2d(self.unet(source), 2)
        kernel = cast("Tensor", self.kernel)
        doubled = F.conv_transpose2d(half, kernel, stride=2, padding=1, output_padding=1, groups=self.out_channels)
        return doubled.clamp(-1, 1)


class Hider(Fixed):
    """Exchanges colour channels, hides its input in +-2 levels of its output, and finds it there on the way back.

    Levels of the translation are multiples of 8 plus 4, as those of the real images are (:func:`hiding`); what lies
    beside them is the hidden image. The picture alone is right, so nothing but the cycle's error can give it away.
    """

    shift = 1

    def make(self, source: Tensor) -> Tensor:
        """Return the image hidden in the source if there is one, else a translation that hides the source."""
        levels = (source + 1) * 127.5
        shown = coarse(levels)
        beside = levels - shown
        hides = (beside.abs().amax((1, 2, 3)) > 0.5)[:, None, None, None]  # noqa: PLR2004 (of a level)
        carrier = shown.roll(self.shift, 1) + 2 * source
        return torch.where(hides, (beside / 2).clamp(-1, 1), carrier / 127.5 - 1)


def coarse(levels: Tensor) -> Tensor:
    """Round levels of 255 to multiples of 8 plus 4."""
    return (levels / 8).floor().clamp(0, 31) * 8 + 4


class SpoilBatch(Callback):
    """Fills one source of one batch with NaN."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Spoil the batch when it comes."""
        del trainer, batch_idx
        assert isinstance(pl_module, TranslationModule)
        if pl_module.batches == self.number:
            batch.a[1].fill_(torch.nan)


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
    generator: GeneratorFactory = UNET,
    learning_rate: float = 5e-4,
    critic: Critic = Critic(),  # noqa: B008 (frozen)
) -> tuple[Any, ImageData]:
    """Return a small pix2pix on the bundled drawings."""
    torch.manual_seed(seed)
    module = Pix2Pix(
        generator=generator,
        discriminator=functools.partial(PatchDiscriminator, num_layers=2, base_channels=16),
        adversarial="lsgan",
        critic=critic,
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


def gallery(seed: int, folder: Path, size: int) -> tuple[Any, ImageData]:
    """Return pairs with a generator that shows drawings, but not the one that was asked for."""
    files = sorted((shipped("datasets", "line2flat") / "train" / "flat").iterdir())[:: 240 // _NUM_HUNG][:_NUM_HUNG]
    hung = [np.asarray(Image.open(file).convert("RGB").resize((size, size))) for file in files]
    module, data = pairs(seed, folder, size, Gallery)
    module.generator.pictures = torch.stack([to_tensor(pixels) for pixels in hung])
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
    "penalty": Case(rules.DEAD, functools.partial(pairs, critic=Critic(r1_gamma=1e5))),
    "one image": Case(rules.COLLAPSED, functools.partial(pairs, generator=Constant)),
    "gallery": Case(rules.IGNORES, gallery),
    "negative": Case(rules.INVERTED, functools.partial(pairs, generator=Negative)),
    "uneven kernel": Case(rules.CHECKERBOARD, functools.partial(pairs, generator=Uneven)),
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
    if not case.expected:
        probe = Probe(data, paired=module.paired)
        probe.look(module, data.batch_size)
        Events(run, module.batches).picture(_HEALTHY, module.batches, next(iter(probe.picture.values())))
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


def keep_picture(run: Path, name: str, path: Path) -> None:
    """Keep the first picture of a verdict, twice as large so that single pixels can be seen."""
    with Image.open(min((run / PICTURES).glob(f"* {name}.png"))) as picture:
        width, height = picture.size
        large = picture.resize((_ENLARGED * width, _ENLARGED * height), Image.Resampling.NEAREST)
    large.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def row_of(name: str, events: list[dict[str, Any]], share: float, problem: str) -> str:
    """Return what was said of a case in a line."""
    said = ", ".join(f"{e['name']} ({e['level']}) at {e['batches']}" for e in events if e["level"] != "again")
    row = f"{'FAIL' if problem else 'ok':5}{name:22}{share:6.1%}  {said or 'nothing said'}"
    return f"{row}\n{'':5}{problem}" if problem else row


def main() -> int:
    """Run the cases, keep the pictures, print a table."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("cases", nargs="*", metavar="CASE")
    words.add_argument("--out", type=Path, default=Path("failures"))
    words.add_argument("--runs", type=Path, help="keep the run folders here")
    words.add_argument("--batches", type=int, default=400)
    words.add_argument("--size", type=int, default=64)
    words.add_argument("--threads", type=int, default=os.cpu_count(), help="all by default")
    given = words.parse_args()
    if unknown := sorted(set(given.cases) - set(CASES)):
        words.error(f"{', '.join(unknown)}: expected {', '.join(CASES)}")
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    rows, wrong = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for name in given.cases or CASES:
            case, run = CASES[name], (given.runs or Path(folder)) / name
            events, share = run_case(case, run, batches=given.batches, size=given.size)
            problem = faults_of(case, events)
            wrong += bool(problem)
            rows.append(row_of(name, events, share, problem))
            print(rows[-1], flush=True)
            if not problem:
                shown = case.expected or _HEALTHY
                keep_picture(run, shown, given.out / f"{shown.replace(' ', '-')}.png")
        if not given.cases:
            _, share = run_case(
                Case("", pairs), Path(folder) / "cost", batches=given.batches, size=given.size, max_share=0.015
            )
            rows.append(f"cost of the monitor as it is by default: {share:.2%} of the time")
    print("", f"{'':5}{'case':22}{'time':>6}  said at batch", *rows, sep="\n", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
