"""Known results: the register is whole, and a run beside it gets the verdict that its interval allows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mlkit
from mlkit.config.schema import Config
from mlkit.errors import ConfigError
from mlkit.evaluate.known import KINDS, REGISTER, compare
from mlkit.metrics.intervals import wilson
from mlkit.registry import DATA, MODELS


def test_every_entry_is_of_our_catalogue_and_has_its_source() -> None:
    for known in REGISTER:
        assert known.data in DATA
        assert known.ours is None or known.ours in MODELS
        assert known.kind in KINDS
        assert known.source
        assert known.protocol
        assert 0 < known.value <= 1 or known.metric == "loss"
    assert len({(known.data, known.model, known.source) for known in REGISTER}) == len(REGISTER)


@pytest.mark.parametrize(
    ("right", "verdict"),
    [(9905, "reproduces"), (9880, "reproduces"), (9600, "falls short"), (9999, "better than expected")],
)
def test_the_verdict_follows_from_the_interval(right: int, verdict: str) -> None:
    found = compare({"accuracy": wilson(right, 10_000)}, data="mnist", model="lenet")
    assert found.verdict == verdict
    assert found.nearest is not None
    assert found.nearest.known.model == "LeNet-5"
    assert ("leakage" in found.sentence()) == (verdict == "better than expected")


def test_few_rows_are_no_proof_of_falling_short() -> None:
    few = compare({"accuracy": wilson(97, 100)}, data="mnist", model="lenet")
    many = compare({"accuracy": wilson(9700, 10_000)}, data="mnist", model="lenet")
    assert (few.verdict, many.verdict) == ("reproduces", "falls short")


def test_the_same_architecture_comes_first_and_then_the_kind_of_source() -> None:
    found = compare({"accuracy": wilson(9173, 10_000)}, data="cifar10", model="resnet20")
    assert [row.known.ours for row in found.rows][:2] == ["resnet20", "resnet20"]
    assert found.rows[0].known.kind == "unofficial implementation"
    rest = [KINDS.index(row.known.kind) for row in found.rows[2:]]
    assert rest == sorted(rest)


def test_what_is_not_the_same_task_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = compare({"accuracy": wilson(8900, 10_000)}, data="cifar10_jpeg", model="resnet20")
    assert "not the same rows" in str(found)
    assert max(map(len, str(found).splitlines())) <= 80


def test_data_that_nobody_registered() -> None:
    found = compare({"accuracy": wilson(90, 100)}, data="spirals", model="mlp")
    assert found.verdict == "nothing to compare with"
    assert "simple_baselines" in found.sentence()
    assert "registered are" in str(found)


def test_a_finished_run_by_its_folder(tmp_path: Path) -> None:
    settings = ["model=mlp", "data=digits", "trainer.max_epochs=2", "tracking=none", "trainer.speed=off"]
    result = mlkit.run(Config.from_overrides(settings), folder=tmp_path / "run")
    found = compare(tmp_path / "run")
    assert (found.data, found.model, found.split) == ("digits", "mlp", "test")
    assert found.value.value == pytest.approx(result.metrics["test"]["accuracy"].value)
    assert compare(result.fit, data="digits", model="mlp").value == found.value
    assert json.loads(json.dumps(found.to_dict()))["verdict"] == found.verdict
    assert "1 nearest neighbour" in found._repr_html_()


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not that of a finished run"):
        compare(tmp_path)
    with pytest.raises(ConfigError, match="name of the data set"):
        compare({"accuracy": wilson(9, 10)})
    with pytest.raises(ConfigError, match="no metric"):
        compare({"f1": wilson(9, 10)}, data="mnist")
