"""The user's objective as something that does jobs: it is given what it asks for by name, and failures are outcomes.

Not here: which jobs there are (`mlkit.search.driver`), nor other ways to do them (an `Executor` of the user's own).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from mlkit.errors import ConfigError, did_you_mean
from mlkit.search.trials import Job, Outcome

Objective: TypeAlias = Callable[..., "float | Mapping[str, float]"]
ScoreOf: TypeAlias = Callable[[Mapping[str, float]], float]
OPTIONAL = ("fidelity", "report", "seed", "state")


class Serial:
    """Does jobs one after another in this process; an `Executor`.

    Args:
        objective: called with the values of a configuration, and by name with those of these that it takes:

            - ``fidelity``: how far to train in all, in the unit of the search's ``fidelity`` (epochs, say);
            - ``state``: a dictionary of the trial's own that is kept from one call to the next, so that a trial that
              goes on need not start again. After a restart of the process it is empty;
            - ``report``: ``report(fidelity, score)`` keeps a point of the learning curve;
            - ``seed``: of everything random in the run.

            It returns a number, or several by name together with ``score``.
        score: makes one number of several.

    >>> do = Serial(lambda params: params["x"] ** 2)
    >>> [outcome.score for outcome in do([Job(0, {"x": 3})])]
    [9.0]
    """

    def __init__(self, objective: Objective, *, score: ScoreOf | None = None) -> None:
        self.takes = _takes(objective)
        self._objective = objective
        self._score = score
        self._states: dict[tuple[int, int], dict[str, Any]] = {}

    def __call__(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Outcomes in the order of the jobs; states of trials that are not asked for any more are let go."""
        asked = {(job.trial, job.seed) for job in jobs}
        self._states = {which: state for which, state in self._states.items() if which in asked}
        for job in jobs:
            yield self._outcome(job)

    def _outcome(self, job: Job) -> Outcome:
        curve: list[tuple[float, float]] = []
        state = self._states.setdefault((job.trial, job.seed), {})
        given = {
            "fidelity": job.fidelity,
            "report": lambda fidelity, score: curve.append((float(fidelity), float(score))),
            "seed": job.seed,
            "state": state,
        }
        try:
            returned = self._objective(dict(job.params), **{name: given[name] for name in self.takes})
            metrics = _metrics(returned)
            score = self._score(metrics) if self._score is not None else _single(returned, metrics)
        except Exception as error:  # a trial that fails is a result: it marks where the space is infeasible
            self._states.pop((job.trial, job.seed), None)
            first_line = (str(error).splitlines() or [""])[0]
            return Outcome(job, None, f"{type(error).__name__}: {first_line}"[:300], curve=_finite(curve))
        if not math.isfinite(score):
            return Outcome(job, None, "NaN" if math.isnan(score) else "infinite", curve=_finite(curve))
        return Outcome(job, score, metrics=metrics, curve=_finite(curve))


def _takes(objective: Objective) -> tuple[str, ...]:
    if not callable(objective):
        raise ConfigError("the objective cannot be called", received=repr(objective), allowed="a function of params")
    try:
        parameters = list(inspect.signature(objective).parameters.values())
    except (TypeError, ValueError):  # built-in functions do not tell
        return ()
    needed = [p for p in parameters[1:] if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    unknown = [parameter.name for parameter in needed if parameter.name not in OPTIONAL]
    if not parameters or unknown:
        raise ConfigError(
            "the objective takes something that a search does not give" if unknown else "the objective takes nothing",
            received=", ".join(unknown) or "no parameters",
            allowed=f"params first, then any of {', '.join(OPTIONAL)} by these names",
            todo=(did_you_mean(unknown[0], OPTIONAL) if unknown else None) or "give it a default, or use a closure",
        )
    return tuple(parameter.name for parameter in parameters[1:] if parameter.name in OPTIONAL)


def _metrics(returned: object) -> dict[str, float]:
    if isinstance(returned, Mapping):
        return {str(name): float(value) for name, value in returned.items()}
    return {}


def _single(returned: object, metrics: Mapping[str, float]) -> float:
    if not metrics:
        return float(returned)  # type: ignore[arg-type]  # a wrong type is the trial's failure, with its message
    if len(metrics) == 1:
        return next(iter(metrics.values()))
    names = ", ".join(metrics)
    raise ConfigError(
        "several numbers, and no score to make one of them", received=names, todo=f"score={next(iter(metrics))!r}"
    )


def _finite(curve: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    return tuple((fidelity, score) for fidelity, score in curve if math.isfinite(fidelity + score))
