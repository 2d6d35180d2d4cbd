"""``img2img translate --runner ray``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from img2img.cli.batch import run, say_start

if TYPE_CHECKING:
    from rich.console import Console

    from img2img.translate.cluster import Pool
    from img2img.translate.how import How
    from img2img.translate.inputs import Plan
    from img2img.translate.setup import Setup

RUNNERS = ("local", "ray")


def refuse(runner: str, pool: Pool, **others: object) -> None:
    """Refuse options that make no sense with a runner.

    Args:
        runner: one of :data:`RUNNERS`.
        pool: what was asked of the cluster.
        others: values of options that go with ``local`` alone, by name.

    Raises:
        ConfigError: naming one.
    """
    from img2img.errors import ConfigError

    asked = {"workers": pool.workers, "worker_cpus": pool.cpus, "worker_gpus": pool.gpus}
    given = asked if runner == "local" else others
    if unfit := [name for name, value in given.items() if value is not None and value is not False]:
        raise ConfigError(f"--{unfit[0].replace('_', '-')} does not go with --runner {runner}: leave one of them out")


def run_on_cluster(console: Console, todo: Plan, setup: Setup, how: How, pool: Pool) -> None:
    """Translate a batch on the workers of a cluster, and leave with its exit code."""
    from img2img.errors import ConfigError
    from img2img.translate.cluster import connected

    if todo.out is None:
        raise ConfigError("--runner ray: expected a folder to write into, got one file; leave out --runner")
    with connected(setup, pool, todo) as cluster:
        facts, workers = cluster.facts, "1 worker" if cluster.workers == 1 else f"{cluster.workers} workers"
        say_start(console, todo, facts.direction, facts.directions, f"{workers}, {facts.where}")
        run(console, todo, how, lambda how: cluster.translate_folder(todo, how))
