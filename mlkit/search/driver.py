"""`run` and `coarse_to_fine`: a search from its space to its result, round by round, kept in a ledger.

Not here: how configurations are chosen (`mlkit.search.methods`), stopped (`mlkit.search.halving`) or compared at the
end (`mlkit.search.finals`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from pathlib import Path

import numpy as np

from mlkit.errors import ConfigError, TrainingError
from mlkit.metrics.objectives import Direction
from mlkit.runtime.keys import derive_seed
from mlkit.search.choose import MethodName, make_method, scorer
from mlkit.search.dimensions import Dimension, Value
from mlkit.search.edges import Edge
from mlkit.search.finals import Comparison, compare
from mlkit.search.halving import Fidelity, Halving, fewer_rungs, halve
from mlkit.search.importance import importances
from mlkit.search.ledger import Ledger
from mlkit.search.methods import CoarseToFine, Method, after_growth
from mlkit.search.objective import Objective, Serial
from mlkit.search.regions import infeasible_regions, plausible
from mlkit.search.result import Round, SearchResult
from mlkit.search.scoring import Score
from mlkit.search.space import Params, Space
from mlkit.search.trials import Executor, Job, Outcome, Trial, by_merit

SAME_FAILURE = 5  # trials that raise the very same error first of all: it is a bug, not the configuration


def coarse_to_fine(
    objective: Objective | Executor,
    space: Mapping[str, Dimension | Value] | Space,
    *,
    budget: int = 64,
    seed: int = 0,
    fidelity: float | Fidelity | None = None,
    score: str | Score | None = None,
    direction: Direction | None = None,
    rounds: int | None = None,
    finalists: int = 5,
    seeds: int = 3,
    folder: Path | str | None = None,
    on_round: Callable[[Round], object] | None = None,
) -> SearchResult:
    """Search from wide ranges to the best few configurations; `run` with its default method.

    See `run` for the arguments, and ``docs/search.md`` for what it does.

    >>> from mlkit.search import log, uniform
    >>> space = {"lr": log(1e-5, 1.0), "dropout": uniform(0.0, 0.6)}
    >>> result = coarse_to_fine(lambda p: abs(p["lr"] - 0.01) + p["dropout"], space, budget=32)
    >>> result.best.score < 0.05
    True
    """
    return run(
        objective,
        space,
        budget=budget,
        seed=seed,
        fidelity=fidelity,
        score=score,
        direction=direction,
        rounds=rounds,
        finalists=finalists,
        seeds=seeds,
        folder=folder,
        on_round=on_round,
    )


def run(
    objective: Objective | Executor,
    space: Mapping[str, Dimension | Value] | Space | None = None,
    *,
    method: MethodName | Method = "coarse_to_fine",
    budget: int = 64,
    seed: int = 0,
    fidelity: float | Fidelity | None = None,
    score: str | Score | None = None,
    direction: Direction | None = None,
    rounds: int | None = None,
    configurations: Sequence[Mapping[str, Value]] | None = None,
    finalists: int = 5,
    seeds: int = 3,
    folder: Path | str | None = None,
    time_limit: float | None = None,
    on_round: Callable[[Round], object] | None = None,
) -> SearchResult:
    """Search the hyper-parameters of ``objective``.

    Args:
        objective: a function of the values of a configuration, and by name of any of ``fidelity``, ``seed``, ``state``
            and ``report``, that returns a number or several by name; see `mlkit.search.objective.Serial`. Or an
            `Executor`, which does many jobs in its own way. What raises, or returns no finite number, is infeasible:
            a result that shapes the search, not the end of it.
        space: names to what each may be. Not needed for ``method="manual"``.
        method: ``"coarse_to_fine"``, ``"random"``, ``"halton"``, ``"grid"``, ``"box"``, ``"bayesian"`` (Optuna's TPE),
            ``"gp"`` (Optuna's Gaussian process) or ``"manual"`` (the list in ``configurations``); or one of your own.
        budget: number of configurations; the finalists' further runs come on top.
        seed: of the search and of its runs; the same seed gives the same search.
        fidelity: how far a whole run trains, for objectives that take ``fidelity``. Most trials are then stopped early.
        score: name of the metric to be best in, or what makes one number of several (`mlkit.search.scoring`).
        direction: ``"min"`` or ``"max"``; by default that of ``score``, else ``"min"``.
        rounds: number of rounds; fewer and larger ones where many trials train at once.
        configurations: for ``method="manual"``.
        finalists: how many of the best are run again with other seeds, if the objective takes ``seed``; 1 for none.
        seeds: how many other seeds.
        folder: where the ledger stands; the same call goes on where the one before was killed.
        time_limit: seconds after which no new round begins; what has begun is finished, and the finalists are compared.
        on_round: called after every round.

    Raises:
        ConfigError: something cannot be right; nothing was run.
        TrainingError: all trials of the first round failed, or the first five raised the same error.
    """
    executor: Executor = objective if _is_executor(objective) else Serial(objective, score=scorer(score, direction))  # type: ignore[assignment, arg-type]
    way = _direction(score, direction)
    chosen, whole = make_method(method, space, seed=seed, number=rounds, configurations=configurations)
    _check(way, seed, budget=budget, finalists=finalists, seeds=seeds, rounds=1 if rounds is None else rounds)
    levels = _fidelity(executor, fidelity)
    header: dict[str, object] = {
        "space": whole.to_dict(),
        "method": method if isinstance(method, str) else _name(method),
        "budget": budget,
        "seed": seed,
        "direction": way,
        "score": score if score is None or isinstance(score, str) else _name(score),
        "fidelity": None if levels is None else [list(levels.rungs()), levels.eta, levels.audit],
        "rounds": rounds,
        "finalists": [finalists, seeds],
    }
    if configurations is not None:
        header["configurations"] = [dict(configuration) for configuration in configurations]
    search = _Search(executor, chosen, whole, Ledger(folder, header), way, levels, seed)
    begin = time.perf_counter()
    search.rounds(budget, on_round, until=math.inf if time_limit is None else begin + time_limit)
    comparison = search.finals(finalists, seeds)
    return search.result(comparison, time.perf_counter() - begin)


class _Search:
    """What a search knows while it runs."""

    def __init__(
        self,
        executor: Executor,
        method: Method,
        space: Space,
        ledger: Ledger,
        direction: Direction,
        fidelity: Fidelity | None,
        seed: int,
    ) -> None:
        self.executor, self.method, self.ledger = executor, method, ledger
        self.first_space = self.space = space
        self.direction, self.sign = direction, 1.0 if direction == "min" else -1.0
        self.fidelity, self.seed = fidelity, seed
        self.rungs = (math.inf,) if fidelity is None else tuple(float(rung) for rung in fidelity.rungs())
        self.ages = np.zeros(len(space.names), dtype=np.int64)
        self.trials: list[Trial] = []
        self.reports: list[Round] = []
        self.edges: list[Edge] = []
        self.notes: list[str] = []

    def rounds(self, budget: int, on_round: Callable[[Round], object] | None, *, until: float = math.inf) -> None:
        """Choose, train and look at the edges, until the budget is spent or nothing is left to try."""
        plan = self.method.rounds(budget)
        for number, count in enumerate(plan):
            if number and time.perf_counter() > until and self.ledger.round(number) is None:
                self.notes.append(f"time is over after {number} of {len(plan)} rounds")
                break
            if number:
                self._look_at_edges(number, last=False)
            params = self._propose(number, count)
            if not params:
                self.notes.append(f"all {len(self.trials)} configurations of the space were tried")
                break
            new = [Trial(len(self.trials) + i, number, values) for i, values in enumerate(params)]
            halving = self._train(new, number)
            self.trials += new
            if number == 0:
                self._stop_if_all_failed(new)
            self.reports.append(self._report(number, new, halving))
            if on_round is not None:
                on_round(self.reports[-1])
            self._drop_a_useless_rung()
        self._look_at_edges(len(self.reports), last=True)

    def finals(self, finalists: int, seeds: int) -> Comparison | None:
        """The best few with other seeds; None when that is not possible, which is noted."""
        best = [trial for trial in self._ranked() if trial.feasible and trial.fidelity == self.rungs[-1]]
        best = best[:finalists]
        if finalists < 2 or seeds < 2:
            self.notes.append("the best was run once: whether others are level with it is not known")
            return None
        if "seed" not in self.executor.takes:
            self.notes.append("the objective takes no seed: whether others are level with the best is not known")
            return None
        others = [self.seed + 1 + index for index in range(seeds)]
        fidelity = None if self.fidelity is None else self.fidelity.maximum
        jobs = [Job(trial.number, trial.params, fidelity, seed) for trial in best for seed in others]
        failed: dict[int, str] = {}
        for outcome in self._do(jobs):
            if outcome.score is None:
                failed[outcome.job.trial] = f"{outcome.reason} with seed {outcome.job.seed}"
            else:
                self.trials[outcome.job.trial].seeds[outcome.job.seed] = outcome.score
        scores = {t.number: [t.seeds[seed] for seed in others] for t in best if t.number not in failed}
        if not scores:
            self.notes.append(f"all finalists failed with other seeds: {_reasons(list(failed.values()))}")
            return None
        return compare(scores, sign=self.sign, failed=failed)

    def result(self, comparison: Comparison | None, seconds: float) -> SearchResult:
        """Everything together."""
        ranked = self._ranked()
        noise = math.nan if comparison is None else comparison.noise
        coarse = [trial for trial in ranked if trial.round == 0]
        return SearchResult(
            space=self.first_space,
            last_space=self.space,
            direction=self.direction,
            trials=tuple(self.trials),
            ranked=tuple(trial.number for trial in ranked),
            rounds=tuple(self.reports),
            edges=tuple(self.edges),
            comparison=comparison,
            importance=importances(self.first_space, coarse, seed=self.seed),
            plausible=plausible(self.space, ranked, sign=self.sign, noise=noise),
            infeasible=infeasible_regions(self.space, self.trials),
            notes=tuple(self.notes),
            seconds=seconds,
        )

    def _ranked(self) -> list[Trial]:
        return by_merit(self.trials, self.sign)

    def _look_at_edges(self, number: int, *, last: bool) -> None:
        found = self.method.widen(self.space, self._ranked(), round_number=number, last=last)
        self.ages += 1
        self.space, self.ages = after_growth(self.space, found, self.ages)
        if last:
            self.edges += found
        else:
            self.edges += [edge for edge in found if edge.why is None]

    def _propose(self, number: int, count: int) -> list[Params]:
        """From the ledger if it knows this round, so that a search goes on as it began, whatever the versions."""
        line = self.ledger.round(number)
        if line is None:
            if isinstance(self.method, CoarseToFine):
                ages = np.maximum(self.ages - 1, 0)
                found = self.method.propose_aged(self.space, self._ranked(), count, round_number=number, ages=ages)
            else:
                found = self.method.propose(self.space, self._ranked(), count, round_number=number)
            line = self.ledger.add_round(number, found, self.space.to_dict(), len(self.trials))
        params: list[Params] = line["params"]
        return params

    def _train(self, new: Sequence[Trial], number: int) -> Halving | None:
        by_number = {trial.number: trial for trial in new}

        def score(trials: Sequence[Trial], rung: float) -> None:
            level = None if self.fidelity is None else _plain(rung)
            jobs = [Job(trial.number, trial.params, level, self.seed) for trial in trials]
            for outcome in self._do(jobs, reached={t.number: t.fidelity for t in trials if t.scores}):
                by_number[outcome.job.trial].add(outcome)

        if self.fidelity is None:
            score(new, math.inf)
            return None
        rng = np.random.default_rng(derive_seed(self.seed, "audit", number))
        return halve(new, self.rungs, settings=self.fidelity, sign=self.sign, rng=rng, score=score, before=self.trials)

    def _do(self, jobs: Sequence[Job], *, reached: Mapping[int, float] | None = None) -> list[Outcome]:
        """Outcomes in the order of the jobs: from the ledger where it has them, from the executor else."""
        known: dict[tuple[int, int], Outcome | None] = {(job.trial, job.seed): self.ledger.outcome(job) for job in jobs}
        missing = [job for job in jobs if known[job.trial, job.seed] is None]
        first_failures: list[str] = [] if not self.trials and len(missing) == len(jobs) else ["-"]
        for given in self.executor(missing) if missing else ():
            done = _checked(given, above=(reached or {}).get(given.job.trial, -math.inf))
            self.ledger.add(done)
            known[done.job.trial, done.job.seed] = done
            first_failures.append(done.reason or "")
            _stop_at_a_bug(first_failures, len(jobs))
        return [outcome for job in jobs if (outcome := known[job.trial, job.seed]) is not None]

    def _stop_if_all_failed(self, new: Sequence[Trial]) -> None:
        if not any(trial.feasible for trial in new):
            raise TrainingError(
                f"all {len(new)} trials of the first round failed",
                received=_reasons([trial.reason or "" for trial in new]),
                todo="run the objective once by hand with values that should work, then search around them",
            )

    def _report(self, number: int, new: Sequence[Trial], halving: Halving | None) -> Round:
        ranked = self._ranked()
        focus = plausible(self.space, ranked, sign=self.sign, noise=math.nan)
        return Round(
            number=number,
            count=len(new),
            failed=sum(trial.reason is not None for trial in new),
            space=self.space,
            focus=focus,
            best=ranked[0].number,
            best_score=ranked[0].score,
            halving=halving,
        )

    def _drop_a_useless_rung(self) -> None:
        if self.fidelity is not None:
            self.rungs, why = fewer_rungs(self.rungs, self.trials)
            if why:
                self.notes.append(why)


def _checked(outcome: Outcome, *, above: float) -> Outcome:
    """Without the points of the curve that are known: a trial that starts again, as after a kill, reports them anew."""
    curve = tuple(point for point in outcome.curve if point[0] > above)
    if outcome.score is not None and not math.isfinite(outcome.score):
        why = "NaN" if math.isnan(outcome.score) else "infinite"
        return replace(outcome, score=None, reason=outcome.reason or why, curve=curve)
    return replace(outcome, curve=curve)


def _is_executor(objective: object) -> bool:
    return isinstance(getattr(objective, "takes", None), tuple) and callable(objective)


def _direction(score: str | Score | None, direction: Direction | None) -> Direction:
    made = scorer(score, direction)
    return direction or ("min" if made is None else made.direction)


def _name(part: object) -> str:
    """What tells a method or a score from others, and is the same in another process."""
    return repr(part) if is_dataclass(part) else str(getattr(part, "__qualname__", type(part).__qualname__))


def _check(direction: str, seed: int, **numbers: int) -> None:
    if direction not in ("min", "max"):
        raise ConfigError("direction cannot be right", received=repr(direction), allowed="'min' or 'max'")
    for name, value, least in (("seed", seed, 0), *((name, value, 1) for name, value in numbers.items())):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            allowed = f"a whole number, {least} or more"
            raise ConfigError(f"{name} cannot be right", received=repr(value), allowed=allowed)


def _fidelity(executor: Executor, fidelity: float | Fidelity | None) -> Fidelity | None:
    takes = "fidelity" in executor.takes
    if fidelity is None and takes:
        raise ConfigError(
            "the objective takes a fidelity, and the search does not say how far a whole run goes",
            todo="say so, such as fidelity=27 for 27 epochs",
        )
    if fidelity is not None and not takes:
        raise ConfigError(
            "the search has a fidelity, and the objective does not take one",
            received=f"fidelity={fidelity!r}",
            todo="name a parameter of the objective 'fidelity', or leave fidelity out of the search",
        )
    return Fidelity(fidelity) if isinstance(fidelity, (int, float)) else fidelity


def _plain(rung: float) -> float:
    return int(rung) if float(rung).is_integer() else rung


def _stop_at_a_bug(reasons: Sequence[str], count: int) -> None:
    same = len(reasons) == min(SAME_FAILURE, count) and len(set(reasons)) == 1
    if same and reasons[0] and ":" in reasons[0] and count > 1:
        raise TrainingError(
            f"the first {len(reasons)} trials raised the same error, so the search was stopped",
            received=reasons[0],
            todo="run the objective once by hand; if some configurations may raise this, return float('nan') for them",
        )


def _reasons(reasons: Sequence[str]) -> str:
    kinds = sorted(dict.fromkeys(reasons), key=lambda reason: -reasons.count(reason))
    return "; ".join(f"{reasons.count(kind)} times {kind}" for kind in kinds[:5])
