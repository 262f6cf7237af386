"""The corpus of training programs: each file is a program with a planted bug and, by its markers, its healthy twin.

A file under ``programs/`` opens with a docstring and header lines, then is an ordinary script:

    # case: O01                              a case of the corpus, H01…H28, `healthy` or `double`
    # codes: step.gradients-not-cleared      findings that name the bug, comma between equals; `none` for healthy ones
    # also: loss.broadcast                   for doubles: the second bug's codes
    # needs: lightning                       packages without which it is left out
    # split: rules | held-out | fresh        rules were written with the first half in view, measured on the second;
                                             the third was written without a look at the rules

Markers at the end of a line, or on a line of their own:

    loss = mse(out, y)  #! loss = mse(out[:, 0], y)      buggy line; after the marker, the line of the healthy twin
    out = out.softmax(1)  #!                             buggy line that the twin does not have
    #+ optimizer.zero_grad()                             line that only the twin has
    optimizer.step()  #@                                 line where a finding may point too (a bug that is an absence)

Both variants have as many lines as the file, and no header or marker: nothing in their text tells what is planted.
Not here: running the programs under the doctor (`benchmarks/doctor.py`, `test_programs.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
_HEADER = re.compile(r"^# (case|codes|also|needs|split): (.*)$")
_CHANGED = re.compile(r"^(\s*)(.*?)\s*#!(.*)$")
_ADDED = re.compile(r"^(\s*)#\+ ?(.*)$")
_POINTED = re.compile(r"^(.*?)\s*#@\s*$")


@dataclass(frozen=True)
class Program:
    """One file of the corpus."""

    path: Path
    case: str
    codes: tuple[str, ...]
    also: tuple[str, ...]
    needs: tuple[str, ...]
    split: str
    lines: tuple[int, ...]
    """Where a finding may point, counted from 1; empty for healthy programs."""

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def is_buggy(self) -> bool:
        return bool(self.codes)

    def write(self, folder: Path, *, healthy: bool = False, seed: int = 0) -> Path:
        """Write one variant as a plain script into ``folder``; returns its path."""
        text = variant(self.path.read_text(), healthy=healthy)
        text, count = re.subn(r"(?m)^SEED = \d+$", f"SEED = {seed}", text)
        assert count == 1, f"{self.path.name} has no line SEED = 0"
        target = folder / self.path.name
        target.write_text(text)
        return target


def variant(text: str, *, healthy: bool) -> str:
    """The buggy or the healthy program of a marked text, line by line."""
    lines = []
    for line in text.splitlines():
        if _HEADER.match(line):
            lines.append("")
        elif match := _ADDED.match(line):
            lines.append(match[1] + match[2] if healthy else "")
        elif match := _CHANGED.match(line):
            other = match[3].strip()
            lines.append((match[1] + other if other else "") if healthy else match[1] + match[2])
        elif match := _POINTED.match(line):
            lines.append(match[1])
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def read(path: Path) -> Program:
    """One program with its header."""
    text = path.read_text().splitlines()
    header = {match[1]: match[2].strip() for line in text if (match := _HEADER.match(line))}

    def names(key: str) -> tuple[str, ...]:
        value = header.get(key, "")
        return tuple(part.strip() for part in value.split(",") if part.strip() not in ("", "none"))

    pointed = [
        number
        for number, line in enumerate(text, 1)
        if not _HEADER.match(line) and (_CHANGED.match(line) or _POINTED.match(line))
    ]
    return Program(
        path=path,
        case=header["case"],
        codes=names("codes"),
        also=names("also"),
        needs=names("needs"),
        split=header["split"],
        lines=tuple(pointed),
    )


def programs(*, split: str | None = None) -> list[Program]:
    """All programs, or those of one half."""
    every = [read(path) for path in sorted(PROGRAMS.rglob("*.py"))]
    return [program for program in every if split in (None, program.split)]


def check(path: Path) -> list[str]:
    """What is wrong with a file of the corpus, for those who write one: `python -m tests.debug.corpus FILE…`."""
    program, wrong = read(path), []
    if program.split not in ("rules", "held-out", "fresh"):
        wrong.append("split is `rules`, `held-out` or `fresh`")
    if program.is_buggy and not program.lines:
        wrong.append("no line is marked")
    for healthy in (False, True):
        try:
            compile(variant(path.read_text(), healthy=healthy), path.name, "exec")
        except SyntaxError as error:
            wrong.append(f"{'healthy' if healthy else 'buggy'} variant: {error}")
    return wrong


if __name__ == "__main__":
    import sys

    if sys.argv[1:2] == ["--write"]:  # --write FOLDER FILE…: FOLDER/buggy/NAME.py and FOLDER/healthy/NAME.py
        for kind in ("buggy", "healthy"):
            target = Path(sys.argv[2]) / kind
            target.mkdir(parents=True, exist_ok=True)
            for name in sys.argv[3:]:
                print(read(Path(name)).write(target, healthy=kind == "healthy"))  # noqa: T201
    else:
        for name in sys.argv[1:]:
            print(name, check(Path(name)) or "fine")  # noqa: T201
