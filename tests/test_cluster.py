"""Workers of a cluster do what one process does, and a death costs only what was in flight."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from img2img.errors import ConfigError, RunError
from img2img.translate import cluster
from img2img.translate.cluster import Pool
from img2img.translate.inputs import Job
from img2img.translate.journal import PREFIX, Journal, path_of
from img2img.translate.report import Entry
from tests.conftest import drawing, run_here
from tests.test_batches import lines, tree

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="an extra")


def start(model, source, out, **environment):
    """Start the command on a cluster of its own, with a thread and a core for a worker."""
    words = [sys.executable, "-m", "img2img", "translate", model, source, out, "--device", "cpu"]
    return subprocess.Popen(
        [*map(str, words), "--runner", "ray", "--workers", "2", "--worker-cpus", "0.5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_ADDRESS": "local", **environment},
    )


def completed(out):
    """Return the names that journals say are done, as often as they were done."""
    said = [line for path in out.glob(f"{PREFIX}*") for line in path.read_text().splitlines()]
    entries = [json.loads(line) for line in said if line.endswith("}")]
    return [entry["done"] for entry in entries if "done" in entry]


def wait_for(out, count, process):
    deadline = time.monotonic() + 60
    while len(completed(out)) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


@needs_ray
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_worker_and_the_driver_are_killed_and_the_tree_is_that_of_an_undisturbed_batch(model, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(160):
        drawing(number, (90, 90))[1].save(source / f"{number:03d}.png")
    (source / "broken.png").write_bytes(b"nonsense")
    run_here("translate", model, source, tmp_path / "undisturbed", "--device", "cpu", code=3)

    process = start(model, source, out)
    try:
        wait_for(out, 10, process)
        processes = psutil.Process(process.pid).children(recursive=True)
        next(p for p in processes if "MapWorker" in " ".join(p.cmdline())).kill()
        wait_for(out, 60, process)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        before = completed(out)
        said, complained = (process := start(model, source, out)).communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 3, complained  # one is broken
    assert "Traceback" not in said + complained
    assert tree(out) == tree(tmp_path / "undisturbed")
    statuses = {line["input"]: line["status"] for line in lines(out)}
    assert len(statuses) == 161
    assert {name for name in statuses if statuses[name] == "skipped"} >= set(before)
    twice = len(completed(out)) - 160
    assert twice <= 4 * 10  # of two workers: a chunk in hand and one that waits
    assert (
        "0 translated, 1 failed, 160 skipped"
        in run_here("translate", model, source, out, "--device", "cpu", code=3).stdout
    )


def test_rows_keep_every_name_and_status(tmp_path):
    name = os.fsdecode(b"a \xff\xe4.png")
    for entry in (
        Entry(name, name, "failed", "damaged", "no EXIF"),
        Entry(name, name, "translated", pictures=(b"before\0", b"after\0")),
    ):
        assert cluster._entry(cluster._entry_row(entry)) == entry
    row = cluster._job_row(Job(name, tmp_path / name, tmp_path / "out" / name), shown=True)
    assert os.fsdecode(row["source"]) == str(tmp_path / name)
    assert row["shown"]


def test_what_stops_a_worker_reaches_the_user_as_from_one_process():
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
        cluster._entry(cluster._stopped("/full/disk", errno.ENOSPC))
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(RunError, match="a worker on node7: no such translator"):
        cluster._entry(cluster._stopped("a worker on node7: no such translator"))


@pytest.mark.parametrize(
    ("pool", "nodes", "device", "expected"),
    [
        (Pool(), [{"CPU": 2}], "auto", (1, 2, 0)),
        (Pool(), [{"CPU": 16}, {"CPU": 8}], "auto", (6, 4, 0)),
        (Pool(), [{"CPU": 32, "GPU": 4}, {"CPU": 8}], "auto", (4, 4, 1)),
        (Pool(), [{"CPU": 32, "GPU": 4}], "cpu", (8, 4, 0)),
        (Pool(gpus=0.5), [{"CPU": 8, "GPU": 2}], "cuda", (4, 2, 0.5)),
        (Pool(workers=3, cpus=1), [{"CPU": 16}], "auto", (3, 1, 0)),
    ],
)
def test_workers_take_what_there_is(pool, nodes, device, expected):
    assert cluster._fitted(pool, nodes, device) == expected


def test_a_worker_that_fits_nowhere_is_refused():
    with pytest.raises(ConfigError, match=r"takes 8 CPUs and 0 GPUs.*at most 4 and 0"):
        cluster._fitted(Pool(cpus=8), [{"CPU": 4}, {"CPU": 4}], "auto")


def test_journals_of_several_processes_are_put_in_order(tmp_path):
    """Whatever their names: the newest run's word holds, and so does what a killed one had begun."""
    job = Job("a.png", tmp_path / "a.png", tmp_path / "out" / "a.png")
    job.source.write_bytes(b"source")
    job.target.parent.mkdir()
    for number, part in enumerate(("z", "", "a", "m")):
        journal = Journal.of(tmp_path / "out", {"seed": 0}, part)
        assert journal.number == number + 1
        job.target.write_bytes(bytes(number + 1))
        journal.begin(job)
        journal.done(job, (6, job.source.stat().st_mtime_ns))
        journal.close()
        assert journal.state(job) == "complete"
        assert Journal.of(tmp_path / "out", {"seed": 0}).state(job) == "complete"
    later = Journal(path_of(tmp_path / "out", "b"), {"seed": 0}, 5)
    later.begin(job)
    later.close()
    job.target.write_bytes(b"replaced")
    assert Journal.of(tmp_path / "out", {"seed": 0}).state(job) == "begun"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--runner", "rai"), "--runner rai: expected local, ray"),
        (("--runner", "ray", "--watch"), "--watch does not go with --runner ray"),
        (("--runner", "ray", "--shard", "1/2"), "--shard does not go with --runner ray"),
        (("--runner", "ray", "--dry-run"), "--dry-run does not go with --runner ray"),
        (("--workers", "2"), "--workers does not go with --runner local"),
        (("--worker-gpus", "0"), "--worker-gpus does not go with --runner local"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(model, tmp_path, words, message):
    (tmp_path / "in").mkdir()
    drawing(1)[1].save(tmp_path / "in" / "a.png")
    said = run_here("translate", model, tmp_path / "in", tmp_path / "out", *words, code=1).stderr
    assert message in said
    assert said.count("\n") == 1


def test_what_is_not_installed_is_named(model, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    drawing(1)[1].save(tmp_path / "in" / "a.png")
    monkeypatch.setitem(sys.modules, "ray", None)
    said = run_here("translate", model, tmp_path / "in", tmp_path / "out", "--runner", "ray", code=1).stderr
    assert said == "error: --runner ray needs ray: pip install 'img2img-toolkit[ray]'\n"


@needs_ray
def test_an_address_where_nobody_listens_is_one_line(model, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    drawing(1)[1].save(tmp_path / "in" / "a.png")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    said = run_here("translate", model, tmp_path / "in", tmp_path / "out", "--runner", "ray", code=1).stderr
    assert said.splitlines()[-1].startswith("error: RAY_ADDRESS 127.0.0.1:9: no Ray cluster there")
