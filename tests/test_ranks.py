"""Several processes train as one would: gradients, clocks, files, and what is said when one of them dies."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from img2img.errors import ConfigError
from img2img.training.processes import World, check_devices, find_world
from tests.conftest import ROOT, TINY_CYCLEGAN, TINY_PIX2PIX, run_command
from tests.discover import METHODS

CASE = ROOT / "tests" / "ddp_case.py"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def environment(rank=None, *, local=2):
    """The variables of torchrun for one of two processes; ``local`` of them on each machine."""
    base = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "SLURM"))}
    base |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return base


def run_cases(tmp_path, methods, batch, processes):
    out = tmp_path / f"of-{processes}"
    words = [sys.executable, str(CASE), str(batch), str(out), *methods]
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",
    }
    running = [
        subprocess.Popen(
            words,
            env={**environment(), **(shared | {"RANK": str(r), "LOCAL_RANK": str(r)} if processes > 1 else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for r in range(processes)
    ]
    for process in running:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
    return [torch.load(f"{out}.{rank}", weights_only=True) for rank in range(processes)]


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def test_two_processes_have_the_gradients_of_one_with_the_joined_batch(tmp_path):
    """In float64, in every turn of two steps, in one part or two; and each turn sends only the networks that move.

    Of every method, by one process with batches of 4 and by two with batches of 2, all in one start of the processes.
    """
    methods = [method.__name__ for method in METHODS]
    (alone,) = run_cases(tmp_path, methods, 4, 1)
    both = run_cases(tmp_path, methods, 2, 2)
    for method in methods:
        same_gradients(method, alone, *both)


def same_gradients(method, of_one, *of_two):
    alone = of_one[f"{method} 1"]
    for accumulate in (1, 2):
        first, second = (of_rank[f"{method} {accumulate}"] for of_rank in of_two)
        assert len(alone["gradients"]) == len(first["gradients"]) > 2
        for joined, mine, theirs in zip(alone["gradients"], first["gradients"], second["gradients"], strict=True):
            assert joined.keys() == mine.keys()
            for network in {name.split(".")[0] for name in joined}:
                one, two = (flat({n: g for n, g in d.items() if n.startswith(network)}) for d in (joined, mine))
                assert (one - two).norm() <= 1e-6 * one.norm()
                assert one.norm() > 0
            assert torch.equal(flat(mine), flat(theirs))
        assert torch.equal(flat(first["weights"]), flat(second["weights"]))
        sizes = [sum(g.numel() * g.element_size() for g in turn.values()) for turn in first["gradients"]]
        assert list(first["sent"].values()) == sizes[: len(first["sent"])]  # nothing but what moves
    for one, two in zip(alone["gradients"], of_one[f"{method} 2"]["gradients"], strict=True):
        assert (flat(one) - flat(two)).norm() <= 1e-6 * flat(one).norm()


TWO = ("--device=cpu", "--devices=2", "--batch=2")


def last_checkpoint(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def test_two_processes_write_one_run_and_resume_exactly(unpaired, tmp_path):
    """The command starts both; one set of files; a stop in mid-epoch changes nothing, pools and draws included."""
    words = (
        "train",
        "--method",
        "cyclegan",
        *TINY_CYCLEGAN,
        *TWO,
        "--data",
        unpaired,
        "--model.pool_size=3",
        "--model.generator.dropout=0.5",
        "--model.optimization.decay=constant",
        "--training.log_every_batches=1",
    )
    done = run_command(*words, "--out", tmp_path / "whole", "--images", 32)
    assert "2 x cpu" in done.stdout
    assert done.stdout.count("CycleGAN A <-> B") == 1
    assert "global batch: 2 processes x 2 = 4" in done.stdout
    assert "12 images an epoch" in done.stdout
    assert "gradients over gloo (each step: generator 0.1 MB, discriminator_a 0.0 MB" in done.stdout
    rows = list(csv.DictReader((tmp_path / "whole" / "metrics.csv").read_text().splitlines()))
    assert [row["images"] for row in rows] == [str(4 * (i + 1)) for i in range(8)]
    run_command(*words, "--out", tmp_path / "parts", "--images", 20)
    run_command(*words, "--out", tmp_path / "parts", "--images", 32)
    whole, parts = last_checkpoint(tmp_path / "whole"), last_checkpoint(tmp_path / "parts")
    for name, value in whole["state_dict"].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, parts["state_dict"][name]), name
    pools = [state["img2img"]["ranks"][1]["pools"]["pool_a"]["images"] for state in (whole, parts)]
    assert len(pools[0]) == 3
    assert all(torch.equal(x, y) for x, y in zip(*pools, strict=True))
    own = whole["state_dict"]["pool_a._extra_state"]["images"]
    assert not any(torch.equal(x, y) for x in own for y in pools[0])  # each process has its own fakes
    randoms = [rank["random"]["cpu"] for rank in whole["img2img"]["ranks"]]
    assert not torch.equal(*randoms)


def start(words, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "img2img", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment(), "PYTHONUNBUFFERED": "1"},
        **options,
    )


def wait_for_rows(run, process, count=3):
    deadline = time.monotonic() + 120
    metrics = run / "metrics.csv"
    while not (metrics.exists() and metrics.read_text().count("\n") > count):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def children(pid):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_training_with_one_line(pairs, tmp_path, victim):
    run = tmp_path / "run"
    words = ("train", "--method", "pix2pix", *TINY_PIX2PIX, *TWO, "--data", pairs, "--out", run, "--images", 10**6)
    process = start([*words, "--training.log_every_batches=1"])
    try:
        wait_for_rows(run, process)
        (other,) = children(process.pid)
        began = time.monotonic()
        os.kill(other if victim else process.pid, signal.SIGKILL)
        said, _ = process.communicate(timeout=30)  # ends only when both have closed their output
        assert time.monotonic() - began < 30
        assert process.returncode == (1 if victim else -signal.SIGKILL), said
        assert "Traceback" not in said
        assert "error: " in said
        assert "last checkpoint" in said
    finally:
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_sigterm_to_the_main_process_stops_both(pairs, tmp_path):
    run = tmp_path / "run"
    words = ("train", "--method", "pix2pix", *TINY_PIX2PIX, *TWO, "--data", pairs, "--out", run, "--images", 10**6)
    process = start([*words, "--training.log_every_batches=1"])
    try:
        wait_for_rows(run, process)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143, said
    assert said.count("everything is saved") == 1
    assert last_checkpoint(run)["img2img"]["images"] > 0


def test_the_recipe_for_torchrun_trains_on_two_machines(pairs, tmp_path):
    """Two agents on the loopback device, one process each, as two machines would be."""
    words = [
        "--method",
        "pix2pix",
        *TINY_PIX2PIX,
        "--batch=2",
        "--data",
        pairs,
        "--out",
        tmp_path / "run",
        "--images=8",
    ]
    port = free_port()
    running = [
        subprocess.Popen(
            [str(ROOT / "scripts" / "cluster" / "torchrun.sh"), *map(str, words)],
            env={
                **environment(),
                "PYTHON": sys.executable,
                "NODES": "2",
                "NODE": str(node),
                "MAIN": "127.0.0.1",
                "PORT": str(port),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for node in range(2)
    ]
    said = [process.communicate(timeout=180)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert "2 x cpu" in said[0]
    assert "started by torchrun" in said[0]
    assert "CycleGAN" not in said[1]
    assert last_checkpoint(tmp_path / "run")["img2img"]["images"] == 8


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, World(1, 1, 0, "itself")),
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_PROCID": "5"}, World(4, 2, 5, "slurm")),
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "bash"}, World(1, 1, 0, "itself")),
        (
            {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3", "RANK": "4", "LOCAL_RANK": "1"},
            World(3, 2, 4, "torchrun"),
        ),
    ],
)
def test_launchers_are_found_by_their_variables(monkeypatch, variables, expected):
    for name in list(os.environ):
        if name.startswith("SLURM") or name in {"RANK", "LOCAL_RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID"}:
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_world(None, None) == expected
    if expected.launcher != "itself":
        with pytest.raises(ConfigError, match=f"{expected.launcher} has started"):
            find_world(expected.devices + 1, None)
    else:
        with pytest.raises(ConfigError, match="torchrun or SLURM"):
            find_world(1, 2)


def test_more_processes_than_devices_are_one_line(pairs, tmp_path, monkeypatch):
    done = run_command(
        *("train", "--method", "pix2pix", "--data", pairs, "--out", tmp_path / "run", "--devices", 8), code=1
    )
    assert "--devices 8: this machine has" in done.stderr
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"has 1 cuda device$"):
        check_devices(World(8, 1, 0, "itself"), torch.device("cuda"), asked_for=True)
