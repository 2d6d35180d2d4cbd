"""Pictures in rows and columns on one, with words where they are wanted."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from img2img.errors import DataError
from img2img.image.opening import MAX_PIXELS

_TEXT_PX = 14
_LINE_PX = 22
_TITLE_PX = 20
_MARGIN_PX = 12


def montage(
    rows: Sequence[Sequence[Image.Image]],
    columns: Sequence[str] = (),
    names: Sequence[str] = (),
    title: str = "",
    *,
    captions: Sequence[Sequence[str]] = (),
    gap_px: int = 4,
) -> Image.Image:
    """Lay pictures out row by row on white.

    Args:
        rows: RGB or grey pictures of any size; columns are as wide as the widest of all, and rows may end early.
        columns: words above the columns.
        names: words below the rows.
        title: words above all.
        captions: words below each picture, instead of ``names``.
        gap_px: white between pictures.

    Returns:
        RGB, with a margin only where there are words.

    Raises:
        DataError: if it would have more pixels than an image may.
    """
    margin = _MARGIN_PX if columns or names or title else 0
    wide = max(image.width for row in rows for image in row)
    high = [max(image.height for image in row) for row in rows]
    across = max(map(len, rows))
    width = across * (wide + gap_px) - gap_px + 2 * margin
    head = margin + (_TITLE_PX + _MARGIN_PX) * bool(title)
    top = head + _LINE_PX * bool(columns)
    line = _LINE_PX * bool(names or captions)
    height = top + sum(high) + len(rows) * (line + gap_px) - gap_px + margin
    if width * height > MAX_PIXELS:
        raise DataError(
            f"a sheet of {width}x{height} px is more than the {MAX_PIXELS / 1e6:.4g} megapixels of an image; "
            "show fewer or smaller pictures"
        )
    canvas = Image.new("RGB", (width, height), "white")
    words = ImageDraw.Draw(canvas)
    lefts = [margin + index * (wide + gap_px) for index in range(across)]
    if title:
        _write(words, (margin, margin), title, _TITLE_PX, width - 2 * margin)
    for left, column in zip(lefts, columns, strict=bool(columns)):
        _write(words, (left, head), column, _TEXT_PX, wide)
    for index, row in enumerate(rows):
        below = top + high[index] + 2
        for left, image in zip(lefts, row, strict=False):
            canvas.paste(image.convert("RGB"), (left, top))
        for left, caption in zip(lefts, captions[index] if captions else (), strict=False):
            _write(words, (left, below), caption, _TEXT_PX, wide, "#666666")
        if names:
            _write(words, (margin, below), names[index], _TEXT_PX, width - 2 * margin, "#666666")
        top += high[index] + line + gap_px
    return canvas


def _write(
    words: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, room_px: int, colour: str = "black"
) -> None:
    """Write one line; what is too long loses its middle, as names differ at their ends."""
    font = ImageFont.load_default(size)
    text = _plain(text)
    shown, keep = text, len(text)
    while keep > 1 and words.textlength(shown, font) > room_px:
        keep -= 1
        shown = f"{text[: keep // 2]}...{text[len(text) - (keep - keep // 2) :]}"
    words.text(at, shown, colour, font)


def _plain(text: str) -> str:
    """Return text in the letters that Pillow's own font has: accents are left out, other scripts become escapes."""
    letters = [letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter)]
    return " ".join("".join(letters).encode("ascii", "backslashreplace").decode().split())
