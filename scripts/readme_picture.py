"""Make the README's picture from a demo: every n-th held-back drawing by name, none chosen by hand.

Usage: python scripts/readme_picture.py [.demo] [docs/demo.png]
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from img2img.shipped import shipped

COLUMNS, SIDE_PX, GAP_PX = 10, 96, 6


def main(demo: Path, out: Path) -> None:
    """Lay out drawings, translations and the artist's pictures, one column a drawing."""
    wanted = shipped("datasets", "line2flat", "val", "flat")
    names = sorted(path.name for path in (demo / "translated").glob("*.png"))
    names = [names[round((i + 0.5) * len(names) / COLUMNS)] for i in range(COLUMNS)]
    pitch = SIDE_PX + GAP_PX
    canvas = Image.new("RGB", (COLUMNS * pitch - GAP_PX, 3 * pitch - GAP_PX), "white")
    for x, name in enumerate(names):
        for y, folder in enumerate((demo / "drawings", demo / "translated", wanted)):
            picture = Image.open(folder / name).convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
            canvas.paste(picture, (x * pitch, y * pitch))
    canvas.save(out, optimize=True)
    print(f"{out}: {', '.join(names)}")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0] if words else ".demo"), Path(words[1] if len(words) > 1 else "docs/demo.png"))
