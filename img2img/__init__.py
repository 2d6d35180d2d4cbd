"""img2img: GAN image-to-image translation. Public names load what they need on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from img2img._version import __version__

if TYPE_CHECKING:
    from img2img.data.module import ImageData
    from img2img.errors import ConfigError, DataError, Img2ImgError, ModelFileError, RunError
    from img2img.methods.base import TranslationModule
    from img2img.methods.critic import Critic
    from img2img.methods.cut import CUT
    from img2img.methods.cyclegan import CycleGAN
    from img2img.methods.dclgan import DCLGAN
    from img2img.methods.distill import Distill
    from img2img.methods.export import save
    from img2img.methods.optimization import Optimization
    from img2img.methods.pix2pix import Pix2Pix
    from img2img.networks.base import Discriminator, FeatureGenerator, Generator
    from img2img.networks.discriminators.multiscale import MultiscaleDiscriminator
    from img2img.networks.discriminators.patch import PatchDiscriminator
    from img2img.networks.discriminators.pixel import PixelDiscriminator
    from img2img.networks.discriminators.projected import ProjectedDiscriminator
    from img2img.networks.generators.enhancer import LocalEnhancer
    from img2img.networks.generators.resnet import ResNetGenerator
    from img2img.networks.generators.separable import SeparableGenerator
    from img2img.networks.generators.spade import SpadeGenerator
    from img2img.networks.generators.styled import StyledGenerator
    from img2img.networks.generators.unet import UNetGenerator
    from img2img.translate.loading import load
    from img2img.translate.translator import Translator

__all__ = [
    "CUT",
    "DCLGAN",
    "ConfigError",
    "Critic",
    "CycleGAN",
    "DataError",
    "Discriminator",
    "Distill",
    "FeatureGenerator",
    "Generator",
    "ImageData",
    "Img2ImgError",
    "LiteDiscriminator",
    "LocalEnhancer",
    "ModelFileError",
    "MultiscaleDiscriminator",
    "Optimization",
    "PatchDiscriminator",
    "Pix2Pix",
    "PixelDiscriminator",
    "ProjectedDiscriminator",
    "ResNetGenerator",
    "ResUNetGenerator",
    "RunError",
    "SeparableGenerator",
    "SpadeGenerator",
    "StyledGenerator",
    "TranslationModule",
    "Translator",
    "UNetGenerator",
    "__version__",
    "load",
    "save",
]

_HOME = {
    "CUT": "methods.cut",
    "DCLGAN": "methods.dclgan",
    "ConfigError": "errors",
    "Critic": "methods.critic",
    "CycleGAN": "methods.cyclegan",
    "DataError": "errors",
    "Discriminator": "networks.base",
    "Distill": "methods.distill",
    "FeatureGenerator": "networks.base",
    "Generator": "networks.base",
    "ImageData": "data.module",
    "Img2ImgError": "errors",
    "LocalEnhancer": "networks.generators.enhancer",
    "ModelFileError": "errors",
    "LiteDiscriminator": "networks.discriminators.lite",
    "MultiscaleDiscriminator": "networks.discriminators.multiscale",
    "Optimization": "methods.optimization",
    "PatchDiscriminator": "networks.discriminators.patch",
    "Pix2Pix": "methods.pix2pix",
    "PixelDiscriminator": "networks.discriminators.pixel",
    "ProjectedDiscriminator": "networks.discriminators.projected",
    "ResNetGenerator": "networks.generators.resnet",
    "ResUNetGenerator": "networks.generators.resunet",
    "RunError": "errors",
    "SeparableGenerator": "networks.generators.separable",
    "SpadeGenerator": "networks.generators.spade",
    "StyledGenerator": "networks.generators.styled",
    "TranslationModule": "methods.base",
    "Translator": "translate.translator",
    "UNetGenerator": "networks.generators.unet",
    "load": "translate.loading",
    "save": "methods.export",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use; importing the package alone loads no torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'img2img' has no attribute {name!r}")
    return getattr(importlib.import_module(f"img2img.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
