"""Switches that make a training faster and change nothing else but rounding."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from img2img.devices import keep_freed_memory
from img2img.methods.base import TranslationModule
from img2img.networks.layers.convolutions import to_channels_last


class Speed(Callback):
    """Lays the networks out for the device's convolutions and compiles them, in place.

    On a CPU, memory of one step is kept for the next. State-dict keys, checkpoints and translator files are
    the same with and without.

    Args:
        channels_last: weights and activations as NHWC in memory.
        compile: each network by ``torch.compile``; the first batches wait for it.
    """

    def __init__(self, *, channels_last: bool, compile: bool) -> None:  # noqa: A002 (torch's word)
        self.channels_last, self.compile = channels_last, compile

    def __str__(self) -> str:
        return ", channels last" * self.channels_last + ", compiled" * self.compile

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Switch, before weights go to the device and averages are copied."""
        del trainer, stage
        assert isinstance(pl_module, TranslationModule)
        for network in dict.fromkeys(n for player in pl_module.players() for n in player.networks):
            if self.channels_last:
                to_channels_last(network)
            if self.compile:
                network.compile()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep memory, once the device is known."""
        del trainer
        if pl_module.device.type == "cpu":
            keep_freed_memory()
