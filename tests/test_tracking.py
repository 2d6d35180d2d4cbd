"""What a researcher finds in Weights & Biases, read from the files that it wrote itself."""

from __future__ import annotations

import functools
import itertools
import json
import os
import struct
import subprocess
import sys
import types
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

from img2img.errors import ConfigError
from img2img.shipped import shipped
from img2img.training.config import resolve
from img2img.training.samples import log_samples, third_of
from img2img.training.tracking import WandbOptions, wandb_logger
from tests.conftest import ROOT, TINY_PIX2PIX, drawing, run_command

RESEARCH = (
    "--training.wandb.group=seeds",
    "--training.wandb.tags=[small, faces]",
    "--training.wandb.project=drawings",
    "--training.wandb.name=first",
    "--training.wandb.artifacts=true",
)


def records(path):
    """Read a .wandb file (the log format of LevelDB after a header of 7 bytes): lists of records by kind."""
    from wandb.proto import wandb_internal_pb2

    block, header = 32768, 7
    data, position, found, parts = path.read_bytes(), header, defaultdict(list), b""
    while position + header <= len(data):
        if (left := block - position % block) < header:
            position += left
            continue
        length, kind = struct.unpack_from("<HB", data, position + 4)
        parts += data[position + header : position + header + length]
        position += header + length
        if kind in {1, 4}:  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts, name = b"", record.WhichOneof("record_type")
            found[name].append(getattr(record, name))
    return found


def rows(found):
    return [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in row.item}
        for row in found["history"]
    ]


def tables_of_artifacts(found, *, every=False):
    """The tables with their pictures, by name the newest, or every one in order."""
    contents = [content for artifact in found["artifact"] for content in artifact.manifest.contents]
    tables = [
        (content.path.removesuffix(".table.json"), json.loads(Path(content.local_path).read_text()))
        for content in contents
        if content.path.endswith(".table.json")
    ]
    return [table for _, table in tables] if every else dict(tables)


