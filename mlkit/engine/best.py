"""Which evaluation was the best so far, by the metric that is watched.

Not here: stopping because nothing gets better (`mlkit.engine.stopping`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor

from mlkit.engine.hooks import Hook
from mlkit.engine.state import SplitMetrics, TrainState
from mlkit.errors import ConfigError, did_you_mean
from mlkit.metrics.objectives import Directed, direction


class Best(Hook):
    """Keeps ``state.best`` and ``state.best_step``; the checkpoint writer saves ``best.pt`` when they move.

    Args:
        monitor: ``"split/metric"``, such as ``"val/loss"``.
        metrics: the user's own metrics, which know their direction.
        keep: also keep a copy of the best weights in memory, in ``weights``.
    """

    def __init__(self, monitor: str, *, metrics: Iterable[Directed] = (), keep: bool = False) -> None:
        self.keep = keep
        self.weights: dict[str, Tensor] | None = None
        self.split, _, self.metric = monitor.partition("/")
        self.sign = 1.0 if direction(self.metric, metrics) == "min" else -1.0

    def on_evaluation(self, state: TrainState, split: str, metrics: SplitMetrics) -> None:
        if split != self.split:
            return
        if self.metric not in metrics:
            raise ConfigError(
                "the watched metric is not among those evaluated",
                received=f"{self.split}/{self.metric}",
                allowed=", ".join(f"{split}/{name}" for name in metrics),
                todo=did_you_mean(self.metric, metrics),
            )
        value = metrics[self.metric].value
        if math.isnan(value):
            return
        if state.best is None or self.sign * value < self.sign * state.best:
            state.best, state.best_step = value, state.step
            if self.keep:
                self.weights = {name: x.detach().clone() for name, x in state.eval_model.state_dict().items()}
