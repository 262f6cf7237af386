"""Where good values lie, and where trials fail, in words: ``lr > 0.3: 9 of 9 failed``.

Not here: how much a hyper-parameter matters (`mlkit.search.importance`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mlkit.search.dimensions import Fixed, Value, has_range, is_ordered
from mlkit.search.space import Space
from mlkit.search.trials import Trial

_BY_CHANCE = 0.01  # a split that chance makes more often than this is not told
_MOSTLY = 0.75  # of the trials in a region must have failed
_GOOD = 0.1  # share of trials that are as good as the best, where nothing is known of the noise


@dataclass(frozen=True)
class Region:
    """A part of the space where most trials failed.

    Args:
        where: in words, such as ``lr > 0.3``.
        failed: how many failed there.
        tried: how many were tried there.
        failed_elsewhere: how many failed outside.
        tried_elsewhere: how many were tried outside.
        reasons: why, the most frequent first.
    """

    where: str
    failed: int
    tried: int
    failed_elsewhere: int
    tried_elsewhere: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        elsewhere = f"elsewhere {self.failed_elsewhere} of {self.tried_elsewhere}"
        return f"{self.where}: {self.failed} of {self.tried} failed ({elsewhere}): {self.reasons[0]}"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {**vars(self), "reasons": list(self.reasons)}


def infeasible_regions(space: Space, trials: Sequence[Trial]) -> tuple[Region, ...]:
    """For each hyper-parameter the split that parts failed trials from others best, if it parts them at all.

    Splits are told when three quarters or more failed on one side and chance makes such a split less often than once in
    a hundred (Fisher's exact test, Bonferroni over all splits that were looked at).
    """
    total_failed = sum(trial.reason is not None for trial in trials)
    if not total_failed > 0:
        return ()
    splits = [(where, inside) for where, inside in _splits(space, trials) if inside and len(inside) < len(trials)]
    best: dict[str, tuple[float, Region]] = {}
    for (name, where), inside in splits:
        lost = [trial for trial in inside if trial.reason is not None]
        if len(lost) < 3 or len(lost) < _MOSTLY * len(inside):
            continue
        chance = fisher(len(lost), len(inside), total_failed, len(trials)) * len(splits)
        if chance < _BY_CHANCE and chance < best.get(name, (1.0, None))[0]:
            reasons = _by_frequency([trial.reason or "" for trial in lost])
            rest = total_failed - len(lost), len(trials) - len(inside)
            best[name] = chance, Region(where, len(lost), len(inside), *rest, reasons)
    return tuple(region for _, region in sorted(best.values(), key=lambda pair: pair[0]))


def fisher(hits: int, drawn: int, total_hits: int, total: int) -> float:
    """The probability of at least ``hits`` among ``drawn`` of ``total``, of which ``total_hits`` are hits.

    >>> round(fisher(3, 3, 3, 6), 3)
    0.05
    """
    ways = sum(
        math.comb(total_hits, k) * math.comb(total - total_hits, drawn - k)
        for k in range(hits, min(drawn, total_hits) + 1)
    )
    return ways / math.comb(total, drawn)


@dataclass(frozen=True)
class Plausible:
    """Values of one hyper-parameter with which trials were as good as the best.

    Args:
        name: of the hyper-parameter.
        values: lowest and highest of a range; all of a list.
        is_range: whether they are ends of a range.
        count: how many trials are behind it.
    """

    name: str
    values: tuple[Value, ...]
    is_range: bool
    count: int

    def __str__(self) -> str:
        texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in self.values]
        if self.is_range:
            return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"
        return ", ".join(texts)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {"name": self.name, "values": list(self.values), "is_range": self.is_range, "count": self.count}


def plausible(space: Space, ranked: Sequence[Trial], *, sign: float, noise: float) -> tuple[Plausible, ...]:
    """For each hyper-parameter the values of trials within one standard error of the best.

    Args:
        space: of the trials.
        ranked: all trials, best first.
        sign: 1 where small scores are better, -1 where large ones are.
        noise: standard deviation of a run; where it is NaN the best tenth of the trials is taken, at least three.
    """
    feasible = [trial for trial in ranked if trial.feasible]
    if not feasible:
        return ()
    full = [trial for trial in feasible if trial.fidelity == feasible[0].fidelity]
    if math.isnan(noise):
        good = full[: max(3, math.ceil(_GOOD * len(feasible)))]
    else:
        best = min(sign * (trial.score or 0.0) for trial in full)
        good = [trial for trial in full if sign * (trial.score or 0.0) <= best + noise]
    found = []
    for name, dimension in space.dimensions.items():
        if isinstance(dimension, Fixed):
            continue
        values = sorted({trial.params[name] for trial in good}, key=dimension.unit)
        ends = (values[0], values[-1]) if is_ordered(dimension) else tuple(values)
        found.append(Plausible(name, ends, is_ordered(dimension), len(good)))
    return tuple(found)


def _splits(space: Space, trials: Sequence[Trial]) -> Iterator[tuple[tuple[str, str], list[Trial]]]:
    for name, dimension in space.dimensions.items():
        values = sorted({trial.params[name] for trial in trials}, key=dimension.unit)
        if has_range(dimension) or is_ordered(dimension):
            for low, high in pairwise(values):
                inside = [t for t in trials if dimension.unit(t.params[name]) > dimension.unit(low)]
                outside = [t for t in trials if dimension.unit(t.params[name]) <= dimension.unit(low)]
                yield (name, f"{name} >= {_short(high)}"), inside
                yield (name, f"{name} <= {_short(low)}"), outside
        elif not isinstance(dimension, Fixed):
            for value in values:
                yield (name, f"{name} = {_short(value)}"), [t for t in trials if t.params[name] == value]


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _by_frequency(reasons: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(dict.fromkeys(reasons), key=lambda reason: -reasons.count(reason)))
