"""What a reader must know before believing a number, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from img2img.data.folder import few
from img2img.errors import DataError
from img2img.evaluate.images import Seen


def refuse_swapped(outputs: Seen, references: Seen) -> None:
    """Refuse references that say of themselves that a network made them, beside outputs that do not.

    Raises:
        DataError: saying so.
    """
    made = [sum(look.generated for look in seen.looks.values()) for seen in (outputs, references)]
    if made[1] > len(references.looks) // 2 and not made[0]:
        raise DataError(
            f"the arguments look swapped: {made[1]} of {len(references.looks)} REFERENCES say in their XMP that a "
            "network made them, and none of OUTPUTS does; precision, recall, density and coverage depend on the order"
        )


def warnings_of(outputs: Seen, references: Seen, lengths: Mapping[str, int]) -> list[str]:
    """Return what is unusual about two sets.

    Args:
        outputs: what was seen of them.
        references: likewise.
        lengths: of the features by the Fréchet distances that are measured on them, such as ``rfid``.
    """
    return list(_warnings(outputs, references, lengths))


def few_images(m: int, n: int, lengths: Mapping[str, int]) -> Iterator[str]:
    """Say which Fréchet distances are too high for want of images.

    Args:
        m: outputs.
        n: references.
        lengths: see :func:`warnings_of`.
    """
    for length in sorted({length for length in lengths.values() if min(m, n) <= length}):
        names = [name for name, one in lengths.items() if one == length]
        kernel = names[0].replace("fid", "kid")
        yield (
            f"{m} outputs and {n} references: covariances of {length} features have rank {m - 1} and {n - 1} at most, "
            f"so {' and '.join(names)} {'is' if len(names) == 1 else 'are'} too high, by tens for a hundred images; "
            f"compare only with numbers of as many images against the same references, and believe {kernel} "
            "(unbiased) rather"
        )


def _warnings(outputs: Seen, references: Seen, lengths: Mapping[str, int]) -> Iterator[str]:
    m, n = len(outputs.looks), len(references.looks)
    for name, seen in (("outputs", outputs), ("references", references)):
        if seen.failed:
            total = len(seen.looks) + len(seen.failed)
            reasons = few(list(seen.failed.values()))
            yield f"{len(seen.failed)} of {total} {name} cannot be read, the numbers are of the others: {reasons}"
    if outputs.sha256() == references.sha256():
        yield "outputs and references are the same files: every distance is 0 by definition"
    elif same := _same_files(outputs, references):
        yield f"{len(same)} outputs are byte for byte references ({few(same)}): copies make every number look better"
    yield from few_images(m, n, lengths)
    if m != n and lengths:
        yield f"{m} outputs against {n} references: the bias of FID depends on both counts"
    yield from _about_files(outputs, references)


def _about_files(outputs: Seen, references: Seen) -> Iterator[str]:
    if lossy := sum(look.lossy for look in outputs.looks.values()):
        yield (
            f"{lossy} of {len(outputs.looks)} outputs are JPEG or another format that loses detail: that alone moves "
            "FID by points (re-saved as PNG, published models gained 13 to 40); save translations as PNG"
        )
    if lossy := sum(look.lossy for look in references.looks.values()):
        yield (
            f"{lossy} of {len(references.looks)} references are JPEG or another format that loses detail: its traces "
            "are part of what outputs are compared with; state it beside the number"
        )
    for name, seen in (("outputs", outputs), ("references", references)):
        if unapplied := sum(look.unapplied for look in seen.looks.values()):
            yield (
                f"{unapplied} of {len(seen.looks)} {name} have a colour profile, an orientation or transparency: left "
                "out here, as pytorch-fid, clean-fid and torch-fidelity do, though a viewer applies them"
            )
    sizes = [dict(seen.sizes()) for seen in (outputs, references)]
    for name, found in zip(("outputs", "references"), sizes, strict=True):
        if len(found) > 1:
            shown = ", ".join(f"{w}x{h} ({count})" for (w, h), count in list(found.items())[:3])
            yield f"{name} have {len(found)} sizes ({shown}): each is resized from its own"
    first = [next(iter(found)) for found in sizes]
    if first[0] != first[1]:
        (w, h), (v, u) = first
        yield f"outputs are {w}x{h}, references {v}x{u}: resizing blurs them differently, which the numbers see"


def _same_files(outputs: Seen, references: Seen) -> list[str]:
    there = {look.sha256 for look in references.looks.values()}
    return [name for name, look in outputs.looks.items() if look.sha256 in there]