def logged(run):
    """The records of each time that a run was started, in order."""
    return [records(path) for path in sorted(run.glob("wandb/offline-run-*/*.wandb"))]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 40 images, continued to 60."""
    root = tmp_path_factory.mktemp("tracking")
    for folder in ("line", "colour"):
        (root / "pairs" / folder).mkdir(parents=True)
    for i in range(12):
        for folder, image in zip(("line", "colour"), drawing(i), strict=True):
            image.save(root / "pairs" / folder / f"{i:02d}.png")
    words = ("train", "--method", "pix2pix", *TINY_PIX2PIX, "--data", root / "pairs", "--domains", "line", "colour")
    often = ("--training.log_every_batches=2", "--training.validations=2", "--wandb", "offline", *RESEARCH)
    run_command(*words, *often, "--out", root / "run", "--images", 40, "--batch", 2)
    run_command(*words, *often, "--out", root / "run", "--images", 60, "--batch", 2)
    return root / "run"


def test_the_config_of_the_run_is_the_resolved_one(run):
    (first,) = logged(run)[0]["run"]
    config = {item.key: json.loads(item.value_json) for item in first.config.update}
    saved = yaml.safe_load((run / "config.yaml").read_text())
    saved["training"]["images"] = 40
    assert {key: config[key] for key in saved} == saved
    assert config["model"]["init_args"]["generator"]["init_args"]["base_channels"] == 4


def test_names_groups_and_tags_arrive(run):
    (first,) = logged(run)[0]["run"]
    assert (first.project, first.run_group, first.display_name) == ("drawings", "seeds", "first")
    assert sorted(first.tags) == ["faces", "small"]


def test_everything_is_on_the_image_clock(run):
    found = logged(run)[0]
    defined = {metric.name or metric.glob_name: metric for metric in found["metric"]}
    assert defined["images"].options.defined
    assert defined["*"].step_metric == "images"
    assert set(defined) == {"images", "*"}
    history = rows(found)
    assert [row["images"] for row in history] == [row["_step"] for row in history]
    assert [row["images"] for row in history] == list(range(4, 41, 4))
    losses = {"generator/l1", "generator/adversarial", "discriminator/adversarial", "learning_rate"}
    assert all(losses <= row.keys() for row in history)
    assert [row["images"] for row in history if "validation/l1" in row] == [20, 40]


def test_a_continued_run_keeps_its_id_and_its_steps_go_on(run):
    first, second = logged(run)
    assert first["run"][0].run_id == second["run"][0].run_id == (run / "wandb_id.txt").read_text()
    assert rows(first)[-1]["_step"] == 40
    steps = [row["_step"] for row in rows(second)]
    assert steps == sorted(set(steps))
    assert min(steps) > 40
    assert set(range(44, 61, 4)) <= set(steps)


def test_validations_log_panels_and_tables_of_samples(run):
    found = logged(run)[0]
    tables = {table["data"][0][0]: table for table in tables_of_artifacts(found, every=True)}
    for row in rows(found):
        if "validation/l1" not in row:
            continue
        assert row["samples/line to colour/_type"] == "images/separated"
        assert row["samples/table line to colour/_type"] == "table-file"
        table = tables[row["images"]]
        assert table["columns"] == ["images", "name", "line", "colour (translated)", "colour", "l1", "psnr", "ssim"]
        assert [line[0] for line in table["data"]] == [row["images"]] * 2
        assert all(0 < line[5] < 2 for line in table["data"])
        mean = np.mean([line[5] for line in table["data"]])
        assert mean == pytest.approx(row["validation/l1"], rel=1e-4)  # both held-out pairs are in the table
        for line in table["data"]:
            assert line[1].endswith(".png")
            assert all(image["_type"] == "image-file" for image in line[2:5])


def test_translator_and_checkpoint_are_artifacts_where_asked_for(run):
    for found, images in zip(logged(run), (40, 60), strict=True):
        kept = {artifact.type: artifact for artifact in found["artifact"] if artifact.type != "run_table"}
        assert set(kept) == {"translator", "checkpoint"}
        assert sorted(kept["translator"].aliases) == [f"images-{images}", "latest"]
        (content,) = kept["translator"].manifest.contents
        assert content.path == "translator.safetensors"
        assert str(run) in content.local_path  # nothing is left in the home folder
    assert Path(content.local_path).read_bytes() == (run / "translator.safetensors").read_bytes()


@pytest.fixture
def own_wandb():
    """W&B in this process, and no trace of it afterwards: it leaves its service to child processes."""
    import wandb

    before = dict(os.environ)
    yield
    wandb.teardown()
    for name in os.environ.keys() - before.keys():
        if name.startswith("WANDB"):
            del os.environ[name]


@pytest.fixture
def offline(tmp_path, own_wandb):
    """A logger without a training, and what it wrote."""
    (tmp_path / "run").mkdir()
    (logger,) = wandb_logger(WandbOptions("offline"), tmp_path / "run", {"x": 1}, Console(quiet=True), {})

    def written():
        import wandb

        wandb.teardown()  # its service has written everything when it has ended
        return logged(tmp_path / "run")[0]

    return logger, written


def test_alerts_of_the_monitor_arrive(offline):
    logger, written = offline
    logger.experiment.alert(title="collapse", text="the generator has one answer")
    logger.finalize("success")
    found = written()
    assert [(alert.title, alert.text) for alert in found["alert"]] == [("collapse", "the generator has one answer")]
    assert not found["artifact"]
    assert found["exit"][0].exit_code == 0


def test_unpaired_samples_are_scored_by_their_way_back(offline, tmp_path):
    logger, written = offline
    white, grey = np.full((8, 8, 3), 255, np.uint8), np.full((600, 8, 1), 0, np.uint8)
    logger.log_metrics({"images": 3})
    trainer = types.SimpleNamespace(loggers=[object(), logger])
    log_samples(trainer, "a:b", ["1", "2"], [[white, white, white], [grey, grey, grey + 255]], "cycle")
    logger.finalize("failed")
    found = written()
    assert found["exit"][0].exit_code == 1
    (row,) = rows(found)
    assert row["samples/table a to b/_type"] == "table-file"
    table = tables_of_artifacts(found)["samples/table a to b"]
    assert table["columns"] == ["images", "name", "a", "b (translated)", "a (and back)", "cycle"]
    assert [line[-1] for line in table["data"]] == [0, 2]
    pictures = tables_of_artifacts(found)["samples/table a to b"]["data"][1][2:5]
    assert [(picture["width"], picture["height"]) for picture in pictures] == [(3, 256)] * 3


def test_samples_of_one_way_without_pairs_stand_beside_a_target_that_they_are_not_scored_by(offline):
    logger, written = offline
    white = np.full((8, 8, 3), 255, np.uint8)
    logger.log_metrics({"images": 3})
    third = third_of(paired=False, both_ways=False)
    log_samples(types.SimpleNamespace(loggers=[logger]), "a:b", ["1"], [[white, white, white]], third)
    logger.finalize("success")
    table = tables_of_artifacts(written())["samples/table a to b"]
    assert table["columns"] == ["images", "name", "a", "b (translated)", "b (another)"]


def test_what_cannot_be_logged_is_said_once_and_never_stops_a_training(offline, capsys, monkeypatch):
    logger, _ = offline
    logger._console = Console(width=200)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logger.experiment, "log", full)
    for images in range(3):
        logger.log_metrics({"images": images, "loss": 1.0})
    monkeypatch.undo()
    logger.finalize("success")
    assert capsys.readouterr().out.count("metrics could not be logged ([Errno 28] No space left on device)") == 1


def test_options_without_wandb_and_wandb_disabled_are_said(tmp_path, capsys, monkeypatch):
    start = functools.partial(wandb_logger, run=tmp_path, config={}, console=Console(width=200), files={})
    assert start(WandbOptions()) == []
    assert not capsys.readouterr().out
    assert start(WandbOptions(group="x", tags=("y",))) == []
    assert "off, so training.wandb.group and training.wandb.tags is of no use" in capsys.readouterr().out
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert start(WandbOptions("online")) == []
    assert "WANDB_MODE=disabled" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_the_variables_of_wandb_fill_what_is_not_given(tmp_path, monkeypatch, own_wandb):
    import wandb

    names = {"WANDB_PROJECT": "theirs", "WANDB_RUN_GROUP": "team", "WANDB_NAME": "nice", "WANDB_TAGS": "t,u"}
    for name, value in {**names, "WANDB_RUN_ID": "given1"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "wandb_id.txt").write_text("older")
    (logger,) = wandb_logger(WandbOptions("offline"), tmp_path, {}, Console(quiet=True), {})
    logger.finalize("success")
    wandb.teardown()
    (found,) = logged(tmp_path)[0]["run"]
    assert (found.project, found.run_group, found.display_name) == ("theirs", "team", "nice")
    assert sorted(found.tags) == ["t", "u"]
    assert found.run_id == (tmp_path / "wandb_id.txt").read_text() == "given1"


def test_a_server_out_of_reach_is_one_line_and_the_training_goes_on(pairs, tmp_path, monkeypatch):
    for name, value in {"MODE": "online", "API_KEY": "0" * 40, "BASE_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    words = ("train", "--method", "pix2pix", *TINY_PIX2PIX, "--data", pairs, "--images", 2, "--wandb", "online")
    done = run_command(*words, "--out", tmp_path / "run")
    assert done.stdout.count("wandb:") == 1
    assert "wandb: cannot reach the server (" in done.stdout
    assert "Traceback" not in done.stderr
    assert len(rows(logged(tmp_path / "run")[0])) > 0


SWEEPS = sorted(shipped("configs", "sweeps").glob("*.yaml"))


def trials(sweep, count):
    """Draw parameters as a sweep's server does: the ends of a range, the values of a list."""
    for number in range(count):
        yield {
            name: list(how["values"])[number % len(how["values"])] if "values" in how else how[("min", "max")[number]]
            for name, how in sweep["parameters"].items()
        }


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
@pytest.mark.skipif(sys.platform == "win32", reason="the agent starts trials with env, and this program is a script")
def test_every_sweep_trains_as_its_agent_starts_it(path, tmp_path, monkeypatch):
    """What ``wandb agent`` does: fill in the command, name the trial in WANDB_RUN_ID, and run it without a shell."""
    sweep = yaml.safe_load(path.read_text())
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    program = tmp_path / "bin" / sweep["program"]
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m img2img "$@"\n')
    program.chmod(0o755)
    small = [*[w for w in TINY_PIX2PIX if "depth" not in w], "--epochs=0.003", "--model.generator.depth=5"]
    for number, trial in enumerate(trials(sweep, 2)):
        fill = {
            "${env}": ["/usr/bin/env"],
            "${program}": [sweep["program"]],
            "${args}": [f"--{name}={value}" for name, value in trial.items()] + small,
        }
        command = list(itertools.chain(*(fill.get(word, [word]) for word in sweep["command"])))
        parameters = tmp_path / f"trial{number}.yaml"
        parameters.write_text(yaml.safe_dump({"wandb_version": 1, **{k: {"value": v} for k, v in trial.items()}}))
        environment = {
            **os.environ,
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "WANDB_SWEEP_ID": "sweep1",
            "WANDB_RUN_ID": f"trial{number}",
            "WANDB_SWEEP_PARAM_PATH": str(parameters),
        }
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        run = tmp_path / "runs" / "sweep" / f"trial{number}"
        assert (run / "translator.safetensors").is_file()
        (found,) = logged(run)[0]["run"]
        assert found.run_id == f"trial{number}"
        assert found.sweep_id == "sweep1"
        config = {item.key: json.loads(item.value_json) for item in found.config.update}
        rate = trial["model.optimization.learning_rate"]
        assert config["model"]["init_args"]["optimization"]["learning_rate"] == rate
        assert config["model.optimization.learning_rate"] == rate  # what the sweep's own charts look for
        last = rows(logged(run)[0])[-1]
        assert sweep["metric"]["name"] in last


