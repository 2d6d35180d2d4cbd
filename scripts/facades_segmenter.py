"""Train a segmentation model on the photos of CMP facades, for ``img2img evaluate --segmenter``.

Usage: python scripts/facades_segmenter.py facades/ --out segmenter/ [--images 12000] [--size 128]

It learns from the training split alone which of the 12 classes every pixel of a photo is of, and writes into OUT what
the command wants: ``segmenter.pt`` (TorchScript), ``classes.txt`` (name and colour) and ``labels/`` (the test split's
label maps). What the score is worth, the command says: it scores the real photos beside the translations.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from img2img.data.folder import find_layout
from img2img.data.source import Source
from img2img.evaluate.images import look_at
from img2img.evaluate.segmentation import nearest_class
from img2img.image import resized
from img2img.networks.generators.unet import UNetGenerator

CLASSES = {
    "background": (0, 0, 170),
    "facade": (0, 0, 255),
    "window": (0, 85, 255),
    "door": (0, 170, 255),
    "cornice": (0, 255, 255),
    "sill": (85, 255, 170),
    "balcony": (170, 255, 85),
    "blind": (255, 255, 0),
    "deco": (255, 170, 0),
    "molding": (255, 85, 0),
    "pillar": (255, 0, 0),
    "shop": (170, 0, 0),
}
"""Of Tylecek and Sara 2013, in the colours of pix2pix's label maps."""

BATCH = 8


class Segmenter(nn.Module):
    """RGB [B, 3, H, W] in [-1, 1] to logits [B, 12, size, size]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.network = UNetGenerator(3, len(CLASSES), depth=5, base_channels=32, norm="group", dropout=0)

    def forward(self, photo: Tensor) -> Tensor:
        """Return logits; the U-Net ends in tanh, so they lie in [-10, 10]."""
        small = F.interpolate(photo, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        return 10 * self.network.translate(small)  # a multiple of its halvings, so there is nothing to fit


def pixels_of(sources: tuple[Source, ...], size: int | None = None) -> list[np.ndarray]:
    """Return images, resized if a size is given."""
    images = [look_at(source)[1] for source in sources]
    return images if size is None else [resized(image, size, size) for image in images]


def main() -> None:
    """Train, and write the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=12_000, help="length of the training")
    parser.add_argument("--size", type=int, default=128, help="at which it sees, px")
    given = parser.parse_args()
    layout = find_layout([given.data], paired=True, domains=("photo", "label"))
    train, test = layout.train, layout.test
    if test is None:
        parser.error(f"{given.data}: expected facades with a test split")
    palette = list(CLASSES.values())
    photos = torch.from_numpy(np.stack(pixels_of(train.a, given.size))).permute(0, 3, 1, 2)
    ids = [nearest_class(image, palette) for image in pixels_of(train.b)]
    shrink = [torch.linspace(0, side - 1, given.size).round().long() for side in ids[0].shape]
    labels = torch.from_numpy(np.stack(ids))[:, shrink[0]][:, :, shrink[1]]

    torch.manual_seed(0)
    model, draw = Segmenter(given.size), torch.Generator().manual_seed(0)
    steps = given.images // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for step in range(steps):
        chosen = torch.randint(len(photos), (BATCH,), generator=draw)
        photo, label = photos[chosen].float() / 127.5 - 1, labels[chosen]
        if torch.rand((), generator=draw) < 0.5:  # noqa: PLR2004 (half of them)
            photo, label = photo.flip(-1), label.flip(-1)
        photo = photo * (0.7 + 0.6 * torch.rand(BATCH, 1, 1, 1, generator=draw))  # light differs between cameras
        loss = F.cross_entropy(model(photo), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % (steps // 10) == 0:
            print(f"{step * BATCH} of {given.images} images: cross-entropy {loss.item():.3f}", flush=True)

    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "labels").mkdir(exist_ok=True)
    for source, image in zip(test.b, pixels_of(test.b), strict=True):
        Image.fromarray(image).save(given.out / "labels" / f"{source.stem}.png")
    rows = [f"{name} {' '.join(map(str, colour))}" for name, colour in CLASSES.items()]
    (given.out / "classes.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    example = (torch.zeros(1, 3, *ids[0].shape),)
    plain = torch.export.export(model.eval(), example).module()  # its sizes are numbers, which tracing makes tensors
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.*deprecated")
        torch.jit.trace(plain, example).save(given.out / "segmenter.pt")
    print(f"img2img evaluate RUN --data {given.data} --domains photo label --to photo \\")
    print(f"  --segmenter {given.out}/segmenter.pt --labels {given.out}/labels --classes {given.out}/classes.txt")


if __name__ == "__main__":
    main()
