"""Wrong labels and bad groups of rows are planted in a table, and the page of a run on it names them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mlkit
from mlkit.config.evaluating.command import main
from mlkit.config.evaluating.finished import Finished, finished_run
from mlkit.config.evaluating.learner import ConfigLearner
from mlkit.config.evaluating.rows import columns_of, labels_of_run, slices_of_run
from mlkit.config.schema import Config
from mlkit.evaluate.decompose import decompose

FIXED = ["model=mlp", "model.hidden=[8]", "optimizer.lr=0.01", "trainer.max_epochs=5"]
QUIET = ["trainer.speed=off", "trainer.device=cpu", "tracking=none", "trainer.preflight=off"]


def table(folder: Path, *, everywhere: float, in_group: float) -> Path:
    """Two clouds far apart along ``side``; labels are wrong in a share of all rows, and of those of group 3."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 1500)
    side, other, group = 6 * truth + rng.normal(size=1500), rng.normal(size=1500), rng.integers(0, 4, 1500)
    wrong = rng.random(1500) < np.where(group == 3, in_group, everywhere)
    rows = zip(side, other, group, np.where(truth ^ wrong, "yes", "no"), strict=True)
    lines = [f"{a:.4f},{b:.4f},g{g},{label}" for a, b, g, label in rows]
    file = folder / "table.csv"
    file.write_text("\n".join(["side,other,group,label", *lines]))
    return file


def finished(folder: Path, *words: str) -> Finished:
    mlkit.run(Config.from_overrides([*FIXED, *words, *QUIET]), folder=folder / "run")
    return finished_run(folder / "run")


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("noisy")
    file = table(folder, everywhere=0.1, in_group=0.1)
    return finished(folder, "data=csv", f"data.path={file}", "data.target=label")


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("grouped")
    file = table(folder, everywhere=0.0, in_group=0.5)
    return finished(folder, "data=csv", f"data.path={file}", "data.target=label")


def decomposed(run: Finished) -> ConfigLearner:
    learner = ConfigLearner(run.config, run.data)
    decompose(learner, run.data, loss="cross_entropy", size="quick")
    return learner


def test_planted_wrong_labels_are_found_and_measured(noisy: Finished) -> None:
    found = labels_of_run(noisy, decomposed(noisy))
    assert found is not None
    batch = noisy.data.train.gather(torch.arange(len(noisy.data.train)))
    side = batch.inputs[0][:, 0].numpy()  # type: ignore[index]
    yes = noisy.data.task.class_names.index("yes")
    wrong = (side > 0) != (batch.targets.numpy() == yes)
    assert wrong[found.found.rows].mean() > 0.95
    assert found.found.term.value == pytest.approx(wrong.mean(), abs=0.02)
    assert found.sure.low is not None
    assert found.sure.high is not None
    assert found.sure.low < wrong.mean() < found.sure.high
    assert max(map(len, str(found).splitlines())) <= 80


def test_the_page_advises_to_relabel_and_a_curve_changes_nothing(
    noisy: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for name, words in {"plain": [], "curve": ["curve=true"]}.items():
        assert main([f"run={noisy.folder}", "size=quick", "human=0.0", f"folder={tmp_path / name}", *words]) == 0
        told.append(json.loads((tmp_path / name / "evaluation.json").read_text())["labels"])
    assert told[0] == told[1]
    printed = capsys.readouterr().out
    assert "1. relabel the rows that are likely wrong" in printed
    assert "on this page: likely label errors" in printed
    assert "Likely label errors" in (tmp_path / "plain" / "evaluation.html").read_text()


def test_labels_that_are_right_are_not_counted(tmp_path: Path) -> None:
    run = finished(tmp_path, "data=digits", "model.hidden=[64]")
    found = labels_of_run(run, decomposed(run))
    assert found is not None
    assert not found.sure.resolved
    assert found.picture is None or "<svg" in found.picture
    assert slices_of_run(run) is None  # pixels have no meaning of their own


def test_a_group_with_more_error_is_named_by_its_column(grouped: Finished) -> None:
    found = slices_of_run(grouped)
    assert found is not None
    assert found.found.found[0].name.startswith("group = ")
    assert found.found.found[0].error == pytest.approx(0.5, abs=0.15)
    result = json.loads((grouped.folder / "result.json").read_text())["splits"][found.split]["accuracy"]["value"]
    assert found.found.error == pytest.approx(1 - result, abs=1e-6)
    assert max(map(len, str(found).splitlines())) <= 80


def test_numbers_have_slices_and_no_labels(tmp_path: Path) -> None:
    run = finished(tmp_path, "data=diabetes")
    found = slices_of_run(run)
    assert found is not None
    told = json.loads((run.folder / "result.json").read_text())["splits"][found.split]["loss"]["value"]
    assert found.found.error == pytest.approx(told, rel=1e-5)
    assert labels_of_run(run, ConfigLearner(run.config, run.data)) is None


def test_columns_are_named_as_the_data_name_them(grouped: Finished, noisy: Finished) -> None:
    assert columns_of(grouped.data, 2, 1) == ["side", "other", "group"]
    assert columns_of(grouped.data, 3, 1) == ["side", "other", "missing 0", "group"]
    assert columns_of(grouped.data, 1, 0) == ["column 0"]
