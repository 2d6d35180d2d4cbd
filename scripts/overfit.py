"""Show that nothing stands between loss and weights: learn one pair by heart with the published pix2pix.

Usage: python scripts/overfit.py DATA [--steps 400] [--size 256] [--to photo --domains photo label] [--out overfit.png]

DATA is any folder of pairs that ``img2img train`` takes. Networks, losses and optimizer are those of
``configs/pix2pix-faithful.yaml``, with a constant learning rate and without jitter: the same pair every step. Prints
the L1 in [-1, 1] units of the translation (dropout off) as it falls and writes source, result and target side by side.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch.utils.data import DataLoader

from img2img.data.datasets import Item, collate
from img2img.data.folder import find_layout
from img2img.data.transforms import Preprocessing, Transforms, load_pixels
from img2img.image import round_to_8_bits, to_pixels, to_unit
from img2img.shipped import shipped
from img2img.training.config import resolve


class Watch(Callback):
    """Prints the error of the one pair now and then."""

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Translate as inference does and print the error."""
        del trainer, outputs, batch_idx
        if pl_module.batches % self.every == 0:
            pl_module.eval()
            with torch.no_grad():
                error = (round_to_8_bits(pl_module(batch.a)) - batch.b).abs().mean()
            pl_module.train()
            print(f"step {pl_module.batches:4d}  L1 {float(error):.4f}", flush=True)


def main() -> None:
    """Train on one pair and print its error."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("data", type=Path)
    words.add_argument("--steps", type=int, default=400)
    words.add_argument("--size", type=int, default=256)
    words.add_argument("--domains", nargs=2)
    words.add_argument("--to")
    words.add_argument("--out", type=Path, default=Path("overfit.png"))
    given = words.parse_args()

    layout = find_layout([given.data], paired=True, domains=given.domains, to=given.to)
    source, target = layout.train.a[0], layout.train.b[0]
    sides = (given.size, given.size)
    transforms = Transforms(Preprocessing(sides, sides, "stretch", flip=False, photometric=0.0))
    a, b = (to_unit(transforms.fixed(load_pixels(one, 3))) for one in (source, target))
    loader = DataLoader([Item(a, b, source.name, target.name, [])], batch_size=1, collate_fn=collate)
    config = [
        "-c",
        str(shipped("configs", "pix2pix-faithful.yaml")),
        "--model.optimization.decay=constant",
        "--data.root=.",
    ]
    module, _, _ = resolve(config).build()
    trainer = Trainer(
        max_epochs=given.steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Watch(max(given.steps // 8, 1))],
    )
    trainer.fit(module, loader)
    module.eval()
    with torch.no_grad():
        result = module(a[None])[0]
    panel = Image.new("RGB", (3 * given.size, given.size))
    for i, image in enumerate((a, result, b)):
        panel.paste(Image.fromarray(to_pixels(image)), (i * given.size, 0))
    panel.save(given.out)
    print(f"{source.name}: {given.out}")


if __name__ == "__main__":
    main()
