"""Distances of images by what networks see in them: LPIPS with a trunk from a file, ST-LPIPS from its package.

@inproceedings{zhang2018unreasonable, title={The Unreasonable Effectiveness of Deep Features as a Perceptual Metric},
  author={Zhang, Richard and Isola, Phillip and Efros, Alexei A and Shechtman, Eli and Wang, Oliver}, booktitle={CVPR},
  year={2018}}, arXiv 1801.03924
@inproceedings{ghildyal2022stlpips, title={Shift-tolerant Perceptual Similarity Metric},
  author={Ghildyal, Abhijay and Liu, Feng}, booktitle={ECCV}, year={2022}}, arXiv 2207.13686
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import pickle
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from img2img.errors import ConfigError, ModelFileError
from img2img.evaluate.paired import PairMetric

Trunk = Literal["alex", "vgg", "squeeze"]

TRUNKS: dict[Trunk, tuple[str, str]] = {
    "alex": ("alexnet-owt-7be5be79.pth", "7be5be79"),
    "vgg": ("vgg16-397923af.pth", "397923af"),
    "squeeze": ("squeezenet1_1-b8a52dc0.pth", "b8a52dc0"),
}
"""torchvision's files of ImageNet weights, and how their sha256 begin."""

_SMALLEST_PX = 32
_SHOWN_DIGITS = 16

_ST_WEIGHTS = {"alex": "b356b382f96010f7", "vgg": "44597da68f49c183"}

_UNUSED = {"IPython": "embed", "torchsummary": "summary"}
"""What stlpips-pytorch 0.0.2 imports, declares nowhere and does not use."""


def lpips(trunk: Path, net: Trunk = "alex", device: torch.device | None = None, *, sha256: str = "") -> PairMetric:
    """Return LPIPS v0.1: heads as torchmetrics ships them, the ImageNet network beneath from a file.

    Args:
        trunk: torchvision's file of weights, see :data:`TRUNKS`.
        net: ``alex`` to measure, as papers do; ``vgg`` is what training losses use.
        device: where it runs.
        sha256: how the hash of some other trunk begins, if it is to be one; what is measured is then no LPIPS, and is
            not called so.

    Raises:
        ModelFileError: if the file is missing, is not that trunk, or does not fit it.
    """
    file, expected = TRUNKS[net]
    digest = _digest(trunk, f"torchvision's {file}")
    if not digest.startswith(sha256.lower() or expected):
        raise ModelFileError(
            f"{trunk}: expected a file whose sha256 begins with {sha256 or expected}"
            f"{'' if sha256 else f' (torchvision: {file})'}, got {digest[:_SHOWN_DIGITS]}; download it again"
        )
    network = _on_trunk(net, trunk).to(device or torch.device("cpu"))
    own = digest.startswith(expected)
    name = "lpips" if own else f"distance_of_trunk_{digest[:8]}"
    beneath = "torchvision's ImageNet trunk" if own else "ANOTHER trunk"
    definition = (
        f"Zhang et al. 2018 (arXiv 1801.03924) v0.1, {net}, {beneath}, heads of torchmetrics, RGB in [-1, 1] at the "
        "images' own size; mean over images"
    )
    measure = functools.partial(_distance, network)
    settings = (("trunk_sha256", digest[:_SHOWN_DIGITS]),)
    return PairMetric(name, "lower", definition, measure, "", _SMALLEST_PX, channels=3, settings=settings)


def st_lpips(net: Literal["alex", "vgg"] = "alex", device: torch.device | None = None) -> PairMetric:
    """Return ST-LPIPS, whose weights are in its package; a shift by a pixel changes it little.

    Args:
        net: ``alex``, which its authors recommend, or ``vgg``.
        device: where it runs.

    Raises:
        ConfigError: if the package is not installed.
        ModelFileError: if its weights are not those that it came with.
    """
    if importlib.util.find_spec("stlpips_pytorch") is None:
        raise ConfigError(
            "ST-LPIPS needs its package: pip install --no-deps stlpips-pytorch==0.0.2 (it calls itself BSD-2, parts "
            "of it say CC BY-NC-SA 4.0: not for commercial use)"
        )
    with _standing_in(), torch.random.fork_rng(devices=[]):
        library = importlib.import_module("stlpips_pytorch.stlpips")
        network: nn.Module = library.LPIPS(net=net, variant="shift_tolerant", verbose=False)
    weights = Path(str(library.__file__)).parent / "weights" / "vST0.0" / f"{net}_shift_tolerant.pth"
    digest = _digest(weights, "the weights of stlpips-pytorch 0.0.2")
    if not digest.startswith(_ST_WEIGHTS[net]):
        raise ModelFileError(
            f"{weights}: expected a file whose sha256 begins with {_ST_WEIGHTS[net]}, got {digest[:_SHOWN_DIGITS]}; "
            "install stlpips-pytorch 0.0.2 again"
        )
    definition = (
        f"Ghildyal and Liu 2022 (arXiv 2207.13686), {net}, weights ST0.0 of stlpips-pytorch 0.0.2, RGB in [-1, 1] at "
        "the images' own size; mean over images"
    )
    measure = functools.partial(_distance, network.eval().to(device or torch.device("cpu")))
    settings = (("weights_sha256", digest[:_SHOWN_DIGITS]),)
    return PairMetric("st_lpips", "lower", definition, measure, "", _SMALLEST_PX, channels=3, settings=settings)


def _distance(network: nn.Module, a: Tensor, b: Tensor) -> Tensor:
    distances: Tensor = network(a.float(), b.float())
    return distances.flatten()


def _digest(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); expected {what}") from error


def _on_trunk(net: Trunk, path: Path) -> nn.Module:
    """Put a trunk under torchmetrics' heads, whose own way to it is a download."""
    from torchmetrics.functional.image.lpips import _LPIPS  # noqa: PLC0415 (the public door downloads)

    with torch.random.fork_rng(devices=[]):
        network = _LPIPS(net=net, pnet_rand=True)
    try:
        given = torch.load(path, map_location="cpu", weights_only=True)
        own = network.net.state_dict()
        named = {key: given[re.sub(r"^slices?\.?\d+\.", "features.", key)] for key in own}
        network.net.load_state_dict(named)
    except (RuntimeError, KeyError, TypeError, pickle.UnpicklingError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise ModelFileError(f"{path}: expected torchvision's weights of {net}; they do not fit ({reason})") from error
    return network.eval()


@contextlib.contextmanager
def _standing_in() -> Iterator[None]:
    """Let a library import what it imports and does not use, where that is not installed."""
    missing = [name for name in _UNUSED if name not in sys.modules and importlib.util.find_spec(name) is None]
    for name in missing:
        sys.modules[name] = types.ModuleType(name)
        setattr(sys.modules[name], _UNUSED[name], None)
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]
