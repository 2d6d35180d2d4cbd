"""Which process of a training this is, who starts the others, and what happens when one of them dies."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies.launchers import subprocess_script as launcher

from img2img.errors import ConfigError

_POLL_S = 0.5
_GRACE_S = 1.0
"""Time for this process to say it itself, when the exchange with the dead one broke."""


class World(NamedTuple):
    """The processes of a training.

    Attributes:
        devices: processes on each machine, one device each.
        nodes: machines.
        rank: of this process among all.
        launcher: who started them: torchrun, slurm, or this program itself.
    """

    devices: int
    nodes: int
    rank: int
    launcher: str

    @property
    def size(self) -> int:
        """Processes in all."""
        return self.devices * self.nodes


def rank_of_process() -> int:
    """Return the rank that torchrun, SLURM or Lightning gave this process; 0 where there is one alone."""
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if name in os.environ:
            return int(os.environ[name])
    return 0


def find_world(devices: int | None, nodes: int | None) -> World:
    """Read the variables of torchrun and SLURM; without them this program starts its processes itself.

    Raises:
        ConfigError: where the options and the launcher disagree, or several machines have no launcher.
    """
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" in environment:
        local = int(environment["LOCAL_WORLD_SIZE"])
        found = World(local, int(environment["WORLD_SIZE"]) // local, int(environment["RANK"]), "torchrun")
    elif int(environment.get("SLURM_NTASKS", "1")) > 1 and environment.get("SLURM_JOB_NAME") not in {
        "bash",
        "interactive",
    }:
        machines = int(environment.get("SLURM_NNODES", "1"))
        tasks = int(environment["SLURM_NTASKS"])
        found = World(tasks // machines, machines, int(environment.get("SLURM_PROCID", "0")), "slurm")
    else:
        if nodes is not None and nodes > 1:
            raise ConfigError(
                f"--training.nodes {nodes}: several machines need torchrun or SLURM, see docs/training.md"
            )
        return World(devices or 1, 1, int(environment.get("LOCAL_RANK", "0")), "itself")
    for name, given, there in (("devices", devices, found.devices), ("nodes", nodes, found.nodes)):
        if given is not None and given != there:
            raise ConfigError(
                f"--training.{name} {given}: {found.launcher} has started {there}; leave it out, or make them equal"
            )
    return found


def check_devices(world: World, device: torch.device, *, asked_for: bool) -> None:
    """Refuse more processes than there are devices.

    Args:
        world: the processes.
        device: kind of device that was found or asked for.
        asked_for: whether the kind was named by the user.

    Raises:
        ConfigError: naming what there is.
    """
    if world.devices == 1:
        return
    if device.type == "cuda" and world.devices > (there := torch.cuda.device_count()):
        raise ConfigError(f"--devices {world.devices}: this machine has {there} cuda device{'s' * (there > 1)}")
    if device.type == "mps":
        raise ConfigError(f"--devices {world.devices}: mps is one device")
    if device.type == "cpu" and not asked_for:
        raise ConfigError(
            f"--devices {world.devices}: this machine has no GPU, and on a CPU one process already uses every core; "
            "leave it out, or add --device cpu to start them all the same"
        )


class Watch(Callback):
    """Ends this process, with one line, when another of the training has died and it would wait for it for ever.

    A dead peer usually breaks the next exchange of gradients, which ends the training by an exception; where that does
    not happen within a second, this ends it. It stands in for Lightning's observer, which kills without a word.

    Args:
        world: the processes.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        if world.size > 1 and world.launcher == "itself":
            launcher.__dict__["_launch_process_observer"] = lambda _: None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin to watch; torchrun and SLURM end the others themselves."""
        del pl_module, stage
        if self.world.size == 1 or self.world.launcher != "itself":
            return
        children = getattr(trainer.strategy.launcher, "procs", [])
        parent = os.getppid()

        def look() -> None:
            while True:
                time.sleep(_POLL_S)
                dead = [child for child in children if child.poll() not in {None, 0}]
                if dead:
                    _end(f"process {dead[0].pid} of this training died (code {dead[0].returncode})", children)
                if self.world.rank and os.getppid() != parent:
                    _end("", ())

        threading.Thread(target=look, daemon=True, name="img2img-watch").start()


def _end(reason: str, children: Any) -> None:
    time.sleep(_GRACE_S)
    if reason:
        print(f"error: {reason}; the same command continues from the last checkpoint", file=sys.stderr, flush=True)  # noqa: T201
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    os._exit(1)
