"""``img2img demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option("--out", help="Where to; an earlier demo there is replaced.")] = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Train for 30 seconds instead of 3 minutes.")] = False,
    minutes: Annotated[float | None, typer.Option(min=0.05, help="Train for so long instead.")] = None,
) -> None:
    """Train pix2pix on the bundled drawings for three minutes, colour drawings it has never seen, and show them."""
    from rich.console import Console

    from img2img.training.demo import run_demo

    run_demo(out, minutes if minutes is not None else 0.5 if quick else 3.0, Console())
