"""How a batch is done, and what does a file that is never in memory whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from img2img.image import Picture
from img2img.translate.controls import Controls
from img2img.translate.files import Files
from img2img.translate.inputs import Job
from img2img.translate.report import Entry
from img2img.translate.translation import Translation

Existing = Literal["skip", "newer", "overwrite", "error"]
"""What to do about files that are there already. ``skip``: leave what these settings have completed, and touch nothing
that is not ours. ``newer``: also replace what is older than its source. ``overwrite``: replace. ``error``: refuse."""

Reached = Callable[[float], None]
"""Called with the part of a file that is done, 0 to 1; raises :class:`StoppedError` where the batch is to end."""


class StoppedError(Exception):
    """The batch was stopped while a file was translated; nothing of it is written."""


class Made(NamedTuple):
    """What became of a file that is never in memory whole.

    Attributes:
        note: what it held that its translation does not.
        pictures: before and after, for the report.
    """

    note: str = ""
    pictures: tuple[Picture, Picture] | None = None


Stream = Callable[[Job, Reached], Made]
"""Translates a file that is never in memory whole, such as a video or a large TIFF: reads and writes it by itself."""


@dataclass(frozen=True)
class How:
    """How a batch is done.

    Args:
        existing: see :data:`Existing`; by default ``skip``, and for one file to one file ``overwrite``.
        fail_fast: stop at the first failure.
        threads: that read, and again as many that write; by default what suits the machine.
        memory: bytes that pictures between reading and writing may take.
        files: what is read and kept of files.
        controls: what of the source is kept.
        resizes: whether outputs have other sizes than inputs.
        stream: asked for every file; returns what translates it if it is never in memory whole, else None.
        beside: the same translation on further devices.
        settings: what decides the outputs' bytes beside that, for the journal.
        part: see :meth:`Journal.of`.
        shown: names of inputs whose pictures before and after are kept; by default some, evenly spread.
        stop: asked before every image; once true, what has begun is finished and the rest is left. A video that has
            begun is not: it would take too long, and nothing of it is written.
        progress: called with each entry.
        within: called with the part of a video that is done, 0 to 1.
    """

    existing: Existing | None = None
    fail_fast: bool = False
    threads: int | None = None
    memory: int = 2_000_000_000
    files: Files = field(default_factory=Files)
    controls: Controls = field(default_factory=Controls)
    resizes: bool = False
    stream: Callable[[Job], Stream | None] = lambda _: None
    beside: tuple[Translation, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    part: str = ""
    shown: frozenset[str] | None = None
    stop: Callable[[], bool] = lambda: False
    progress: Callable[[Entry], None] | None = None
    within: Callable[[float], None] = lambda _: None

    def reached(self, part: float) -> None:
        """Take note of the part of a file that is done; see :data:`Reached`."""
        if self.stop():
            raise StoppedError
        self.within(part)
