"""The report as a page with pictures."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from img2img import report as html
from img2img.data.check.finding import Finding, Report
from img2img.data.source import Source
from img2img.data.transforms import load_pixels
from img2img.errors import DataError
from img2img.image import atomically
from img2img.report import printable

_WIDTH_PX = 240
_LISTED = 40
_UNREAD = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 10 10'%3E"
    "%3Cpath d='M1 1l8 8M9 1l-8 8' stroke='%23c33'/%3E%3C/svg%3E"
)


def write_page(path: Path, title: str, report: Report) -> None:
    """Write the report as one HTML file that opens from disk; it is whole or not there."""
    sections = [html.paragraph(report.summary), html.table([(name, printable(words)) for name, words in report.facts])]
    if report.samples:
        sections.append(html.section("Some of the images", html.figures([_figure(row) for row in report.samples])))
    sections += [_section(finding) for finding in report.findings]
    with atomically(path) as file:
        file.write(html.page(printable(title), *sections).encode())


def _section(finding: Finding) -> str:
    plain = finding.plain()
    parts = [html.paragraph(f"{plain['said']}. To do: {finding.kind.remedy}.")]
    if finding.pictures:
        parts.append(html.figures([_figure(row) for row in finding.pictures]))
    if finding.names:
        parts.append(html.paragraph(", ".join(plain["names"][:_LISTED]) + (" ..." if plain["count"] > _LISTED else "")))
    return html.section(f"{finding.kind.severity}: {finding.kind.name}", *parts)


def _figure(row: tuple[Source, ...]) -> tuple[list[tuple[str, str]], str]:
    return [(_label(source), _address(source)) for source in row], ""


def _label(source: Source) -> str:
    return printable(source.label)


def _address(source: Source) -> str:
    try:
        pixels = load_pixels(source, 3)
    except DataError:
        return _UNREAD
    image = Image.fromarray(pixels)
    image.thumbnail((_WIDTH_PX, _WIDTH_PX))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return html.embedded(buffer.getvalue(), "jpeg")
