"""The translator file: one safetensors file that knows everything it takes to translate.

The header is JSON under the safetensors metadata key ``img2img``; nothing in the file can run code. Tensors stand
under ``DIRECTION/ema/NAME`` and ``DIRECTION/raw/NAME``. Unknown optional keys are ignored, a higher format is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from img2img._version import __version__
from img2img.configured import factory
from img2img.errors import ConfigError, ModelFileError
from img2img.image import atomically
from img2img.networks.base import Generator
from img2img.networks.latent import LatentGenerator
from img2img.networks.layers.spectral import settle_spectrum
from img2img.shipped import bundled

FORMAT = 1
FILE_NAME = "translator.safetensors"
_KEY = "img2img"

_PICTURES = ("rgb", "gray", "edge")

Weights = Literal["ema", "raw"]


@dataclass(frozen=True)
class TranslatorFile:
    """A translator file's contents.

    Attributes:
        header: plain data; see :func:`header_of` for its keys.
        tensors: all weights by their name in the file.
    """

    header: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def directions(self) -> list[str]:
        """Directions such as ``line:colour``, the main one first."""
        return list(self.header["directions"])

    def weights(self, direction: str) -> list[Weights]:
        """Return which weights there are of a direction, those that translate by default first."""
        both: tuple[Weights, Weights] = ("ema", "raw")
        return [w for w in both if any(name.startswith(f"{direction}/{w}/") for name in self.tensors)]

    def generator(self, direction: str, weights: Weights | None = None, *, settled: bool = True) -> Generator:
        """Build the generator of a direction with its weights.

        Args:
            direction: one of :attr:`directions`.
            weights: ``ema`` or ``raw``; by default ema where the file has it.
            settled: ready to translate and no more: weights under spectral norm are divided once and for all.

        Raises:
            ModelFileError: if class, options or tensors do not fit together.
        """
        available = self.weights(direction)
        chosen = weights or (available[0] if available else "raw")
        prefix = f"{direction}/{chosen}/"
        state = {
            name.removeprefix(prefix): tensor.float() if tensor.dtype == torch.float16 else tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }
        if not state:
            raise ModelFileError(
                f"the translator has no {chosen} weights for {direction}; it has {', '.join(available) or 'none'}"
            )
        try:
            with torch.device("meta"):  # no weights are drawn only to be overwritten
                network = factory(self.header["directions"][direction]["generator"], Generator)()
            _check(network.state_dict(), state, direction)
            network.load_state_dict(state, assign=True)
        except (ConfigError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"the translator's generator for {direction} cannot be built: {error}") from error
        assert isinstance(network, Generator)
        if settled:
            settle_spectrum(network.eval())
        return network.eval().requires_grad_(False)  # noqa: FBT003


def header_of(
    domains: tuple[str, str],
    generators: Mapping[str, Generator],
    descriptions: Mapping[str, dict[str, Any]],
    preprocessing: Mapping[str, Any],
    training: Mapping[str, Any],
    formats: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe generators so that the file alone is enough to translate.

    Args:
        domains: names of source and target.
        generators: by direction ``source:target``, the main one first.
        descriptions: class and arguments of each generator.
        preprocessing: how training images were prepared.
        training: summary of the training, for people.
        formats: of files, where they are no plain pictures: ``a`` and ``b``, of source and target, each a list of
            columns (column, kind, channels, range, classes), and ``scale``, by how much sources are enlarged first.

    Returns:
        The header as plain data.
    """
    return {
        "format": FORMAT,
        "version": __version__,
        "domains": list(domains),
        "directions": {
            direction: {
                "generator": descriptions[direction],
                "input": _files(direction.split(":")[0], generator.in_channels, domains, formats),
                "output": _files(direction.split(":")[1], generator.out_channels, domains, formats),
                "scale": (formats or {}).get("scale", 1),
                "size_multiple": generator.size_multiple,
                "smallest_side": generator.smallest_side,
                "norm_statistics": _norm_policy(descriptions[direction]),
                **(
                    {"latent": {"channels": generator.latent_channels}}
                    if isinstance(generator, LatentGenerator)
                    else {}
                ),
            }
            for direction, generator in generators.items()
        },
        "preprocessing": dict(preprocessing),
        "training": dict(training),
    }


