"""Convolutions that suit few pixels and many weights, such as the middle of a U-Net.

A CPU's convolution kernels first bring the weights into an order of their own. At 8x8 px and 512 channels that is most
of the time, and one matrix product on the weights as they lie does the same (im2col: Chellapilla, Puri, Simard 2006,
High Performance Convolutional Neural Networks for Document Processing).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from img2img.networks.layers.precision import no_autocast

_WEIGHTS_PER_INPUT = 8
"""From this many weights per input value on, the product is faster (measured with 512 channels at batch 1 and 4)."""


class PaddedConv2d(nn.Conv2d):
    """``nn.Conv2d`` whose mirrored border keeps the precision of the features.

    Autocast on the CPU pads in float32, and so converts everything there and back; a copy needs no precision.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, in, H, W] to [B, out, H', W']."""
        if self.padding_mode == "zeros":
            return super().forward(features)
        return F.conv2d(self.padded(features), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def padded(self, features: Tensor) -> Tensor:
        """Return the features with the border that the kernel sees."""
        side = self.padding[0]
        assert isinstance(side, int)
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        with no_autocast(features.device.type):
            return F.pad(features, [side] * 4, mode)


class StridedConv2d(PaddedConv2d):
    """A convolution of square kernels, as a matrix product where that is faster; with zero padding only, else as it is.

    Attributes:
        as_matrix: whether it may be one.
    """

    as_matrix = True

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, in, H, W] to [B, out, H', W']."""
        side, stride, padding = self.kernel_size[0], self.stride[0], self.padding[0]
        if not self.as_matrix or self.padding_mode != "zeros" or not _on_cpu(features):
            return super().forward(features)
        assert isinstance(padding, int)
        batch, _, height, width = features.shape
        rows, lines = ((length + 2 * padding - side) // stride + 1 for length in (height, width))
        # where the output is one pixel wide, oneDNN 3.13 with AMX reads memory that nobody wrote (bf16, torch 2.15)
        if not _few_pixels(features, self.weight) and lines > 1:
            return super().forward(features)
        columns = F.unfold(features, side, stride=stride, padding=padding)  # [B, in * kernel, pixels]
        product = self.weight.flatten(1) @ columns.transpose(0, 1).flatten(1)
        return _with_bias(product.view(-1, batch, rows, lines).transpose(0, 1), self.bias)


class ImageConv2d(PaddedConv2d):
    """A convolution of stride 1 to very few channels, such as the colours of an image, with its rows apart on a CPU.

    A CPU's kernels compute 16 channels at a time, so three leave most of the work unused. Each row of a k x k kernel is
    a 1 x k one: k times the channels at once, then k shifted sums.

    Attributes:
        as_matrix: whether it may be computed so.
    """

    as_matrix = True

    def forward(self, features: Tensor) -> Tensor:
        """Map [B, in, H, W] to [B, out, H', W']."""
        if not self.as_matrix or features.device.type != "cpu" or torch.compiler.is_exporting():
            return super().forward(features)
        side, padding = self.kernel_size[0], self.padding[0]
        assert isinstance(padding, int)
        if padding:
            features = self.padded(features)
        rows = self.weight.permute(2, 0, 1, 3).flatten(0, 1)[:, :, None]  # [k * out, in, 1, k]
        height = features.shape[2] - side + 1
        parts = torch.split(F.conv2d(features, rows), self.out_channels, dim=1)
        made = parts[0][:, :, :height]
        for row, part in enumerate(parts[1:], 1):
            made = made + part[:, :, row : row + height]
        return _with_bias(made, self.bias)


class TransposedConv2d(nn.ConvTranspose2d):
    """``nn.ConvTranspose2d`` of square kernels, as a matrix product where that is faster.

    Attributes:
        as_matrix: whether it may be one.
    """

    as_matrix = True

    def forward(self, features: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map [B, in, H, W] to [B, out, H', W']."""
        if not self.as_matrix or output_size is not None:
            return super().forward(features, output_size)
        padding = self.padding[0]
        assert isinstance(padding, int)
        return transposed(features, self.weight, self.bias, self.stride[0], padding, self.output_padding[0])


def transposed(
    features: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, output_padding: int = 0
) -> Tensor:
    """Return ``F.conv_transpose2d`` of the arguments, as a matrix product where that is faster.

    Args:
        features: [B, in, H, W].
        weight: [in, out, k, k].
        bias: [out].
        stride: in pixels, of both sides, as the next two.
        padding: taken off each border.
        output_padding: added at the lower and the right one.
    """
    if not _few_pixels(features, weight):
        return F.conv_transpose2d(features, weight, bias, stride, padding, output_padding)
    (batch, _, height, width), side = features.shape, weight.shape[-1]
    product = weight.flatten(1).T @ features.transpose(0, 1).flatten(1)  # [out * kernel, B * pixels]
    columns = product.view(-1, batch, height * width).transpose(0, 1)
    rows, lines = ((length - 1) * stride - 2 * padding + side + output_padding for length in (height, width))
    # every output is a sum of several columns: in float32, then rounded once, as a convolution does it
    wide = columns.float() if columns.dtype in (torch.bfloat16, torch.float16) else columns
    made = F.fold(wide, (rows, lines), side, stride=stride, padding=padding).to(columns.dtype)
    return _with_bias(made, bias)


def as_torch_does(network: nn.Module) -> None:
    """Make a network compute with torch's own convolutions: the same numbers but for rounding, in torch's time."""
    for layer in network.modules():
        if isinstance(layer, StridedConv2d | TransposedConv2d | ImageConv2d):
            layer.as_matrix = False


def to_channels_last(network: nn.Module) -> None:
    """Lay the weights out as NHWC, in place; state dicts stay the same."""
    network.to(memory_format=torch.channels_last)


def _with_bias(made: Tensor, bias: Tensor | None) -> Tensor:
    return made if bias is None else made + bias.to(made.dtype).view(-1, 1, 1)


def _few_pixels(features: Tensor, weight: Tensor) -> bool:
    return _on_cpu(features) and weight.numel() >= _WEIGHTS_PER_INPUT * features.numel()


def _on_cpu(features: Tensor) -> bool:
    return features.device.type == "cpu" and not torch.compiler.is_exporting()  # a file keeps convolutions
