"""mlkit: train PyTorch models from a sensible start, and find out why they do not train.

Public names are resolved when first used, so ``import mlkit`` is as cheap as importing nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mlkit import data, debug, engine, evaluate, metrics, models, population, report, search, tracking
    from mlkit.config.job import RunResult, run
    from mlkit.config.schema import Config
    from mlkit.data.bundle import DataBundle
    from mlkit.debug.check import check
    from mlkit.debug.first_step import first_step
    from mlkit.debug.memory import estimate_memory, largest_batch
    from mlkit.debug.overfit import overfit_batch, prove
    from mlkit.debug.parity import compare_models
    from mlkit.debug.range_test import lr_range_test
    from mlkit.debug.watching import Watch
    from mlkit.engine.hooks import Hook
    from mlkit.engine.result import FitResult
    from mlkit.engine.state import TrainState
    from mlkit.errors import MlkitError
    from mlkit.metrics.estimate import Estimate
    from mlkit.models.summary import summary
    from mlkit.population.train import train_many
    from mlkit.progress import fit
    from mlkit.registry import register
    from mlkit.task import Task

_WHERE = {
    "Config": "mlkit.config.schema",
    "DataBundle": "mlkit.data.bundle",
    "Estimate": "mlkit.metrics.estimate",
    "FitResult": "mlkit.engine.result",
    "Hook": "mlkit.engine.hooks",
    "MlkitError": "mlkit.errors",
    "RunResult": "mlkit.config.job",
    "Task": "mlkit.task",
    "TrainState": "mlkit.engine.state",
    "Watch": "mlkit.debug.watching",
    "check": "mlkit.debug.check",
    "compare_models": "mlkit.debug.parity",
    "estimate_memory": "mlkit.debug.memory",
    "first_step": "mlkit.debug.first_step",
    "fit": "mlkit.progress",
    "largest_batch": "mlkit.debug.memory",
    "lr_range_test": "mlkit.debug.range_test",
    "overfit_batch": "mlkit.debug.overfit",
    "prove": "mlkit.debug.overfit",
    "register": "mlkit.registry",
    "run": "mlkit.config.job",
    "summary": "mlkit.models.summary",
    "train_many": "mlkit.population.train",
}
_ROOMS = (
    "data",
    "debug",
    "engine",
    "evaluate",
    "metrics",
    "models",
    "population",
    "report",
    "search",
    "tracking",
)

__all__ = [
    "Config",
    "DataBundle",
    "Estimate",
    "FitResult",
    "Hook",
    "MlkitError",
    "RunResult",
    "Task",
    "TrainState",
    "Watch",
    "check",
    "compare_models",
    "data",
    "debug",
    "engine",
    "estimate_memory",
    "evaluate",
    "first_step",
    "fit",
    "largest_batch",
    "lr_range_test",
    "metrics",
    "models",
    "overfit_batch",
    "population",
    "prove",
    "register",
    "report",
    "run",
    "search",
    "summary",
    "tracking",
    "train_many",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    if name in _ROOMS:
        return import_module(f"mlkit.{name}")
    raise AttributeError(f"module 'mlkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
