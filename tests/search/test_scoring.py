from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import mlkit.search as search
from mlkit.errors import ConfigError
from mlkit.metrics.objectives import Direction
from mlkit.search.scoring import Metric, Satisficing, WeightedMean, pareto
from mlkit.search.trials import Trial


def test_one_metric_by_name() -> None:
    assert Metric("loss", "min")({"loss": 0.3, "accuracy": 0.9}) == 0.3
    with pytest.raises(ConfigError) as caught:
        Metric("acuracy", "max")({"loss": 0.3, "accuracy": 0.9})
    for part in ("'acuracy'", "loss, accuracy", "accuracy"):
        assert part in str(caught.value)
    with pytest.raises(ConfigError, match="a single number"):
        Metric("loss", "min")({})


def test_a_weighted_mean_is_numpys() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        weights, values = rng.random(4), rng.standard_normal(4)
        score = WeightedMean(dict(zip("abcd", weights.tolist(), strict=True)))
        wanted = np.average(values, weights=weights)
        assert score(dict(zip("abcd", values.tolist(), strict=True))) == pytest.approx(wanted, abs=1e-11)


def test_a_negative_weight_is_for_what_should_be_small() -> None:
    score = WeightedMean({"accuracy": 1.0, "loss": -1.0})
    assert score.direction == "max"
    assert score({"accuracy": 0.9, "loss": 0.3}) > score({"accuracy": 0.9, "loss": 0.4})
    assert score({"accuracy": 0.9, "loss": 0.3}) > score({"accuracy": 0.8, "loss": 0.3})


@pytest.mark.parametrize("weights", [{}, {"accuracy": 0.0}])
def test_a_mean_of_nothing(weights: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="without weights"):
        WeightedMean(weights)


@pytest.mark.parametrize(("way", "optimise"), [("max", "accuracy"), ("min", "loss")])
def test_all_that_keep_the_limits_come_first_then_by_excess(way: Direction, optimise: str) -> None:
    score = Satisficing(optimise, {"parameters": "<= 1e5", "recall": ">=0.5"})
    assert score.direction == way
    sign = 1 if way == "max" else -1
    rows = [
        {optimise: sign * 0.9, "parameters": 1e5, "recall": 0.5},  # at the limits is within
        {optimise: sign * 0.8, "parameters": 10.0, "recall": 0.9},
        {optimise: sign * 1e6, "parameters": 1.1e5, "recall": 0.5},  # a tenth too large
        {optimise: sign * 1e6, "parameters": 1e5, "recall": 0.4},  # a fifth too small
        {optimise: sign * 1e6, "parameters": 1.5e5, "recall": 0.1},
    ]
    scores = [sign * score(row) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 5
    assert scores[0] == pytest.approx(0.9)
    assert [score.excess(row) for row in rows] == pytest.approx([0, 0, 0.1, 0.2, 0.5 + 0.8])


def test_limits_of_nought_and_below() -> None:
    score = Satisficing("accuracy", {"drift": "<= 0", "margin": ">= -2"})
    assert score.excess({"accuracy": 1.0, "drift": 0.5, "margin": -3.0}) == pytest.approx(0.5 + 0.5)
    assert score.excess({"accuracy": 1.0, "drift": 0.0, "margin": -2.0}) == 0.0


def test_a_metric_of_ones_own_says_which_way_is_better() -> None:
    assert Satisficing("latency", {}, better="min").direction == "min"
    with pytest.raises(ConfigError):
        Satisficing("latency", {})


@pytest.mark.parametrize("limit", ["1e5", "< 1e5", "<= many", "== 3", "<= 1e5 or so", "<= 1.2.3"])
def test_limits_that_cannot_be_read(limit: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Satisficing("accuracy", {"parameters": limit})
    for part in ("'parameters'", repr(limit), '"<= 1e5"'):
        assert part in str(caught.value)


def test_a_value_that_is_no_number_does_not_pass_for_within_the_limits() -> None:
    score = Satisficing("accuracy", {"latency": "<= 2"})
    within = score({"accuracy": 0.1, "latency": 1.0})
    assert not score({"accuracy": 0.9, "latency": math.nan}) >= within


def test_a_search_keeps_the_limit() -> None:
    # The best within x + y <= 1 of 2x + y is at x = 1, y = 0; without the limit at (1, 1).
    space = {"x": search.uniform(0.0, 1.0), "y": search.uniform(0.0, 1.0)}

    def objective(params: dict[str, float]) -> dict[str, float]:
        return {"gain": 2 * params["x"] + params["y"], "cost": params["x"] + params["y"]}

    result = search.coarse_to_fine(objective, space, score=Satisficing("gain", {"cost": "<= 1"}, "max"), budget=64)
    assert result.best.metrics["cost"] <= 1
    assert result.best.metrics["gain"] > 1.8


def trials_of(rows: np.ndarray) -> list[Trial]:
    return [
        Trial(number, 0, {}, {math.inf: 0.0}, metrics={"a": float(row[0]), "b": float(row[1]), "c": float(row[2])})
        for number, row in enumerate(rows)
    ]


def test_the_front_is_what_none_beats_in_everything() -> None:
    rng = np.random.default_rng(0)
    ways: dict[str, Direction] = {"a": "min", "b": "max", "c": "min"}
    for _ in range(10):
        trials = trials_of(rng.integers(0, 5, (30, 3)))

        def beats(one: Trial, other: Trial) -> bool:
            pairs = [
                (one.metrics[n], other.metrics[n]) if way == "min" else (other.metrics[n], one.metrics[n])
                for n, way in ways.items()
            ]
            return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)

        wanted = [trial for trial in trials if not any(beats(other, trial) for other in trials)]
        assert pareto(trials, ways) == wanted
        assert 0 < len(wanted) < 30


def test_a_front_of_one_metric_is_its_best() -> None:
    trials = trials_of(np.array([[3, 0, 0], [1, 0, 0], [1, 0, 0], [2, 0, 0]]))
    assert [trial.number for trial in pareto(trials, {"a": "min"})] == [1, 2]
    assert [trial.number for trial in pareto(trials, {"a": "max"})] == [0]


def test_equal_trials_do_not_beat_each_other_and_order_does_not_matter() -> None:
    rows = np.array([[1, 2, 0], [2, 1, 0], [1, 2, 0], [2, 2, 0]])
    for order in itertools.permutations(range(4)):
        trials = trials_of(rows)
        front = pareto([trials[k] for k in order], {"a": "min", "b": "min"})
        assert {trial.number for trial in front} == {0, 1, 2}


def test_infeasible_trials_and_missing_metrics_are_left_out() -> None:
    trials = trials_of(np.array([[1, 1, 1], [0, 0, 0], [5, 5, 5]]))
    trials[1].reason = "NaN"
    del trials[2].metrics["b"]
    trials.append(Trial(3, 0, {}, {math.inf: 0.0}, metrics={"a": math.nan, "b": 0.0, "c": 0.0}))
    assert [trial.number for trial in pareto(trials, {"a": "min", "b": "min"})] == [0]
