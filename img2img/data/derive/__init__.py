"""From photos to the inputs of pairs: one derivation a file."""

from img2img.data.derive.base import Derivation
from img2img.data.derive.canny import Canny
from img2img.data.derive.compressed import Compressed
from img2img.data.derive.dark import Dark
from img2img.data.derive.dodge import Dodge
from img2img.data.derive.extractor import Extractor
from img2img.data.derive.grey import Grey
from img2img.data.derive.line_art import LineArt
from img2img.data.derive.low_resolution import LowResolution
from img2img.data.derive.masked import Masked
from img2img.data.derive.mixture import Mixture
from img2img.data.derive.noisy import Noisy
from img2img.data.derive.pencil import Pencil
from img2img.data.derive.regions import Regions
from img2img.data.derive.sketch import Sketch
from img2img.data.derive.xdog import XDoG

__all__ = [
    "Canny",
    "Compressed",
    "Dark",
    "Derivation",
    "Dodge",
    "Extractor",
    "Grey",
    "LineArt",
    "LowResolution",
    "Masked",
    "Mixture",
    "Noisy",
    "Pencil",
    "Regions",
    "Sketch",
    "XDoG",
]
