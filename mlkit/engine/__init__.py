"""One run: its state, its hooks, its loop, and `fit`, which makes them of a model and data.

Not here: settings from files (`mlkit.config`). Names are resolved when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# At once, not lazily: the function and its module share a name, and importing the module later would hide the function.
from mlkit.engine.fit import fit

if TYPE_CHECKING:
    from mlkit.engine.ema import Averaging
    from mlkit.engine.evaluation import evaluate_model, evaluation_mode
    from mlkit.engine.hooks import Hook
    from mlkit.engine.optimizers import make_optimizer
    from mlkit.engine.result import FitResult
    from mlkit.engine.schedules import make_schedule
    from mlkit.engine.speed import Speed, choose_speed
    from mlkit.engine.state import TrainState
    from mlkit.engine.step import supervised
    from mlkit.engine.stopping import EarlyStopping, TargetReached, TimeLimit

_WHERE = {
    "Averaging": "ema",
    "EarlyStopping": "stopping",
    "FitResult": "result",
    "Hook": "hooks",
    "Speed": "speed",
    "TargetReached": "stopping",
    "TimeLimit": "stopping",
    "TrainState": "state",
    "choose_speed": "speed",
    "evaluate_model": "evaluation",
    "evaluation_mode": "evaluation",
    "make_optimizer": "optimizers",
    "make_schedule": "schedules",
    "supervised": "step",
}

__all__ = [
    "Averaging",
    "EarlyStopping",
    "FitResult",
    "Hook",
    "Speed",
    "TargetReached",
    "TimeLimit",
    "TrainState",
    "choose_speed",
    "evaluate_model",
    "evaluation_mode",
    "fit",
    "make_optimizer",
    "make_schedule",
    "supervised",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"mlkit.engine.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'mlkit.engine' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
