"""What a monitor sees when it looks at fixed images through the networks; the training does not notice."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from img2img.batch import Batch
from img2img.data.datasets import FixedDataset, collate
from img2img.data.module import ImageData
from img2img.data.source import Split
from img2img.image import Pixels, seen_of, to_pixels
from img2img.losses.adversarial import Wasserstein
from img2img.methods.base import TranslationModule
from img2img.methods.judge import Judge
from img2img.methods.turns import Direction
from img2img.metrics import health
from img2img.metrics.logits import gap, held_out_share
from img2img.metrics.luma import luma
from img2img.metrics.spectrum import grid_peaks
from img2img.networks.base import Discriminator, Generator

PROBED = 16
"""Held-out images, and as many training images, evenly spaced."""

_MAX_VALUES = 16_000_000
"""Values of one domain's probe images; larger images mean fewer of them, but never fewer than 8."""

_FEWEST_TO_COMPARE, _FEWEST_TO_SCORE, _FEWEST = 4, 2, 8
_SHOWN, _MAGENTA = 4, (255, 0, 255)
_LEAST_DIVERSITY = 0.01
_SEED = 20_171
_OTHER: dict[Direction, Direction] = {"ab": "ba", "ba": "ab"}


class Pair(NamedTuple):
    """Fixed images of both domains, float32 [N, C, H, W] in [-1, 1], on the CPU."""

    a: Tensor
    b: Tensor


class Picture(NamedTuple):
    """What a person is shown beside a verdict.

    Attributes:
        columns: what the columns are.
        rows: per image the pixels of each column.
    """

    columns: tuple[str, ...]
    rows: list[list[Pixels]]


def picture_of(images: Mapping[str, Tensor]) -> Picture:
    """Return the first images, a column for each entry; magenta where a value is not finite.

    Args:
        images: float [N, C, H, W] in [-1, 1] by what they are.
    """
    return Picture(
        tuple(images),
        [[_shown(image) for image in row] for row in zip(*(found[:_SHOWN] for found in images.values()), strict=True)],
    )


def picture_of_batch(batch: Batch, *, paired: bool) -> Picture:
    """Return images of a batch that was left out; those with values that are not finite come first."""
    broken = ~(torch.isfinite(batch.a).flatten(1).all(1) & torch.isfinite(batch.b).flatten(1).all(1))
    order = broken.int().argsort(descending=True, stable=True)[:_SHOWN]
    return picture_of({"input": batch.a[order], "target" if paired else "other domain": batch.b[order]})


def _shown(image: Tensor) -> Pixels:
    pixels = to_pixels(image.nan_to_num().expand(max(3, len(image)), -1, -1))
    pixels[~torch.isfinite(image).all(0).cpu().numpy()] = _MAGENTA
    return pixels


def decision_threshold(module: TranslationModule) -> float | None:
    """Return the logit above which a discriminator says "real", or None where its loss has no such point."""
    for part in module.modules():
        if isinstance(part, Judge):
            signless = part.options.relativistic or isinstance(part.loss, Wasserstein)
            return None if signless else part.loss.midpoint
    return None


def discriminator_of(module: TranslationModule, direction: Direction) -> tuple[str, Discriminator] | None:
    """Return name and network of the player that judges the translations of a direction."""
    domain = direction[1]
    for player in module.players():
        for network in player.networks:
            if isinstance(network, Discriminator) and player.name in {"discriminator", f"discriminator_{domain}"}:
                return player.name, network
    return None


