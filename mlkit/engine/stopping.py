"""Reasons to end a run early: no progress, no time left, or the goal reached.

Not here: ending a run whose loss is not finite (`mlkit.engine.nonfinite`).
"""

from __future__ import annotations

import math
import re
from typing import Any

from torch import Tensor

from mlkit.data.bundle import SPLIT_NAMES
from mlkit.engine.hooks import Hook
from mlkit.engine.state import SplitMetrics, TrainState
from mlkit.errors import ConfigError, Problem, did_you_mean
from mlkit.metrics.objectives import Direction, direction

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")


class EarlyStopping(Hook):
    """Stops when a metric has not improved for ``patience`` evaluations in a row.

    What it has seen is kept in ``state.extra``, so a resumed run stops where the uninterrupted one would.

    Args:
        patience: evaluations without improvement that are borne; larger trains longer.
        monitor: ``"split/metric"``.
        min_delta: an improvement must be larger than this, in the metric's own unit.
        goal: ``"min"`` or ``"max"``; needed only for a metric that mlkit does not know.

    Raises:
        ConfigError: values out of range; later, the metric is not among those evaluated.

    >>> EarlyStopping(patience=3, monitor="val/accuracy").monitor
    'val/accuracy'
    """

    def __init__(
        self, patience: int, *, monitor: str = "val/loss", min_delta: float = 0.0, goal: Direction | None = None
    ) -> None:
        problems = []
        if patience < 1:
            problems.append(Problem("patience is too short", received=repr(patience), allowed="1 evaluation or more"))
        if not 0 <= min_delta < math.inf:
            problems.append(Problem("min_delta is not usable", received=repr(min_delta), allowed="a number >= 0"))
        if problems:
            raise ConfigError(problems)
        self.patience, self.monitor, self.min_delta = patience, monitor, min_delta
        self._split, self._metric = _split_monitor(monitor)
        self._sign = _sign(self._metric, goal)

    def on_fit_start(self, state: TrainState) -> None:
        self._stop_if_due(state)  # resumed after it had stopped

    def on_evaluation(self, state: TrainState, split: str, metrics: SplitMetrics) -> None:
        if split != self._split:
            return
        value = _value(self.monitor, self._metric, metrics)
        memory = self._memory(state)
        best = memory["best"]
        # NaN compares false and so never counts as an improvement.
        if value == value and (best is None or self._sign * (value - best) > self.min_delta):
            memory.update(best=value, best_step=state.step, since=0)
            return
        memory["since"] += 1
        self._stop_if_due(state)

    def _stop_if_due(self, state: TrainState) -> None:
        memory = self._memory(state)
        if memory["since"] >= self.patience:
            best = memory["best"]
            seen = "was never a number" if best is None else f"was best at step {memory['best_step']:,} ({best:.4g})"
            _stop(state, f"{self.monitor} {seen} and has not improved in the last {_evaluations(memory['since'])}")

    def _memory(self, state: TrainState) -> dict[str, Any]:
        fresh = {"best": None, "best_step": None, "since": 0}
        memory: dict[str, Any] = state.extra.setdefault(f"early_stopping:{self.monitor}", fresh)
        return memory


class TargetReached(Hook):
    """Stops as soon as a metric is as good as wished.

    Args:
        monitor: ``"split/metric"``.
        target: the value to reach, from the side on which the metric is worse.
        goal: ``"min"`` or ``"max"``; needed only for a metric that mlkit does not know.

    >>> TargetReached("val/accuracy", 0.99).target
    0.99
    """

    def __init__(self, monitor: str, target: float, *, goal: Direction | None = None) -> None:
        self.monitor, self.target = monitor, target
        self._split, self._metric = _split_monitor(monitor)
        self._sign = _sign(self._metric, goal)

    def on_fit_start(self, state: TrainState) -> None:
        if self._key in state.extra:  # resumed after it had stopped
            self._stop(state, state.extra[self._key])

    def on_evaluation(self, state: TrainState, split: str, metrics: SplitMetrics) -> None:
        if split != self._split:
            return
        value = _value(self.monitor, self._metric, metrics)
        if self._sign * (value - self.target) >= 0:
            state.extra[self._key] = value
            self._stop(state, value)

    @property
    def _key(self) -> str:
        return f"target:{self.monitor}:{self.target}"

    def _stop(self, state: TrainState, value: float) -> None:
        _stop(state, f"{self.monitor} reached {value:.4g}, the target was {self.target:.4g}")


class TimeLimit(Hook):
    """Stops after the step at which ``state.seconds`` reaches the limit; the earlier parts of a resumed run count.

    Args:
        limit: seconds, or text as `parse_duration` reads it.

    >>> TimeLimit("10m").seconds
    600.0
    """

    def __init__(self, limit: float | str) -> None:
        self.seconds = parse_duration(limit)

    def on_fit_start(self, state: TrainState) -> None:
        self._stop_if_due(state)

    def on_step_end(self, state: TrainState, loss: Tensor) -> None:
        self._stop_if_due(state)

    def _stop_if_due(self, state: TrainState) -> None:
        if state.seconds >= self.seconds:
            _stop(state, f"the time limit of {format_duration(self.seconds)} is reached")


def parse_duration(text: float | str) -> float:
    """Seconds from ``"90s"``, ``"10m"``, ``"1h30m"``, ``"1.5h"``, ``"2d"`` or a plain number of seconds.

    Raises:
        ConfigError: not a duration, or not longer than zero.

    >>> parse_duration("1h30m"), parse_duration("90s"), parse_duration(90)
    (5400.0, 90.0, 90.0)
    """
    seconds = _seconds(text)
    if seconds is None or not 0 < seconds < math.inf:
        raise ConfigError(
            "not a duration",
            received=repr(text),
            allowed="a number of seconds above 0, or days, hours, minutes and seconds such as 90s, 10m, 1h30m, 2d",
            todo="write, for example, 10m for ten minutes",
        )
    return seconds


def format_duration(seconds: float) -> str:
    """``seconds`` as a person would say it: the two largest units.

    >>> format_duration(5400), format_duration(600), format_duration(0.5)
    ('1 h 30 min', '10 min', '0.5 s')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    parts = []
    for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def _seconds(text: float | str) -> float | None:
    if not isinstance(text, str):
        return float(text)
    compact = text.strip().lower().replace(" ", "")
    if _DURATION.fullmatch(compact):
        return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([dhms])", compact))
    try:
        return float(compact)
    except ValueError:
        return None


def _split_monitor(monitor: str) -> tuple[str, str]:
    split, slash, metric = monitor.partition("/")
    if not slash or not metric or split not in SPLIT_NAMES:
        raise ConfigError(
            "not a metric to watch",
            received=repr(monitor),
            allowed=f"split/metric with a split of {', '.join(SPLIT_NAMES)}",
            todo="write, for example, val/loss or val/accuracy",
        )
    return split, metric


def _sign(metric: str, goal: Direction | None) -> int:
    return 1 if (goal or direction(metric)) == "max" else -1


def _value(monitor: str, metric: str, metrics: SplitMetrics) -> float:
    if metric not in metrics:
        raise ConfigError(
            "the metric to watch was not evaluated",
            received=repr(monitor),
            allowed=", ".join(f"{monitor.partition('/')[0]}/{name}" for name in metrics),
            todo=did_you_mean(metric, metrics),
        )
    return metrics[metric].value


def _evaluations(count: int) -> str:
    return "evaluation" if count == 1 else f"{count} evaluations"


def _stop(state: TrainState, reason: str) -> None:
    if state.stop_reason is None:  # the first reason is the one that ended the run
        state.stop_reason = reason
