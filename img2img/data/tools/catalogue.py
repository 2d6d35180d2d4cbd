"""The classic data sets by name: datasets/downloads.yaml as plain data."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from img2img.configured import nearest
from img2img.errors import DataError
from img2img.shipped import shipped


@dataclass(frozen=True)
class Entry:
    """A data set.

    Attributes:
        url: of its archive.
        about: what is in it.
        terms: whose rights hold.
        method: that it was published with.
        domains: names of A and B, or of the left and the right half.
    """

    url: str
    about: str
    terms: str
    method: str
    domains: tuple[str, str]


def catalogue() -> dict[str, Entry]:
    """Return all known data sets by name."""
    entries = yaml.safe_load(shipped("datasets", "downloads.yaml").read_text(encoding="utf-8"))
    return {name: Entry(**{**entry, "domains": tuple(entry["domains"])}) for name, entry in entries.items()}


def entry_of(name: str) -> Entry:
    """Return a data set.

    Raises:
        DataError: naming the nearest, if there is none of that name.
    """
    known = catalogue()
    if name not in known:
        raise DataError(f"{name}: no data set of that name and no https address{nearest(name, known)}")
    return known[name]
