"""What is known of videos without opening one: their names, and what their colours stand for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})
"""File name endings (in lower case) that are taken for videos."""

CRF = 18
"""Quality of videos that are written, on H.264's scale of 0 to 51: 18 is where most eyes see no loss."""

LARGEST_CRF = 51

BT709, UNSPECIFIED, BT601 = 1, 2, 6
LIMITED, FULL = 1, 2
"""Of ITU-T H.273 (07/2024): matrix coefficients (table 4), and the range as FFmpeg numbers it."""

_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""Matrix coefficients of H.273 to those that FFmpeg's scaler computes with."""
_PQ, _HLG = 16, 18
_HD_LINES, _HD_COLUMNS = 720, 1280


def is_video(path: Path) -> bool:
    """Tell whether a name is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


@dataclass(frozen=True)
class Look:
    """What the colours of a video say they are, by the numbers of ITU-T H.273; 2 where it does not say.

    Attributes:
        matrix: from red, green and blue to brightness and two colour differences; 0 for red, green and blue.
        primaries: colours of red, green and blue.
        transfer: from light to levels.
        full: whether levels go from 0 to 255 and not from 16 to 235; None where it does not say.
    """

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    full: bool | None = None

    @property
    def is_high_dynamic_range(self) -> bool:
        """Whether brightness is stored as BT.2100 has it (PQ or HLG)."""
        return self.transfer in {_PQ, _HLG}

    def scaler_matrix(self, width: int, height: int) -> int:
        """Return the matrix to compute with; one that does not say has what players take: BT.709 from 720 lines on."""
        of_its_size = BT709 if height >= _HD_LINES or width >= _HD_COLUMNS else BT601
        return _MATRICES.get(self.matrix, _MATRICES[of_its_size])

    def written(self, width: int, height: int) -> Look:
        """Return what a video in brightness and colour differences is to say: the same, where it can be said of it."""
        if self.matrix in _MATRICES or self.matrix == UNSPECIFIED:
            return Look(self.matrix, self.primaries, self.transfer, self.full)
        matrix = BT709 if self.scaler_matrix(width, height) == BT709 else BT601
        return Look(matrix, self.primaries, self.transfer, full=False)
