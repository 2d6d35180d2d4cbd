"""``img2img translate --watch``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from img2img.cli.batch import leave, save, stoppable

if TYPE_CHECKING:
    from rich.console import Console

    from img2img.translate.how import How
    from img2img.translate.inputs import Job, Plan
    from img2img.translate.report import Entry
    from img2img.translate.translation import Translation


def waited_on(sources: Sequence[str], out: str, **others: object) -> list[str]:
    """Return the folders to wait on as the system names them.

    Args:
        sources: that were given.
        out: what is written.
        others: values of options that make no sense while waiting, by name.

    Raises:
        ConfigError: if such an option is set or a source is no folder.
    """
    from img2img.errors import ConfigError

    if "-" in {*sources, out}:
        raise ConfigError("--watch needs folders: - stands for one image")
    if unfit := [name for name, value in others.items() if value]:
        raise ConfigError(f"--watch does not go with --{unfit[0].replace('_', '-')}: leave one of them out")
    if no_folder := [source for source in sources if not Path(source).is_dir()]:
        raise ConfigError(f"--watch {no_folder[0]}: expected an existing folder to wait on")
    return [str(Path(source).resolve()) for source in sources]


def run(
    console: Console,
    todo: Plan,
    how: How,
    translation: Translation,
    folders: Sequence[str],
    name: Callable[[Path, Path], Job | None],
) -> None:
    """Translate what is in folders and what comes, a line each, until a signal; leave with the exit code.

    A signal is the only end there is, so it is an ordinary one where nothing was left to do.
    """
    from img2img.translate.watch import SETTLE_S, Watch

    assert todo.out is not None
    out = todo.out
    console.print(
        f"waiting for images in {', '.join(folders)}: each is read once it has not changed for {SETTLE_S:g} s; "
        "Ctrl-C ends",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    with stoppable() as received:
        how = replace(how, stop=lambda: bool(received), progress=lambda entry: _say(console, entry))
        watch = Watch(translation, todo, how, [Path(f) for f in folders], name, lambda report: save(out, report))
        report = watch.run()
    leave(console, out, report, received, waited=True)


def _say(console: Console, entry: Entry) -> None:
    from img2img.report import printable

    if entry.status != "skipped":
        what = f": {entry.reason}" if entry.reason else f" -> {entry.output}"
        said = printable(f"{entry.status}: {entry.name}{what}")
        style = "red" if entry.status == "failed" else None
        console.print(said, style=style, highlight=False, soft_wrap=True, markup=False)
