"""Run by test_ranks.py, alone or as one of several processes: trains methods in float64 and keeps their gradients.

Usage: python ddp_case.py BATCH OUT METHOD [METHOD ...]; processes are started with torchrun's variables. Each method is
trained with its batches in one part and in two.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import tempfile
from pathlib import Path

import lightning
import torch
from torch.utils.data import DataLoader

import img2img
from img2img.data.datasets import Item, collate
from img2img.data.sampler import EpochSampler
from img2img.methods import judge
from img2img.methods.base import TranslationModule
from tests.test_networks import TinyFeatures, tiny_features

SAMPLES, STEPS = 8, 2


class Samples(torch.utils.data.Dataset):
    """Eight images of two domains."""

    def __len__(self):
        return SAMPLES

    def __getitem__(self, position):
        generator = torch.Generator().manual_seed(position.sample)
        a, b = (torch.rand(3, 32, 32, generator=generator, dtype=torch.float64) * 2 - 1 for _ in range(2))
        return Item(a, b, str(position.sample), str(position.sample), [])


def build(method: str, accumulate: int) -> TranslationModule:
    torch.manual_seed(0)
    made = getattr(img2img, method)
    options = {"pool_size": 0} if "pool_size" in inspect.signature(made).parameters else {}
    generators = {
        "Pix2Pix": functools.partial(img2img.UNetGenerator, depth=4, base_channels=4, dropout=0.0),
        "CycleGAN": functools.partial(img2img.ResNetGenerator, num_blocks=1, base_channels=4),
    }
    if method == "Distill":
        path = Path(tempfile.mkdtemp()) / "teacher.safetensors"
        img2img.save(img2img.Pix2Pix(generators["CycleGAN"]), path)
        options = {"teacher": generators["CycleGAN"], "weights": str(path)}
    return made(
        generator=generators.get(method, generators["CycleGAN"]),
        discriminator=functools.partial(img2img.PatchDiscriminator, num_layers=1, base_channels=4),
        critic=img2img.Critic(projected_weight=0.5, projected_from=0.0, projected_file=tiny_features()),
        optimization=img2img.Optimization(accumulate=accumulate, decay="constant"),
        **options,
    ).double()


def trained(method: str, batch: int, accumulate: int) -> dict[str, object]:
    """Return what the turns of a short training found."""
    module = build(method, accumulate)
    kept: list[dict[str, torch.Tensor]] = []
    move = module._move

    def spy(player, *words):
        names = {id(p): n for n, p in module.named_parameters()}
        kept.append({names[id(p)]: p.grad.clone() for net in player.networks for p in net.parameters()})
        move(player, *words)

    module._move = spy
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    loader = DataLoader(
        Samples(), batch_size=batch, sampler=EpochSampler(SAMPLES, 0, rank, world), collate_fn=collate, drop_last=True
    )
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        num_nodes=world // int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        max_steps=STEPS,
        precision="64-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    weights = {n: p.detach().clone() for n, p in module.named_parameters()}
    return {"gradients": kept, "weights": weights, "sent": dict(module.sent_bytes)}


def main() -> None:
    batch, out, *methods = sys.argv[1:]
    torch.set_num_threads(1)
    judge.EfficientNetLite0 = TinyFeatures  # type: ignore[misc,assignment]
    # its power iteration takes a step with each pass, and two parts are two passes
    judge.ProjectedDiscriminator = functools.partial(judge.ProjectedDiscriminator, spectral_norm=False)  # type: ignore[misc,assignment]
    found = {f"{method} {parts}": trained(method, int(batch), parts) for method in methods for parts in (1, 2)}
    torch.save(found, f"{out}.{os.environ.get('RANK', '0')}")


if __name__ == "__main__":
    main()
