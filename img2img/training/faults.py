"""What ended a training, in one line that says what to do."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import torch

from img2img.errors import Img2ImgError, RunError

_GO_ON = "everything until then is saved: the same command continues"


def in_one_line(error: Exception, run: Path, *, several: bool) -> Img2ImgError | None:
    """Return a user's version of an error, or None for one that only a developer can mend.

    Args:
        error: what was raised in training.
        run: the run folder.
        several: whether several processes trained together.
    """
    said = str(error).strip()
    if isinstance(error, Img2ImgError):
        if "Original Traceback" in said:  # torch wraps what a loader process raised: its last line is the message
            return type(error)(said.splitlines()[-1].partition(": ")[2])
        return error
    if isinstance(error, torch.OutOfMemoryError) or "not enough memory" in said:
        return RunError(
            "out of memory: use a smaller --batch or --size, or compute the batch in parts "
            f"(--model.optimization.accumulate 2); {_GO_ON}"
        )
    worker = re.search(r"DataLoader worker \(pid\(?s?\)? ([\d, ]+)\)", said)
    if worker or (isinstance(error, OSError | EOFError) and _while_handing_over(error)):
        which = f" ({worker[1]})" if worker else ""
        return RunError(f"a loader process{which} was killed, often for lack of memory: try --workers 0; {_GO_ON}")
    if several and isinstance(error, RuntimeError) and re.search(r"onnection|gloo|NCCL|peer|timed? ?out", said):
        return RunError(
            "another process of this training died or was cut off: see its own message above, if there is one; "
            f"the same command continues from the last checkpoint in {run}"
        )
    return None


def _while_handing_over(error: Exception) -> bool:
    """Tell whether an error comes from fetching a tensor of another process, which its death cuts short."""
    return any("multiprocessing" in Path(frame.filename).parts for frame in traceback.extract_tb(error.__traceback__))
