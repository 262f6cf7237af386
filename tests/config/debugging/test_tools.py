"""`python -m mlkit.debug known | baselines | lr`: what they print, write, and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mlkit
from mlkit.config.debugging.command import main
from mlkit.config.schema import Config

QUICK = ["model=mlp", "data=digits", "trainer.device=cpu", "tracking=none", "trainer.speed=off"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run."""
    folder = tmp_path_factory.mktemp("tools") / "run"
    mlkit.run(Config.from_overrides([*QUICK, "optimizer.lr=0.003", "trainer.max_epochs=3"]), folder=folder)
    return folder


def test_a_run_beside_what_is_known(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["known", f"run={run}"]) == 0
    assert "1 nearest neighbour" in capsys.readouterr().out
    assert json.loads((run / "known.json").read_text())["data"] == "digits"


def test_a_run_beside_simple_baselines(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baselines", f"run={run}"]) == 0
    printed = capsys.readouterr().out
    assert "simple baselines: error on test" in printed
    found = json.loads((run / "baselines.json").read_text())
    result = json.loads((run / "result.json").read_text())
    assert found["model"]["value"] == pytest.approx(1 - result["splits"]["test"]["accuracy"]["value"], abs=1e-9)
    assert found["verdict"] in ("better than constant", "better than all")


def test_a_run_that_learned_nothing_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [*QUICK, "data=breast_cancer", "optimizer.lr=1e-9", "trainer.max_epochs=1"]
    mlkit.run(Config.from_overrides(settings), folder=tmp_path / "run")
    assert main(["baselines", f"run={tmp_path / 'run'}"]) == 1
    assert "no better than a constant answer" in capsys.readouterr().out


def test_a_range_test_of_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr", *QUICK, f"folder={tmp_path}"]) == 0
    assert "as a setting: optimizer.lr=" in capsys.readouterr().out
    assert json.loads((tmp_path / "range_test.json").read_text())["suggestion"] > 0
    assert (tmp_path / "range_test.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["known"], "needs the folder of a run"),
        (["baselines"], "needs the folder of a run"),
        (["knwon", "run=x"], "did you mean 'known'?"),
        (["known", "run=x", "optimizer.lr=1"], "takes a finished run as it is"),
        (["known", "run=nowhere"], "not that of a finished run"),
        (["lr", "model=mpl"], "did you mean"),
    ],
)
def test_mistakes_end_with_2(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert told in capsys.readouterr().err
