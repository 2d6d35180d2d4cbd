"""A manifest: every file that it names, and how often each class is in its label maps."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from img2img.data.check.counts import LAYOUT
from img2img.data.check.finding import Finding, Kind, Report
from img2img.data.folder import directed
from img2img.data.manifest import Manifest, layout_of, read_manifest, sides_of
from img2img.data.source import Layout
from img2img.data.verify import Look, look
from img2img.errors import DataError

ROW = Kind(
    "row of a manifest",
    "error",
    "rows of a manifest whose file is missing, cannot be read, is of another kind than its column, or of another size",
    "mend the files, the rows, or the head of the column",
)
ABSENT = Kind(
    "class without pixels",
    "note",
    "classes of a label map that no pixel of a manifest's files has",
    "leave them out if they are not meant to be there",
)


def report_on(roots: Sequence[Path], *, domains: Sequence[str] | None, to: str | None, paired: bool | None) -> Report:
    """Look at every file of a manifest, or of two with a side each; arguments as for ``check``."""
    try:
        manifests = [read_manifest(root) for root in roots]
        both = all(all(row.cells) for manifest in manifests for row in manifest.rows) and len(manifests) == 1
        paired = both if paired is None else paired
        sides_of(manifests, one_way=paired)
        layout = directed(layout_of(manifests, paired=paired, domains=domains), to)
    except DataError as error:
        return Report((), (Finding(LAYOUT, " ".join(str(error).split())),))
    found = look(manifests)
    given = [word for root in roots for word in ("--data", str(root))]
    given += [*(["--domains", *domains] if domains else []), *(["--to", to] if to else [])]
    return Report(tuple(_facts(manifests, layout, found, given, paired=paired)), tuple(_findings(found)))


def _facts(
    manifests: Sequence[Manifest], layout: Layout, found: Look, given: Sequence[str], *, paired: bool
) -> Iterator[tuple[str, str]]:
    yield "layout", f"manifest, {layout.domains[0]} -> {layout.domains[1]}"
    splits = {"train": layout.train, "validation": layout.validation, "test": layout.test}
    yield (
        "images",
        ", ".join(
            f"{name} {len(split.a):,} {'pairs' if paired else f'+ {len(split.b):,}'}"
            for name, split in splits.items()
            if split is not None
        ),
    )
    yield "columns", ", ".join(column.text for manifest in manifests for column in manifest.columns)
    yield "files", f"{found.files:,} looked at"
    for text, classes in found.pixels.items():
        total = max(sum(count for _, _, count in classes), 1)
        shares = (
            f"{one}{f' {name}' * (name != str(one))} {count / total:.1%}" for one, name, count in classes if count
        )
        yield text, ", ".join(shares)
    method = "pix2pix" if paired else "cyclegan"
    yield "advice", f"img2img train --method {method} {shlex.join(given)} --out RUN"


def _findings(found: Look) -> Iterator[Finding]:
    if found.faults:
        said = tuple(f"{fault.where}: {fault.said}" for fault in found.faults)
        yield Finding(ROW, f"{len(said)} files are not what the manifest says", said)
    for text, classes in found.pixels.items():
        absent = [name for _, name, count in classes if not count and name != "void"]
        if absent:
            yield Finding(ABSENT, f"column {text}: no pixel of class {', '.join(absent)}")
