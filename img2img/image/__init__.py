"""Image files in and out: the only place where pixels meet files."""

from img2img.image.atomic import TEMPORARY_PREFIX, atomically
from img2img.image.jpeg import jpeg_head, plain_jpeg
from img2img.image.levels import (
    Pixels,
    Plane,
    fitted,
    resized,
    resized_plane,
    round_to_8_bits,
    to_8_bits,
    to_pixels,
    to_tensor,
    with_channels,
)
from img2img.image.montage import montage
from img2img.image.opening import FORMATS, MAX_FRAMES, MAX_PIXELS, SUFFIXES, opened, suffixes, whole_file
from img2img.image.picture import Picture, Pictures, ValueRange, on_white, to_image
from img2img.image.provenance import Mark
from img2img.image.reading import Frames, count_frames, picture_of, read_picture, read_pictures
from img2img.image.signing import Signer
from img2img.image.video import CRF, LARGEST_CRF, VIDEO_SUFFIXES, is_video
from img2img.image.writing import (
    FRAME_SUFFIXES,
    WHITE,
    Colour,
    Icc,
    check_writable,
    format_of,
    write_picture,
    write_pictures,
)

__all__ = [
    "CRF",
    "FORMATS",
    "FRAME_SUFFIXES",
    "LARGEST_CRF",
    "MAX_FRAMES",
    "MAX_PIXELS",
    "SUFFIXES",
    "TEMPORARY_PREFIX",
    "VIDEO_SUFFIXES",
    "WHITE",
    "Colour",
    "Frames",
    "Icc",
    "Mark",
    "Picture",
    "Pictures",
    "Pixels",
    "Plane",
    "Signer",
    "ValueRange",
    "atomically",
    "check_writable",
    "count_frames",
    "fitted",
    "format_of",
    "is_video",
    "jpeg_head",
    "montage",
    "on_white",
    "opened",
    "picture_of",
    "plain_jpeg",
    "read_picture",
    "read_pictures",
    "resized",
    "resized_plane",
    "round_to_8_bits",
    "suffixes",
    "to_8_bits",
    "to_image",
    "to_pixels",
    "to_tensor",
    "whole_file",
    "with_channels",
    "write_picture",
    "write_pictures",
]
