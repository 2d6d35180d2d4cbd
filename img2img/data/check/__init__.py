"""Everything that is wrong with a data folder, before an hour is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from img2img.data.check import advice, content, copies, counts, files, listed, pairing, sizes, tree
from img2img.data.check.finding import SEVERITIES, Finding, Kind, Report, Severity, kinds, sort
from img2img.data.check.gallery import Gallery
from img2img.data.folder import LAYOUTS, find_layout
from img2img.data.manifest import is_manifest
from img2img.data.shards import refuse_shards
from img2img.data.source import Layout, Source
from img2img.errors import DataError

__all__ = ["KINDS", "SEVERITIES", "Finding", "Kind", "Report", "Severity", "check", "check_layout"]

_RULES = (counts, files, sizes, tree, copies, pairing, content)

KINDS: tuple[Kind, ...] = tuple(dict.fromkeys(kind for rule in (*_RULES, listed) for kind in kinds(vars(rule))))
"""Everything that can be found."""

_SAMPLES = 6


def check(
    roots: Sequence[Path],
    *,
    domains: Sequence[str] | None = None,
    to: str | None = None,
    paired: bool | None = None,
    size: tuple[int, int] | None = None,
    quick: bool = False,
) -> Report:
    """Look at a data folder.

    Args:
        roots: one data folder, or the two folders of the domains.
        domains: their names, as for a training.
        to: the domain that is translated into; the second one by default.
        paired: whether images belong together; by default names and edges decide.
        size: (height, width) of training crops in pixels; by default what suits the images.
        quick: look at a sample that takes a few seconds, whatever the size of the folder: heads of 1,000 files, pixels
            of 160 images a domain, copies by their bytes.

    Returns:
        The report. A folder that cannot be used at all is a finding, not an exception. Of a manifest all files are
        looked at, quick or not.

    Raises:
        DataError: for a folder of shards.
    """
    if any(map(is_manifest, roots)):
        return listed.report_on(roots, domains=domains, to=to, paired=paired)
    refuse_shards(roots, "img2img data check")
    try:
        layout = _layout(roots, domains, to)
    except (DataError, OSError) as error:
        said = str(error).replace(LAYOUTS, "one of the layouts in datasets/README.md")
        return Report((), (Finding(counts.LAYOUT, " ".join(said.split())),))
    given = [word for root in roots for word in ("--data", str(root))]
    given += ["--domains", *domains] if domains else []
    given += ["--to", to] if to else []
    gallery = Gallery(tuple(roots), layout, paired=paired, chosen=to is not None, size=size, whole=not quick)
    return _report(gallery, given)


def check_layout(
    roots: Sequence[Path], layout: Layout, *, paired: bool, chosen: bool, size: tuple[int, int] | None
) -> Report:
    """Look quickly at what a training has listed; see :func:`check`.

    Args:
        roots: the folders.
        layout: what was found in them.
        paired: whether the method takes pairs.
        chosen: whether the target was named.
        size: of training crops.
    """
    gallery = Gallery(tuple(roots), layout, paired=paired, chosen=chosen, size=size, whole=False)
    return _report(gallery, ())


def _report(gallery: Gallery, given: Sequence[str]) -> Report:
    gallery.fill()
    gallery.paired, found = pairing.decide(gallery)
    rules: list[Callable[[Gallery], Iterator[Finding]]] = [rule.find for rule in _RULES]
    findings = sort([finding for rule in rules for finding in rule(gallery)])
    return Report(tuple(advice.facts(gallery, found, given)), findings, _samples(gallery))


def _samples(gallery: Gallery) -> tuple[tuple[Source, ...], ...]:
    split = gallery.splits["train"]
    rows = gallery.pairs("train") if gallery.paired else list(zip(split.a, split.b, strict=False))
    return tuple(rows[:: max(len(rows) // _SAMPLES, 1)][:_SAMPLES])


def _layout(roots: Sequence[Path], domains: Sequence[str] | None, to: str | None) -> Layout:
    """Recognise the layout with orphans and all: first as two domains, then as pairs side by side."""
    try:
        return find_layout(roots, paired=False, domains=domains, to=to)
    except DataError as error:
        try:
            return find_layout(roots, paired=True, domains=domains, to=to, allow_orphans=True)
        except DataError:
            raise error from None