class Probe:
    """Looks at the same held-out and training images again and again, through the averaged generators.

    Weights, modes, running statistics, gradients and the random state are left as they were; what is drawn comes from
    a generator of its own. Nothing here talks to other processes.

    Args:
        data: set up.
        paired: whether images belong together.
    """

    def __init__(self, data: ImageData, *, paired: bool) -> None:
        assert data.layout is not None
        assert data.layout.validation is not None
        self.paired = paired
        self.names: dict[Direction, str] = {
            "ab": f"{data.domains[0]} to {data.domains[1]}",
            "ba": f"{data.domains[1]} to {data.domains[0]}",
        }
        self.held_out, self.training = (_load(data, split) for split in (data.layout.validation, data.layout.train))
        self.sides = data.sides
        self.picture: dict[str, Picture] = {}

    @torch.no_grad()
    def look(self, module: TranslationModule, batch_size: int) -> dict[str, float]:
        """Return signals by ``signal/subject`` and keep the pictures; see :mod:`img2img.training.verdicts`.

        Args:
            module: in training.
            batch_size: images given to a network at once.
        """
        networks = module.best_generators()
        judges = {direction: discriminator_of(module, direction) for direction in networks}
        threshold = decision_threshold(module)
        used: list[nn.Module] = [*networks.values(), *(found[1] for found in judges.values() if found)]
        device = module.device
        held_out, training = (Pair(p.a.to(device), p.b.to(device)) for p in (self.held_out, self.training))
        signals: dict[str, Tensor | float | None] = {}
        with _untouched(used, device):
            for direction, network in networks.items():
                name = self.names[direction]
                inputs, targets = held_out if direction == "ab" else held_out[::-1]
                outputs = _through(network, inputs, batch_size)
                side, other = self.sides if direction == "ab" else self.sides[::-1]
                seen = seen_of(side, inputs), seen_of(other, outputs), seen_of(other, targets)
                found = images_of(*seen, paired=self.paired)
                shown = dict(zip(("input", "output", "target" if self.paired else "other domain"), seen, strict=True))
                back = networks.get(_OTHER[direction])
                if back is not None and not self.paired:
                    cycle, (clean, noisy) = self._cycle(back, inputs, outputs, batch_size)
                    found |= cycle
                    ways = {"way back": seen_of(side, clean), "way back after noise": seen_of(side, noisy)}
                    shown = {"input": seen[0], "output": seen[1], **ways}
                learnt = training if direction == "ab" else Pair(*training[::-1])
                if self.paired:
                    found |= self._fit(network, inputs, outputs, targets, learnt, batch_size)
                judge = judges[direction]
                if judge is not None:
                    told, known = self._judged(judge[1], (inputs, outputs, targets), learnt, threshold, batch_size)
                    found["told_apart"] = told
                    signals |= {f"{key}/{judge[0]}": value for key, value in known.items()}
                signals |= {f"{key}/{name}": value for key, value in found.items()}
                self.picture[name] = picture_of(shown)
        return _read(signals, device)

    def _cycle(
        self, back: Generator, inputs: Tensor, outputs: Tensor, batch_size: int
    ) -> tuple[dict[str, Tensor | float | None], tuple[Tensor, Tensor]]:
        noise = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(_SEED)).to(outputs.device)
        returned = _through(back, outputs, batch_size), _through(back, health.disturbed(outputs, noise), batch_size)
        clean, noisy = (health.distance(one, inputs) for one in returned)
        return {"cycle": clean, "cycle_noisy": noisy, "hidden": health.hidden_signal(clean, noisy)}, returned

    def _fit(
        self, network: Generator, inputs: Tensor, outputs: Tensor, targets: Tensor, learnt: Pair, batch_size: int
    ) -> dict[str, Tensor | float | None]:
        held_out = health.distance(outputs, targets)
        on_training = health.distance(_through(network, learnt.a, batch_size), learnt.b)
        enough = len(inputs) >= _FEWEST_TO_SCORE
        return {
            "validation_l1": held_out,
            "training_l1": on_training,
            "l1_gap": held_out / on_training.clamp_min(1 / 255) if enough else None,
            "nearest_training": health.memorisation(outputs, targets, learnt.b) if enough else None,
        }

    def _judged(
        self,
        discriminator: Discriminator,
        triple: tuple[Tensor, Tensor, Tensor],
        learnt: Pair,
        threshold: float | None,
        batch_size: int,
    ) -> tuple[Tensor, dict[str, Tensor | float | None]]:
        """Return d' of held-out reals and fakes, and what the discriminator knows.

        ``alive`` is how far it tells reals from their negatives or blurs: one that finds no difference between reals
        and good fakes does that, a dead one does not.
        """
        inputs, outputs, targets = triple
        conditional = discriminator.in_channels == inputs.shape[1] + targets.shape[1]

        def logits(source: Tensor, judged: Tensor) -> Tensor:
            shown = torch.cat([source, judged.to(source.dtype)], 1) if conditional else judged
            return torch.cat([discriminator.forward(part)[0].flatten() for part in torch.split(shown, batch_size)])

        unseen, fake, known = logits(inputs, targets), logits(inputs, outputs), logits(*learnt)
        spoilt = [logits(inputs, wrong) for wrong in (-targets, F.avg_pool2d(targets, 5, 1, 2))]
        found: dict[str, Tensor | float | None] = {"alive": torch.stack([gap(unseen, s).abs() for s in spoilt]).max()}
        if len(inputs) >= _FEWEST_TO_COMPARE:
            found["memory"] = held_out_share(known, unseen, fake)
            found["sure"] = None if threshold is None else (known > threshold).float().mean()
        return gap(unseen, fake), found


