"""The published generators, written anew from their description in plain torch.nn: what an import is measured against.

Sequential numbering is theirs (padding, norm, activation and dropout layers take numbers too), so the
``state_dict`` has the published names.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def instance(channels):
    return nn.InstanceNorm2d(channels)


def affine(channels):
    return nn.InstanceNorm2d(channels, affine=True)


def instance_of_2017(channels):
    """With the running statistics that files from before PyTorch 0.4 hold; never used."""
    return nn.InstanceNorm2d(channels, track_running_stats=True).train()


batch = nn.BatchNorm2d


def no_norm(_):
    return nn.Identity()


class Block(nn.Module):
    def __init__(self, channels, norm, bias, dropout=False, pad=nn.ReflectionPad2d):
        super().__init__()

        def padded():
            before = [] if pad is None else [pad(1)]
            return [*before, nn.Conv2d(channels, channels, 3, padding=int(pad is None), bias=bias), norm(channels)]

        drop = [nn.Dropout(0.5)] if dropout else []
        self.conv_block = nn.Sequential(*padded(), nn.ReLU(inplace=True), *drop, *padded())

    def forward(self, x):
        return x + self.conv_block(x)


class Half(nn.Module):
    """CUT: a [1, 2, 1] filter kept as a buffer, at every other pixel, after mirroring."""

    def __init__(self, channels):
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0])
        kernel = row[:, None] * row[None, :]
        self.register_buffer("filt", (kernel / kernel.sum())[None, None].repeat(channels, 1, 1, 1))

    def forward(self, x):
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt, stride=2, groups=x.shape[1])


class Double(nn.Module):
    """CUT: the transposed [1, 3, 3, 1] filter kept as a buffer, after replicating the border, then cropped."""

    def __init__(self, channels):
        super().__init__()
        row = torch.tensor([1.0, 3.0, 3.0, 1.0])
        kernel = row[:, None] * row[None, :]
        self.register_buffer("filt", (kernel / kernel.sum() * 4)[None, None].repeat(channels, 1, 1, 1))

    def forward(self, x):
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(padded, self.filt, stride=2, padding=2, groups=x.shape[1])[:, :, 1:-1, 1:-1]


class ResNet(nn.Module):
    """CycleGAN's (halvings 2), pix2pixHD's global generator (halvings 4, biased), and CUT's (``antialias``)."""

    def __init__(self, channels=(3, 3), width=4, blocks=6, norm=instance, halvings=2, biased=None, **options):
        super().__init__()
        down, up = options.pop("antialias", False), options.pop("antialias_up", False)
        bias = norm not in {batch, no_norm} if biased is None else biased
        layers = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(channels[0], width, 7, bias=bias),
            norm(width),
            nn.ReLU(inplace=True),
        ]
        for i in range(halvings):
            c = width * 2**i
            layers += [
                nn.Conv2d(c, 2 * c, 3, stride=1 if down else 2, padding=1, bias=bias),
                norm(2 * c),
                nn.ReLU(inplace=True),
                *([Half(2 * c)] if down else []),
            ]
        layers += [Block(width * 2**halvings, norm, bias, **options) for _ in range(blocks)]
        for i in reversed(range(halvings)):
            c = width * 2**i
            layers += (
                [Double(2 * c), nn.Conv2d(2 * c, c, 3, padding=1, bias=bias)]
                if up
                else [nn.ConvTranspose2d(2 * c, c, 3, stride=2, padding=1, output_padding=1, bias=bias)]
            )
            layers += [norm(c), nn.ReLU(inplace=True)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels[1], 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x)


class Skip(nn.Module):
    """One level of the published U-Net around the next one."""

    def __init__(self, outer, inner, norm, bias, *, inside=None, source=None, dropout=False):
        super().__init__()
        self.outermost = source is not None
        first = nn.Conv2d(source if self.outermost else outer, inner, 4, 2, 1, bias=bias)
        into = inner if inside is None else 2 * inner
        last = nn.ConvTranspose2d(into, outer, 4, 2, 1, bias=bias or self.outermost)
        if self.outermost:
            layers = [first, inside, nn.ReLU(inplace=True), last, nn.Tanh()]
        elif inside is None:
            layers = [nn.LeakyReLU(0.2, inplace=True), first, nn.ReLU(inplace=True), last, norm(outer)]
        else:
            layers = [
                nn.LeakyReLU(0.2, inplace=True),
                first,
                norm(inner),
                inside,
                nn.ReLU(inplace=True),
                last,
                norm(outer),
            ]
        self.model = nn.Sequential(*layers, *([nn.Dropout(0.5)] if dropout else []))

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class UNet(nn.Module):
    def __init__(self, channels=(3, 3), width=2, depth=8, norm=batch, dropout=True):
        super().__init__()
        bias = norm is not batch
        level = Skip(8 * width, 8 * width, norm, bias)
        for _ in range(depth - 5):
            level = Skip(8 * width, 8 * width, norm, bias, inside=level, dropout=dropout)
        for times in (4, 2, 1):
            level = Skip(times * width, 2 * times * width, norm, bias, inside=level)
        self.model = Skip(channels[1], width, norm, bias, inside=level, source=channels[0])

    def forward(self, x):
        return self.model(x)


class Relative(nn.Module):
    """The ResNet family under other names: parts with names of their own, doubling by nearest neighbour."""

    def __init__(self, width=4, blocks=3, *, nearest=False):
        super().__init__()

        def step(*layers, channels):
            return nn.Sequential(*layers, nn.InstanceNorm2d(channels), nn.ReLU())

        def grow(c):
            if nearest:
                return [nn.Upsample(scale_factor=2), nn.Conv2d(c, c // 2, 3, padding=1)]
            return [nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1)]

        self.stem = step(nn.Conv2d(3, width, 7, padding=3, padding_mode="reflect"), channels=width)
        self.encode = nn.ModuleList([step(nn.Conv2d(c, 2 * c, 3, 2, 1), channels=2 * c) for c in (width, 2 * width)])
        wide = 4 * width
        self.bottle = nn.ModuleList(
            [
                nn.ModuleDict(
                    {
                        "one": step(nn.Conv2d(wide, wide, 3, padding=1, padding_mode="reflect"), channels=wide),
                        "two": nn.Conv2d(wide, wide, 3, padding=1, padding_mode="reflect"),
                    }
                )
                for _ in range(blocks)
            ]
        )
        self.decode = nn.ModuleList([step(*grow(c), channels=c // 2) for c in (wide, wide // 2)])
        self.head = nn.Conv2d(width, 3, 7, padding=3, padding_mode="reflect")

    def forward(self, x):
        x = self.stem(x)
        for layer in self.encode:
            x = layer(x)
        for block in self.bottle:
            x = x + F.instance_norm(block["two"](block["one"](x)))
        for layer in self.decode:
            x = layer(x)
        return torch.tanh(self.head(x))


def drawn(network, seed=0):
    """Give every tensor values that a mistake would show in: weights, biases, norms, running statistics."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("filt") or not tensor.is_floating_point():
            continue
        if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
            tensor.copy_(torch.rand(tensor.shape, generator=random) + 0.5)
        else:
            tensor.copy_(torch.randn(tensor.shape, generator=random) * 0.2)
    return network


def as_published(network, *, evaluating=False):
    """Run as the published test command does: in training mode unless told ``--eval``; dropout off either way."""
    network.train(not evaluating)
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()
    return network
