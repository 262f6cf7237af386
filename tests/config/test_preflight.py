"""The pre-flight of a run: a proven bug stops it, sound models pass, and the run itself is not touched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

import mlkit
from mlkit.config.schema import Config
from mlkit.engine import checkpoint
from mlkit.errors import PreflightError
from mlkit.registry import MODELS

FAST = ["trainer.max_epochs=1", "trainer.speed=off", "trainer.device=cpu", "tracking=none"]


@pytest.fixture
def ends_in_softmax() -> Iterator[str]:
    """Name of a model that gives probabilities where the loss wants logits."""
    before = dict(MODELS._added)

    @mlkit.register("ends_in_softmax")
    def make(num_outputs: int, in_features: int) -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), nn.Linear(in_features, 32), nn.ReLU(), nn.Linear(32, num_outputs), nn.Softmax(dim=1)
        )

    yield "ends_in_softmax"
    MODELS._added = before


def config(*overrides: str) -> Config:
    return Config.from_overrides([*FAST, *overrides])


def test_a_proven_bug_stops_the_run_before_its_first_step(ends_in_softmax: str, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="probabilities enter cross_entropy") as caught:
        mlkit.run(config(f"model={ends_in_softmax}"), folder=tmp_path / "run")
    assert "trainer.preflight=warn" in str(caught.value)
    assert caught.value.exit_code == 1
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["status"], result["steps"]) == ("failed", 0)


def test_told_to_warn_it_trains_in_spite_of_it(ends_in_softmax: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="probabilities enter cross_entropy"):
        result = mlkit.run(config(f"model={ends_in_softmax}", "trainer.preflight=warn"), folder=tmp_path / "run")
    assert result.status == "completed"


def test_told_not_to_look_it_says_nothing(ends_in_softmax: str, tmp_path: Path) -> None:
    assert mlkit.run(
        config(f"model={ends_in_softmax}", "trainer.preflight=off"), folder=tmp_path / "run"
    ).fit.state.step


@pytest.mark.parametrize(
    "overrides",
    [
        ["data=digits", "model=lenet"],
        ["data=digits", "model=resnet20"],
        ["data=digits", "model=mlp", "model.dropout=0.5", "model.normalization=batch"],
        ["data=wine"],
        ["data=diabetes", "optimizer=sgd"],
        ["data=breast_cancer", "trainer.accumulate=2", "trainer.label_smoothing=0.1"],
        ["data=adding"],
        ["data=spirals", "optimizer.lr=0.01"],
        ["data=copy"],
        ["data=digits", "data.augment=[shift(1),rotate(10)]", "trainer.clip_norm=1.0"],
    ],
    ids=" ".join,
)
def test_sound_runs_pass_without_a_word(overrides: list[str], tmp_path: Path) -> None:
    # A warning would be an error here.
    assert mlkit.run(config("trainer.max_steps=3", *overrides), folder=tmp_path / "run").status == "completed"


def test_the_run_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    settings = ["model=lenet", "model.dropout=0.3", "data.augment=[shift(1)]", "trainer.max_steps=20"]
    weights = []
    for choice in ("stop", "off"):
        mlkit.run(config(*settings, f"trainer.preflight={choice}"), folder=tmp_path / choice)
        last = checkpoint.load(tmp_path / choice / "checkpoints" / "last.pt")
        weights.append([checkpoint.digest(last[part]) for part in ("model", "optimizer", "rng")])
    assert weights[0] == weights[1]
