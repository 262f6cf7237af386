from __future__ import annotations

import pytest

from mlkit.errors import ConfigError
from mlkit.metrics import AUC, F1, MAE, R2, RMSE, Accuracy, BalancedAccuracy, Loss, Perplexity, TokenAccuracy, TopK
from mlkit.metrics.objectives import direction
from mlkit.metrics.streaming import Metric
from mlkit.task import Task


def every_metric() -> list[Metric]:
    return [
        AUC(),
        F1(3),
        MAE(),
        R2(),
        RMSE(),
        Accuracy(),
        BalancedAccuracy(3),
        Loss(lambda output, target: output.mean()),
        Perplexity(3),
        TokenAccuracy(),
        TopK(7),
    ]


@pytest.mark.parametrize("metric", every_metric(), ids=lambda metric: type(metric).__name__)
def test_the_direction_by_name_is_that_of_the_metric(metric: Metric) -> None:
    assert direction(metric.name) == ("max" if metric.higher_is_better else "min")


class Regret:
    name = "regret"
    higher_is_better = False


class AccuracyLoss:
    name = "accuracy"
    higher_is_better = False


def test_a_metric_of_the_users_own_is_asked_first() -> None:
    assert direction("regret", [Regret()]) == "min"
    assert direction("accuracy", [AccuracyLoss()]) == "min"
    assert direction("accuracy") == "max"


def test_a_misspelt_name_is_answered_with_the_closest() -> None:
    with pytest.raises(ConfigError) as caught:
        direction("acuracy")
    (problem,) = caught.value.problems
    assert problem.what == "unknown metric"
    assert problem.received == "'acuracy'"
    assert problem.allowed is not None
    assert problem.allowed.startswith("loss, mae")
    assert "top5" in problem.allowed
    assert problem.todo == "did you mean 'accuracy'?"


def test_the_users_own_names_are_suggested_too() -> None:
    with pytest.raises(ConfigError, match="did you mean 'regret'"):
        direction("regrets", [Regret()])


@pytest.mark.parametrize("name", ["top0", "top", "top5x", "", "xyz"])
def test_a_name_like_no_other_is_refused_and_told_what_to_do(name: str) -> None:
    with pytest.raises(ConfigError, match=r"choose one of these, or pass a metric of your own|did you mean"):
        direction(name)


def test_every_metric_of_every_task_has_a_direction() -> None:
    from mlkit.metrics.catalogue import for_task

    for kind in ("classification", "regression", "next_token"):
        for size in (1, 2, 10, 1000):
            for metric in for_task(Task(kind, "vector", (4,), num_outputs=size)):
                assert direction(metric.name) in ("min", "max")
