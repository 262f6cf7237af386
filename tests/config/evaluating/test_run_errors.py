from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import mlkit
from mlkit.config.evaluating.errors import errors_of_run
from mlkit.config.evaluating.finished import Finished, finished_run
from mlkit.config.schema import Config


def finished(folder: Path, *settings: str) -> Finished:
    fixed = ["trainer.speed=off", "trainer.device=cpu", "tracking=none", "trainer.max_epochs=3"]
    mlkit.run(Config.from_overrides([*settings, *fixed]), folder=folder)
    return finished_run(folder)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("errors") / "run"
    return finished(folder, "data=digits", "model=mlp", "model.hidden=[16]", "optimizer.lr=0.003")


def test_the_errors_are_those_that_the_run_counted(digits: Finished) -> None:
    found = errors_of_run(digits)
    assert found is not None
    assert found.worst is not None
    assert found.calibration is not None
    told = json.loads((digits.folder / "result.json").read_text())["splits"][found.split]["accuracy"]["value"]
    count = int(found.confusion.counts.sum())
    assert found.confusion.errors == round((1 - told) * count)
    assert all(row.label != row.prediction for row in found.worst.rows)


def test_few_lines_for_the_console_and_pictures_for_the_page(digits: Finished) -> None:
    found = errors_of_run(digits)
    assert found is not None
    lines = str(found).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 12
    assert len(found.pictures) == 3
    assert json.loads(json.dumps(found.to_dict()))["split"] == found.split


def test_the_model_is_left_as_it_is_found(digits: Finished) -> None:
    before = {name: value.clone() for name, value in digits.model.state_dict().items()}
    training = digits.model.training
    errors_of_run(digits)
    assert digits.model.training == training
    assert all(torch.equal(value, before[name]) for name, value in digits.model.state_dict().items())


def test_too_few_rows_are_not_asked_for_calibration(tmp_path: Path) -> None:
    found = errors_of_run(finished(tmp_path / "run", "data=wine", "model=mlp"))
    assert found is not None
    assert found.calibration is None


def test_numbers_have_no_confusion(tmp_path: Path) -> None:
    assert errors_of_run(finished(tmp_path / "run", "data=diabetes", "model=mlp")) is None
