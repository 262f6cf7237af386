"""`python -m mlkit.evaluate` as a whole: the page of a finished run, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mlkit
from mlkit.config.evaluating.command import main
from mlkit.config.evaluating.finished import finished_run
from mlkit.config.evaluating.learner import ConfigLearner
from mlkit.config.evaluating.settings import EvaluateSettings, split_settings
from mlkit.config.schema import Config
from mlkit.engine.evaluation import evaluation_mode
from mlkit.evaluate.learners import Job

QUICK = [
    "model=mlp",
    "model.hidden=[16]",
    "data=wine",
    "trainer.max_epochs=6",
    "optimizer.lr=0.01",
    "trainer.speed=off",
    "trainer.device=cpu",
    "tracking=none",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run."""
    folder = tmp_path_factory.mktemp("evaluate") / "run"
    mlkit.run(Config.from_overrides(QUICK), folder=folder)
    return folder


def test_the_page_of_a_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"run={run}", "size=quick", "human=0.01", f"folder={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    for words in ("error ladder", "avoidable bias", "cross-entropy of 4 models", "last doubling of data"):
        assert words in printed
    assert printed.splitlines()[-1].startswith("run folder: ")
    found = json.loads((tmp_path / "evaluation.json").read_text())
    steps = sum(term["value"] for term in found["ladder"]["terms"])
    assert steps == pytest.approx(found["ladder"]["total"]["value"], abs=1e-12)
    wrong = json.loads((run / "result.json").read_text())["splits"]["test"]["accuracy"]["value"]
    assert found["ladder"]["total"]["value"] == pytest.approx(1 - wrong, abs=1e-6)
    page = (tmp_path / "evaluation.html").read_text()
    assert "<svg" in page
    assert "What to do next" in page
    lines = printed[printed.index("error ladder") : printed.index("page: ")].splitlines()
    # Commands stand in one line, so that they can be copied.
    assert max(len(line) for line in lines if not line.lstrip().startswith("python -m ")) <= 80


def test_the_advice_is_of_the_terms_that_are_shown(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"run={run}", "size=quick", "human=0.0", f"folder={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "evaluation.json").read_text())
    shown = {term["name"]: term for part in ("ladder", "decomposition") for term in found[part]["terms"]}
    steps = found["advice"]["steps"]
    assert "what to do next" in printed
    assert len(steps) <= 3
    for step in steps:
        assert shown[step["term"]["name"]]["resolved"]
        assert step["action"] in printed
    if not steps:
        assert "no avoidable term is resolved" in printed


def test_a_run_that_is_not_there_yet_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "size=none", f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    assert (tmp_path / "run" / "evaluation.html").exists()
    assert "no decomposition: size=none" in capsys.readouterr().out


def test_what_cannot_be_trained_together_is_told_and_the_rest_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "trainer.early_stopping=3", "curve=true", f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "no decomposition: models that are trained together cannot have trainer.early_stopping=3" in printed
    assert "error ladder" in printed
    assert "what to do next" in printed


def test_a_learning_curve_where_it_is_asked_for(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"run={run}", "size=none", "curve=true", f"folder={tmp_path}"]) == 0
    assert "0-1 loss by training rows" in capsys.readouterr().out
    found = json.loads((tmp_path / "evaluation.json").read_text())["curve"]
    assert found["sizes"][-1] == len(finished_run(run).data.train)
    assert np.mean(found["errors"][-1]) < np.mean(found["errors"][0])


def test_what_is_read_back_is_the_model_that_was_judged(run: Path) -> None:
    finished = finished_run(run)
    told = json.loads((run / "result.json").read_text())["splits"]["val"]["accuracy"]["value"]
    batch = finished.data.val.gather(torch.arange(len(finished.data.val)))
    assert isinstance(batch.inputs, tuple)
    with evaluation_mode(finished.model):
        right = (finished.model(*batch.inputs).argmax(1) == batch.targets).double().mean()
    assert float(right) == pytest.approx(told, abs=1e-6)


def test_a_model_of_all_rows_is_that_of_a_run_alone(run: Path) -> None:
    finished = finished_run(run)
    rows = np.arange(len(finished.data.train))
    (predict,) = ConfigLearner(finished.config, finished.data).fit_many(None, torch.empty(0), [Job(rows, 0)])
    x = finished.data.val.gather(torch.arange(len(finished.data.val))).inputs[0]  # type: ignore[index]
    with evaluation_mode(finished.model):
        torch.testing.assert_close(predict(x), finished.model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["run=nowhere"], "there is no run", 2),
        (["size=huge"], "size cannot have this value", 2),
        (["run=x", "model=mlp"], "cannot be changed", 2),
        (["optimizer.lrr=1"], "unknown setting optimizer.lrr", 2),
        (["--fast"], "unknown option", 2),
    ],
    ids=lambda value: str(value)[:30],
)
def test_mistakes(words: list[str], message: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == code
    assert message in capsys.readouterr().err


def test_other_data_than_those_of_the_run_are_refused(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for name in ("config.yaml", "model.safetensors"):
        (copy / name).write_bytes((run / name).read_bytes())
    about = json.loads((run / "run.json").read_text())
    about["data"]["fingerprint"] = "0" * 16
    (copy / "run.json").write_text(json.dumps(about))
    with pytest.raises(mlkit.MlkitError, match="the data are not those"):
        finished_run(copy)


def test_weights_that_are_missing_or_damaged_are_told(run: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    with pytest.raises(mlkit.MlkitError, match="no weights"):
        finished_run(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(mlkit.MlkitError, match="cannot be read"):
        finished_run(tmp_path)


def test_settings_are_told_apart_from_those_of_a_run() -> None:
    settings, rest, problems = split_settings(["human=1e-2", "model=mlp", "size=none", "rows=50"])
    assert (settings, rest, problems) == (EvaluateSettings(human=0.01, size="none", rows=50), ["model=mlp"], [])


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name}:" in printed for name in EvaluateSettings.__dataclass_fields__)
