"""What two processes run together in a test; imports little, because each process imports it anew."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import distributed

from img2img.networks.layers.norm import Norm2d


def norm_of_a_joint_batch(rank: int, folder: str) -> None:
    """Normalise this process's share of a batch; leave output, gradients and running averages in a file."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    inputs = torch.load(Path(folder) / "inputs.pt", weights_only=True)
    share = slice(0, 1) if rank == 0 else slice(1, 4)
    norm = Norm2d(3, "batch-running")
    norm.load_state_dict(inputs["state"])
    norm.synchronised = True
    features = inputs["features"][share].requires_grad_()
    out = norm(features)
    (out * inputs["towards"][share]).sum().backward()
    assert norm.weight is not None
    with torch.no_grad():
        left = {"out": out, "gradient": features.grad, "weight_gradient": norm.weight.grad, "state": norm.state_dict()}
    torch.save(left, Path(folder) / f"left-{rank}.pt")
    distributed.destroy_process_group()


def signs_of_both(rank: int, folder: str) -> None:
    """Let one process see a sure discriminator and the other an unsure one; leave the probability in a file."""
    from img2img.methods.augment import AdaptiveProbability

    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    adaptive = AdaptiveProbability()
    for batches in range(4):  # mean sign (1 + 0.5) / 2 = 0.75 of both together; rank 1 alone would lower it
        logits = torch.ones(2, 1, 2, 2) if rank == 0 else torch.tensor([1.0, 1.0, 1.0, -1.0]).reshape(1, 1, 2, 2)
        adaptive.watch([logits], batches)
    torch.save(adaptive.state_dict(), Path(folder) / f"left-{rank}.pt")
    distributed.destroy_process_group()