def test_a_trial_without_its_name_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)
    words = ("train", "--method", "pix2pix", "--data", tmp_path, "--out", "runs/$WANDB_RUN_ID")
    assert "WANDB_RUN_ID is not set" in run_command(*words, code=1).stderr


def test_words_of_a_sweep_may_have_hyphens_and_equal_signs():
    words = ["-c", str(shipped("configs", "pix2pix.yaml")), "--data.root=x"]
    forms = (
        ["--model.optimization.learning_rate=1e-05", "--data.batch_size=3", "--data.allow_orphans=True"],
        ["--model.optimization.learning-rate=1e-05", "--data.batch-size=3", "--data.allow-orphans=True"],
        ["--model.optimization.learning-rate", "1e-05", "--data.batch-size", "3", "--data.allow-orphans", "true"],
    )
    first, *others = (resolve([*words, *form]).tree for form in forms)
    assert first["model"]["init_args"]["optimization"]["learning_rate"] == 1e-5
    assert first["data"]["allow_orphans"] is True
    assert all(other == first for other in others)


def test_wandb_is_a_group_of_options():
    words = ["-c", str(shipped("configs", "pix2pix.yaml")), "--data.root=x"]
    tree = resolve([*words, "--training.wandb.mode=offline", "--training.wandb.tags=[a, b]"]).tree
    assert tree["training"]["wandb"]["tags"] == ["a", "b"]
    for word, message in (
        ("--training.wandb=offline", "such as --training.wandb.mode offline"),
        ("--training.wandb.grup=x", "did you mean 'group'"),
        ("--training.wandb.mode=of", "expected one of 'online', 'offline', 'off', got of"),
    ):
        with pytest.raises(ConfigError, match=message):
            resolve([*words, word])
