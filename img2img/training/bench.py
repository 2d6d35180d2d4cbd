"""How fast training is: the as-published loop and our engine, each in processes of its own, by turns."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console

from img2img.configured import nearest
from img2img.devices import PrecisionName, resolve_device
from img2img.errors import ConfigError, Img2ImgError, RunError
from img2img.methods.base import TranslationModule
from img2img.shipped import recipe_file, shipped
from img2img.training.config import resolve
from img2img.training.progress import Throughput
from img2img.training.run import train

PUBLISHED, OURS = "published", "ours"
_PRECISIONS = tuple(name for name in get_args(PrecisionName) if name != "auto")
_SWITCHES = ("channels_last", "compile")
ARMS = (PUBLISHED, "fp32", "bf16", *(f"bf16+{switch}" for switch in _SWITCHES), OURS)
"""What is compared by default."""

_ENDLESS_EPOCHS = 1_000_000


@dataclass(frozen=True)
class Task:
    """What every arm trains: the published networks of a method on a folder of images.

    Args:
        method: pix2pix or cyclegan.
        data: the data folder, or one per domain.
        domains: names of the domains, see ``img2img train``.
        to: domain to translate into.
        size: side of the crops in pixels.
        device: auto, cuda, mps or cpu.
        steps: timed steps of a process.
        warmup: steps before them.
        words: further options for both sides, such as ``--model.generator.base_channels=8``.
    """

    method: str
    data: tuple[Path, ...]
    domains: tuple[str, str] | None = None
    to: str | None = None
    size: int = 256
    device: str = "auto"
    steps: int = 20
    warmup: int = 5
    words: tuple[str, ...] = ()

    def command(self, arm: str, batch: int) -> list[str]:
        """Return the command line that measures an arm once.

        Raises:
            ConfigError: for an unknown arm or method, naming the nearest.
        """
        device = resolve_device(self.device).type
        if arm == PUBLISHED:
            recipe_file(self.method, "faithful")
            domains = ["--domains", *self.domains] if self.domains else []
            to = ["--to", self.to] if self.to else []
            counts = {"size": self.size, "batch": batch, "steps": self.steps, "warmup": self.warmup, "rounds": 1}
            options = [f"--{name}={value}" for name, value in counts.items()]
            script = str(shipped("scripts", "baseline.py"))
            where = [f"--device={device}", "--json"]
            return [script, self.method, *map(str, self.data), *domains, *to, *options, *where, *self.words]
        words = [
            *("-c", str(recipe_file(self.method, "faithful"))),
            f"--data.root={json.dumps([str(path) for path in self.data]) if self.data[1:] else self.data[0]}",
            *([f"--data.domains={json.dumps(self.domains)}"] if self.domains else []),
            *([f"--data.to={self.to}"] if self.to else []),
            f"--data.size={self.size}",
            f"--data.load_size={round(self.size * 286 / 256)}",
            f"--data.batch_size={batch}",
            f"--training.device={device}",
            f"--training.epochs={_ENDLESS_EPOCHS}",  # it is stopped long before
            "--training.validations=1",
            *switches(arm),
        ]
        return ["-m", "img2img.training.bench", str(self.warmup), str(self.steps), *words, *self.words]


def switches(arm: str) -> list[str]:
    """Return the words of an arm: ``bf16+compile`` is that precision and that switch alone; ``ours`` the automatic.

    Raises:
        ConfigError: for an unknown arm, naming the nearest.
    """
    if arm == OURS:
        return [f"--training.{name}=auto" for name in ("precision", *_SWITCHES)]
    precision, *on = arm.split("+")
    if precision not in _PRECISIONS:
        known = ", ".join([PUBLISHED, OURS, *_PRECISIONS])
        raise ConfigError(
            f"--arms {arm}: expected {known}, the last three also with + and a switch{nearest(arm, ARMS)}"
        )
    for name in on:
        if name not in _SWITCHES:
            raise ConfigError(f"--arms {arm}: {name} is no switch{nearest(name, _SWITCHES)}")
    return [
        f"--training.precision={precision}",
        *(f"--training.{name}={'true' if name in on else 'false'}" for name in _SWITCHES),
    ]


@dataclass(frozen=True)
class Row:
    """What an arm reached at one batch size.

    Attributes:
        arm: its name.
        batch: images per step.
        rounds: images/s of each process.
        peak_memory_mb: largest over the processes; NaN where the platform does not tell.
        waiting: share of the time in which the training waited for data, median over the processes; NaN for the
            as-published loop, which loads within its step.
        failure: why it could not be measured, or None.
    """

    arm: str
    batch: int
    rounds: tuple[float, ...]
    peak_memory_mb: float
    waiting: float = float("nan")
    failure: str | None = None

    @property
    def images_per_s(self) -> float:
        """Median over the processes; NaN if it failed."""
        return statistics.median(self.rounds) if self.rounds else float("nan")


def compare(task: Task, arms: Sequence[str], batches: Sequence[int], rounds: int, console: Console) -> list[Row]:
    """Measure every arm at every batch size, by turns: A B A B, so that a machine that slows down slows all alike.

    Args:
        task: what is trained.
        arms: see :func:`switches`.
        batches: batch sizes.
        rounds: processes per arm and batch size.
        console: where to say how far it is.

    Raises:
        ConfigError: for an unknown arm.
        RunError: if no arm could be measured.
    """
    commands = {(arm, batch): task.command(arm, batch) for batch in batches for arm in arms}
    found: dict[tuple[str, int], list[dict[str, float]]] = {key: [] for key in commands}
    failures: dict[tuple[str, int], str] = {}
    for batch in batches:
        for number in range(1, rounds + 1):
            for arm in arms:
                key = arm, batch
                if key in failures:
                    continue
                try:
                    measured = _in_own_process(commands[key])
                except RunError as error:
                    failures[key] = str(error)
                    console.print(f"{arm}, batch {batch}: {error}", style="yellow", highlight=False, soft_wrap=True)
                    continue
                found[key].append(measured)
                said = f"{arm}, batch {batch}, round {number} of {rounds}: {measured['images_per_s']:.3g} images/s"
                console.print(said, highlight=False)
    if len(failures) == len(commands):
        raise RunError(f"nothing could be measured: {next(iter(failures.values()))}")
    return [
        Row(
            arm,
            batch,
            tuple(measured["images_per_s"] for measured in several),
            max((measured["peak_memory_mb"] for measured in several), default=float("nan")),
            statistics.median([measured.get("waiting", float("nan")) for measured in several] or [float("nan")]),
            failures.get((arm, batch)),
        )
        for (arm, batch), several in found.items()
    ]


def _in_own_process(command: Sequence[str]) -> dict[str, float]:
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(  # noqa: S603 (our own interpreter and files)
        [sys.executable, *command], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
        raise RunError(said[-1].removeprefix("error: "))
    measured: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def as_data(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows as plain data, with ratios to the as-published loop at the same batch size and at its own, 1."""
    published = {row.batch: row.images_per_s for row in rows if row.arm == PUBLISHED and row.rounds}
    return [
        {
            "arm": row.arm,
            "batch": row.batch,
            "images_per_s": row.images_per_s if row.rounds else None,
            "ratio": row.images_per_s / published[row.batch] if row.rounds and row.batch in published else None,
            "ratio_to_batch_1": row.images_per_s / published[1] if row.rounds and 1 in published else None,
            "rounds": list(row.rounds),
            "peak_memory_mb": None if math.isnan(row.peak_memory_mb) else row.peak_memory_mb,
            "waiting": None if math.isnan(row.waiting) else row.waiting,
            "failure": row.failure,
        }
        for row in rows
    ]


