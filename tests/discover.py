"""The subjects of the contract tests: every class of a kind, found because its file exists."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import img2img.methods
import img2img.networks.discriminators
import img2img.networks.frozen
import img2img.networks.generators
from img2img.methods.base import TranslationModule
from img2img.networks.base import Discriminator, Generator
from img2img.networks.frozen.base import FeatureNetwork


def _all(package, base):
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    found, queue = [], [base]
    while queue:
        for child in queue.pop().__subclasses__():
            queue.append(child)
            if not inspect.isabstract(child) and child.__module__.startswith("img2img."):
                found.append(child)
    return sorted(found, key=lambda c: c.__name__)


GENERATORS = _all(img2img.networks.generators, Generator)
DISCRIMINATORS = _all(img2img.networks.discriminators, Discriminator)
FROZEN = _all(img2img.networks.frozen, FeatureNetwork)
METHODS = _all(img2img.methods, TranslationModule)
