"""One-file HTML pages that open from disk: pictures side by side, curves, tables. Strings in, a string out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; }
td, th { padding: .25rem .7rem; text-align: left; border-bottom: 1px solid var(--line); }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.grid { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
figure { margin: 0; padding: .5rem; background: var(--soft); border-radius: 8px; }
figure .row { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 4px; }
figure img, .panel img { width: 100%; display: block; border-radius: 3px; }
figure .row span, .panel .row span { font-size: .75rem; opacity: .7; text-align: center; }
figcaption { font-size: .8rem; opacity: .8; margin-top: .3rem; overflow-wrap: anywhere; }
.gallery { display: grid; gap: 4px; overflow-x: auto; align-items: start; }
.gallery span { font-size: .8rem; overflow-wrap: anywhere; } .gallery .name { grid-column: 1 / -1; opacity: .7; }
.gallery img { max-width: 100%; max-height: var(--side); display: block; cursor: zoom-in; }
.gallery label { position: relative; }
.gallery input { position: absolute; opacity: 0; } .gallery input:focus-visible + img { outline: 2px solid; }
.gallery input:checked + img { position: fixed; inset: 0; z-index: 1; width: 100vw; height: 100vh; max-height: none;
  cursor: zoom-out; object-fit: contain; background: #000d; }
.panel { max-width: 900px; } .panel .row { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; }
svg { width: 100%; max-width: 900px; height: auto; background: var(--soft); border-radius: 8px; }
code { background: var(--soft); padding: .1rem .3rem; border-radius: 4px; }
"""

_COLOURS = ("#3b82f6", "#ef4444", "#10b981", "#f59e0b", "#8b5cf6", "#ec4899", "#14b8a6", "#64748b")
_WIDTH, _HEIGHT, _MARGIN = 900, 260, 40


def page(title: str, *sections: str, style: str = "", script: str = "") -> str:
    """Return a whole page, with a style sheet and a script of its own where there are such."""
    tail = f"<script>{script}</script>" if script else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}{style}</style></head>'
        f"<body><h1>{escape(title)}</h1>{''.join(sections)}{tail}</body></html>\n"
    )


def section(heading: str, *parts: str) -> str:
    """Return a heading with what stands below it."""
    return f"<h2>{escape(heading)}</h2>{''.join(parts)}"


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def table(rows: Sequence[Sequence[object]], head: Sequence[str] = ()) -> str:
    """Return a table; numbers are set to the right."""
    top = "<tr>" + "".join(f"<th>{escape(h)}</th>" for h in head) + "</tr>" if head else ""
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return f"<table>{top}{body}</table>"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.4g}</td>'
    return f'<td class="number">{value}</td>' if isinstance(value, int) else f"<td>{escape(str(value))}</td>"


def embedded(image: bytes, kind: str = "png") -> str:
    """Return the address of a PNG, or of another kind of image, that travels inside the page."""
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def figures(items: Sequence[tuple[Sequence[tuple[str, str]], str]]) -> str:
    """Return a grid of figures.

    Args:
        items: per figure the images side by side as (label, address), and the caption.
    """
    out = []
    for images, caption in items:
        labels = "".join(f"<span>{escape(label)}</span>" for label, _ in images)
        pictures = "".join(f'<img loading="lazy" alt="{escape(label)}" src="{escape(src)}">' for label, src in images)
        rows = f'<div class="row">{pictures}</div><div class="row">{labels}</div>'
        out.append(f"<figure>{rows}<figcaption>{escape(caption)}</figcaption></figure>")
    return f'<div class="grid">{"".join(out)}</div>'


def panel(address: str, columns: Sequence[str], caption: str) -> str:
    """Return one wide picture whose equal columns are labelled."""
    labels = "".join(f"<span>{escape(column)}</span>" for column in columns)
    return (
        f'<div class="panel"><p>{escape(caption)}</p><div class="row">{labels}</div>'
        f'<img loading="lazy" alt="{escape(caption)}" src="{escape(address)}"></div>'
    )


