from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def program() -> ModuleType:
    file = Path(__file__).parents[1] / "benchmarks" / "exact_resume.py"
    spec = importlib.util.spec_from_file_location("exact_resume", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.SETTINGS[:] = [line for line in module.SETTINGS if "max_epochs" not in line] + ["trainer.max_epochs=15"]
    return module


@pytest.fixture(scope="module")
def whole(program: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run that nothing interrupts."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "whole"
    with program.start(*program.SETTINGS, f"hydra.run.dir={folder}") as process:
        assert process.wait() == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.7, 3.5, 5.0])
def test_killed_from_outside_and_resumed_gives_the_same_bits(
    after: float, program: ModuleType, whole: Path, tmp_path: Path
) -> None:
    assert program.killed_once(tmp_path / "killed", after)["exit_code"] == 0
    assert program.content(tmp_path / "killed") == program.content(whole)
