"""Make a small folder of each layout from the bundled sample, have it recognised, and draw it for docs/data.md.

Usage: python scripts/draw_layouts.py [--out docs/layouts]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from img2img.data.folder import find_layout
from img2img.data.tools.pair import pair_side_by_side
from img2img.data.tools.sheet import contact_sheet
from img2img.image import Picture, write_picture
from img2img.shipped import shipped

NAMES = ("fish", "rocket", "cat", "ship", "dog", "red-apple")


def main() -> None:
    """Draw them all."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, default=Path("docs/layouts"))
    out: Path = words.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        line, flat = (shipped("datasets", "line2flat", "train", domain) for domain in ("line", "flat"))
        take(line, root / "two-folders" / "line", NAMES[:3])
        take(flat, root / "two-folders" / "colour", NAMES[:3])
        pair_side_by_side(
            *(root / "two-folders" / name for name in ("line", "colour")), root / "side-by-side" / "train"
        )
        take(line, root / "two-sets" / "trainA", NAMES[:3])
        take(flat, root / "two-sets" / "trainB", NAMES[3:])
        for split, names in (("train", NAMES[:2]), ("val", NAMES[2:3])):
            take(line, root / "splits" / split / "line", names)
            take(flat, root / "splits" / split / "colour", names)
        for folder in sorted(root.iterdir()):
            kind = find_layout([folder], paired=folder.name != "two-sets").kind
            columns = 2 if folder.name == "splits" else 3
            sheet, _ = contact_sheet([folder], columns=columns, size_px=200 if folder.name == "side-by-side" else 112)
            write_picture(out / f"{folder.name}.png", Picture(sheet, None, "PNG", None, None, ""))
            print(f"{folder.name}: {kind}")


def take(source: Path, target: Path, names: tuple[str, ...]) -> None:
    """Copy pictures."""
    target.mkdir(parents=True)
    for name in names:
        shutil.copy(source / f"{name}.png", target)


if __name__ == "__main__":
    main()
