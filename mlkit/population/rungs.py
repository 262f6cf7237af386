"""Rungs: after which epochs members are compared, and who goes on; successive halving is one way to decide.

Not here: which settings to try next (`mlkit.search`) and freeing the place of those that stop (the back ends).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from mlkit.engine.state import SplitMetrics
from mlkit.errors import ConfigError, Problem
from mlkit.metrics.objectives import Direction, direction
from mlkit.population.member import Member
from mlkit.runtime.keys import generator


@dataclass(frozen=True)
class Standing:
    """How a member stands at a rung.

    Args:
        index: its place in the list of members.
        member: its settings.
        metrics: newest metrics by split.
    """

    index: int
    member: Member
    metrics: dict[str, SplitMetrics]

    def value(self, metric: str) -> float:
        """A metric by ``"split/name"``.

        Raises:
            ConfigError: it is not evaluated after an epoch.
        """
        split, _, name = metric.partition("/")
        try:
            return self.metrics[split][name].value
        except KeyError:
            allowed = ", ".join(f"{split}/{name}" for split, metrics in self.metrics.items() for name in metrics)
            raise ConfigError(
                "members cannot be compared by a metric that is not evaluated after an epoch",
                received=repr(metric),
                allowed=allowed or "none: nothing is evaluated after an epoch",
                todo="give held-out data (val=), or choose one of these",
            ) from None


class Keep(Protocol):
    """Decides who goes on. Must be a function of what it is given, or a resumed run may decide otherwise."""

    @property
    def rungs(self) -> Sequence[int]:
        """Epochs after which it is asked, in rising order."""

    def __call__(self, epoch: int, standings: Sequence[Standing]) -> Collection[int]:
        """The indices of those that go on, among the members that are still training."""


@dataclass(frozen=True)
class Halving:
    """Successive halving; see `halving`."""

    rungs: tuple[int, ...]
    eta: float
    metric: str
    audit: float
    seed: int
    goal: Direction | None = None

    def __call__(self, epoch: int, standings: Sequence[Standing]) -> list[int]:
        """The best ``1 / eta``, and of the others a random share ``audit``."""
        sign = 1.0 if (self.goal or direction(self.metric.partition("/")[2])) == "min" else -1.0
        values = {standing.index: sign * standing.value(self.metric) for standing in standings}
        # NaN is worst; ties go to the earlier member, so that the outcome depends on nothing else.
        ranked = sorted(values, key=lambda index: (math.isnan(values[index]), values[index], index))
        count = max(1, math.floor(len(ranked) / self.eta))
        rest = ranked[count:]
        lucky = round(self.audit * len(rest))
        drawn = torch.randperm(len(rest), generator=generator(self.seed, "audit", epoch))[:lucky].tolist()
        return sorted([*ranked[:count], *(rest[place] for place in drawn)])


def halving(
    rungs: Sequence[int],
    *,
    eta: float = 3,
    metric: str = "val/loss",
    audit: float = 0.0,
    seed: int = 0,
    goal: Direction | None = None,
) -> Halving:
    """After each rung the best ``1 / eta`` of the members go on (Jamieson & Talwalkar 2016, arXiv:1502.07943).

    Args:
        rungs: epochs after which to compare, such as ``(3, 9)`` of 27. A first rung before about a ninth of the run
            favours high learning rates.
        eta: one in so many goes on; larger is cheaper and makes more mistakes.
        metric: ``"split/name"``.
        audit: share of the others that go on all the same, drawn at random, so that one can see later what was lost.
        seed: of that draw.
        goal: ``"min"`` or ``"max"``; needed only for a metric that mlkit does not know.

    Raises:
        ConfigError: values out of range, all reported together.

    >>> halving((3, 9), eta=3).rungs
    (3, 9)
    """
    problems = []
    ordered = list(rungs) == sorted(set(rungs)) and all(isinstance(rung, int) and rung >= 1 for rung in rungs)
    if not ordered:
        problems.append(Problem("the rungs are not usable", repr(tuple(rungs)), "whole epochs from 1 on, rising"))
    if not eta > 1:
        problems.append(Problem("eta is not usable", repr(eta), "a number above 1", "try 3"))
    if not 0 <= audit <= 1:
        problems.append(Problem("audit is not usable", repr(audit), "a share in [0, 1]", "try 0.1"))
    if problems:
        raise ConfigError(problems)
    return Halving(tuple(rungs), eta, metric, audit, seed, goal)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's correlation of two lists of values of the same members; NaN of fewer than three, or of equal values.

    >>> rank_correlation([0.1, 0.2, 0.3], [1.0, 2.0, 3.0])
    1.0
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a == a and b == b]
    if len(pairs) < 3:
        return math.nan
    x, y = (_ranks(torch.tensor(values, dtype=torch.float64)) for values in zip(*pairs, strict=True))
    x, y = x - x.mean(), y - y.mean()
    scale = float((x.square().sum() * y.square().sum()).sqrt())
    return float((x * y).sum()) / scale if scale else math.nan


def _ranks(values: torch.Tensor) -> torch.Tensor:
    """Ranks; equal values share the mean of theirs."""
    below = (values[:, None] > values).sum(1)
    return below.double() + ((values[:, None] == values).sum(1).double() - 1) / 2
