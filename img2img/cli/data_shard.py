"""``img2img data shard``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def shard(
    data: Annotated[list[Path], typer.Argument(help="Data folder, or the two folders of the domains.", metavar="DATA")],
    out: Annotated[Path, typer.Argument(help="New folder of tar files with their index.", metavar="OUT")],
    size: Annotated[str, typer.Option(help="Of a tar file: 500MB, 2GB.")] = "500MB",
    domains: Annotated[
        tuple[str, str] | None, typer.Option(help="Names of the domains: A B, left right, or two folders.")
    ] = None,
) -> None:
    """Put a data folder into tar files, for sets of so many images that the file system is slow with them.

    Files stay as they are, byte for byte; those of a pair lie next to each other. Train with --data OUT: samples are
    the same as from DATA. WebDataset reads the tar files too. OUT is there whole or not at all.

    [bold]Example[/bold]

    img2img data shard photos/ sharded/ --size 500MB
    """
    from img2img.cli.data_tools import progress_bar, say
    from img2img.data.tools.placing import refuse_filled
    from img2img.data.tools.shard import write_shards
    from img2img.errors import ConfigError, DataError

    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMG]?)B?", size.strip(), re.IGNORECASE)
    num_bytes = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if num_bytes < 1:
        raise ConfigError(f"--size {size}: expected a number of bytes, such as 500MB")
    refuse_filled(out)
    if inside := next((root for root in data if out.resolve().is_relative_to(root.resolve())), None):
        raise DataError(f"{out}: the output lies in the data folder {inside}; choose a folder outside it")
    with progress_bar("files") as progress:
        done = write_shards(data, out, num_bytes, domains=domains, progress=progress)
    for split, counts in done.files.items():
        say(f"{split:6}" + ", ".join(f"{count:,} {domain}".rstrip() for domain, count in counts.items()))
    say(f"{out} ({done.kind}): {len(done.shards):,} tar files, {sum(done.shards.values()) / 1e6:,.1f} MB")
