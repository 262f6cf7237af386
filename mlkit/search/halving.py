"""Successive halving of one round: all train a little, the better half goes on, and a few others go on as an audit.

Not here: which trials a round has (`mlkit.search.methods`), nor who trains them (`mlkit.search.objective`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mlkit.errors import ConfigError
from mlkit.search.trials import Trial

LOW = 0.6  # below this rank correlation the first rung picks little better than chance
FEWEST = 8  # trials for a correlation that is acted on


@dataclass(frozen=True)
class Fidelity:
    """How far trials are trained, and how soon they are stopped.

    Args:
        maximum: of a whole run, in the unit that the objective is given (epochs, steps, rows).
        first: of the first rung; by default a ninth of the maximum.
        eta: of each rung, one in ``eta`` goes on, and trains ``eta`` times as far.
        audit: share of those to be stopped that goes on to the end, by chance, to show what stopping costs.

    >>> Fidelity(27).rungs()
    (3, 6, 12, 27)
    """

    maximum: float
    first: float | None = None
    eta: float = 2.0
    audit: float = 0.06

    def __post_init__(self) -> None:
        first = self.maximum if self.first is None else self.first
        if not 0 < first <= self.maximum or not self.eta > 1 or not 0 <= self.audit < 1:
            raise ConfigError(
                "the fidelity cannot be right",
                received=str(self),
                allowed="0 < first <= maximum, eta > 1, 0 <= audit < 1",
                todo="for whole runs only, leave fidelity out or set first = maximum",
            )

    def rungs(self) -> tuple[float, ...]:
        """Fidelities of all rungs; whole numbers where the maximum is one.

        The last but one is at most two thirds of the maximum: a rung right before the end saves nothing.
        """
        whole = float(self.maximum).is_integer()
        here = self.maximum / 9 if self.first is None else self.first
        found: list[float] = []
        while here <= self.maximum / 1.5:
            rung = float(max(1, math.ceil(here - 1e-9))) if whole else here
            if (not found or rung > found[-1]) and rung <= self.maximum / 1.5:
                found.append(rung)
            here *= self.eta
        return tuple(int(rung) if whole else rung for rung in (*found, self.maximum))


@dataclass(frozen=True)
class Halving:
    """How the trials of a round were stopped.

    Args:
        rungs: the fidelities.
        counts: how many trials were scored at each.
        correlations: rank correlation between each rung and the next, over all trials so far that have both; NaN for
            fewer than three.
        spent: units of fidelity in all, if trials go on where they stopped.
        spent_restarting: the same if they start again at every rung.
    """

    rungs: tuple[float, ...]
    counts: tuple[int, ...]
    correlations: tuple[float, ...]
    spent: float
    spent_restarting: float

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "rungs": list(self.rungs),
            "counts": list(self.counts),
            "correlations": [None if math.isnan(value) else value for value in self.correlations],
            "spent": self.spent,
            "spent_restarting": self.spent_restarting,
        }


def halve(
    trials: Sequence[Trial],
    rungs: Sequence[float],
    *,
    settings: Fidelity,
    sign: float,
    rng: np.random.Generator,
    score: Callable[[Sequence[Trial], float], None],
    before: Sequence[Trial] = (),
) -> Halving:
    """Train ``trials`` rung by rung; those that are stopped keep the fidelity at which they were.

    Args:
        trials: of the round.
        rungs: fidelities, rising.
        settings: how many go on.
        sign: 1 where small scores are better, -1 where large ones are.
        rng: picks the audited.
        score: trains these trials up to this fidelity, and adds the outcomes to them.
        before: trials of earlier rounds; they count for the correlations.

    Source: Jamieson and Talwalkar, AISTATS 2016; here with an audit.
    """
    going = list(trials)
    counts = []
    spent = restarting = reached = 0.0
    for number, rung in enumerate(rungs):
        score(going, rung)
        counts.append(len(going))
        spent += len(going) * (rung - reached)
        restarting += len(going) * rung
        reached = rung
        going = [trial for trial in going if trial.feasible]
        if number < len(rungs) - 1:
            going = _going_on(going, rung, settings=settings, sign=sign, rng=rng, first=number == 0)
    everyone = [*before, *trials]
    correlations = tuple(rung_correlation(everyone, a, b)[0] for a, b in pairwise(rungs))
    return Halving(tuple(rungs), tuple(counts), correlations, spent, restarting)


def rung_correlation(trials: Sequence[Trial], rung: float, later: float) -> tuple[float, int]:
    """Spearman's rank correlation between the scores at two fidelities, and over how many trials."""
    pairs = [(t.scores[rung], t.scores[later]) for t in trials if rung in t.scores and later in t.scores]
    if len(pairs) < 3:
        return math.nan, len(pairs)
    return spearman([a for a, _ in pairs], [b for _, b in pairs]), len(pairs)


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Rank correlation; ties get their mean rank. NaN when one side is constant.

    >>> spearman([1, 2, 3], [10, 30, 20])
    0.5
    """
    a, b = (_mean_ranks(np.asarray(values, dtype=float)) for values in (first, second))
    a, b = a - a.mean(), b - b.mean()
    length = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / length if length else math.nan


def fewer_rungs(rungs: tuple[float, ...], trials: Sequence[Trial]) -> tuple[tuple[float, ...], str | None]:
    """The rungs of the next round, and why: a first rung that says little of the second is left out."""
    if len(rungs) < 2:
        return rungs, None
    correlation, count = rung_correlation(trials, rungs[0], rungs[1])
    if count < FEWEST or math.isnan(correlation) or correlation >= LOW:
        return rungs, None
    why = f"scores at {rungs[0]:g} and at {rungs[1]:g} correlate by {correlation:.2f} only: the first rung is left out"
    return rungs[1:], why


def _going_on(
    going: list[Trial], rung: float, *, settings: Fidelity, sign: float, rng: np.random.Generator, first: bool
) -> list[Trial]:
    regular = sorted((t for t in going if not t.audit), key=lambda t: (sign * t.scores[rung], t.number))
    goes = math.ceil(len(regular) / settings.eta)
    promoted, stopped = regular[:goes], regular[goes:]
    for trial in stopped:
        trial.stopped = rung
    # Audited once, after the first rung, from where they go all the way; fewer than eight have none to spare.
    if first and settings.audit and len(going) >= FEWEST and stopped:
        count = max(1, round(settings.audit * len(going)))
        for index in sorted(rng.choice(len(stopped), min(count, len(stopped)), replace=False).tolist()):
            stopped[index].audit = True
    keep = {trial.number for trial in promoted} | {trial.number for trial in going if trial.audit}
    return [trial for trial in going if trial.number in keep]


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: np.ndarray = ((ends - counts + ends - 1) / 2)[inverse]
    return ranks
