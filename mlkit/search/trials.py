"""`Trial`, `Job` and `Outcome`: a configuration, one piece of work for it, and what came of that.

Not here: who does the work (`mlkit.search.objective`), nor where it is kept (`mlkit.search.ledger`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mlkit.search.space import Params, key


@dataclass(frozen=True)
class Job:
    """One piece of work: a configuration, trained this far with this seed.

    Args:
        trial: number of the trial.
        params: its values.
        fidelity: how far to train in all (epochs, rows, …); None when the objective knows only whole runs.
        seed: of the run; the same for all trials of a search until the last stage compares several.
    """

    trial: int
    params: Params
    fidelity: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Args:
        job: what was asked.
        score: the one number; None where there is none.
        reason: why there is none ("NaN", "RuntimeError: out of memory").
        metrics: all numbers that the objective returned.
        curve: what it reported on the way, as pairs of fidelity and score.
    """

    job: Job
    score: float | None
    reason: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[tuple[float, float], ...] = ()


class Executor(Protocol):
    """Does jobs, in this process or elsewhere.

    It is given a rung's jobs together, so that it can train them at once. The outcomes may come in any order, one a
    job, whatever happens to it; the order in which they come is the order in the ledger.
    """

    @property
    def takes(self) -> tuple[str, ...]:
        """What it heeds beside the values: of ``fidelity``, ``seed``."""

    def __call__(self, jobs: Sequence[Job]) -> Iterable[Outcome]:
        """The outcomes, as they come."""


@dataclass
class Trial:
    """A configuration and all that is known of it.

    Args:
        number: 0, 1, 2 … in the order of proposal.
        round: the round in which it was proposed.
        params: its values.
        scores: fidelity to score, of the search's own seed; the key is ``inf`` for objectives without fidelity.
        reason: why it is infeasible; None for all others.
        audit: it was to be stopped, and goes on so that the stopping can be judged.
        stopped: the fidelity at which it was, or as an audit would have been, stopped; None if it never was.
        seeds: seed to score, of the last stage.
        metrics: of its newest run.
        curve: reported on the way, as pairs of fidelity and score.
    """

    number: int
    round: int
    params: Params
    scores: dict[float, float] = field(default_factory=dict)
    reason: str | None = None
    audit: bool = False
    stopped: float | None = None
    seeds: dict[int, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curve: list[tuple[float, float]] = field(default_factory=list)

    @property
    def feasible(self) -> bool:
        """Whether it has a score and never failed."""
        return self.reason is None and bool(self.scores)

    @property
    def fidelity(self) -> float:
        """The highest at which it was scored; 0 when it never was."""
        return max(self.scores, default=0.0)

    @property
    def score(self) -> float | None:
        """At that fidelity; None when it is infeasible or was never scored."""
        return self.scores[self.fidelity] if self.feasible else None

    def add(self, outcome: Outcome) -> None:
        """Take in an outcome of the search's own seed."""
        self.metrics = dict(outcome.metrics)
        self.curve += outcome.curve
        if outcome.score is None:
            self.reason = outcome.reason or "no score"
        else:
            self.scores[math.inf if outcome.job.fidelity is None else outcome.job.fidelity] = outcome.score

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "trial": self.number,
            "round": self.round,
            "params": self.params,
            "score": self.score,
            "fidelity": None if math.isinf(self.fidelity) else self.fidelity,
            "reason": self.reason,
            "stopped": self.stopped,
            "audit": self.audit,
            "seeds": {str(seed): score for seed, score in self.seeds.items()},
            "metrics": self.metrics,
        }


def by_merit(trials: Iterable[Trial], sign: float) -> list[Trial]:
    """Best first: those that got further before those that were stopped earlier, infeasible ones last.

    An audited trial counts as one that was stopped, unless it turned out better than some that were not.

    Args:
        trials: in any order.
        sign: 1 where small scores are better, -1 where large ones are.
    """
    trials = list(trials)
    full = max((trial.fidelity for trial in trials if trial.feasible), default=0.0)
    ends = [sign * t.scores[full] for t in trials if t.feasible and not t.audit and full in t.scores]
    worst_promoted = max(ends, default=math.inf)

    def merit(trial: Trial) -> tuple[float, float, int]:
        if not trial.feasible:
            return (math.inf, 0.0, trial.number)
        reached = trial.fidelity
        if trial.audit and trial.stopped is not None and sign * trial.scores[reached] > worst_promoted:
            reached = trial.stopped
        return (-reached, sign * trial.scores[reached], trial.number)

    return sorted(trials, key=merit)


def seen(trials: Iterable[Trial]) -> set[str]:
    """Keys of all configurations that were proposed."""
    return {key(trial.params) for trial in trials}
