from __future__ import annotations

import math
import shlex
from functools import cache
from typing import Any

import pytest

from mlkit.config import Config
from mlkit.engine.state import SplitMetrics
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import wilson
from mlkit.report import Evidence, suggest
from mlkit.runtime.nested import dotted
from mlkit.task import Task

DIGITS = Task("classification", "image", (1, 8, 8), num_outputs=10)
FLAT = [0.5] * 20
FALLING = [1 / epoch for epoch in range(1, 21)]
RISING = [1.0, 0.8, 0.6, 0.5, 0.4, 0.3, *[0.3 + 0.03 * k for k in range(1, 15)]]


def _history(losses: list[float], split: str = "val") -> list[dict[str, Any]]:
    return [{"step": 10 * e, "epoch": e, "split": split, "loss": loss} for e, loss in enumerate(losses, start=1)]


def _rates(train: tuple[int, int], val: tuple[int, int], **other: tuple[int, int]) -> dict[str, SplitMetrics]:
    return {split: {"accuracy": wilson(*counts)} for split, counts in {"train": train, "val": val, **other}.items()}


@cache
def _settings(run: tuple[str, ...]) -> dict[str, Any]:
    """The settings of a command with these overrides; fails where it could not be run."""
    return dotted(Config.from_overrides(run).to_dict())


def _evidence(
    metrics: dict[str, SplitMetrics], losses: list[float] = FLAT, *, run: tuple[str, ...] = (), **facts: Any
) -> Evidence:
    """A finished run of the command with the overrides ``run``."""
    given = {
        "max_epochs": 20,
        "task": DIGITS,
        "learning_rate": 3e-4,
        "settings": _settings(run),
        "overrides": run,
        **facts,
    }
    return Evidence(metrics, _history(losses), epochs=len(losses), steps=10 * len(losses), **given)


def _lines(evidence: Evidence) -> list[str]:
    """The suggestions as text; every command is one that can be run."""
    suggestions = suggest(evidence)
    assert len(suggestions) <= 3
    for suggestion in suggestions:
        words = shlex.split(suggestion.command)
        assert words[:3] == ["python", "-m", "mlkit.train"]
        assert "\n" not in str(suggestion)
        if not any(word.startswith("resume=") for word in words):
            _settings(tuple(word for word in words[3:] if word != "-m" and "seed=0," not in word))
    return [str(suggestion) for suggestion in suggestions]


GOOD = _rates((9990, 10000), (1995, 2000))


def test_where_nothing_is_wrong_the_seed_is_what_is_left_to_vary() -> None:
    (line,) = _lines(_evidence(GOOD))
    assert line == (
        "val accuracy 0.9975 [0.9942, 0.9989] is of one seed; see how much the seed matters: "
        "python -m mlkit.train -m seed=0,1,2"
    )


def test_an_interrupted_run_is_to_be_continued() -> None:
    (line,) = _lines(_evidence(GOOD, FALLING, status="interrupted", folder="outputs/my run"))
    assert line.endswith("go on with: python -m mlkit.train resume='outputs/my run'")
    assert _lines(_evidence(GOOD, FALLING, status="interrupted")) == []


def test_a_loss_that_is_still_falling_asks_for_more_epochs() -> None:
    finding = "val loss was still falling in the last 4 of 20 epochs; train longer: python -m mlkit.train "
    (line,) = _lines(_evidence(GOOD, FALLING))
    assert line == f"{finding}trainer.max_epochs=40"
    (line,) = _lines(_evidence(GOOD, FALLING, run=("data=mnist", "trainer.max_epochs=20", "seed=3")))
    assert line == f"{finding}data=mnist seed=3 trainer.max_epochs=40"
    (line,) = _lines(_evidence(GOOD, FALLING, folder="outputs/x"))
    assert line == f"{finding}resume=outputs/x trainer.max_epochs=40"
    # A schedule over the whole run would be another one from the first step on.
    (line,) = _lines(_evidence(GOOD, FALLING, run=("schedule=cosine",), folder="outputs/x"))
    assert line == f"{finding}schedule=cosine trainer.max_epochs=40"
    (line,) = _lines(_evidence(GOOD, FALLING, max_epochs=None, max_steps=200))
    assert line.endswith("trainer.max_steps=400")


@pytest.mark.parametrize(
    ("losses", "facts"),
    [
        ([*FALLING[:-1], 0.06], {}),  # rose in the last epoch
        ([1.0 - 0.001 * e for e in range(20)], {}),  # creeps
        (FALLING, {"status": "stopped"}),
        (FALLING, {"max_epochs": 30}),  # something else ended it
        ([0.5], {"max_epochs": 1}),
    ],
)
def test_a_loss_that_is_not_falling_any_more_does_not(losses: list[float], facts: dict[str, Any]) -> None:
    assert not any("longer" in line for line in _lines(_evidence(GOOD, losses, **facts)))


