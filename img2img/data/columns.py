"""Typed columns of a manifest: ``a:rgb``, ``a:zones=label*12``, ``b:depth=float[0..80]``, and what a side file adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from img2img.configured import nearest
from img2img.errors import DataError
from img2img.image import KINDS, Classes, Kind

GRAMMAR = "SIDE:KIND or SIDE:NAME=KIND, such as a:rgb, b:gray16, a:zones=label*12, b:bands=float*5[0..1]"

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COLUMN = re.compile(
    rf"(?P<side>\w+):(?:(?P<name>[^=:*\[\]]+)=)?(?P<kind>\w+)(?:\*(?P<count>\d+))?"
    rf"(?:\[(?P<low>{_NUMBER})\.\.(?P<high>{_NUMBER})\])?"
)
_FIXED = ("rgb", "gray", "edge", "mask", "rgb16", "gray16")
_OPTIONS = {"label": ("classes", "palette", "void"), "float": ("channels", "range")}
_SIDE_FILES = (".columns.yaml", ".columns.yml", ".columns.json")
_COLOUR = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")


@dataclass(frozen=True)
class Column:
    """One column of images.

    Attributes:
        text: as it stands in the header.
        side: a (source) or b (target).
        name: of the column, by default that of its kind.
        kind: what its files are.
    """

    text: str
    side: Literal["a", "b"]
    name: str
    kind: Kind

    @property
    def key(self) -> str:
        """What a side file and a translator's header call it."""
        return f"{self.side}:{self.name}"


def key_of(text: str) -> str:
    """Return ``SIDE:NAME`` of the head of a column; of what is none the text itself."""
    found = _COLUMN.fullmatch(text)
    return text if found is None else f"{found['side']}:{found['name'] or found['kind']}"


def parse_column(text: str, options: Mapping[str, Any] | None = None) -> Column:
    """Read the head of a column.

    Args:
        text: such as ``a:zones=label*12``: a side, perhaps a name, a kind, perhaps how many channels (of a label map:
            classes, with the ids 0 to one less), and of floats the range.
        options: of all columns by ``SIDE:NAME``, see :func:`column_options`.

    Raises:
        DataError: for anything else, naming the nearest kind.
    """
    found = _COLUMN.fullmatch(text)
    if found is None:
        raise DataError(f"expected {GRAMMAR}, or split")
    side, kind = found["side"], found["kind"]
    if side not in {"a", "b"}:
        raise DataError(f"side {side}: expected a (source) or b (target)")
    if kind not in KINDS:
        raise DataError(f"no such kind: {kind}{nearest(kind, KINDS)}")
    name = found["name"] or kind
    given = (options or {}).get(f"{side}:{name}", {})
    stated = (float(found["low"]), float(found["high"])) if found["low"] else None
    count = int(found["count"]) if found["count"] else None
    if side == "b" and kind == "mask":
        raise DataError(
            "losses are not weighted by a region: leave the column out; to translate into masks say b:gray or b:label*2"
        )
    return Column(text, cast("Literal['a', 'b']", side), name, _kind(kind, count, stated, given))


def _kind(kind: str, count: int | None, stated: tuple[float, float] | None, given: Any) -> Kind:
    known = _OPTIONS.get(kind, () if kind in _FIXED else ("channels",))
    if not isinstance(given, Mapping):
        raise DataError(f"its options: expected names and values, got {given!r}")
    for option in given:
        if option not in known:
            raise DataError(f"{kind} has no option {option}{nearest(str(option), known) if known else ''}")
    if kind in _FIXED:
        if count is not None:
            raise DataError(f"{kind} has a fixed number of channels; for others say uint8, uint16 or float")
        return Kind(kind, {"rgb": 3, "rgb16": 3}.get(kind, 1), stated)  # type: ignore[arg-type]
    if kind == "label":
        classes = _classes(count, given)
        return Kind("label", 0 if classes is None else len(classes), stated, classes)
    channels = _once("channels", count, given)
    value_range = _once("range", stated, given)
    try:
        low_high = None if value_range is None else (float(value_range[0]), float(value_range[1]))
        return Kind(kind, 1 if channels is None else int(channels), low_high)  # type: ignore[arg-type]
    except (TypeError, ValueError, LookupError) as error:
        raise DataError("expected a whole number of channels, and a range [LOW, HIGH]") from error


def _once(option: str, in_head: Any, given: Mapping[str, Any]) -> Any:
    if in_head is not None and option in given:
        raise DataError(f"{option} is stated twice, in the head of the column and beside; leave one out")
    return given.get(option, in_head)


def _classes(count: int | None, given: Mapping[str, Any]) -> Classes | None:
    """Put classes together: a number of them, a list of names, or names by id; and their colours, by id or in order."""
    stated = _once("classes", count, given)
    if stated is None:
        return None
    try:
        if isinstance(stated, int):
            ids, names = tuple(range(stated)), tuple(map(str, range(stated)))
        elif isinstance(stated, Mapping):
            ids, names = tuple(map(int, stated)), tuple(map(str, stated.values()))
        else:
            ids, names = tuple(range(len(stated))), tuple(map(str, stated))
        palette, void = given.get("palette"), given.get("void")
        if isinstance(palette, Mapping):
            by_id = {int(one): _rgb(colour) for one, colour in palette.items()}
            colours: tuple[Any, ...] | None = tuple(by_id[one] for one in ids)
        else:
            colours = None if palette is None else tuple(map(_rgb, palette))
        return Classes(ids, names, colours, None if void is None else int(void))
    except KeyError as error:
        raise DataError(f"palette: it has no colour for id {error}") from error
    except (TypeError, ValueError) as error:
        raise DataError(
            "classes: expected a number, a list of names, or names by id; palette: colours [R, G, B] or '#rrggbb'"
        ) from error


def _rgb(colour: Any) -> tuple[int, int, int]:
    if isinstance(colour, str):
        found = _COLOUR.fullmatch(colour)
        if found is None:
            raise ValueError(colour)
        return int(found[1], 16), int(found[2], 16), int(found[3], 16)
    red, green, blue = map(int, colour)
    return red, green, blue


def column_options(given: str | Mapping[str, Any] | None, manifest: Path) -> dict[str, Any]:
    """Return the options of columns by ``SIDE:NAME``.

    Args:
        given: the options, the YAML or JSON file that they stand in, or None for ``NAME.columns.yaml`` (or ``.yml``,
            ``.json``) beside the manifest ``NAME.csv``, where there is one.
        manifest: of the columns.

    Raises:
        DataError: for a file that cannot be read, or holds something else.
    """
    if isinstance(given, Mapping):
        return dict(given)
    beside = (manifest.with_name(manifest.stem + ending) for ending in _SIDE_FILES)
    path = Path(given) if given else next((one for one in beside if one.is_file()), None)
    if path is None:
        return {}
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not valid YAML or JSON ({' '.join(str(error).split())})") from error
    if not isinstance(tree, dict):
        raise DataError(f"{path}: expected options by column, such as 'a:label': {{classes: 12}}")
    return {str(key): value for key, value in tree.items()}
