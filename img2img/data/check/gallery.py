"""All images of a data folder with what was seen of them: everything, or enough of it within seconds."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from img2img.data.check.look import Look, Shape, Sight, cost, look
from img2img.data.source import Layout, Source, Split
from img2img.report import printable

T = TypeVar("T")

_MAX_HEADS, _MAX_DECODED, _MAX_COST = 1000, 160, 60e6
"""The quick half opens so many files, decodes so many of each domain, and no more pixels than take about a second."""

_BY_NAME = 0.5
"""Share of the smaller domain that must have a partner of the same stem for names to say that these are pairs."""


class Gallery:
    """What the rules look at.

    Args:
        roots: the folders given.
        layout: what was recognised in them, in no order.
        paired: whether images belong together; None where the folder has to say so.
        chosen: whether somebody said which domain is the target.
        size: (height, width) of training crops, or None if that is to be advised.
        whole: whether every file is to be decoded.

    Attributes:
        looks: what was seen; files that were not opened are missing.
        told: whether somebody said that images belong together, or that they do not.
    """

    def __init__(
        self,
        roots: tuple[Path, ...],
        layout: Layout,
        *,
        paired: bool | None,
        chosen: bool,
        size: tuple[int, int] | None,
        whole: bool,
    ) -> None:
        self.roots, self.kind, self.domains = roots, layout.kind, layout.domains
        splits = {"train": layout.train, "validation": layout.validation, "test": layout.test}
        self.splits: dict[str, Split] = {name: split for name, split in splits.items() if split is not None}
        self.paired, self.told, self.chosen, self.size, self.whole = paired, paired is not None, chosen, size, whole
        self.looks: dict[Source, Look] = {}

    def domain(self, split: str, index: int) -> tuple[Source, ...]:
        """Return the images of a domain (0 or 1) of a split."""
        return (self.splits[split].a, self.splits[split].b)[index]

    def everything(self) -> Iterator[tuple[str, int, Source]]:
        """Return (split, domain, image) of all."""
        for split in self.splits:
            for index in (0, 1):
                for source in self.domain(split, index):
                    yield split, index, source

    def shapes(self, split: str | None = None, index: int | None = None) -> list[tuple[Source, Shape]]:
        """Return images whose head was read."""
        chosen = (s for t, i, s in self.everything() if split in {None, t} and index in {None, i})
        return [(s, found.shape) for s in chosen if (found := self.looks.get(s)) and found.shape]

    def sights(self, split: str, index: int) -> list[tuple[Source, Sight]]:
        """Return images that were decoded."""
        return [(s, found.sight) for s in self.domain(split, index) if (found := self.looks.get(s)) and found.sight]

    def pairs(self, split: str) -> list[tuple[Source, Source]]:
        """Return the pairs of a split: by side, or by stem."""
        both = self.splits[split]
        if self.kind == "side by side":
            return list(zip(both.a, both.b, strict=True))
        partners = {source.stem: source for source in both.b}
        return [(a, partners[a.stem]) for a in both.a if a.stem in partners]

    def named_as_pairs(self) -> bool:
        """Return whether the folder is laid out as pairs, whatever the images show."""
        split = self.splits["train"]
        smaller = min(len({s.stem for s in split.a}), len({s.stem for s in split.b}))
        return self.kind == "side by side" or len(self.pairs("train")) >= _BY_NAME * smaller

    def name(self, source: Source) -> str:
        """Return what a message calls an image."""
        return self.name_of(source.path)

    def name_of(self, path: Path) -> str:
        """Return what a message calls a path: as seen from the data folder."""
        for root in self.roots:
            if path.is_relative_to(root):
                below = path.relative_to(root).as_posix()
                return printable(below if len(self.roots) == 1 else f"{root.name}/{below}")
        return printable(str(path))

    def names(self, sources: Iterable[Source]) -> tuple[str, ...]:
        """Return the names of images, each file once."""
        return tuple(dict.fromkeys(self.name(source) for source in sources))

    def fill(self) -> None:
        """Look at all images, or at evenly spread ones."""
        by_path: dict[Path, list[Source]] = {}
        for _, _, source in self.everything():
            by_path.setdefault(source.path, []).append(source)
        with warnings.catch_warnings(), ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            # opening an image sets and resets the process's filters: with threads only this one puts them back
            if self.whole:
                for found in pool.map(lambda group: look(group, decode=True, draft=False), by_path.values()):
                    self.looks.update(found)
                return
            heads = _spread(list(by_path.values()), _MAX_HEADS)
            for found in pool.map(lambda group: look(group, decode=False, draft=True), heads):
                self.looks.update(found)
            for found in pool.map(lambda group: look(group, decode=True, draft=True), self._to_decode(by_path)):
                self.looks.update(found)

    def _to_decode(self, by_path: dict[Path, list[Source]]) -> list[list[Source]]:
        """Choose training files, pairs together, within the work that a second allows."""
        if self.named_as_pairs():
            pairs = _spread(self.pairs("train"), _MAX_DECODED)
            order = [source for pair in pairs for source in pair]
        else:
            split = self.splits["train"]
            a, b = _spread(split.a, _MAX_DECODED), _spread(split.b, _MAX_DECODED)
            order = [source for i in range(max(len(a), len(b))) for side in (a, b) for source in side[i : i + 1]]
        chosen, spent = dict[Path, list[Source]](), 0.0
        for source in order:
            found = self.looks.get(source) or look(by_path[source.path], decode=False, draft=True)[source]
            if found.shape is not None and spent < _MAX_COST:
                spent += cost(found.shape)
                chosen.setdefault(source.path, by_path[source.path])
        return list(chosen.values())


def _spread(items: Sequence[T], count: int) -> list[T]:
    return [items[i * len(items) // count] for i in range(count)] if len(items) > count else list(items)
