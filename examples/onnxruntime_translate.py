"""Translate a picture with a file of ``img2img export``: ONNX Runtime, Pillow and NumPy, nothing else.

pip install onnxruntime pillow numpy
python onnxruntime_translate.py horse2zebra.onnx horse.jpg zebra.png
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main(model: str, source: str, target: str) -> None:
    """Translate one picture."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    print(f"{said['source']} -> {said['target']}; licence: {said['licence']}")

    mode = {"1": "L", "3": "RGB"}[said["channels_in"]]
    with Image.open(source) as image:
        pixels = np.asarray(ImageOps.exif_transpose(image).convert(mode))
    pixels = pixels.reshape(*pixels.shape[:2], -1)  # grey has no channels of its own

    # any height and width: range, mirroring and cropping are inside the file
    translated = session.run(None, {"image": pixels[None]})[0][0]

    Image.fromarray(translated.squeeze(-1) if translated.shape[-1] == 1 else translated).save(target)


if __name__ == "__main__":
    if len(sys.argv) != 4:  # noqa: PLR2004 (model, source, target)
        sys.exit("usage: python onnxruntime_translate.py MODEL.onnx IN OUT")
    main(*sys.argv[1:])
