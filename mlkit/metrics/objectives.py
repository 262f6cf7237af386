"""Which way is better: the direction of every metric by name, for early stopping and for the best checkpoint.

Not here: how the metrics are computed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, Protocol

from mlkit.errors import ConfigError, did_you_mean

Direction = Literal["min", "max"]

DIRECTIONS: dict[str, Direction] = {
    "loss": "min",
    "mae": "min",
    "rmse": "min",
    "perplexity": "min",
    "accuracy": "max",
    "balanced_accuracy": "max",
    "f1": "max",
    "auc": "max",
    "r2": "max",
}
_TOP_K = re.compile(r"top[1-9]\d*")


class Directed(Protocol):
    """A metric, as far as its direction goes."""

    @property
    def name(self) -> str:
        """Name in tables and files."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is better."""


def direction(name: str, metrics: Iterable[Directed] = ()) -> Direction:
    """Whether the metric ``name`` should be small or large.

    Args:
        name: a metric's name, such as ``"loss"``, ``"accuracy"`` or ``"top5"``.
        metrics: the user's own metrics; they are asked first, by their ``name`` and ``higher_is_better``.

    Raises:
        ConfigError: neither a metric of mlkit's nor one of ``metrics``.

    >>> direction("loss"), direction("accuracy"), direction("top5")
    ('min', 'max', 'max')
    """
    own: dict[str, Direction] = {metric.name: "max" if metric.higher_is_better else "min" for metric in metrics}
    known = {**DIRECTIONS, **own}
    if name in known:
        return known[name]
    if _TOP_K.fullmatch(name):
        return "max"
    raise ConfigError(
        "unknown metric",
        received=repr(name),
        allowed=", ".join([*known, "top5 (or another number)"]),
        todo=did_you_mean(name, known) or "choose one of these, or pass a metric of your own with this name",
    )
