"""Weights & Biases and TensorBoard, neither of which may ever stop a training."""

from __future__ import annotations

import contextlib
import dataclasses
import netrc
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers import WandbLogger as LightningWandbLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from rich.console import Console

WandbMode = Literal["online", "offline", "off"]

ID_FILE = "wandb_id.txt"
_SERVER_TIMEOUT_S = 15
_MAX_SAMPLE_PX = 256
"""Longer side of images in tables; the panels have the full size."""


@dataclass(frozen=True)
class WandbOptions:
    """What is logged to Weights & Biases, and under which names.

    Args:
        mode: online, offline (send it later with ``wandb sync``) or off.
        project: by default what WANDB_PROJECT says, else img2img.
        entity: user or team; by default what WANDB_ENTITY says, else your own.
        group: groups runs, such as the seeds of one setting; by default what WANDB_RUN_GROUP says.
        name: of the run; by default what WANDB_NAME says, else the run folder's name.
        tags: words to find the run by.
        artifacts: when the training ends, keep translator and last checkpoint there too, as versions of artifacts.
    """

    mode: WandbMode = "off"
    project: str | None = None
    entity: str | None = None
    group: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    artifacts: bool = False

    def unused(self) -> list[str]:
        """Return the options that were set although nothing is logged."""
        if self.mode != "off":
            return []
        return [f.name for f in dataclasses.fields(self) if getattr(self, f.name) != f.default]


class WandbLogger(LightningWandbLogger):
    """Lightning's logger on the image clock: the step of W&B is the number of images seen.

    So a continued run goes on where it was, offline too, and runs of different batch sizes share an axis. What is
    logged at the same number of images becomes one row.

    Args:
        experiment: the W&B run.
        folder: the run folder.
        console: where to say what could not be logged.
        files: kept as versions of artifacts when the training ends, by kind, such as ``translator``.
    """

    def __init__(self, experiment: Any, folder: Path, console: Console, files: Mapping[str, Path]) -> None:
        super().__init__(experiment=experiment, project=experiment.project, save_dir=str(folder))
        self._folder, self._console, self._files = folder, console, dict(files)
        self._images = 0
        self._failed: set[str] = set()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log values; without ``images`` among them they belong to the last row that had them."""
        del step  # batches
        self._images = int(metrics.get("images", self._images))
        with self._forgiving("metrics"):
            self.experiment.log({**metrics, "images": self._images}, step=self._images)

    @rank_zero_only
    def log_rows(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Log a table; a first column says how many images had been seen.

        Args:
            key: its name.
            columns: names of the others.
            rows: numbers, texts and pixels [H, W, C], which become small pictures.
        """
        import wandb  # noqa: PLC0415 (half a second, only where asked for)

        def cell(value: Any) -> Any:
            return wandb.Image(_small(value), file_type="jpg") if hasattr(value, "shape") else value

        with self._forgiving("tables"), _staging_in(self._folder):
            data = [[self._images, *map(cell, row)] for row in rows]
            self.log_metrics({key: wandb.Table(columns=["images", *columns], data=data)})

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Keep the files, and end the W&B run, so that another training in this process begins its own."""
        for kind, path in self._files.items():
            with self._forgiving(f"the {kind}"), _staging_in(self._folder):
                self._keep(kind, path)
        with self._forgiving("the end"):
            self.experiment.finish(exit_code=0 if status == "success" else 1)

    def _keep(self, kind: str, path: Path) -> None:
        import wandb  # noqa: PLC0415 (half a second, only where asked for)

        if path.exists():
            artifact = wandb.Artifact(f"{kind}-{self.experiment.id}", type=kind, metadata={"images": self._images})
            artifact.add_file(str(path))
            self.experiment.log_artifact(artifact, aliases=["latest", f"images-{self._images}"])

    @contextlib.contextmanager
    def _forgiving(self, what: str) -> Iterator[None]:
        """Say once what could not be logged, and let the training go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 (whatever it is, it is not worth a training)
            if what not in self._failed:
                self._failed.add(what)
                said = f"wandb: {what} could not be logged ({_short(error)}); the training goes on"
                self._console.print(said, soft_wrap=True, highlight=False, markup=False)


