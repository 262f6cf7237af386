from __future__ import annotations

import pytest
import torch

from mlkit.errors import ConfigError
from mlkit.metrics.catalogue import for_task, make_metrics
from mlkit.task import Task, TaskKind


def task(kind: TaskKind = "classification", num_outputs: int = 10, target_std: tuple[float, ...] = ()) -> Task:
    return Task(kind, "vector", (4,), num_outputs=num_outputs, target_std=target_std)


@pytest.mark.parametrize(
    ("of", "names"),
    [
        (task(num_outputs=2), ["accuracy", "f1", "auc"]),
        (task(num_outputs=10), ["accuracy"]),
        (task(num_outputs=100), ["accuracy", "top5"]),
        (task("regression", 1), ["mae", "rmse", "r2"]),
        (task("next_token", 65), ["accuracy", "perplexity"]),
    ],
)
def test_the_usual_metrics_follow_the_task(of: Task, names: list[str]) -> None:
    assert [metric.name for metric in for_task(of)] == names


def test_metrics_come_in_the_order_asked_for_and_once() -> None:
    names = ["top5", "loss", "auc", "balanced_accuracy", "top5", "f1", "accuracy"]
    expected = ["top5", "auc", "balanced_accuracy", "f1", "accuracy"]
    assert [metric.name for metric in make_metrics(names, task())] == expected


def test_every_call_gives_new_metrics() -> None:
    first, second = (for_task(task("regression", 1)) for _ in range(2))
    first[0].update(torch.ones(3, 1), torch.zeros(3, 1))
    assert second[0].state() == {}


def test_all_wrong_names_are_told_at_once_with_the_closest() -> None:
    with pytest.raises(ConfigError) as caught:
        make_metrics(["acuracy", "accuracy", "rmse", "Top5"], task())
    received = [problem.received for problem in caught.value.problems]
    assert received == ["'acuracy'", "'rmse'", "'Top5'"]
    first, second, _ = caught.value.problems
    assert first.what == second.what == "not a metric of a classification task"
    assert first.allowed == "loss, accuracy, balanced_accuracy, f1, auc, top2 to top9"
    assert first.todo == "did you mean 'accuracy'?"


def test_top_k_of_all_classes_is_refused() -> None:
    assert make_metrics(["top9"], task())[0].name == "top9"
    with pytest.raises(ConfigError, match="'top10'"):
        make_metrics(["top10"], task())
    with pytest.raises(ConfigError, match="'top2'"):
        make_metrics(["top2"], task("regression", 5))


def test_errors_of_a_standardised_target_come_in_its_own_unit() -> None:
    of = task("regression", 2, target_std=(10.0, 100.0))
    mae, rmse, _ = for_task(of)
    output, target = torch.zeros(4, 2), torch.ones(4, 2)
    for metric in (mae, rmse):
        metric.update(output, target)
    assert mae.compute().value == pytest.approx(55.0)
    assert rmse.compute().value == pytest.approx(((10**2 + 100**2) / 2) ** 0.5)
