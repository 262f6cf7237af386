"""Which metrics a task has: the usual ones, and any of them by name.

Not here: the metrics themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from mlkit.errors import ConfigError, Problem, did_you_mean
from mlkit.metrics.auc import AUC
from mlkit.metrics.classification import F1, Accuracy, BalancedAccuracy, TopK
from mlkit.metrics.regression import MAE, R2, RMSE
from mlkit.metrics.streaming import Metric
from mlkit.metrics.tokens import Perplexity, TokenAccuracy
from mlkit.task import Task

# Top-5 is customary from about 100 classes on (CIFAR-100, ImageNet); among 10 a guess is right half the time.
CLASSES_FOR_TOP5 = 100


def for_task(task: Task) -> list[Metric]:
    """The usual metrics of a task; the loss is always evaluated beside them.

    Classification: accuracy, with F1 and AUC for two classes and top-5 from 100 classes on. Regression: MAE, RMSE, R².
    Next token: accuracy and perplexity.

    >>> task = Task("classification", "vector", (4,), num_outputs=2)
    >>> [metric.name for metric in for_task(task)]
    ['accuracy', 'f1', 'auc']
    """
    names = {
        "classification": ["accuracy"],
        "regression": ["mae", "rmse", "r2"],
        "next_token": ["accuracy", "perplexity"],
    }[task.kind]
    if task.kind == "classification" and task.num_outputs == 2:
        names += ["f1", "auc"]
    if task.kind == "classification" and task.num_outputs >= CLASSES_FOR_TOP5:
        names += ["top5"]
    return make_metrics(names, task)


def make_metrics(names: Iterable[str], task: Task) -> list[Metric]:
    """Metrics by name, in the order given, each once.

    Args:
        names: such as ``"accuracy"``, ``"top5"``, ``"f1"``; ``"loss"`` may stand among them, it is always evaluated.
        task: what they are for.

    Raises:
        ConfigError: names that are unknown or do not fit the task, all of them together.
    """
    table = _table(task)
    problems: list[Problem] = []
    metrics: list[Metric] = []
    for name in dict.fromkeys(names):
        if name == "loss":
            continue
        k = _top_k(name, task)
        if k is not None:
            metrics.append(TopK(k))
        elif name in table:
            metrics.append(table[name]())
        else:
            problems.append(_unknown(name, task, table))
    if problems:
        raise ConfigError(problems)
    return metrics


def _table(task: Task) -> dict[str, Callable[[], Metric]]:
    size, std = task.num_outputs, task.target_std
    tables: dict[str, dict[str, Callable[[], Metric]]] = {
        "classification": {
            "accuracy": Accuracy,
            "balanced_accuracy": lambda: BalancedAccuracy(size),
            "f1": lambda: F1(size),
            "auc": AUC,
        },
        "regression": {"mae": lambda: MAE(std), "rmse": lambda: RMSE(std), "r2": R2},
        "next_token": {"accuracy": TokenAccuracy, "perplexity": lambda: Perplexity(size)},
    }
    return tables[task.kind]


def _top_k(name: str, task: Task) -> int | None:
    """The k of ``"top5"`` where it can be asked of the task."""
    match = re.fullmatch(r"top([1-9]\d*)", name)
    if match is None or task.kind != "classification":
        return None
    k = int(match[1])
    return k if k < task.num_outputs else None


def _unknown(name: str, task: Task, table: Iterable[str]) -> Problem:
    names = ["loss", *table]
    allowed = ", ".join(names)
    if task.kind == "classification" and task.num_outputs > 2:
        allowed += f", top2 to top{task.num_outputs - 1}"
    return Problem(f"not a metric of a {task.kind} task", repr(name), allowed, did_you_mean(name, names))
