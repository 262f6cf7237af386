from __future__ import annotations

import math

import pytest

from mlkit.population import Progress
from mlkit.population.progress import Lines, reporter


def _at(epoch: int, active: int = 2) -> Progress:
    return Progress(epoch, 5, active, 4, "val/loss", 0.5, 1, seconds=200.0, left=7200.0)


def test_a_line_says_how_it_stands() -> None:
    assert str(_at(2)) == "epoch 2/5  2 of 4 members  best val/loss 0.5 (member 1)  3 min, at most 2.0 h left"
    early = Progress(0, 5, 4, 4, "val/loss", math.nan, None, seconds=1.0, left=math.nan)
    assert str(early) == "epoch 0/5  4 of 4 members  1 s"


def test_lines_are_rare_but_the_last_is_always_there(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for epoch in range(1, 6):
        lines(_at(epoch))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split()[1] for line in captured.err.splitlines()] == ["1/5", "5/5"]


def test_what_progress_may_be() -> None:
    assert reporter(False) is None
    assert isinstance(reporter(True), Lines)
    assert reporter(print) is print
