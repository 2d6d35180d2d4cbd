"""Published weights to a translator file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from img2img.checkpoint import TranslatorFile, header_of, tensors_of
from img2img.configured import describe
from img2img.errors import ConfigError, ModelFileError
from img2img.exchange.architecture import Architecture, NormStatistics, infer
from img2img.exchange.layers import layers_of
from img2img.exchange.matching import generator_with
from img2img.exchange.pickles import Tensors, read_networks
from img2img.networks.base import Generator

_PICTURE_CHANNELS = {1, 3}


@dataclass
class Imported:
    """What came of an import.

    Attributes:
        file: the translator, ready to be saved.
        assumed: by direction, what the weights cannot tell and how it was taken.
        unused: by direction, what of the file the generator has no use for.
    """

    file: TranslatorFile
    assumed: dict[str, list[str]] = field(default_factory=dict)
    unused: dict[str, list[str]] = field(default_factory=dict)


def import_weights(
    path: Path,
    back: Path | None = None,
    *,
    domains: tuple[str, str] | None = None,
    key: str | None = None,
    options: Mapping[str, Any] | None = None,
    statistics: NormStatistics = "image",
    licence: str = "",
) -> Imported:
    """Turn published weights into a translator.

    Known are the ResNet and U-Net generators of the PyTorch CycleGAN and pix2pix, CUT's ResNet with and without its
    fixed filters, the global generator of pix2pixHD, and networks of the ResNet family under other names. Output is
    that of the original in float32, bit for bit, where dropout is off; ``resize`` doublings, computed as one
    transposed convolution, and on the CPU few pixels under many weights, computed as a matrix product, differ by
    rounding.

    Args:
        path: file of ``torch.save``; read as tensors, so that nothing in it can run.
        back: file of the opposite direction.
        domains: names of source and target; by default from the file's name (``horse2zebra``), else a and b.
        key: name of the network inside the file, where it holds several.
        options: arguments of the generator that the weights cannot tell, such as ``padding``.
        statistics: of batch norm.
        licence: what to say about the right to use the weights.

    Raises:
        ModelFileError: if the file cannot be read or matched, in one line that says where it departs.
        ConfigError: if the options do not suit it.
    """
    source, target = domains or domains_of(path)
    if not source or not target or source == target or {*source, *target} & set(":/\\"):
        raise ConfigError(f"expected two different domain names without : / and \\, got {source!r} and {target!r}")
    files = {f"{source}:{target}": path} | ({f"{target}:{source}": back} if back else {})
    networks: dict[str, Generator] = {}
    tensors: dict[str, Tensor] = {}
    imported = Imported(TranslatorFile({}, tensors))
    for direction, file in files.items():
        try:
            group, found = _choose(read_networks(file, key), statistics)
            network, unused = generator_with(found, layers_of(group), options or {})
        except ModelFileError as error:
            raise ModelFileError(f"{file.name}: {str(error).removeprefix(f'{file}: ')}") from error
        channels = sorted({network.in_channels, network.out_channels} - _PICTURE_CHANNELS)
        said = [f"{c} channels: no picture has so many, so it translates tensors in Python alone" for c in channels]
        imported.assumed[direction] = [a for a in found.assumed if not _stated(a, options or {})] + said
        imported.unused[direction] = unused
        networks[direction] = network
        tensors |= tensors_of(direction, network, "raw")
    header = header_of(
        (source, target),
        networks,
        {direction: describe(network) for direction, network in networks.items()},
        {},
        {"method": "imported from " + " and ".join(file.name for file in files.values())},
    )
    imported.file = TranslatorFile(header | ({"licence": licence} if licence else {}), tensors)
    return imported


def domains_of(path: Path) -> tuple[str, str]:
    """Guess the domains from a name such as ``horse2zebra.pth`` or ``horse2zebra/latest_net_G_B.pth`` (zebra, horse).

    >>> domains_of(Path("edges2cats_AtoB.pth"))
    ('edges', 'cats')
    """
    for name in (path.stem, path.absolute().parent.name):
        if found := re.search(r"(?<![A-Za-z])([A-Za-z]{2,})2([A-Za-z]{2,})(?![A-Za-z])", name):
            a, b = found[1].lower(), found[2].lower()
            if a != b:
                return (b, a) if path.stem.endswith("_G_B") else (a, b)
    return ("b", "a") if path.stem.endswith("_G_B") else ("a", "b")


def _choose(networks: Mapping[str, Tensors], statistics: NormStatistics) -> tuple[Tensors, Architecture]:
    """Return the one group of tensors that is a generator, and what it is."""
    fitting: dict[str, tuple[Tensors, Architecture]] = {}
    refused: dict[str, ModelFileError] = {}
    for name, tensors in networks.items():
        try:
            fitting[name] = tensors, infer(layers_of(tensors), statistics)
        except ModelFileError as error:
            refused[name] = error
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    if fitting:
        raise ModelFileError(f"holds {len(fitting)} generators: {', '.join(fitting)}; choose one with --key")
    if len(refused) > 1:
        raise ModelFileError(f"holds {', '.join(refused)}, none of them a generator that is known; choose with --key")
    ((name, reason),) = refused.items()
    parts = list(dict.fromkeys(tensor.partition(".")[0] for tensor in networks[name]))
    several = f"; if it holds several networks, choose one with --key: {', '.join(parts[:8])}"
    raise ModelFileError(f"{reason}{several if len(parts) > 1 else ''}") from reason


def _stated(assumption: str, options: Mapping[str, Any]) -> bool:
    """Tell whether an option has settled what was assumed."""
    about = {
        "padding by": {"padding", "block_padding"},
        "doubling by": {"upsample"},
        "instance norm": {"norm"},
        "dropout": {"dropout"},
    }
    return any(assumption.startswith(words) and not names.isdisjoint(options) for words, names in about.items())
