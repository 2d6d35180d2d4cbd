"""Set up and run: ``demo``, ``test`` or ``check``. Standard library only; works on every platform.

``python scripts/run.py demo`` makes or re-uses ``.venv`` beside this folder, installs the project into it when
``pyproject.toml`` has changed, and runs the command there.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
MINIMUM = (3, 11)


def prepare(extra: str) -> None:
    """Make the environment hold this clone, with the named extra; do nothing when it already does."""
    if sys.version_info < MINIMUM:
        this = f"{sys.version.split()[0]} ({sys.executable})"
        sys.exit(f"error: expected Python {MINIMUM[0]}.{MINIMUM[1]} or newer, this is {this}")
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + str(ROOT).encode()).hexdigest()
    stamp = VENV / f"img2img-{extra or 'plain'}.stamp"
    enough = (stamp, VENV / "img2img-test.stamp")  # the test extra holds everything
    if PYTHON.exists() and any(path.exists() and path.read_text() == wanted for path in enough):
        return
    if not PYTHON.exists():
        print(f"making {VENV}", flush=True)
        venv.create(VENV, with_pip=True, clear=True)
    print("installing (minutes the first time: PyTorch is large)", flush=True)
    target = f"{ROOT}[{extra}]" if extra else str(ROOT)
    run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", target)
    stamp.write_text(wanted)


def run(*command: object, **environment: str) -> None:
    """Run a command in the clone; end with its code when it fails."""
    code = subprocess.call([str(word) for word in command], cwd=ROOT, env={**os.environ, **environment})
    if code:
        sys.exit(code)


def demo(words: list[str]) -> None:
    """Train on the bundled drawings, colour drawings that were held back, and write a page."""
    prepare("")
    run(PYTHON, "-m", "img2img", "demo", "--out", ROOT / ".demo", *words)


def check(words: list[str]) -> None:
    """Lint, types, import contracts."""
    prepare("test")
    run(PYTHON, "-m", "ruff", "check", *words)
    run(PYTHON, "-m", "ruff", "format", "--check")
    run(PYTHON, "-m", "mypy")
    run(PYTHON.parent / "lint-imports", "--no-cache")


def test(words: list[str]) -> None:
    """Everything that must hold before a change lands; words go to pytest."""
    if not words:
        check([])
    else:
        prepare("test")
    # two workers with a thread each: torch with all threads in two processes is several times slower
    run(PYTHON, "-m", "pytest", *(words or ["-n", "2", "--dist", "worksteal"]), OMP_NUM_THREADS="1")


COMMANDS = {"demo": demo, "test": test, "check": check}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:  # noqa: PLR2004 (a command)
        sys.exit(f"usage: python scripts/run.py {'|'.join(COMMANDS)} [WORDS]")
    try:
        COMMANDS[sys.argv[1]](sys.argv[2:])
    except KeyboardInterrupt:
        sys.exit(130)
