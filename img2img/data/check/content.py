"""What a domain shows: label maps, ids instead of colours, drawings under the name of photographs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from img2img.data.check.finding import Finding, Kind
from img2img.data.check.gallery import Gallery
from img2img.data.check.look import Sight
from img2img.data.source import Source

IDS = Kind(
    "label ids",
    "warning",
    "a domain of grey images with few levels, all below 64: class numbers, which are nearly black as a picture",
    "write them as colours, one for each class, in PNG",
)
LABELS = Kind(
    "label map",
    "note",
    "a domain of flat areas in few colours that all its images share",
    "nothing to do: it is trained on as a picture; keep such files in PNG and never resize them smoothly",
)
LOSSY_LABELS = Kind(
    "label map in JPEG",
    "note",
    "a label map in a lossy format: colours beside edges are false ones",
    "write the labels as PNG if you still have them; the published sets of this kind train all the same",
)
NAMES = Kind(
    "names exchanged",
    "warning",
    "a domain with a name for drawings (line, edge, sketch, ...) that shows none, while the other one does",
    "exchange the two names of --domains, or the two folders",
)
DIRECTION = Kind(
    "direction",
    "note",
    "pairs whose target is line drawings or a label map, the source a picture, and no --to: is it meant so?",
    "for the other way add --to with the other domain",
)

_MAX_IMAGES, _FEWEST = 200, 6
_MAX_LEVEL, _MAX_LABELS, _FEWEST_COLOURS, _CHROMA = 63, 40, 3, 60
_RADIUS, _SEEN, _LISTED, _COMMON, _COVERED, _FLAT = 18, 0.002, 0.005, 0.25, 0.75, 0.4
_MOST = 0.7
_LOSSY = {"JPEG", "WEBP", "AVIF", "JPEG2000"}
_DRAWN_NAMES = re.compile(
    r"(?i)(^|[^a-z])(lines?|lineart|edges?|sketch(es)?|drawings?|contours?|outlines?|scribbles?|ink)([^a-z]|$)"
)
_TWO_TONES, _GROUND, _INK, _GREY = 0.8, 0.55, 0.002, 0.06
_FLATNESS, _SATURATION, _WHITE, _BLACK = 0, 1, 5, 6
Palette = list[tuple[int, int, int]]


def find(gallery: Gallery) -> Iterator[Finding]:
    """Look at each training domain as a whole."""
    drawn, labelled = [], []
    for index, name in enumerate(gallery.domains):
        seen = gallery.sights("train", index)
        seen = seen[:: max(len(seen) // _MAX_IMAGES, 1)]
        shown = tuple((source,) for source, _ in seen[:4])
        sights = [sight for _, sight in seen]
        drawn.append(is_drawn(sights))
        palette = labels(sights)
        labelled.append(bool(palette))
        if ids := _ids(sights):
            listed = ", ".join(map(str, ids[:12])) + (" ..." if len(ids) > 12 else "")  # noqa: PLR2004 (a line's worth)
            yield Finding(IDS, f"domain {name} holds only the grey levels {listed}: label ids?", (), shown)
        elif palette:
            colours = " ".join(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in palette[:12])
            lossy = _lossy(gallery, seen)
            kind = LOSSY_LABELS if lossy else LABELS
            more = " in a lossy format, whose edges have false colours" if lossy else ""
            yield Finding(
                kind, f"domain {name} looks like a label map of {len(palette)} colours{more}: {colours}", (), shown
            )
    named = [bool(_DRAWN_NAMES.search(name)) for name in gallery.domains]
    if sum(named) == sum(drawn) == 1 and named != drawn:
        a, b = gallery.domains if named[0] else gallery.domains[::-1]
        yield Finding(NAMES, f"domain {b} shows line drawings and domain {a} does not", (), _first(gallery))
    plain = [one or other for one, other in zip(drawn, labelled, strict=True)]
    if gallery.paired and not gallery.chosen and plain == [False, True]:
        a, b = gallery.domains
        what = "line drawings" if drawn[1] else "a label map"
        yield Finding(DIRECTION, f"{a} -> {b} turns pictures into {what}", (), _first(gallery))


def _first(gallery: Gallery) -> tuple[tuple[Source, ...], ...]:
    a, b = (gallery.sights("train", index)[:1] for index in (0, 1))
    return ((a[0][0], b[0][0]),) if a and b else ()


def is_drawn(sights: list[Sight]) -> bool:
    """Tell whether most images are thin lines on a white or black ground, without colour."""
    if len(sights) < _FEWEST:
        return False
    traits = np.stack([sight.traits for sight in sights])
    white, black = traits[:, _WHITE], traits[:, _BLACK]
    drawn = (white + black > _TWO_TONES) & (np.maximum(white, black) > _GROUND) & (np.minimum(white, black) > _INK)
    return bool((drawn & (traits[:, _SATURATION] < _GREY)).mean() > _MOST)


def labels(sights: list[Sight]) -> Palette:
    """Return the colours of a label map, the most frequent first; none if the images are no such map."""
    if len(sights) < _FEWEST or np.median([sight.traits[_FLATNESS] for sight in sights]) < _FLAT:
        return []
    shares: dict[tuple[int, int, int], list[float]] = {}
    for sight in sights:
        for colour, share in sight.palette.items():
            near = next(
                (c for c in shares if max(abs(x - y) for x, y in zip(c, colour, strict=True)) <= _RADIUS), colour
            )
            shares.setdefault(near, []).append(share)
    common = [
        c for c, found in shares.items() if len(found) > _COMMON * len(sights) and sum(found) > _SEEN * len(sights)
    ]
    chromatic = [c for c in common if max(c) - min(c) > _CHROMA]
    covered = sum(sum(shares[c]) for c in common) / len(sights)
    if len(chromatic) < _FEWEST_COLOURS or len(common) > _MAX_LABELS or covered < _COVERED:
        return []
    listed = [c for c in common if sum(shares[c]) > _LISTED * len(sights)]
    return sorted(listed, key=lambda c: -sum(shares[c]))


def _ids(sights: list[Sight]) -> list[int]:
    levels = [sight.levels for sight in sights]
    if len(sights) < _FEWEST or any(level is None for level in levels):
        return []
    union = sorted(set().union(*(level for level in levels if level)))
    return union if len(union) > 1 and union[-1] <= _MAX_LEVEL else []


def _lossy(gallery: Gallery, seen: list[tuple[Source, Sight]]) -> bool:
    shapes = [found.shape for source, _ in seen if (found := gallery.looks[source])]
    return sum(shape is not None and shape.format in _LOSSY for shape in shapes) > _MOST * len(shapes)
