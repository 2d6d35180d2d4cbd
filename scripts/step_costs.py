"""Print what a training step of each recipe costs: multiplications per image of the source domain, and parameters.

Usage: python scripts/step_costs.py [METHOD ...] [--size 256]

Counted by torch's own counter over one batch of one, every turn with its backward pass, on the meta device: nothing
is computed, so it takes seconds. Networks of perceptual losses, norms, activations and bilinear resampling are left
out, and so are penalties of every so many batches. The second number is of the end of the training.
"""

from __future__ import annotations

import argparse

import torch
from torch.utils.flop_counter import FlopCounterMode

from img2img import TranslationModule
from img2img.batch import Batch
from img2img.methods.turns import Step
from img2img.shipped import recipe_file, recipes
from img2img.training.config import resolve


def build(method: str, recipe: str) -> TranslationModule:
    """Build a recipe's method without weights, and without a perceptual loss, whose network is read from a file."""
    words = ["-c", str(recipe_file(method, recipe)), "--data.root=-"]
    options = resolve(words).tree["model"]["init_args"]
    plain = [f"--model.{name}=0" for name in options if name == "perceptual_weight"]
    with torch.device("meta"):
        return resolve([*words, *plain]).build()[0]


def multiplications(module: TranslationModule, size: int, progress: float) -> int:
    """Return the multiplications of one step on one image of each domain."""
    a, b = (torch.empty(1, c, size, size, device="meta") for c in (module.channels_a, module.channels_b))
    # not a batch with a lazy penalty
    step = Step(1, 1, progress, torch.Generator().manual_seed(0))
    batch = Batch(a, b, ["a"], ["b"], [])
    with FlopCounterMode(display=False) as counter:
        images = module.generate(batch, step)
        for player in module.players():
            moving = {id(p) for network in player.networks for p in network.parameters()}
            for parameter in module.parameters():
                parameter.requires_grad_(id(parameter) in moving)
            losses = module.turn(player, batch, images, step).losses
            if losses:
                torch.stack(list(losses.values())).sum().backward()
        for parameter in module.parameters():
            parameter.requires_grad_(True)  # noqa: FBT003
    return counter.get_total_flops() // 2


def main() -> None:
    """Print the table."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("methods", nargs="*", choices=[[], *recipes()])
    words.add_argument("--size", type=int, default=256)
    asked = words.parse_args()
    print(f"{'recipe':22} {'parameters':>12} {'GMAC per image':>15} {'at the end':>11}")
    for method in asked.methods or recipes():
        for recipe in recipes()[method]:
            module = build(method, recipe)
            first, last = (multiplications(module, asked.size, progress) / 1e9 for progress in (0.0, 0.99))
            parameters = sum(p.numel() for p in module.parameters())
            print(f"{method + ' ' + recipe:22} {parameters:12,} {first:15.1f} {last:11.1f}")


if __name__ == "__main__":
    main()
