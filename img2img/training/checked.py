"""What the quick data check has to say before a training starts."""

from __future__ import annotations

from rich.console import Console

from img2img.data.check import check_layout, content, copies
from img2img.data.module import ImageData
from img2img.data.shards import has_index
from img2img.data.source import Layout, Split

_MOST_LINES = 5
_OF_TWO_DOMAINS = {copies.SAME_DOMAINS, copies.SAME_PAIRS, content.NAMES}
"""What means nothing where the source of a pair is made of its target."""


def say_findings(console: Console, data: ImageData) -> None:
    """Say errors and warnings about the images, a line each, at most six; nothing where there are none.

    Args:
        console: where to.
        data: what is about to be trained on.
    """
    assert data.layout is not None
    if data.listed:
        return  # every file of a manifest has been looked at
    if has_index(data.roots):
        console.print("data in shards: not checked; img2img data check looks at the folder before", highlight=False)
        return
    layout = data.layout
    if data.held_out and layout.validation is not None:  # held-out images are training images for this purpose
        train = Split(layout.train.a + layout.validation.a, layout.train.b + layout.validation.b)
        layout = Layout(layout.kind, layout.domains, train, None, layout.test)
    report = check_layout(
        data.roots, layout, paired=data.paired, chosen=data.to is not None, size=data.preprocessing.size
    )
    found = [*report.of("error"), *report.of("warning")]
    if data.derive is not None:
        found = [finding for finding in found if finding.kind not in _OF_TWO_DOMAINS]
    for finding in found[:_MOST_LINES]:
        console.print(f"data {finding.line}", style="yellow", highlight=False, soft_wrap=True, markup=False)
    if len(found) > _MOST_LINES:
        more = f"{len(found) - _MOST_LINES} more kinds of fault: see img2img data check"
        console.print(more, style="yellow", highlight=False, soft_wrap=True)
