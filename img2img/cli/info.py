"""``img2img info``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def info(
    model: Annotated[Path, typer.Argument(help="Translator file or run folder.", metavar="MODEL")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole header as JSON.")] = False,
) -> None:
    """Show what a translator is: directions, network, preprocessing, training.

    [bold]Example[/bold]

    img2img info runs/colour
    """
    from img2img.checkpoint import load_translator, read_header

    if as_json:
        typer.echo(json.dumps(read_header(model), indent=2, ensure_ascii=False))
        return
    file = load_translator(model)
    header = file.header
    lines = [f"img2img translator, format {header['format']}, written by version {header['version']}"]
    for name, direction in header["directions"].items():
        network = direction["generator"]
        options = ", ".join(
            f"{k}={v}" for k, v in network["init_args"].items() if k not in {"in_channels", "out_channels"}
        )
        kept = file.weights(name)
        count = sum(t.numel() for key, t in file.tensors.items() if key.startswith(f"{name}/{kept[0]}/"))
        weights = " and ".join(kept)
        lines += [
            f"{name.replace(':', ' -> ')}",
            f"  network       {network['class_path'].rpartition('.')[2]}({options})",
            f"  parameters    {count:,}; weights: {weights}",
            f"  channels      {direction['input']['channels']} -> {direction['output']['channels']}{_files(direction)}",
            f"  sizes         any (mirrored up to a multiple of {direction['size_multiple']} px inside, cropped back)",
            f"  norm from     {direction['norm_statistics']}",
        ]
        if "latent" in direction:
            lines.append("  styles        many: img2img translate --seed 1, 2, ...; without it their mean")
    p, t = header["preprocessing"], header["training"]
    if p:
        lines.append(f"preprocessing   {p['resize']} to {_size(p['load_size'])}, crops of {_size(p['size'])} px")
    if "derived" in p:
        maker = str(p["derived"]["class_path"]).rpartition(".")[2]
        lines.append(f"inputs          made of the photos by {maker}{_ranges(p.get('drawings'))}")
    if t:
        said = [
            t.get("method"),
            _counted(t, "images", "images seen"),
            _counted(t, "training_images", "training images"),
        ]
        lines.append("training        " + ", ".join(word for word in said if word))
        lines += [
            f"                {name.replace('/', ' ')} {value:.4f}" for name, value in t.get("scores", {}).items()
        ]
    lines.append(f"licence         {' '.join(str(header.get('licence', '')).split()) or 'not stated'}")
    typer.echo("\n".join(lines))


def _files(direction: dict[str, Any]) -> str:
    """Say what the files of a direction are."""
    ends = [direction[end].get("columns") for end in ("input", "output")]
    larger = f", {direction['scale']} times as large" if direction.get("scale", 1) > 1 else ""
    if not any(ends):
        return f", 8 bits{larger}"
    said = [", ".join(map(_column, columns)) if columns else "picture" for columns in ends]
    return f": {' -> '.join(said)}{larger}"


def _column(column: dict[str, Any]) -> str:
    classes = f" of {column['channels']} classes" if column["kind"] == "label" else ""
    stated = f" from {column['range'][0]:g} to {column['range'][1]:g}" if "range" in column else ""
    return f"{column['column']} ({column['kind']}{classes}{stated})"


def _ranges(drawings: dict[str, dict[str, float]] | None) -> str:
    if drawings is None:
        return ""
    low, high = drawings["lowest"], drawings["highest"]
    ink = f"{low['ink']:.0%} to {high['ink']:.0%} ink"
    return f": {ink}, lines of {low['line_width_px']:g} to {high['line_width_px']:g} px"


def _counted(training: dict[str, object], key: str, what: str) -> str:
    return f"{training[key]:,} {what}" if key in training else ""


def _size(sides: list[int]) -> str:
    return f"{sides[1]}x{sides[0]}"
