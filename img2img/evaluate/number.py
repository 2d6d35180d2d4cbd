"""What every measurement returns: a number that carries its name, its sense, its count and its definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Number:
    """One measured number with what is needed to read it.

    Attributes:
        name: the field's term, in lower case: ``fid``, ``kid``, ``lpips``, ``psnr``.
        value: the number, in ``unit``.
        better: which way is better; ``neither`` where the number only describes.
        count: images (or pairs) that it was made of.
        definition: what exactly was computed, in one line, with the source: two numbers compare only where these agree.
        unit: ``dB``, ``levels`` ...; empty for a plain number.
        interval: bounds of a 95 % interval, or None where there is no honest one.
        each: the values of single images by name, in order; empty for a number of whole sets.
        settings: what it depends on besides the images (subset size, seed, hash of the weights).
        draws: its values on sets drawn anew (or without each group), in an order that another evaluation of the same
            references shares; empty where it has single images, or nothing was drawn.
    """

    name: str
    value: float
    better: Better
    count: int
    definition: str
    unit: str = ""
    interval: tuple[float, float] | None = None
    each: tuple[tuple[str, float], ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    draws: tuple[float, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return it as JSON holds it, without the single images."""
        found: dict[str, Any] = {"value": self.value, "better": self.better, "count": self.count}
        if self.unit:
            found["unit"] = self.unit
        if self.interval is not None:
            found["interval_95"] = list(self.interval)
        found["definition"] = self.definition
        return found | ({"settings": dict(self.settings)} if self.settings else {})
