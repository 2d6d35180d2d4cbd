"""``img2img import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def import_(
    weights: Annotated[Path, typer.Argument(help="Published weights (.pth of torch.save).", metavar="FILE")],
    out: Annotated[
        Path | None, typer.Argument(help="Translator file to write; by default FILE's name here.", metavar="OUT")
    ] = None,
    back: Annotated[Path | None, typer.Option(help="Weights of the opposite direction, for the same file.")] = None,
    domains: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Names of source and target; by default from FILE's name (horse2zebra), else a b."),
    ] = None,
    key: Annotated[str | None, typer.Option(help="Name of the network, where FILE holds several.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="OPTION=VALUE of the generator that weights cannot tell: block_padding=zeros."),
    ] = None,
    norm_statistics: Annotated[
        str,
        typer.Option(help="Of batch norm: image (as the published test command) or running (as with its --eval)."),
    ] = "image",
    licence: Annotated[str, typer.Option(help="What to say about the right to use these weights.")] = "",
) -> None:
    """Turn published CycleGAN, pix2pix, CUT or pix2pixHD weights into a translator file.

    The network is found from the weights alone; what they cannot tell is assumed as published and printed.
    The file is read as tensors: nothing in it can run.

    [bold]Examples[/bold]

    img2img import horse2zebra.pth

    img2img import latest_net_G_A.pth h2z.safetensors --back latest_net_G_B.pth --domains horse zebra
    """
    from img2img.checkpoint import save_translator
    from img2img.configured import nearest
    from img2img.errors import ConfigError
    from img2img.exchange.importing import import_weights

    if norm_statistics not in {"image", "running"}:
        choices = nearest(norm_statistics, ["image", "running"])
        raise ConfigError(f"--norm-statistics {norm_statistics}: expected image or running{choices}")
    target = out or Path(weights.stem + ".safetensors")
    if out is None and target.exists():
        raise ConfigError(f"{target}: exists already; name it as OUT to replace it, or name another file")
    if not target.absolute().parent.is_dir():
        raise ConfigError(f"{target}: expected a file in an existing folder")
    imported = import_weights(
        weights,
        back,
        domains=domains,
        key=key,
        options=_options(settings or []),
        statistics=norm_statistics,  # type: ignore[arg-type]
        licence=licence,
    )
    save_translator(target, imported.file)
    for direction, said in imported.file.header["directions"].items():
        network = said["generator"]
        options = ", ".join(f"{name}={value}" for name, value in network["init_args"].items() if value is not None)
        typer.echo(f"{direction.replace(':', ' -> ')}: {network['class_path'].rpartition('.')[2]}({options})")
        typer.echo("  matched       every convolution and norm, by shape and order")
        for line in imported.assumed[direction]:
            typer.echo(f"  assumed       {line}")
        for line in imported.unused[direction]:
            typer.echo(f"  not used      {line}")
    typer.echo(f"{target}: {target.stat().st_size / 1e6:.1f} MB" + ("" if licence else "; licence: not stated"))


def _options(settings: list[str]) -> dict[str, Any]:
    import yaml

    from img2img.errors import ConfigError

    options = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: expected OPTION=VALUE, such as block_padding=zeros")
        options[name] = yaml.safe_load(value)
    return options
