from __future__ import annotations

import re

import pytest

from tests.debug.corpus import PROGRAMS, check, programs, read, variant

CASES = [
    *(f"L{n:02}" for n in range(1, 16)),
    *(f"S{n:02}" for n in range(1, 9)),
    *(f"D{n:02}" for n in range(1, 20)),
    *(f"O{n:02}" for n in range(1, 23)),
    *(f"M{n:02}" for n in range(1, 8)),
    *(f"N{n:02}" for n in range(1, 6)),
    *(f"G{n:02}" for n in range(1, 13)),
]


def test_every_case_is_there_in_both_halves() -> None:
    assert len(CASES) == 88
    for split in ("rules", "held-out"):
        there = {program.case for program in programs(split=split)}
        assert set(CASES) <= there


def test_there_are_decoys_ordinary_programs_doubles_and_frameworks() -> None:
    every = programs()
    assert {f"H{n:02}" for n in range(1, 29)} <= {program.case for program in every}
    assert sum(program.case == "healthy" for program in every) >= 12
    assert sum(program.case == "double" for program in every) >= 20
    assert {"lightning", "transformers", "skorch", "ignite"} <= {name for program in every for name in program.needs}


@pytest.mark.parametrize("path", sorted(PROGRAMS.rglob("*.py")), ids=lambda path: path.stem)
def test_a_program_is_well_formed(path) -> None:  # type: ignore[no-untyped-def]
    assert check(path) == []
    text = path.read_text()
    for healthy in (False, True):
        written = variant(text, healthy=healthy)
        assert len(written.splitlines()) == len(text.splitlines())
        assert not re.search(r"#[!@+]|^# (case|codes|split)", written, re.M), (
            "nothing in a variant tells what is planted"
        )
    assert "mlkit" not in text
    assert len(re.findall(r"(?m)^SEED = 0$", text)) == 1


def test_markers_make_two_variants_of_equal_length() -> None:
    text = "SEED = 0\n#+ clear()\nloss = f(a)  #! loss = f(b)\nx = g(x)  #!\nstep()  #@\n"
    assert variant(text, healthy=False) == "SEED = 0\n\nloss = f(a)\nx = g(x)\nstep()\n"
    assert variant(text, healthy=True) == "SEED = 0\nclear()\nloss = f(b)\n\nstep()\n"


def test_lines_are_those_that_are_marked() -> None:
    program = read(next(path for path in PROGRAMS.rglob("o01_digits_cnn.py")))
    source = program.path.read_text().splitlines()
    assert program.lines
    assert all("#!" in source[line - 1] or "#@" in source[line - 1] for line in program.lines)
