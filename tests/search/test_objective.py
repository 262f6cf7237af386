from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlkit.errors import ConfigError
from mlkit.search.objective import Serial
from mlkit.search.scoring import WeightedMean
from mlkit.search.trials import Job, Outcome


def done(objective: Callable[..., Any], *jobs: Job, **more: Any) -> list[Outcome]:
    return list(Serial(objective, **more)(jobs or [Job(0, {"x": 2}, 9, 5)]))


def test_it_is_given_what_it_asks_for_by_name() -> None:
    seen: dict[str, object] = {}

    def objective(params: dict[str, float], seed: int, fidelity: float, other: int = 7, **rest: object) -> float:
        seen.update(params=params, seed=seed, fidelity=fidelity, other=other, rest=rest)
        return 1.0

    (outcome,) = done(objective)
    assert seen == {"params": {"x": 2}, "seed": 5, "fidelity": 9, "other": 7, "rest": {}}
    assert outcome.score == 1.0
    assert Serial(objective).takes == ("seed", "fidelity")
    assert Serial(lambda params: 0.0).takes == ()


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.array(3.0), True + 2, {"loss": 3}])
def test_what_counts_as_a_number(value: object) -> None:
    (outcome,) = done(lambda params: value)
    assert outcome.score == 3.0
    assert type(outcome.score) is float
    assert outcome.reason is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "NaN"),
        (math.inf, "infinite"),
        (-math.inf, "infinite"),
        (None, "TypeError"),
        ("low", "ValueError"),
        ({"a": 1, "b": 2}, "ConfigError: several numbers"),
        ({"a": "x"}, "ValueError"),
    ],
)
def test_what_does_not(value: object, reason: str) -> None:
    (outcome,) = done(lambda params: value)
    assert outcome.score is None
    assert outcome.reason is not None
    assert outcome.reason.startswith(reason)


def test_an_error_is_kept_in_one_line_and_the_others_go_on() -> None:
    def objective(params: dict[str, int]) -> float:
        if params["x"] == 1:
            raise RuntimeError("out of memory\n" + "a long story " * 100)
        return params["x"]

    outcomes = done(objective, *(Job(k, {"x": k}) for k in range(3)))
    assert [outcome.score for outcome in outcomes] == [0.0, None, 2.0]
    assert outcomes[1].reason == "RuntimeError: out of memory"
    (long,) = done(lambda params: (_ for _ in ()).throw(ValueError("x" * 1000)))
    assert len(long.reason or "") == 300


def test_several_numbers_and_the_score_of_them() -> None:
    (outcome,) = done(lambda params: {"a": 1.0, "b": math.nan, "c": 3}, score=WeightedMean({"a": 1.0, "c": 1.0}))
    assert outcome.score == 2.0
    assert outcome.metrics["c"] == 3.0
    assert math.isnan(outcome.metrics["b"])
    (missing,) = done(lambda params: {"a": 1.0}, score=WeightedMean({"a": 1.0, "c": 1.0}))
    assert (missing.reason or "").startswith("ConfigError: the objective does not return this metric")


def test_a_trials_state_lasts_while_it_is_asked_for() -> None:
    def objective(params: dict[str, int], state: dict[str, int], seed: int) -> float:
        state["calls"] = state.get("calls", 0) + 1
        if params["x"] == 2 and state["calls"] == 2:
            raise RuntimeError("lost")
        return state["calls"]

    do = Serial(objective)
    jobs = [Job(k, {"x": k}) for k in range(3)]
    assert [outcome.score for outcome in do(jobs)] == [1, 1, 1]
    assert [outcome.score for outcome in do(jobs)] == [2, 2, None]
    # One that failed begins anew, and so does one that was left out for a while, or has another seed.
    assert [outcome.score for outcome in do([jobs[0], jobs[2]])] == [3, 1]
    assert [outcome.score for outcome in do([*jobs, Job(0, {"x": 0}, seed=1)])] == [4, 1, None, 1]


def test_what_is_reported_is_kept_without_what_is_no_number() -> None:
    def objective(params: dict[str, int], report: Callable[[float, float], None]) -> float:
        report(1, 0.5)
        report(np.int64(2), np.float32(0.25))  # type: ignore[arg-type]
        report(3, math.nan)
        report(math.inf, 1.0)
        raise RuntimeError("then it broke")

    (outcome,) = done(objective)
    assert outcome.curve == ((1.0, 0.5), (2.0, 0.25))
    assert [type(part) for point in outcome.curve for part in point] == [float] * 4


def test_objectives_that_a_search_cannot_call() -> None:
    wrong: list[tuple[Any, str]] = [
        (3, "cannot be called"),
        (lambda: 0.0, "takes nothing"),
        (lambda params, epochs: 0.0, "epochs"),
        (lambda params, fidelty: 0.0, "fidelity"),
    ]
    for objective, part in wrong:
        with pytest.raises(ConfigError) as caught:
            Serial(objective)
        assert part in str(caught.value)
    assert Serial(max).takes == ()
