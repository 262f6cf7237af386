"""`python -m mlkit.debug` as a whole: the verdict, the cure as a setting, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import mlkit
from mlkit.config.debugging.command import help_lines, main
from mlkit.config.debugging.job import debug, with_overrides
from mlkit.config.debugging.settings import DebugSettings
from mlkit.config.schema import Config

WINE = ["model=mlp", "data=wine", "trainer.device=cpu", "optimizer.lr=0.003"]


def test_a_healthy_run_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WINE, f"folder={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    for words in (
        "one step: runs",
        "memory of a step on 32 examples",
        "overfit one batch: overfits",
        "python -m mlkit.train model=mlp data=wine",
    ):
        assert words in printed
    found = json.loads((tmp_path / "debug.json").read_text())
    assert found["fine"]
    assert found["first_step"]["runs"]
    assert found["override"] is None
    assert "<svg" in (tmp_path / "debug.html").read_text()
    assert not (tmp_path / "cured.yaml").exists()


def test_the_cure_is_written_and_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = ["model=mlp", "data=wine", "trainer.device=cpu", "optimizer.lr=1e-6"]
    assert main([*slow, "apply=true", "seconds=30", "memory=false", f"folder={tmp_path}"]) == 1
    printed = capsys.readouterr().out
    command = next(line for line in printed.splitlines() if line.startswith("  python -m mlkit.train"))
    assert command.count("optimizer.lr=") == 1
    cured = yaml.safe_load((tmp_path / "cured.yaml").read_text())
    assert cured["optimizer"]["lr"] > 1e-6
    assert debug(Config.from_dict(cured), DebugSettings(memory=False)).is_fine
    mlkit.run({**cured, "trainer": {**cured["trainer"], "max_epochs": 1}}, folder=tmp_path / "run")


@pytest.mark.parametrize(
    ("sick", "cure"),
    [
        (["model=mlp", "model.hidden=[1]", "data=digits", "optimizer.lr=0.01"], "model.hidden=[64]"),
        (["model=mlp", "data=wine", "optimizer=sgd", "optimizer.lr=30", "optimizer.momentum=0"], "optimizer.lr"),
        (
            ["model=mlp", "data=wine", "optimizer=adamw", "optimizer.lr=0.003", "optimizer.weight_decay=100"],
            "weight_decay=0",
        ),
        (["model=mlp", "data=wine", "optimizer.lr=0.003", "trainer.clip_norm=1e-6", "optimizer=sgd"], "clip_norm"),
    ],
    ids=["too small", "too fast", "held back", "clipped away"],
)
def test_what_was_planted_in_the_settings_is_found(sick: list[str], cure: str) -> None:
    found = debug(Config.from_overrides([*sick, "trainer.device=cpu"]), DebugSettings(seconds=30, memory=False))
    assert not found.is_fine
    assert found.override is not None
    assert cure in found.override
    cured = found.cured()
    assert cured is not None
    assert debug(cured, DebugSettings(seconds=30, memory=False)).is_fine


def test_the_settings_of_a_run_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mlkit.run(Config.from_overrides([*WINE, "trainer.max_epochs=1", "tracking=none"]), folder=tmp_path / "run")
    assert main([f"run={tmp_path / 'run'}", f"folder={tmp_path / 'out'}", "memory=false"]) == 0
    assert "overfits" in capsys.readouterr().out
    assert main([f"run={tmp_path / 'run'}", "optimizer.lr=1"]) == 2
    assert "optimizer.lr=1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["stepz=3"], "stepz"),
        (["steps=3"], "steps"),
        (["model=mpl"], "did you mean"),
        (["--wat"], "--wat"),
        (["run=no/such/folder"], "no/such/folder"),
    ],
)
def test_mistakes_end_with_2_and_say_what_is_allowed(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_overrides_in_a_configuration() -> None:
    config = Config.from_overrides(["model=mlp", "data=wine"])
    changed = with_overrides(config, ["optimizer=adam", "optimizer.lr=1e-3", "model.hidden=[64,64]"])
    assert (changed.optimizer.lr, changed.model.hidden) == (0.001, (64, 64))  # type: ignore[attr-defined]
    assert with_overrides(config, ["model=lenet", "data=digits"]).model.name == "lenet"


@pytest.mark.parametrize("width", [40, 80])
def test_help_fits(width: int) -> None:
    lines = list(help_lines(width=width))
    assert any("apply" in line for line in lines)
    assert all(len(line) <= width or line.startswith(("python", "    ", "usage")) for line in lines)
