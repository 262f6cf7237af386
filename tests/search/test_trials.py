from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mlkit.search.trials import Job, Outcome, Trial, by_merit, seen


def outcome(score: float | None, fidelity: float | None = None, **more: object) -> Outcome:
    return Outcome(Job(0, {"x": 1}, fidelity), score, **more)  # type: ignore[arg-type]


def test_a_trial_takes_in_its_outcomes() -> None:
    trial = Trial(0, 0, {"x": 1})
    assert not trial.feasible
    assert trial.fidelity == 0
    assert trial.score is None
    trial.add(outcome(0.5, 3, metrics={"loss": 0.5}, curve=((1.0, 0.9), (3.0, 0.5))))
    trial.add(outcome(0.7, 9, metrics={"loss": 0.7}, curve=((9.0, 0.7),)))
    assert trial.feasible
    assert trial.fidelity == 9
    assert trial.score == 0.7
    assert trial.metrics == {"loss": 0.7}
    assert trial.curve == [(1.0, 0.9), (3.0, 0.5), (9.0, 0.7)]


def test_one_failure_makes_it_infeasible_for_good() -> None:
    trial = Trial(0, 0, {"x": 1})
    trial.add(outcome(0.5, 3))
    trial.add(outcome(None, 9, reason="NaN"))
    assert not trial.feasible
    assert trial.score is None
    assert trial.reason == "NaN"
    silent = Trial(1, 0, {})
    silent.add(outcome(None))
    assert silent.reason == "no score"


def test_a_score_of_nought_is_a_score() -> None:
    trial = Trial(0, 0, {})
    trial.add(outcome(0.0))
    assert trial.feasible
    assert trial.score == 0.0
    assert math.isinf(trial.fidelity)


def test_its_dictionary_is_json() -> None:
    trial = Trial(3, 1, {"x": None}, {math.inf: 0.5}, seeds={4: 0.1})
    written = json.loads(json.dumps(trial.to_dict(), allow_nan=False))
    assert written["fidelity"] is None
    assert written["seeds"] == {"4": 0.1}
    assert json.loads(json.dumps(Trial(0, 0, {}, reason="NaN").to_dict()))["score"] is None


def numbers(trials: list[Trial], sign: float = 1.0) -> list[int]:
    return [trial.number for trial in by_merit(trials, sign)]


def test_those_that_got_further_come_first_and_failed_ones_last() -> None:
    trials = [
        Trial(0, 0, {}, {3: 0.1}),
        Trial(1, 0, {}, {3: 0.3, 9: 0.9}),
        Trial(2, 0, {}, {3: 0.2, 9: 0.8}, reason="NaN"),
        Trial(3, 0, {}, {3: 0.4, 9: 0.5}),
        Trial(4, 0, {}, {3: 0.0}),
        Trial(5, 0, {}),
    ]
    assert numbers(trials) == [3, 1, 4, 0, 2, 5]
    assert numbers(trials, -1) == [1, 3, 0, 4, 2, 5]


def test_equal_ones_stand_in_the_order_of_proposal() -> None:
    rng = np.random.default_rng(0)
    trials = [Trial(number, 0, {}, {math.inf: float(rng.integers(3))}) for number in range(40)]
    for _ in range(5):
        shuffled = [trials[k] for k in rng.permutation(40)]
        assert numbers(shuffled) == sorted(range(40), key=lambda k: (trials[k].scores[math.inf], k))


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("end", "place"), [(0.0, 0), (0.25, 1), (0.45, 2), (0.55, 4), (9.0, 4)])
def test_an_audited_one_counts_as_stopped_unless_it_beats_one_that_was_not(sign: float, end: float, place: int) -> None:
    trials = [
        Trial(0, 0, {}, {3: sign * 0.1, 9: sign * 0.2}),
        Trial(1, 0, {}, {3: sign * 0.2, 9: sign * 0.3}),
        Trial(2, 0, {}, {3: sign * 0.3, 9: sign * 0.5}),
        Trial(3, 0, {}, {3: sign * 0.4}, stopped=3),
        Trial(4, 0, {}, {3: sign * 0.6}, stopped=3),
        Trial(5, 0, {}, {3: sign * 0.5, 9: sign * end}, audit=True, stopped=3),
    ]
    others = [0, 1, 2, 3, 4]
    assert numbers(trials, sign) == [*others[:place], 5, *others[place:]]


def test_an_audited_one_alone_at_the_end_is_the_best_there() -> None:
    trials = [Trial(0, 0, {}, {3: 0.1}, reason="NaN"), Trial(1, 0, {}, {3: 0.9, 9: 0.8}, audit=True, stopped=3)]
    assert numbers(trials) == [1, 0]


def test_what_was_proposed_is_known_by_its_values() -> None:
    trials = [Trial(0, 0, {"a": 1, "b": "x"}), Trial(1, 2, {"b": "x", "a": 1}), Trial(2, 0, {"a": 1.0, "b": "x"})]
    assert len(seen(trials)) == 2
    assert seen([]) == set()
