"""How much is translated at once, and what is done with more."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from img2img.networks.base import Generator
from img2img.translate.fitting import fitting_px, free_bytes_of
from img2img.translate.statistics import device_of

StatisticsName = Literal["auto", "exact", "pooled", "reduced", "none"]
"""Where the statistics of per-image norms come from.

* ``exact``: the whole image. In one pass where it fits into memory, else in one pass over the tiles for every norm.
* ``pooled``: windows from all over the image, in groups that fit into memory, each by its own statistics; these are
  pooled over at most eight groups. Near those of the whole, docs/tiles.md says how near.
* ``reduced``: the image reduced to 4 megapixels, or to what fits, in one pass; docs/tiles.md says how far the result
  then is from that of the whole.
* ``none``: each tile takes its own. Colours then change from tile to tile: for comparison.
* ``auto``: ``exact`` where the image fits into memory at once, else ``pooled``.
"""

Say = Callable[[str], None]
"""Called with what the user should know, one line each."""
_SMALL_PX = 512 * 512
"""Images of so few pixels are tried without asking how much memory there is."""


@dataclass(frozen=True)
class Memory:
    """How images that may not fit into memory are translated, see :mod:`img2img.translate.tiles`.

    Args:
        tile_px: side of tiles, rounded down to the network's size multiple; ``auto`` tiles only what does not fit, None
            never tiles.
        overlap_px: how far a tile reaches beyond its own part, rounded up to the size multiple. None: as far as the
            result needs it, at most 256 px and a quarter of the tile.
        statistics: where those of norms come from in tiles, see :data:`StatisticsName`.
        say: called with what the user should know.
        whole_px: with ``auto``, pixels that are translated at once, and with them the largest tile; None asks for each
            image how much memory is free.
    """

    tile_px: int | Literal["auto"] | None = "auto"
    overlap_px: int | None = None
    statistics: StatisticsName = "auto"
    say: Say = lambda _: None
    whole_px: int | None = None

    def at_once(self, network: Generator, image_px: int, images: int) -> int:
        """Return how many of some images of one size are translated at once; 0: each in tiles."""
        if isinstance(self.tile_px, int):
            return 0
        if self.tile_px is None or images * image_px <= _SMALL_PX:
            return images
        return min(self.fitting_px(network) // image_px, images)

    def fitting_tile_px(self, network: Generator) -> int:
        """Return the side of the largest square tile that fits, a multiple of the network's ``size_multiple``; or 0."""
        return math.isqrt(self.fitting_px(network)) // network.size_multiple * network.size_multiple

    def fitting_px(self, network: Generator) -> int:
        """Return how many pixels the network translates at once."""
        return fitting_px(network, free_bytes_of(device_of(network))) if self.whole_px is None else self.whole_px
