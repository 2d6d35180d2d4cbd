"""A folder of images into tar files, with an index of what lies where."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from img2img.data.folder import recognise
from img2img.data.shards import BLOCK_BYTES, FORMAT, INDEX, encoded
from img2img.data.source import Source, Split
from img2img.data.tools.divide import SPLITS
from img2img.data.tools.placing import whole_folder
from img2img.errors import DataError


@dataclass(frozen=True)
class Sharded:
    """What was written.

    Attributes:
        kind: of the layout.
        files: by split, then by domain ("" for files that hold both).
        shards: bytes of every tar file, by name.
    """

    kind: str
    files: dict[str, dict[str, int]]
    shards: dict[str, int]


def write_shards(
    roots: Sequence[Path],
    out: Path,
    size: int,
    *,
    domains: Sequence[str] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Sharded:
    """Put every image of a data folder into tar files, bytes as they are.

    Files of one stem in both domains lie next to each other, in one tar file. Names in it are
    ``SPLIT/STEM.DOMAIN.ENDING``, with dots of stem and domain as ``%2E``, so that WebDataset takes what belongs
    together for one sample; the index has the names that they had.

    Args:
        roots: the data folder, or two.
        out: new folder, there whole or not at all.
        size: bytes after which a tar file is full; a larger sample has one to itself.
        domains: names of the domains, see :func:`img2img.data.folder.find_layout`.
        progress: called with files done and all files.

    Raises:
        DataError: if there is no known layout, a file cannot be read, or ``out`` holds something.
        OSError: if the disk is full or may not be written.
    """
    for root in roots:
        if not root.is_dir():
            raise DataError(f"{root}: expected a data folder")
    kind, names, splits = recognise(list(roots), domains)
    if domains is not None:  # of halves and of trainA and trainB, too
        names = (domains[0], domains[1])
    total = sum(len(split.a) + (len(split.b) if kind != "side by side" else 0) for split in splits.values())
    files: dict[str, dict[str, int]] = {}
    shards: dict[str, int] = {}
    lines: list[str] = []
    with whole_folder(out) as building:
        with ExitStack() as stack:
            tar: tarfile.TarFile | None = None
            for split, sample in _samples(splits, names, kind):
                read = [(source, domain, source.read()) for source, domain in sample]
                needed = sum(len(data) + 2 * BLOCK_BYTES for _, _, data in read)
                if tar is None or (tar.offset > 0 and tar.offset + needed > size):
                    stack.close()
                    name = f"{len(shards):06d}.tar"
                    tar = stack.enter_context(tarfile.open(building / name, "w", format=tarfile.PAX_FORMAT))
                    shards[name] = 0
                for source, domain, data in read:
                    offset = _add(tar, _member(split, source, domain), data, source.stamp()[1])
                    place = {"shard": len(shards) - 1, "offset": offset, "length": len(data)}
                    lines.append(encoded(**place, split=split, domain=domain, name=source.name))
                    of = files.setdefault(SPLITS[split], {})
                    of[domain] = of.get(domain, 0) + 1
                    progress(len(lines), total)
        for name in shards:
            shards[name] = (building / name).stat().st_size
        with (building / INDEX).open("w", encoding="utf-8", newline="") as file:
            file.write(encoded(format=FORMAT, layout=kind, domains=names, shards=shards))
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
    return Sharded(kind, files, shards)


def _samples(
    splits: dict[str, Split], names: tuple[str, str], kind: str
) -> Iterator[tuple[str, list[tuple[Source, str]]]]:
    """Give what belongs together: (split, files with their domains)."""
    for name, split in splits.items():
        if kind == "side by side":
            yield from ((name, [(source, "")]) for source in split.a)
            continue
        stems: dict[str, list[tuple[Source, str]]] = {}
        for domain, sources in zip(names, (split.a, split.b), strict=True):
            for source in sources:
                stems.setdefault(source.stem, []).append((source, domain))
        yield from ((name, stems[stem]) for stem in sorted(stems))


def _member(split: str, source: Source, domain: str) -> str:
    words = [word.replace("%", "%25").replace(".", "%2E") for word in (source.stem, domain) if word]
    return f"{SPLITS[split]}/{'.'.join(words)}{PurePosixPath(source.name).suffix.lower()}"


def _add(tar: tarfile.TarFile, name: str, data: bytes, mtime_ns: int) -> int:
    """Write a file; return where its bytes begin."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(data), mtime_ns // 10**9
    tar.addfile(info, io.BytesIO(data))
    return tar.offset - -(-len(data) // BLOCK_BYTES) * BLOCK_BYTES