def test_a_loss_that_falls_with_noise_is_judged_by_its_best_values() -> None:
    (line,) = _lines(_evidence(GOOD, [*FLAT[:16], 0.4, 0.3, 0.35, 0.2]))
    assert line.startswith("val loss was best in the last of 20 epochs, 50 % below the best of 3 epochs before; train")
    (line,) = _lines(_evidence(GOOD, [*FLAT[:16], 0.51, 0.49, 0.51, 0.48]))
    assert "longer" not in line


def test_of_a_short_run_all_epochs_count_and_without_val_the_training_loss() -> None:
    (line,) = _lines(_evidence(GOOD, [1.0, 0.5], max_epochs=2))
    assert line.startswith("val loss was still falling in all 2 epochs")
    evidence = Evidence({}, _history(FALLING, "running"), epochs=20, max_epochs=20)
    assert [str(s)[:31] for s in suggest(evidence)] == ["training loss was still falling"]


def test_a_loss_that_rises_asks_for_early_stopping() -> None:
    (line,) = _lines(_evidence(GOOD, RISING))
    assert line == (
        "val loss was best in epoch 6 of 20 (0.3) and has risen to 0.72; stop early and keep the best weights: "
        "python -m mlkit.train trainer.early_stopping=5 trainer.restore_best=true"
    )
    (line,) = _lines(_evidence(GOOD, RISING, run=("trainer.early_stopping=9",)))
    assert line.endswith("mlkit.train trainer.early_stopping=9 trainer.restore_best=true")
    assert "early" not in _lines(_evidence(GOOD, RISING, run=("trainer.restore_best=true",)))[0]


@pytest.mark.parametrize(("low", "said"), [(0.5, True), (0.2, False)])
def test_whether_a_loss_has_risen_is_judged_by_its_interval(low: float, said: bool) -> None:
    metrics = {split: {"loss": Estimate(0.72, low, 0.9, 2000, "normal"), **GOOD[split]} for split in GOOD}
    assert any("has risen" in line for line in _lines(_evidence(metrics, RISING))) is said


def test_a_training_score_that_may_be_chance_asks_to_overfit_a_few_examples() -> None:
    (line, *_) = _lines(_evidence(_rates((110, 1000), (10, 100)), run=("trainer.early_stopping=5",)))
    assert line.startswith("train accuracy 0.11 [0.09208, 0.1309] is not resolved from chance (0.1); a sound model can")
    assert line.endswith("data.limit=32 trainer.max_epochs=300 trainer.early_stopping=null")
    many = Task("classification", "image", (1, 8, 8), num_outputs=100)
    (line, *_) = _lines(_evidence(_rates((10, 1000), (1, 100)), task=many))
    assert "data.limit=200" in line
    assert not any("chance" in line for line in _lines(_evidence(_rates((500, 1000), (50, 100)))))


def test_a_regression_that_explains_nothing_is_at_chance_too() -> None:
    task = Task("regression", "table", (8,), num_outputs=1)
    metrics = {split: {"r2": Estimate(0.01, -0.02, 0.04, 500, "bootstrap")} for split in ("train", "val")}
    (line, *_) = _lines(_evidence(metrics, task=task, run=("data=diabetes",)))
    assert line.startswith("train r2 0.01 [-0.02, 0.04] is not resolved from chance (0)")
    assert "data=diabetes data.limit=32" in line


@pytest.mark.parametrize(
    ("run", "change"),
    [
        ((), "model=lenet model.width=2"),
        (("model=lenet", "model.width=2"), "model=lenet model.width=4"),
        (("model=mlp", "model.hidden=[64,32]"), "model=mlp 'model.hidden=[128,64]'"),
        (("model=resnet20", "model.shortcut=projection"), "model=resnet32"),
        (("data=japanese_vowels", "model=lstm"), "data=japanese_vowels model=lstm model.hidden=256"),
    ],
)
def test_a_low_training_score_is_bias_and_asks_for_a_larger_model(run: tuple[str, ...], change: str) -> None:
    (line, *_) = _lines(_evidence(_rates((7100, 10000), (1380, 2000)), run=run))
    assert line == (
        "train accuracy 0.71 [0.701, 0.7188] is itself low, val 0.69 [0.6694, 0.7099] is not far from it; "
        f"bias dominates; a larger model: python -m mlkit.train {change}"
    )


def test_the_largest_model_and_an_unknown_one_get_a_higher_learning_rate() -> None:
    low = _rates((7100, 10000), (1380, 2000))
    for evidence in (_evidence(low, run=("model=resnet110",)), _evidence(low, settings=None, task=None)):
        assert "bias dominates; a higher learning rate" in _lines(evidence)[0]
        assert "optimizer.lr=0.0009" in _lines(evidence)[0]


