"""What a plain stack of convolutions has to show besides its logits."""

from __future__ import annotations

from torch import Tensor, nn

from img2img.networks.layers.precision import in_float32


def stages(layers: nn.Sequential, images: Tensor) -> list[Tensor]:
    """Return the features after each activation, then the logits, which are computed in float32.

    Args:
        layers: convolutions, norms and LeakyReLUs, the last one a convolution to one channel.
        images: [B, C, H, W].
    """
    found, features = [], images
    for layer in layers[:-1]:
        features = layer(features)
        if isinstance(layer, nn.LeakyReLU):
            found.append(features)
    return [*found, in_float32(layers[-1], features)]
