"""``img2img bench derive``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def derive(
    photos: Annotated[Path, typer.Argument(help="Folder of photos.", metavar="PHOTOS")],
    size: Annotated[int, typer.Option(min=16, help="Side of the crops in pixels.")] = 256,
    images: Annotated[int, typer.Option(min=1, help="Photos.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="Counted rounds; each times all by turns.")] = 5,
) -> None:
    """Time what makes inputs of photos (img2img.data.derive), and the same with kornia on a batch.

    [bold]Example[/bold]

    img2img bench derive photos/
    """
    from img2img.data.folder import list_images
    from img2img.data.source import Source
    from img2img.data.timing import time_derivations
    from img2img.data.transforms import load_pixels
    from img2img.errors import DataError
    from img2img.image import resized

    found = list_images(photos)[:images]
    if not found:
        raise DataError(f"{photos}: no images found")
    crops = [resized(load_pixels(Source(path.parent, "whole", path.name), 3), size, size) for path in found]
    for name, milliseconds in time_derivations(crops, rounds).items():
        typer.echo(f"{name:16} {milliseconds:6.2f} ms an image of {size}x{size} px")
