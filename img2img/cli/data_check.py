"""``img2img data check``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def check(
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Data folder or list (.csv, .jsonl); or two, one per domain.", metavar="DATA", show_default=False
        ),
    ],
    domains: Annotated[
        tuple[str, str] | None, typer.Option(help="Names of the two domains: A B, left right, or two folders.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Domain to translate into; the second by default.")] = None,
    method: Annotated[
        str | None, typer.Option(help="pix2pix or cyclegan, to say whether these are pairs; else the images do.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Side of training crops in pixels; else what suits the images.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Look at a sample, within seconds, as train does before it starts.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings count as errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print plain data.")] = False,
    page: Annotated[Path | None, typer.Option("--page", help="Write an HTML page with pictures there.")] = None,
) -> None:
    """Tell everything that is wrong with a data folder before an hour is lost.

    Every image is decoded whole; with --quick a sample is. The exit code is 1 if there are errors (with --strict: or
    warnings), else 0.

    [bold]Examples[/bold]

    img2img data check horse2zebra/ --domains horse zebra --page check.html

    img2img data check drawings/ --to colour --quick
    """
    import json
    import time

    from img2img.data.check import check as look
    from img2img.errors import ConfigError
    from img2img.report import printable

    if method not in {None, "pix2pix", "cyclegan"}:
        raise ConfigError(f"--method {method}: expected pix2pix or cyclegan")
    paired = None if method is None else method == "pix2pix"
    began = time.perf_counter()
    report = look(data, domains=domains, to=to, paired=paired, size=None if size is None else (size, size), quick=quick)
    if page is not None:
        from img2img.data.check.page import write_page

        write_page(page, f"Data check of {' and '.join(map(str, data))}", report)
    if as_json:
        typer.echo(json.dumps({"data": [printable(str(path)) for path in data], **report.plain()}, indent=2))
    else:
        seconds = f"{time.perf_counter() - began:.1f} s"
        for name, words in (*report.facts, ("took", seconds)):
            typer.echo(printable(f"{name:10} {words}"))
        for finding in report.findings:
            typer.echo(finding.line)
        typer.echo(report.summary + (f"; pictures: {page}" if page else ""))
    if report.of("error") or (strict and report.of("warning")):
        sys.exit(1)