def wandb_logger(
    options: WandbOptions, run: Path, config: Mapping[str, Any], console: Console, files: Mapping[str, Path]
) -> list[Logger]:
    """Start Weights & Biases, or say in one line why it logs offline or not at all.

    The run keeps its W&B id in ``wandb_id.txt``, so that a continued run goes on in the same W&B run; under a sweep
    (``wandb agent``) the id is the one that the agent has given.

    Args:
        options: mode and names.
        run: the run folder.
        config: the resolved config, which becomes the run's config.
        console: where to say it.
        files: kept as artifacts, where they are asked for, by kind.

    Returns:
        The logger, or none where nothing is logged.
    """

    def say(text: str) -> None:
        console.print(f"wandb: {text}", soft_wrap=True, highlight=False, markup=False)

    environment = os.environ.get("WANDB_MODE")
    if unused := options.unused():
        say(f"off, so {' and '.join(f'training.wandb.{name}' for name in unused)} is of no use: add --wandb online")
    if options.mode != "off" and environment == "disabled":
        say("switched off by WANDB_MODE=disabled")
    if options.mode == "off" or environment == "disabled":
        return []
    import wandb  # noqa: PLC0415 (half a second, only where asked for)

    id_file = run / ID_FILE
    kept = id_file.read_text(encoding="utf-8").strip() if id_file.exists() else secrets.token_hex(4)
    run_id = os.environ.get("WANDB_RUN_ID") or kept
    id_file.write_text(run_id, encoding="utf-8")

    def start(mode: Literal["online", "offline"]) -> list[Logger]:
        experiment = wandb.init(
            project=options.project or os.environ.get("WANDB_PROJECT") or "img2img",
            entity=options.entity,
            group=options.group,
            name=options.name or os.environ.get("WANDB_NAME") or run.resolve().name,
            tags=options.tags or None,
            dir=str(run),
            id=run_id,
            resume="allow",
            mode=mode,
            config=dict(config),
            settings=wandb.Settings(init_timeout=_SERVER_TIMEOUT_S, silent=True),
        )
        experiment.define_metric("images")
        experiment.define_metric("*", step_metric="images")
        return [WandbLogger(experiment, run, console, files if options.artifacts else {})]

    if options.mode == "online" and environment not in {"offline", "dryrun"}:
        if not _has_key():
            say("no key on this machine (wandb login), logging offline; send it later with wandb sync")
        else:
            try:
                return start("online")
            except (wandb.errors.Error, OSError, TimeoutError) as error:
                say(f"cannot reach the server ({_short(error)}), logging offline; send it later with wandb sync")
                wandb.teardown()
    try:
        return start("offline")
    except Exception as error:  # noqa: BLE001 (whatever it is, it is not worth a training)
        say(f"cannot start ({_short(error)}); the training goes on without")
        return []


def tensorboard_logger(run: Path) -> Logger:
    """Start TensorBoard in the run folder.

    Raises:
        ModuleNotFoundError: with the line that installs it.
    """
    from lightning.pytorch.loggers import TensorBoardLogger  # noqa: PLC0415

    try:
        return TensorBoardLogger(save_dir=str(run), name="", version="tensorboard")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("--training.tensorboard needs: pip install 'img2img-toolkit[tensorboard]'") from error


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _small(pixels: Any) -> Image.Image:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((_MAX_SAMPLE_PX, _MAX_SAMPLE_PX))
    return image


@contextlib.contextmanager
def _staging_in(run: Path) -> Iterator[None]:
    """Let W&B keep its copies of files in the run folder: the home folder may be small, or closed to this process."""
    name = "WANDB_DATA_DIR"
    if name in os.environ:
        yield
        return
    os.environ[name] = str(run / "wandb")
    try:
        yield
    finally:
        del os.environ[name]
