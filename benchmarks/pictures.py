"""Makes the pictures of docs/ that show a terminal: a program under the doctor, as a person sees it.

Run: python benchmarks/pictures.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.debug.corpus import PROGRAMS, read  # noqa: E402

IMAGES = ROOT / "docs" / "images"
WIDTH = 96


def main() -> None:
    program = read(next(PROGRAMS.rglob("l05_friedman_regression.py")))
    with tempfile.TemporaryDirectory() as folder:
        script = program.write(Path(folder)).rename(Path(folder) / "train.py")
        shown = under_the_doctor(script)
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(Text("$ python -m mlkit.watch train.py", style="bold"))
    console.print(Text.from_ansi(shown))
    console.save_svg(str(IMAGES / "doctor.svg"), title="the training doctor")


def under_the_doctor(script: Path) -> str:
    """What the doctor writes about ``script`` to a terminal, colours included."""
    # A terminal of its own, since colours are for terminals.
    command = f"stty cols {WIDTH}; {sys.executable} -m mlkit.watch {script.name} > /dev/null"
    done = subprocess.run(
        ["script", "-qec", command, os.devnull],
        cwd=script.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.replace("\r\n", "\n")


if __name__ == "__main__":
    main()
