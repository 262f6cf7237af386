from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.7, 3.5, 5.0])
def test_killed_from_outside_and_resumed_gives_the_same_bits(after: float, tmp_path: Path) -> None:
    file = Path(__file__).parents[1] / "benchmarks" / "exact_resume.py"
    spec = importlib.util.spec_from_file_location("exact_resume", file)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    program.SETTINGS[:] = [line for line in program.SETTINGS if "max_epochs" not in line] + ["trainer.max_epochs=15"]
    with program.start(*program.SETTINGS, f"hydra.run.dir={tmp_path / 'whole'}") as process:
        assert process.wait() == 0
    assert program.killed_once(tmp_path / "killed", after)["exit_code"] == 0
    assert program.content(tmp_path / "killed") == program.content(tmp_path / "whole")
