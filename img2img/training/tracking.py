"""Weights & Biases and TensorBoard, neither of which may ever stop a training."""

from __future__ import annotations

import netrc
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from rich.console import Console

from img2img.training.config import WandbMode

_SERVER_TIMEOUT_S = 15


def wandb_logger(mode: WandbMode, run: Path, config: Mapping[str, Any], console: Console) -> Logger | None:
    """Start Weights & Biases, or say in one line why it logs offline.

    The run keeps its W&B id in ``wandb_id.txt``, so that a continued run goes on in the same W&B run.

    Args:
        mode: online, offline or off.
        run: the run folder.
        config: the resolved config, which becomes the run's config.
        console: where to say it.
    """
    if mode == "off":
        return None
    import wandb  # noqa: PLC0415 (half a second, only where asked for)
    from lightning.pytorch.loggers import WandbLogger  # noqa: PLC0415

    id_file = run / "wandb_id.txt"
    run_id = id_file.read_text(encoding="utf-8").strip() if id_file.exists() else secrets.token_hex(4)
    id_file.write_text(run_id, encoding="utf-8")

    def start(*, offline: bool) -> Logger:
        logger = WandbLogger(
            project="img2img",
            name=run.name,
            save_dir=str(run),
            id=run_id,
            resume="allow",
            offline=offline,
            config=dict(config),
            settings=wandb.Settings(init_timeout=_SERVER_TIMEOUT_S, silent=True),
        )
        experiment = logger.experiment
        experiment.define_metric("images")
        experiment.define_metric("*", step_metric="images")
        return logger

    if mode == "offline" or os.environ.get("WANDB_MODE") == "offline":
        return start(offline=True)
    if not _has_key():
        console.print(
            "wandb: no key on this machine (wandb login), logging offline; send it later with wandb sync",
            soft_wrap=True,
            highlight=False,
        )
        return start(offline=True)
    try:
        return start(offline=False)
    except (wandb.errors.Error, OSError, TimeoutError) as error:
        reason = " ".join(str(error).split())[:120]
        console.print(
            f"wandb: cannot reach the server ({reason}), logging offline; send it later with wandb sync",
            soft_wrap=True,
            highlight=False,
        )
        wandb.teardown()
        return start(offline=True)


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
