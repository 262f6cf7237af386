"""One number from many metrics: a weighted mean, the best within limits, or all that no other beats in everything.

Not here: the metrics themselves (`mlkit.metrics`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mlkit.errors import ConfigError, did_you_mean
from mlkit.metrics.objectives import Direction, direction
from mlkit.search.trials import Trial

_LIMIT = re.compile(r"\s*(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")
# Beyond any score, so that every configuration within the limits comes first; only ranks matter to the search.
_OUTSIDE = 1e9


class Score(Protocol):
    """Makes one number of several, and knows which way is better."""

    @property
    def direction(self) -> Direction:
        """``"min"`` or ``"max"``."""

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """The number."""


@dataclass(frozen=True)
class Metric:
    """One of the metrics, by name.

    >>> Metric("accuracy", "max")({"accuracy": 0.9, "loss": 0.3})
    0.9
    """

    name: str
    direction: Direction

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """The metric."""
        return _get(metrics, self.name)


@dataclass(frozen=True)
class WeightedMean:
    """The mean of several metrics, each with its weight; a negative weight where a smaller value is better.

    >>> score = WeightedMean({"accuracy": 3.0, "loss": -1.0})
    >>> score({"accuracy": 0.9, "loss": 0.3}), score.direction
    (0.6, 'max')
    """

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.weights or not any(self.weights.values()):
            raise ConfigError("a weighted mean without weights", received=self.weights, allowed='{"accuracy": 1.0, …}')

    @property
    def direction(self) -> Direction:
        """Large is better."""
        return "max"

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """The mean."""
        total = sum(abs(weight) for weight in self.weights.values())
        return round(sum(weight * _get(metrics, name) for name, weight in self.weights.items()) / total, 12)


@dataclass(frozen=True)
class Satisficing:
    """The best of one metric among configurations that keep the limits of others; those that do not come last.

    Args:
        optimise: name of the metric to be best in.
        limits: name to limit, such as ``{"parameters": "<= 1e5"}``.
        better: which way ``optimise`` is better; by default as `mlkit.metrics` knows it.

    >>> score = Satisficing("accuracy", {"parameters": "<= 1e5"})
    >>> score({"accuracy": 0.9, "parameters": 8e4}) > score({"accuracy": 0.99, "parameters": 2e5})
    True
    """

    optimise: str
    limits: Mapping[str, str]
    better: Direction | None = None

    def __post_init__(self) -> None:
        for name, limit in self.limits.items():
            if not _LIMIT.fullmatch(limit):
                raise ConfigError(
                    f"the limit of {name!r} cannot be read", received=repr(limit), allowed='"<= 1e5" or ">= 0.9"'
                )
        _ = self.direction

    @property
    def direction(self) -> Direction:
        """That of the metric to be best in."""
        return self.better or direction(self.optimise)

    def excess(self, metrics: Mapping[str, float]) -> float:
        """How far the limits are exceeded in all, as shares of them; 0 when they are kept."""
        total = 0.0
        for name, limit in self.limits.items():
            match = _LIMIT.fullmatch(limit)
            assert match is not None  # checked when it was made
            bound, value = float(match[2]), _get(metrics, name)
            over = value - bound if match[1] == "<=" else bound - value
            total += max(over, 0.0) / (abs(bound) or 1.0)
        return total

    def __call__(self, metrics: Mapping[str, float]) -> float:
        """The metric, or beyond all scores by how far the limits are exceeded."""
        excess = self.excess(metrics)
        sign = -1.0 if self.direction == "max" else 1.0
        return _get(metrics, self.optimise) if not excess else sign * _OUTSIDE * (1 + excess)


def pareto(trials: Sequence[Trial], directions: Mapping[str, Direction]) -> list[Trial]:
    """The trials that no other beats in one metric without losing in another.

    Args:
        trials: those without one of the metrics, with NaN for it, or infeasible, are left out.
        directions: name of the metric to which way is better.
    """
    usable = [
        trial
        for trial in trials
        if trial.feasible and not any(math.isnan(trial.metrics.get(name, math.nan)) for name in directions)
    ]
    losses = [[(1 if way == "min" else -1) * trial.metrics[n] for n, way in directions.items()] for trial in usable]

    def beaten(row: list[float]) -> bool:
        return any(all(a <= b for a, b in zip(other, row, strict=True)) and other != row for other in losses)

    return [trial for trial, row in zip(usable, losses, strict=True) if not beaten(row)]


def _get(metrics: Mapping[str, float], name: str) -> float:
    if name not in metrics:
        raise ConfigError(
            "the objective does not return this metric",
            received=repr(name),
            allowed=", ".join(metrics) or "a dictionary of metrics; it returned a single number",
            todo=did_you_mean(name, metrics),
        )
    return metrics[name]
