"""What is read of files, and what of it the translations keep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from img2img.errors import ConfigError, DataError
from img2img.image import (
    CRF,
    FRAME_SUFFIXES,
    LARGEST_CRF,
    MAX_PIXELS,
    WHITE,
    Colour,
    Frames,
    Icc,
    Mark,
    Picture,
    Pictures,
    Signer,
    ValueRange,
    check_writable,
    count_frames,
    opened,
    read_pictures,
    write_pictures,
)
from img2img.translate.formats import Formats

_BYTES_PER_PIXEL = 36  # what is read, as floats, what the network makes, what is written, and alpha


@dataclass(frozen=True)
class Files:
    """How files are read and written.

    Args:
        frames: ``all`` frames and pages, or the ``first`` with a note.
        icc: embed ``srgb`` where the source had a colour profile, or convert back and ``keep`` the source's.
        mark: who made the pictures, for their XMP; None leaves it out.
        metadata: whether EXIF and XMP of the source are kept.
        background: colour to show through where the format has no alpha.
        max_pixels: larger images are refused; 89 megapixels by default. TIFFs beyond those go by regions.
        value_range: (low, high) of float TIFF and NPY files.
        signer: signs every output that can hold a C2PA manifest; its mark is set by the translator.
        video_crf: quality of videos, 0 (best) to 51; H.264's constant rate factor.
        formats: of files that are no plain pictures.

    Raises:
        ConfigError: if the quality is not on that scale.
    """

    frames: Frames = "all"
    icc: Icc = "srgb"
    mark: Mark | None = None
    metadata: bool = True
    background: Colour = WHITE
    max_pixels: int | None = None
    value_range: ValueRange | None = None
    signer: Signer | None = None
    video_crf: int = CRF
    formats: Formats | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        if not 0 <= self.video_crf <= LARGEST_CRF:
            raise ConfigError(f"video_crf: expected a whole number from 0 to {LARGEST_CRF}, got {self.video_crf}")

    def signed_for(self, mark: Mark) -> Files:
        """Return these with a signer, where there is one, whose manifests say who made the pictures."""
        return replace(self, signer=replace(self.signer, mark=mark)) if self.signer else self

    def settings(self) -> dict[str, Any]:
        """Return what of this decides the outputs' bytes, as plain data."""
        return {
            "frames": self.frames,
            "icc": self.icc,
            "mark": self.mark is not None,
            "metadata": self.metadata,
            "background": list(self.background),
            "value_range": self.value_range and list(self.value_range),
            **(self.signer.settings() if self.signer else {}),
        } | ({} if self.video_crf == CRF else {"video_crf": self.video_crf})

    def weigh(self, source: Path, name: str) -> int:
        """Return roughly how many bytes the pictures of a file take until they are written, from its head alone."""
        try:
            with opened(source, name, max_pixels=self.max_pixels) as image:
                count = count_frames(image) if self.frames == "all" else 1
                return image.width * image.height * count * _BYTES_PER_PIXEL
        except DataError:  # a NPY file, or one that cannot be read: then reading says why
            return source.stat().st_size if source.is_file() else 0

    def goes_by_regions(self, source: Path, name: str) -> bool:
        """Tell whether a file is a TIFF larger than is read at once, which ``max_pixels`` lets in."""
        if self.max_pixels is None or source.suffix.lower() not in {".tif", ".tiff"}:
            return False
        with opened(source, name, max_pixels=self.max_pixels) as image:
            return image.width * image.height > MAX_PIXELS

    def read(
        self, source: Path | BinaryIO, name: str, target: Path | None = None, beside: tuple[Path, ...] = ()
    ) -> Pictures:
        """Read a file whole; the first frame alone where the target cannot hold more.

        Args:
            source: the file.
            name: what messages call it.
            target: what will be written.
            beside: further files of the same sample.

        Raises:
            DataError: if it cannot be read, naming it.
        """
        if self.formats is not None:
            return Pictures((self.formats.read(source, name, beside, self.max_pixels),))
        single = target is not None and target.suffix.lower() not in FRAME_SUFFIXES
        found = read_pictures(
            source,
            name,
            frames="first" if single else self.frames,
            max_pixels=self.max_pixels,
            value_range=self.value_range,
        )
        return found if self.metadata else found.each(_bare)

    def check(self, target: Path, pictures: Pictures) -> None:
        """Refuse what the target's format cannot hold.

        Raises:
            DataError: naming the reason.
        """
        if self.formats is not None:
            written = (self.formats.output,)
            pictures = pictures.each(lambda picture: replace(picture, side=written))
        check_writable(target, pictures, icc=self.icc, mark=self.mark, value_range=self.value_range)

    def write(
        self,
        target: Path | BinaryIO,
        pictures: Pictures,
        file_format: str | None = None,
        source: Path | BinaryIO | None = None,
    ) -> tuple[str, ...]:
        """Write a file; it is whole or not there. Return what it does not hold.

        Args:
            target: a path, or a file open for writing.
            pictures: what to write.
            file_format: of an open file; by default that of the first frame.
            source: what the pictures were made of, for a signature.
        """
        signer = self.signer

        def finish(data: bytes, kind: str) -> tuple[bytes, str]:
            return signer.signed(data, kind, source, len(pictures.frames)) if signer else (data, "")

        return write_pictures(
            target,
            pictures,
            file_format=file_format,
            icc=self.icc,
            background=self.background,
            mark=self.mark,
            value_range=self.value_range,
            finish=finish,
        )


def _bare(picture: Picture) -> Picture:
    return replace(picture, exif=None, xmp=None)