def test_of_a_run_that_still_gets_better_no_bias_is_claimed() -> None:
    (line,) = _lines(_evidence(_rates((7100, 10000), (1380, 2000)), FALLING))
    assert "train longer" in line


@pytest.mark.parametrize(
    ("run", "advice"),
    [
        (("data.limit=500",), "more data: python -m mlkit.train data.limit=1000"),
        ((), "augmentation: python -m mlkit.train 'data.augment=[shift(1)]'"),
        (
            ("data.augment=[crop]",),
            "dropout: python -m mlkit.train 'data.augment=[crop]' model=lenet model.dropout=0.2",
        ),
        (("data=wine",), "dropout: python -m mlkit.train data=wine model=mlp model.dropout=0.2"),
        (
            ("data=wine", "model=mlp", "model.dropout=0.1"),
            "weight decay: python -m mlkit.train data=wine model=mlp model.dropout=0.1 "
            "optimizer=adamw optimizer.weight_decay=0.01",
        ),
    ],
)
def test_intervals_that_do_not_overlap_are_variance(run: tuple[str, ...], advice: str) -> None:
    task = DIGITS if "data=wine" not in run else Task("classification", "vector", (13,), num_outputs=3)
    (line,) = _lines(_evidence(_rates((1000, 1000), (962, 1000)), run=run, task=task))
    assert line == (
        f"train accuracy 1 [0.9962, 1] and val 0.962 [0.9483, 0.9722] do not overlap; variance dominates; {advice}"
    )


def test_a_limit_beyond_what_there_is_cannot_be_raised() -> None:
    (line,) = _lines(_evidence(_rates((1000, 1000), (962, 1000)), run=("data.limit=5000",)))
    assert "more data" not in line


def test_intervals_that_overlap_are_not_resolved() -> None:
    (line,) = _lines(_evidence(_rates((1240, 1258), (174, 180))))
    assert line == (
        "the gap between train accuracy 0.9857 [0.9775, 0.9909] and val 0.9667 [0.9292, 0.9846] is not resolved by "
        "180 examples; hold out more: python -m mlkit.train data.val_fraction=0.2"
    )
    assert "dominates" not in line
    # Where the held-out share is no setting, or large already, it is not suggested.
    for run in (("data=etth1",), ("data.val_fraction=0.3",)):
        (line,) = _lines(_evidence(_rates((1240, 1258), (174, 180)), run=run))
        assert "is of one seed" in line


def test_for_errors_smaller_is_better() -> None:
    metrics: dict[str, SplitMetrics] = {
        "train": {"rmse": Estimate(1.0, 0.9, 1.1, 500, "bootstrap")},
        "val": {"rmse": Estimate(2.0, 1.8, 2.2, 2000, "bootstrap")},
    }
    task = Task("regression", "vector", (10,), num_outputs=1)
    (line,) = _lines(_evidence(metrics, task=task, run=("data=diabetes",)))
    assert "train rmse 1 [0.9, 1.1] and val 2 [1.8, 2.2] do not overlap; variance dominates" in line
    (line,) = _lines(_evidence({"train": metrics["val"], "val": metrics["train"]}, task=task, run=("data=diabetes",)))
    assert "variance" not in line


def test_a_shift_between_the_distributions_is_named() -> None:
    metrics = _rates((9990, 10000), (1995, 2000), target_val=(1600, 2000))
    (line,) = _lines(
        _evidence(metrics, run=("data=mnist_to_usps",), task=Task("classification", "image", (1, 28, 28), 10))
    )
    assert "target_val 0.8 [0.7819, 0.8169] do not overlap; the shift between the two dominates" in line
    assert line.endswith("data=mnist_to_usps 'data.augment=[shift]'")


def test_a_loss_that_is_not_finite_asks_for_a_smaller_learning_rate() -> None:
    (line, *_) = _lines(_evidence(GOOD, [1.0, 0.5, math.nan, math.inf], run=("optimizer.lr=0.1",), learning_rate=0.1))
    assert line == (
        "the val loss is not finite since epoch 3; a tenth of the learning rate: "
        "python -m mlkit.train optimizer.lr=0.01"
    )


def test_at_most_three_in_the_order_of_the_recipe() -> None:
    metrics = _rates((110, 1000), (5, 100))
    lines = _lines(_evidence(metrics, FALLING))
    assert ["chance" in lines[0], "longer" in lines[1]] == [True, True]
    assert 1 <= len(lines) <= 3


def test_the_folder_of_a_run_is_not_used_again() -> None:
    evidence = _evidence(GOOD, FALLING)
    evidence = Evidence(**{**vars(evidence), "overrides": ("hydra.run.dir=outputs/x", "seed=1")})
    assert suggest(evidence)[0].command == "python -m mlkit.train seed=1 trainer.max_epochs=40"


def test_without_any_metrics_nothing_is_suggested() -> None:
    assert suggest(Evidence({}, [])) == []
