"""``img2img export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[Path, typer.Argument(help="Translator file or run folder.", metavar="MODEL")],
    out: Annotated[
        Path, typer.Argument(help="NAME.onnx; NAME.pt2 (torch.export); NAME.safetensors, for img2img.", metavar="OUT")
    ],
    to: Annotated[
        str | None, typer.Option(help="Domain to translate into, where the translator knows both ways.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="ema (averaged, the default) or raw.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the style, where the translator has several: the file gets one of them.")
    ] = None,
    values: Annotated[
        str,
        typer.Option(
            "--range", help="uint8: pictures [B, H, W, C], 0 to 255; float: tensors [B, C, H, W], -1 to 1; in and out."
        ),
    ] = "uint8",
    licence: Annotated[str, typer.Option(help="Note on the right to use it, kept in the file.")] = "",
    check: Annotated[bool, typer.Option(help="Run the written graph and compare it with the network.")] = True,
) -> None:
    """Write a translator as ONNX: any batch, height and width; padding, cropping and range inside the graph.

    Or as a small translator file: one direction, the weights that translate alone, in half precision.

    [bold]Examples[/bold]

    img2img export runs/colour colour.onnx

    img2img export horse2zebra.safetensors zebra.onnx --to zebra

    img2img export runs/colour colour.safetensors
    """
    from img2img.checkpoint import load_translator
    from img2img.configured import nearest
    from img2img.errors import ConfigError
    from img2img.exchange.compact import SUFFIX
    from img2img.exchange.exporting import OPSET
    from img2img.exchange.exporting import export as write

    for option, value, choices in (("range", values, ["uint8", "float"]), ("weights", weights, ["ema", "raw"])):
        if value is not None and value not in choices:
            raise ConfigError(f"--{option} {value}: expected {' or '.join(choices)}{nearest(value, choices)}")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"{out}: expected a file in an existing folder")
    if out.suffix == SUFFIX:
        if seed is not None or values != "uint8" or not check:
            raise ConfigError(f"{out}: --seed, --range and --no-check are for graphs (.onnx, .pt2); leave them out")
        _write_compact(model, out, to, weights, licence)
        return
    made = write(
        load_translator(model),
        out,
        to=to,
        weights=weights,  # type: ignore[arg-type]
        seed=seed,
        values=values,  # type: ignore[arg-type]
        licence=licence,
        check=check,
    )
    kind = f"ONNX, opset {OPSET}" if out.suffix == ".onnx" else "torch.export"
    typer.echo(f"{out}: {made.direction.replace(':', ' -> ')}, {kind}, {made.bytes / 1e6:.1f} MB")
    typer.echo(f"  in            {made.metadata['input']}, {made.metadata['channels_in']} channels")
    typer.echo(f"  out           {made.metadata['output']}, {made.metadata['channels_out']} channels")
    if "style" in made.metadata:
        typer.echo(f"  style         {made.metadata['style']}")
    typer.echo(f"  licence       {made.metadata['licence']}")
    for case in made.differences:
        typer.echo(
            f"  {f'{case.width}x{case.height}':>9} px, batch {case.batch}: differs from the network by at most "
            f"{case.largest:.2g} of 255 levels, {case.mean:.2g} on average"
        )
    if not made.differences:
        typer.echo("  not checked   (--no-check)")


def _write_compact(model: Path, out: Path, to: str | None, weights: str | None, licence: str) -> None:
    from img2img.checkpoint import load_translator, save_translator
    from img2img.exchange.compact import compact
    from img2img.exchange.exporting import direction_to

    file = load_translator(model)
    direction = direction_to(file, to)
    save_translator(out, compact(file, direction, weights, licence))  # type: ignore[arg-type]  # ema or raw
    size = out.stat().st_size / 1e6
    typer.echo(f"{out}: {direction.replace(':', ' -> ')}, translator in half precision, {size:.1f} MB")
