"""mlkit: train PyTorch models from a sensible start, and find out why they do not train.

Public names are resolved when first used, so ``import mlkit`` is as cheap as importing nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mlkit import data, engine, metrics, models, tracking
    from mlkit.data.bundle import DataBundle
    from mlkit.engine.hooks import Hook
    from mlkit.engine.state import TrainState
    from mlkit.errors import MlkitError
    from mlkit.metrics.estimate import Estimate
    from mlkit.registry import register
    from mlkit.task import Task

_WHERE = {
    "DataBundle": "mlkit.data.bundle",
    "Estimate": "mlkit.metrics.estimate",
    "Hook": "mlkit.engine.hooks",
    "MlkitError": "mlkit.errors",
    "Task": "mlkit.task",
    "TrainState": "mlkit.engine.state",
    "register": "mlkit.registry",
}
_ROOMS = ("data", "engine", "metrics", "models", "tracking")

__all__ = [
    "DataBundle",
    "Estimate",
    "Hook",
    "MlkitError",
    "Task",
    "TrainState",
    "data",
    "engine",
    "metrics",
    "models",
    "register",
    "tracking",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    if name in _ROOMS:
        return import_module(f"mlkit.{name}")
    raise AttributeError(f"module 'mlkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