def images_of(inputs: Tensor, outputs: Tensor, targets: Tensor, *, paired: bool) -> dict[str, Tensor | float | None]:
    """Measure translations beside their inputs and targets; each signal is relative to what the images themselves do.

    Args:
        inputs: [N, C, H, W] in [-1, 1].
        outputs: [N, C', H, W].
        targets: [N, C', H, W]; other images of the target domain when unpaired.
        paired: whether targets belong to inputs.
    """
    count = len(inputs)
    found: dict[str, Tensor | float | None] = {
        "probed": float(count),
        "identity": health.distance(outputs, inputs),
        "saturation": health.saturation(outputs) - torch.maximum(health.saturation(targets), health.saturation(inputs)),
        "luma": health.luma_correlation(outputs, inputs),
    }
    if paired:
        found["identity_targets"] = health.distance(targets, inputs)
        found["luma_targets"] = health.luma_correlation(targets, inputs)
    elif _negative_is_likelier(inputs, targets):
        found["luma"] = None
    if count >= _FEWEST_TO_COMPARE:
        least = torch.minimum(health.diversity(targets), health.diversity(inputs))
        measurable = least >= _LEAST_DIVERSITY
        found["diversity"] = torch.where(measurable, health.diversity(outputs) / least.clamp_min(1e-6), math.nan)
        found["retrieval"] = health.retrieval(outputs, inputs)
        if paired:
            found["retrieval_targets"] = health.retrieval(targets, inputs)
    peaks = [grid_peaks(images) for images in (outputs, targets, inputs)]
    if peaks[0] is not None and peaks[1] is not None and peaks[2] is not None:
        found["grid"] = (peaks[0] / torch.maximum(torch.maximum(peaks[1], peaks[2]), torch.ones_like(peaks[1]))).max()
    return found


def _negative_is_likelier(inputs: Tensor, targets: Tensor) -> bool:
    """Tell whether the light of the target domain is more like the source's negative: then inversion is the task."""
    a, b = (health.thumbnails(luma(images)).flatten().sort().values for images in (inputs, targets))
    return bool((a - b).abs().mean() > (-a.flip(0) - b).abs().mean())


@contextlib.contextmanager
def _untouched(networks: list[nn.Module], device: torch.device) -> Iterator[None]:
    """Evaluate networks and put every layer's mode and the random state back."""
    modes = [(layer, layer.training) for network in networks for layer in network.modules()]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else [], device_type="cuda"):
        for network in networks:
            network.eval()
        try:
            yield
        finally:
            for layer, mode in modes:
                layer.training = mode


def _through(network: Generator, images: Tensor, batch_size: int) -> Tensor:
    # forward itself: a compiled network would be compiled anew for evaluation
    return torch.cat([network.forward(part).float() for part in torch.split(images, batch_size)])


def _load(data: ImageData, split: Split) -> Pair:
    height, width = data.preprocessing.size
    dataset = FixedDataset(split, data.transforms)
    distinct = min(len(split.a), len(split.b))
    count = min(PROBED, max(_MAX_VALUES // (3 * height * width), _FEWEST), distinct)
    chosen = Subset(dataset, [i * distinct // count for i in range(count)])
    loader = DataLoader(chosen, batch_size=count, collate_fn=collate, generator=torch.Generator())
    batch = data.finished(next(iter(loader)))
    return Pair(batch.a, batch.b)


def _read(signals: dict[str, Tensor | float | None], device: torch.device) -> dict[str, float]:
    """Bring all signals to the host at once."""
    measured = {key: value for key, value in signals.items() if value is not None}
    stacked = torch.stack([torch.as_tensor(value, device=device, dtype=torch.float32) for value in measured.values()])
    return dict(zip(measured, stacked.tolist(), strict=True))
