"""Where a run reports to: console, files, services, each a hook. Not here: how it trains (`mlkit.engine`)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlkit.tracking.console import Console
    from mlkit.tracking.metrics_file import MetricsFile
    from mlkit.tracking.mlflow import MLflow
    from mlkit.tracking.tensorboard import TensorBoard
    from mlkit.tracking.wandb import WandB

_WHERE = {
    "Console": "console",
    "MLflow": "mlflow",
    "MetricsFile": "metrics_file",
    "TensorBoard": "tensorboard",
    "WandB": "wandb",
}

__all__ = ["Console", "MLflow", "MetricsFile", "TensorBoard", "WandB"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"mlkit.tracking.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'mlkit.tracking' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
