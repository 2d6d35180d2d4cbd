"""Saying in the file that a network made it: XMP that other programs read.

DigitalSourceType is the IPTC's: ``trainedAlgorithmicMedia`` ("created using generative AI") is media made by a model
trained on sampled content; ``compositeWithTrainedAlgorithmicMedia`` ("edited using generative AI") is an existing
picture augmented or corrected by such a model, as in inpainting, where pixels of the source remain. A translator
computes every pixel of its result, so the first is what is true of it: the source only steered it. Where some of the
source is put back (a mask, its colours, a strength below 1), or stands beside it, the second is.

Sources: IPTC NewsCodes, Digital Source Type (cv.iptc.org/newscodes/digitalsourcetype); IPTC Photo Metadata Standard
2025.1 (AI System Used, AI System Version Used); XMP specification part 1 (ISO 16684-1), clause 7.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from img2img._version import __version__

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

_PREFIXES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    # of packets that are merged, so that their names stay those that people know
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
}
for _prefix, _uri in _PREFIXES.items():
    ET.register_namespace(_prefix, _uri)

_MAX_BYTES = 1 << 20
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="w"?>'
_UNREADABLE = "its XMP cannot be read and was left out"


def _name(prefix: str, local: str) -> str:
    return f"{{{_PREFIXES[prefix]}}}{local}"


_DESCRIPTION, _RDF, _ABOUT = _name("rdf", "Description"), _name("rdf", "RDF"), _name("rdf", "about")
_OF_THE_OLD_FILE = {_name("tiff", "Orientation"), _name("xmp", "Thumbnails")}


@dataclass(frozen=True)
class Mark:
    """Who made a picture.

    Attributes:
        translator: what tells the translator from others: the beginning of its weights' sha256.
        version: of img2img.
        direction: such as ``horse:zebra``.
        composite: whether pixels of the source remain.
    """

    translator: str
    version: str = __version__
    direction: str = ""
    composite: bool = False

    @classmethod
    def of(cls, header: Mapping[str, Any], direction: str = "", *, composite: bool = False) -> Mark:
        """Take a translator file's header; the rest as above."""
        return cls(str(header.get("sha256") or "unsaved")[:12], direction=direction, composite=composite)

    @property
    def source_type(self) -> str:
        """The IPTC's word for how the picture came to be."""
        return COMPOSITE_TYPE if self.composite else SOURCE_TYPE

    def properties(self) -> dict[str, str]:
        """Return XMP properties by their qualified names."""
        return {
            _name("Iptc4xmpExt", "DigitalSourceType"): self.source_type,
            _name("Iptc4xmpExt", "AISystemUsed"): f"img2img translator {self.translator}",
            _name("Iptc4xmpExt", "AISystemVersionUsed"): self.version,
            _name("xmp", "CreatorTool"): f"img2img {self.version}",
        }


def packet(existing: bytes | None, mark: Mark | None, limit: int = _MAX_BYTES) -> tuple[bytes | None, str]:
    """Write the XMP of a result: what the source's says, less what is no longer true, and the mark.

    Args:
        existing: the source's packet.
        mark: None to add nothing.
        limit: bytes that the file format holds.

    Returns:
        The packet, None if there is nothing to say; and a note, or "".
    """
    note = ""
    if existing:
        try:
            made = _serialised(_parsed(existing), mark)
        except (ET.ParseError, ValueError, RecursionError):  # not XML, not UTF-8, or nested without end
            note = _UNREADABLE
        else:
            if made is None or len(made) <= limit:
                return made, ""
            note = "its XMP is too long for the format and was left out"
    return _serialised(None, mark), note


def _parsed(data: bytes) -> ET.Element:
    """Parse a packet of a stranger: bounded, and without a document type, so that no entity can grow or be fetched."""
    text = data.rstrip(b"\0 \r\n\t")
    if len(text) > _MAX_BYTES or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise ValueError("too long, or with a document type")
    root = ET.fromstring(text.decode("utf-8-sig"))  # noqa: S314 (bounded and without a document type, as above)
    found = root if root.tag == _RDF else root.find(_RDF)
    if found is None:
        raise ValueError("XML, but no XMP")
    return found


def _serialised(rdf: ET.Element | None, mark: Mark | None) -> bytes | None:
    properties = {} if mark is None else mark.properties()
    body = ET.Element(_RDF)
    if rdf is not None:
        for description in list(rdf):
            _forget(description, _OF_THE_OLD_FILE | properties.keys())
            body.append(description)
    if properties:
        about = next((d.get(_ABOUT, "") for d in body), "")  # one packet speaks of one thing
        ET.SubElement(body, _DESCRIPTION, {_ABOUT: about, **properties})
    if not len(body):
        return None
    meta = ET.Element(_name("x", "xmpmeta"))
    meta.append(body)
    return f"{_BEGIN}{ET.tostring(meta, 'unicode')}{_END}".encode()


def _forget(description: ET.Element, names: set[str]) -> None:
    for name in names:
        description.attrib.pop(name, None)
        for child in description.findall(name):
            description.remove(child)
