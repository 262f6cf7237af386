"""Losses and streaming metrics that follow the task, every number with an interval; what is better, lower or higher.

Not here: running a model over data (`mlkit.engine.evaluation`), nor pictures of the numbers (`mlkit.report`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlkit.metrics.auc import AUC
    from mlkit.metrics.catalogue import for_task, make_metrics
    from mlkit.metrics.classification import F1, Accuracy, BalancedAccuracy, ConfusionMatrix, TopK
    from mlkit.metrics.estimate import Estimate
    from mlkit.metrics.losses import TaskLoss, loss_for
    from mlkit.metrics.objectives import direction
    from mlkit.metrics.regression import MAE, R2, RMSE
    from mlkit.metrics.streaming import Loss, Metric
    from mlkit.metrics.tokens import Perplexity, TokenAccuracy

_WHERE = {
    "AUC": "auc",
    "Accuracy": "classification",
    "BalancedAccuracy": "classification",
    "ConfusionMatrix": "classification",
    "Estimate": "estimate",
    "F1": "classification",
    "Loss": "streaming",
    "MAE": "regression",
    "Metric": "streaming",
    "Perplexity": "tokens",
    "R2": "regression",
    "RMSE": "regression",
    "TaskLoss": "losses",
    "TokenAccuracy": "tokens",
    "TopK": "classification",
    "direction": "objectives",
    "for_task": "catalogue",
    "loss_for": "losses",
    "make_metrics": "catalogue",
}

__all__ = [
    "AUC",
    "F1",
    "MAE",
    "R2",
    "RMSE",
    "Accuracy",
    "BalancedAccuracy",
    "ConfusionMatrix",
    "Estimate",
    "Loss",
    "Metric",
    "Perplexity",
    "TaskLoss",
    "TokenAccuracy",
    "TopK",
    "direction",
    "for_task",
    "loss_for",
    "make_metrics",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"mlkit.metrics.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'mlkit.metrics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
