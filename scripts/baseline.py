"""The as-published loop: how the originals train, on our networks. The denominator of every speed ratio.

Usage: python scripts/baseline.py pix2pix DATA [--domains photo label --to photo] [--size 256] [--steps 20] [--json]

Plain on purpose, and it stays so: eager fp32 in NCHW, batch 1, one process, Pillow in the main process (resize to
286/256 of the size, bicubic; random crop; mirror), ``torch.optim.Adam`` and convolutions as torch makes them, no
average of the weights, losses read once in a hundred steps. Networks are those of ``configs/METHOD-faithful.yaml``;
the order of the steps is that of the PyTorch ports (pix2pix: discriminator, then generator; CycleGAN: six translations,
both generators, then both discriminators on fakes from a pool of 50). On a GPU cudnn may search for its fastest
kernels, as the ports let it. Prints images/s (median over rounds, after a warm-up) and peak memory.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional as pil

from img2img import CycleGAN, Img2ImgError, Pix2Pix, TranslationModule
from img2img.data.folder import find_layout
from img2img.data.source import Source, Split
from img2img.methods.pool import ImagePool
from img2img.networks.layers.convolutions import as_torch_does
from img2img.shipped import recipe_file
from img2img.training.bench import peak_memory_mb, wait_for
from img2img.training.config import resolve

METHODS = ("pix2pix", "cyclegan")
_READ_LOSSES_EVERY = 100
_L1_WEIGHT, _CYCLE_WEIGHT, _IDENTITY_WEIGHT, _POOL_SIZE = 100.0, 10.0, 5.0, 50

Losses = dict[str, Tensor]


class Images(Dataset[tuple[Tensor, Tensor]]):
    """Decodes, resizes, crops and mirrors with Pillow: both images of a pair alike, unrelated ones each its own way.

    Args:
        split: the files; unpaired, an image of b is drawn at random for each of a.
        paired: whether a[i] belongs to b[i].
        size: side of the crops in pixels.
    """

    def __init__(self, split: Split, *, paired: bool, size: int) -> None:
        self.split, self.paired, self.size = split, paired, size
        self.load_size = round(size * 286 / 256)
        self.generator = torch.Generator().manual_seed(0)

    def __len__(self) -> int:
        return max(len(self.split.a), len(self.split.b))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        a = self.split.a[index % len(self.split.a)]
        if not self.paired:
            b = self.split.b[self._draw(len(self.split.b))]
            return tuple(self._prepare(_open(one), *self._cut()) for one in (a, b))
        b, cut = self.split.b[index], self._cut()
        both = _open_both(a, b) if a.path == b.path else (_open(a), _open(b))
        return tuple(self._prepare(image, *cut) for image in both)

    def _draw(self, below: int) -> int:
        return int(torch.randint(below, (), generator=self.generator))

    def _cut(self) -> tuple[int, int, bool]:
        room = self.load_size - self.size + 1
        return self._draw(room), self._draw(room), bool(self._draw(2))

    def _prepare(self, image: Image.Image, x: int, y: int, mirror: bool) -> Tensor:
        image = image.resize((self.load_size, self.load_size), Image.Resampling.BICUBIC)
        image = image.crop((x, y, x + self.size, y + self.size))
        if mirror:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return pil.normalize(pil.to_tensor(image), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def _open(source: Source) -> Image.Image:
    image = Image.open(source.file).convert("RGB")
    return image if source.half == "whole" else _half(image, source.half)


def _open_both(a: Source, b: Source) -> tuple[Image.Image, Image.Image]:
    image = Image.open(a.file).convert("RGB")
    return _half(image, a.half), _half(image, b.half)


def _half(image: Image.Image, half: str) -> Image.Image:
    middle = image.width // 2
    return image.crop((0, 0, middle, image.height) if half == "left" else (middle, 0, image.width, image.height))


class PublishedPix2Pix:
    """One step: translate, move the discriminator, move the generator.

    Args:
        module: whose networks are trained.
    """

    def __init__(self, module: Pix2Pix) -> None:
        self.generator, self.discriminator = module.generator, module.discriminator
        self.of_generator, self.of_discriminator = _adam(self.generator), _adam(self.discriminator)

    def __call__(self, a: Tensor, b: Tensor) -> Losses:
        """Train on one batch."""
        fake = self.generator(a)

        _let_learn(self.discriminator, learn=True)
        self.of_discriminator.zero_grad()
        on_fake = _cross_entropy(self._judge(a, fake.detach()), real=False)
        on_real = _cross_entropy(self._judge(a, b), real=True)
        ((on_fake + on_real) * 0.5).backward()
        self.of_discriminator.step()

        _let_learn(self.discriminator, learn=False)
        self.of_generator.zero_grad()
        adversarial = _cross_entropy(self._judge(a, fake), real=True)
        l1 = F.l1_loss(fake, b) * _L1_WEIGHT
        (adversarial + l1).backward()
        self.of_generator.step()
        return {"adversarial": adversarial, "l1": l1, "fake": on_fake, "real": on_real}

    def _judge(self, a: Tensor, b: Tensor) -> Tensor:
        (logits,) = self.discriminator(torch.cat([a, b], dim=1))
        return logits


class PublishedCycleGAN:
    """One step: four translations, two identities, move the generators, move the discriminators.

    Args:
        module: whose networks are trained.
    """

    def __init__(self, module: CycleGAN) -> None:
        self.ab, self.ba = module.generator_ab, module.generator_ba
        self.judge_a, self.judge_b = module.discriminator_a, module.discriminator_b
        self.of_generators = _adam(self.ab, self.ba)
        self.of_discriminators = _adam(self.judge_a, self.judge_b)
        self.pool_a, self.pool_b = ImagePool(_POOL_SIZE), ImagePool(_POOL_SIZE)
        self.random = torch.Generator().manual_seed(0)

    def __call__(self, a: Tensor, b: Tensor) -> Losses:
        """Train on one batch."""
        fake_b = self.ab(a)
        back_a = self.ba(fake_b)
        fake_a = self.ba(b)
        back_b = self.ab(fake_a)

        _let_learn(self.judge_a, self.judge_b, learn=False)
        self.of_generators.zero_grad()
        losses = {
            "identity_b": F.l1_loss(self.ab(b), b) * _IDENTITY_WEIGHT,
            "identity_a": F.l1_loss(self.ba(a), a) * _IDENTITY_WEIGHT,
            "adversarial_ab": _squares(self.judge_b(fake_b), real=True),
            "adversarial_ba": _squares(self.judge_a(fake_a), real=True),
            "cycle_a": F.l1_loss(back_a, a) * _CYCLE_WEIGHT,
            "cycle_b": F.l1_loss(back_b, b) * _CYCLE_WEIGHT,
        }
        sum(losses.values()).backward()
        self.of_generators.step()

        _let_learn(self.judge_a, self.judge_b, learn=True)
        self.of_discriminators.zero_grad()
        for name, judge, real, fake in (
            ("discriminator_a", self.judge_a, a, self.pool_a(fake_a, self.random)),
            ("discriminator_b", self.judge_b, b, self.pool_b(fake_b, self.random)),
        ):
            loss = (_squares(judge(real), real=True) + _squares(judge(fake), real=False)) * 0.5
            loss.backward()
            losses[name] = loss
        self.of_discriminators.step()
        return losses


def _adam(*networks: nn.Module) -> torch.optim.Adam:
    parameters = itertools.chain(*(network.parameters() for network in networks))
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


def _let_learn(*networks: nn.Module, learn: bool) -> None:
    for network in networks:
        for parameter in network.parameters():
            parameter.requires_grad = learn


def _cross_entropy(logits: Tensor, *, real: bool) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.tensor(float(real), device=logits.device).expand_as(logits))


def _squares(maps: list[Tensor], *, real: bool) -> Tensor:
    (logits,) = maps
    return F.mse_loss(logits, torch.tensor(float(real), device=logits.device).expand_as(logits))


class Speed(NamedTuple):
    """What a measurement found.

    Attributes:
        rounds: images/s of each round.
        losses: the last ones read.
    """

    rounds: list[float]
    losses: dict[str, float]


def networks(method: str, words: Sequence[str] = ()) -> TranslationModule:
    """Build the published networks of a method, changed by words such as ``--model.generator.base_channels=8``."""
    module = resolve(["-c", str(recipe_file(method, "faithful")), "--data.root=.", *words]).build()[0]
    as_torch_does(module)
    return module


def measure(
    module: TranslationModule, images: Images, device: torch.device, *, batch: int, steps: int, warmup: int, rounds: int
) -> Speed:
    """Train steadily and time it.

    Args:
        module: whose networks are trained; moved to the device.
        images: what on.
        device: where.
        batch: images per step.
        steps: timed steps of a round.
        warmup: steps before the first round.
        rounds: how many.

    Raises:
        TypeError: for a method without a published loop.
    """
    module.to(device).train()
    step: Callable[[Tensor, Tensor], Losses]
    if isinstance(module, Pix2Pix):
        step = PublishedPix2Pix(module)
    elif isinstance(module, CycleGAN):
        step = PublishedCycleGAN(module)
    else:
        raise TypeError(f"expected one of {', '.join(METHODS)}, got {type(module).__name__}")
    loader = DataLoader(images, batch, shuffle=True, drop_last=len(images) >= batch, generator=torch.Generator())
    batches = _for_ever(loader)
    done, losses, speeds = 0, {}, []
    for timed in [warmup, *[steps] * rounds]:
        wait_for(device)
        began, seen = time.perf_counter(), 0
        for _ in range(timed):
            a, b = next(batches)
            found = step(a.to(device), b.to(device))
            done, seen = done + 1, seen + len(a)
            if done % _READ_LOSSES_EVERY == 1:
                losses = {name: loss.item() for name, loss in found.items()}
        wait_for(device)
        speeds.append(seen / (time.perf_counter() - began))
    return Speed(speeds[1:], losses)


def _for_ever(loader: DataLoader[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("method", choices=METHODS)
    words.add_argument("data", type=Path, nargs="+", help="a data folder, or one folder per domain")
    words.add_argument("--domains", nargs=2)
    words.add_argument("--to")
    words.add_argument("--size", type=int, default=256)
    words.add_argument("--batch", type=int, default=1)
    words.add_argument("--steps", type=int, default=20, help="timed steps of a round")
    words.add_argument("--warmup", type=int, default=5, help="steps before the first round")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--device", default="cpu")
    words.add_argument("--threads", type=int)
    words.add_argument("--json", action="store_true", help="print one JSON object")
    given, of_networks = words.parse_known_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    device = torch.device(given.device)
    paired = given.method == "pix2pix"
    try:
        module = networks(given.method, of_networks)
        layout = find_layout(given.data, paired=paired, domains=given.domains, to=given.to)
    except Img2ImgError as error:
        sys.exit(f"error: {error}")
    images = Images(layout.train, paired=paired, size=given.size)
    speed = measure(
        module, images, device, batch=given.batch, steps=given.steps, warmup=given.warmup, rounds=given.rounds
    )
    median, memory = statistics.median(speed.rounds), peak_memory_mb(device)
    if given.json:
        print(json.dumps({"images_per_s": median, "rounds": speed.rounds, "peak_memory_mb": memory}))
        return
    each = " ".join(f"{value:.3g}" for value in speed.rounds)
    losses = " ".join(f"{name} {value:.3g}" for name, value in speed.losses.items())
    print(f"{given.method} as published on {device} in fp32, batch {given.batch}, {given.size} px")
    print(f"{median:.4g} images/s (median of {given.rounds} rounds of {given.steps} steps: {each})")
    print(f"{memory:,.0f} MB peak memory; losses {losses}")


if __name__ == "__main__":
    main()