def _files(name: str, channels: int, domains: tuple[str, str], formats: Mapping[str, Any] | None) -> dict[str, Any]:
    """Describe the files of a domain: pictures, or typed columns."""
    columns = (formats or {}).get("ab"[domains.index(name)], [])
    plain = all(column["kind"] in _PICTURES for column in columns) and len(columns) < 2  # noqa: PLR2004 (several inputs)
    if plain:
        return {"name": name, "type": "image", "channels": channels, "range": [0, 255]}
    return {"name": name, "type": "columns", "channels": channels, "columns": columns}


def _norm_policy(description: Mapping[str, Any]) -> str:
    """Say where norm statistics come from when translating: what the ``norm`` option means, in words."""
    return {"batch-running": "running averages of the training", "none": "no norm"}.get(
        description["init_args"].get("norm", "instance"), "the translated image itself"
    )


def tensors_of(direction: str, generator: Generator, weights: Weights) -> dict[str, Tensor]:
    """Name a generator's tensors as they stand in the file."""
    return {
        f"{direction}/{weights}/{name}": tensor.detach().cpu().contiguous()
        for name, tensor in generator.state_dict().items()
    }


def save_translator(path: Path, file: TranslatorFile) -> None:
    """Write a translator file; it is whole or not there."""
    header = {**file.header, "sha256": _checksum(file.tensors)}
    data = save(file.tensors, metadata={_KEY: json.dumps(header)})
    with atomically(path) as out:
        out.write(data)


def load_translator(path: Path) -> TranslatorFile:
    """Read a translator file, or the translator of a run folder.

    Raises:
        ModelFileError: if it is missing, truncated, foreign, newer than this version, or a pickle.
    """
    path, header = _open_header(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path}: truncated or damaged ({error})") from error
    broken = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if broken:
        raise ModelFileError(
            f"{path}: {len(broken)} tensors hold NaN or infinity, first {broken[0]}; train again or use an older file"
        )
    if header.get("sha256") not in {None, _checksum(tensors)}:
        raise ModelFileError(f"{path}: damaged: its weights are not those it was saved with; copy it again")
    return TranslatorFile(header, tensors)


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_header(path: Path) -> dict[str, Any]:
    """Read the header alone; raises as :func:`load_translator`."""
    return _open_header(path)[1]


def find_translator(path: Path) -> Path:
    """Return the file of a translator: of a run folder its own, of a name that ships (``line2flat``) the shipped one.

    Raises:
        ModelFileError: if there is none.
    """
    if not path.exists():
        ours = bundled()
        if path.name in ours and path == Path(path.name):
            return ours[path.name]
        also = f"; by name there is {', '.join(ours)}" if ours else ""
        raise ModelFileError(f"{path}: no such translator file or run folder{also}")
    if path.is_dir():
        if not (path / FILE_NAME).is_file():
            raise ModelFileError(f"{path}: this folder has no {FILE_NAME}; a run gets one at its first validation")
        return path / FILE_NAME
    return path


def _open_header(path: Path) -> tuple[Path, dict[str, Any]]:
    path = find_translator(path)
    with path.open("rb") as file:
        start = file.read(16)
    # a safetensors file begins with the length of its header in 8 bytes, any of which, and then the header's brace
    if start[8:9] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise ModelFileError(
            f"{path}: a pickle (PyTorch .pt, .pth or .ckpt), which could run code; expected a {FILE_NAME}"
        )
    try:
        with safe_open(str(path), framework="pt") as safe:
            metadata = safe.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path}: not a safetensors file, or truncated ({error}); expected a {FILE_NAME} or a run folder"
        ) from error
    if _KEY not in metadata:
        raise ModelFileError(f"{path}: a safetensors file, but not an img2img translator (no {_KEY} header)")
    try:
        header = json.loads(metadata[_KEY])
        file_format = int(header["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{path}: its {_KEY} header is damaged ({error})") from error
    if file_format > FORMAT:
        raise ModelFileError(
            f"{path}: format {file_format}, written by img2img {header.get('version', '?')}; this is {__version__}, "
            f"which reads up to format {FORMAT}: upgrade img2img-toolkit"
        )
    if not isinstance(header.get("directions"), dict) or not header["directions"]:
        raise ModelFileError(f"{path}: its {_KEY} header names no direction to translate")
    return path, header


def _check(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], direction: str) -> None:
    for name in expected.keys() | given.keys():
        want = tuple(expected[name].shape) if name in expected else None
        have = tuple(given[name].shape) if name in given else None
        if want != have:
            raise ModelFileError(
                f"{direction}: expected {name} of shape {want}, got {have}; the file is damaged or was edited"
            )