def as_table(data: Sequence[Mapping[str, Any]]) -> str:
    """Return :func:`as_data` as aligned text."""

    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    width = max(len("arm"), *(len(row["arm"]) for row in data))
    counts = "batch  images/s  lowest  highest  ratio  to batch 1  peak memory in MB  waiting for data"
    lines = [f"{'arm':{width}}  {counts}"]
    for row in data:
        lowest, highest = (min(row["rounds"]), max(row["rounds"])) if row["rounds"] else (None, None)
        lines.append(
            f"{row['arm']:{width}}  {row['batch']:5d}  {shown(row['images_per_s'], '8.4g'):>8}  "
            f"{shown(lowest, '.4g'):>6}  {shown(highest, '.4g'):>7}  {shown(row['ratio'], '.2f'):>5}  "
            f"{shown(row['ratio_to_batch_1'], '.2f'):>10}  "
            f"{shown(row['peak_memory_mb'], ',.0f'):>17}  {shown(row['waiting'], '.1%'):>16}"
            + (f"  {row['failure']}" if row["failure"] else "")
        )
    return "\n".join(lines)


def machine(device: torch.device) -> str:
    """Return the kind of machine and the date, without which a speed says nothing."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    parts = [
        datetime.now(tz=UTC).date().isoformat(),
        torch.cuda.get_device_name(device) if device.type == "cuda" else "",
        f"{cores} cores, {torch.get_num_threads()} threads",
        _cpu(),
        f"torch {torch.__version__}",
    ]
    return "; ".join(filter(None, parts))


def _cpu() -> str:
    """Return the processor's name and which bf16 multiplications it has, where the system tells."""
    listing = Path("/proc/cpuinfo")
    if not listing.exists():
        return platform.processor()
    facts = dict(line.split("\t: ", 1) for line in listing.read_text(encoding="utf-8").splitlines() if "\t: " in line)
    facts = {name.strip(): value for name, value in facts.items()}
    flags = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in facts.get("flags", "").split()]
    return f"{facts.get('model name', platform.processor())} with {' and '.join(flags) or 'no bf16 units'}"


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all that it was asked for."""
    waits: dict[str, Callable[[], None]] = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}
    waits.get(device.type, lambda: None)()


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory used so far, in MB: of the GPU, else of this process without its loader processes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource  # noqa: PLC0415 (not on every platform)
    except ImportError:
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class _Measured(Exception):  # noqa: N818 (an end, not an error: the last validation and its files are not wanted)
    """Ends a training that has been timed.

    Args:
        figures: images_per_s over the timed steps, waiting (share of them), peak_memory_mb.
    """

    def __init__(self, figures: dict[str, float]) -> None:
        super().__init__()
        self.figures = figures


class _Clock(Callback):
    """Times steady training.

    Args:
        warmup: steps before the clock starts.
        steps: timed ones.
    """

    def __init__(self, warmup: int, steps: int) -> None:
        self.warmup, self.steps = max(warmup, 1), steps

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock, or end the training."""
        del outputs, batch, batch_idx
        assert isinstance(pl_module, TranslationModule)
        if pl_module.batches not in {self.warmup, self.warmup + self.steps}:
            return
        wait_for(pl_module.device)
        now = time.perf_counter()
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        waited = next(one.waited_s for one in callbacks if isinstance(one, Throughput))
        if pl_module.batches == self.warmup:
            self.began, self.seen, self.waited = now, pl_module.images, waited
            return
        seconds = now - self.began
        figures = {
            "images_per_s": (pl_module.images - self.seen) / seconds,
            "waiting": (waited - self.waited) / seconds,
            "peak_memory_mb": peak_memory_mb(pl_module.device),
        }
        raise _Measured(figures)


def main() -> None:
    """Train as ``img2img train`` does, and print the speed as JSON: WARMUP STEPS, then words of the config."""
    clock = _Clock(int(sys.argv[1]), int(sys.argv[2]))
    with tempfile.TemporaryDirectory() as folder:
        try:
            train(resolve(sys.argv[3:]), Path(folder) / "run", Console(quiet=True), callbacks=[clock])
        except _Measured as measured:
            print(json.dumps(measured.figures))  # noqa: T201 (read by the process that asked)
        except Img2ImgError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