def gallery(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], side_px: int) -> str:
    """Return rows of pictures under common heads: a click shows one as large as the window, another puts it back.

    Args:
        columns: heads.
        rows: name, and addresses of as many pictures.
        side_px: longest side of a picture until it is clicked.
    """
    cells = [f"<span>{escape(column)}</span>" for column in columns]
    for name, addresses in rows:
        for column, address in zip(columns, addresses, strict=True):
            picture = f'<img loading="lazy" alt="{escape(f"{name}, {column}")}" src="{escape(address)}">'
            cells.append(f'<label><input type="checkbox">{picture}</label>')
        cells.append(f'<span class="name">{escape(name)}</span>')
    width = "minmax(min(9rem, var(--side)), var(--side))"
    widths = f"--side: {side_px}px; grid-template-columns: repeat({len(columns)}, {width})"
    return f'<div class="gallery" style="{widths}">{"".join(cells)}</div>'


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]],
    x_label: str,
    marks: Sequence[tuple[float, float, str]] = (),
) -> str:
    """Return line curves over a common axis as an inline drawing.

    Args:
        series: per name the points (x, y), finite, in the order of x.
        x_label: what x counts.
        marks: points (x, y) to ring, each with its word.
    """
    points = [point for line in series.values() for point in line]
    if not points:
        return paragraph("No values yet.")
    low_x, high_x = min(x for x, _ in points), max(x for x, _ in points)
    low_y, high_y = min(0.0, *(y for _, y in points)), max(y for _, y in points)
    span_x, span_y = (high_x - low_x) or 1.0, (high_y - low_y) or 1.0

    def place(x: float, y: float) -> str:
        across = _MARGIN + (x - low_x) / span_x * (_WIDTH - 2 * _MARGIN)
        down = _HEIGHT - _MARGIN - (y - low_y) / span_y * (_HEIGHT - 2 * _MARGIN)
        return f"{across:.1f},{down:.1f}"

    drawn, legend = [], []
    for index, (name, line) in enumerate(series.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        path = " ".join(place(x, y) for x, y in line)
        drawn.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{path}"/>')
        legend.append(f'<tspan fill="{colour}" dx="12">{escape(name)}</tspan>')
    for x, y, word in marks:
        across, down = place(x, y).split(",")
        beyond = float(across) > _WIDTH / 2
        side = 'text-anchor="end" dx="-9"' if beyond else 'dx="9"'
        drawn.append(
            f'<circle cx="{across}" cy="{down}" r="5" fill="none" stroke="currentColor" stroke-width="2"/>'
            f'<text x="{across}" y="{down}" {side} dy="-6" font-size="12" fill="currentColor">{escape(word)}</text>'
        )
    bottom = _HEIGHT - 12
    axes = (
        _label(_MARGIN, bottom, f"{low_x:,.0f}")
        + _label(_WIDTH - _MARGIN, bottom, f"{high_x:,.0f} {x_label}", "end")
        + _label(4, _MARGIN, f"{high_y:.3g}")
        + _label(4, _HEIGHT - _MARGIN, f"{low_y:.3g}")
    )
    names = f'<text x="{_MARGIN}" y="18" font-size="12">{"".join(legend)}</text>'
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(drawn)}{axes}{names}</svg>'


def _label(x: int, y: int, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" font-size="11" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'


def smoothed(points: Sequence[tuple[float, float]], keep: int = 200) -> list[tuple[float, float]]:
    """Average neighbouring points so that at most ``keep`` remain: batch losses are noise around a trend."""
    if len(points) <= keep:
        return list(points)
    bounds = [round(i * len(points) / keep) for i in range(keep + 1)]
    return [(points[(a + b) // 2][0], sum(y for _, y in points[a:b]) / (b - a)) for a, b in pairwise(bounds) if b > a]


def printable(text: str) -> str:
    """Return text that every console and page can show: bytes of a name that are no UTF-8 as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
