from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from mlkit.search.dimensions import Value, choice, fixed, integer, log, uniform
from mlkit.search.halton import halton
from mlkit.search.importance import Importance, expected, importances
from mlkit.search.space import Params, Space
from mlkit.search.trials import Trial, by_merit

CUBE = Space({name: uniform(0.0, 1.0) for name in "abcd"})


def found(space: Space, loss: Callable[[Params], float], *, count: int = 64, seed: int = 0) -> dict[str, Importance]:
    points = halton(count, len(space.names), seed=seed)
    trials = [Trial(number, 0, space.params(point)) for number, point in enumerate(points)]
    for trial in trials:
        value = loss(trial.params)
        if math.isnan(value):
            trial.reason = "NaN"
        else:
            trial.scores[math.inf] = value
    return {item.name: item for item in importances(space, by_merit(trials, 1.0))}


def number(value: Value) -> float:
    assert isinstance(value, (int, float))
    return float(value)


@pytest.mark.parametrize("seed", range(4))
def test_one_that_alone_matters_has_nearly_all(seed: int) -> None:
    items = found(CUBE, lambda p: (number(p["c"]) - 0.2) ** 2, seed=seed)
    assert next(iter(items)) == "c"
    assert items["c"].share > 0.75
    assert items["c"].resolved
    assert sum(item.share for item in items.values()) == pytest.approx(1.0)
    assert items["c"].low > max(item.high for name, item in items.items() if name != "c")


def test_larger_effects_have_larger_shares() -> None:
    items = found(CUBE, lambda p: 4 * number(p["b"]) + 2 * number(p["d"]) + 1 * number(p["a"]), count=400)
    assert list(items) == ["b", "d", "a", "c"]
    assert [item.resolved for item in items.values()] == [True, True, True, False]


def test_two_that_are_alike_have_like_shares() -> None:
    # x and y play the same part; over seeds neither has more, within the error of the mean.
    ratios = []
    for seed in range(30):
        items = found(CUBE, lambda p: number(p["a"]) ** 2 + number(p["b"]) ** 2, seed=seed)
        ratios.append(math.log(items["a"].share / items["b"].share))
    assert abs(np.mean(ratios)) < 3 * np.std(ratios) / math.sqrt(30)


def test_what_does_not_matter_is_seldom_resolved() -> None:
    rng = np.random.default_rng(0)
    times = [item.resolved for seed in range(40) for item in found(CUBE, lambda p: rng.random(), seed=seed).values()]
    # One in twenty by its definition; three standard errors of 160.
    assert np.mean(times) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 160)


def test_two_lists_against_the_formula() -> None:
    # By hand: 12 trials, the best third is 4. Of "a" the good hold 4 of 6 with value u; of "b" 2 of 6 each.
    space = Space({"a": choice("u", "v"), "b": choice("x", "y")})
    rows = ["ux", "uy", "ux", "uy", "vx", "vy", "vx", "vy", "vx", "vy", "ux", "uy"]
    trials = [Trial(k, 0, {"a": r[0], "b": r[1]}, {1.0: float(k)}) for k, r in enumerate(rows)]
    items = {item.name: item for item in importances(space, trials)}
    assert items["a"].share == 1.0
    assert items["b"].share == 0.0

    # With one good trial of "b" exchanged: divergences of Bernoulli shares, each with a tenth spread evenly.
    rows[3] = "ux"
    trials = [Trial(k, 0, {"a": r[0], "b": r[1]}, {1.0: float(k)}) for k, r in enumerate(rows)]

    def divergence(good: float, everyone: float) -> float:
        g, e = 0.9 * good + 0.05, 0.9 * everyone + 0.05
        return (g - e) ** 2 / e + (g - e) ** 2 / (1 - e)

    a, b = divergence(4 / 4, 6 / 12), divergence(3 / 4, 7 / 12)
    items = {item.name: item for item in importances(space, trials)}
    assert items["a"].share == pytest.approx(a / (a + b))
    assert items["b"].share == pytest.approx(b / (a + b))


def test_a_list_of_words_that_matters_is_found_among_ranges() -> None:
    space = Space({"lr": log(1e-5, 1.0), "kind": choice("a", "b", "c"), "width": integer(16, 256, log=True)})
    items = found(space, lambda p: {"a": 0.0, "b": 1.0, "c": 2.0}[str(p["kind"])] + 0.1 * number(p["width"]) / 256)
    assert next(iter(items)) == "kind"
    assert items["kind"].share > 0.6


def test_the_scale_of_the_score_does_not_matter_only_its_order() -> None:
    def loss(p: Params) -> float:
        return number(p["a"]) + 0.5 * number(p["b"])

    assert found(CUBE, loss) == found(CUBE, lambda p: math.exp(20 * loss(p)) - 7)


def test_where_trials_fail_counts_as_bad() -> None:
    items = found(CUBE, lambda p: math.nan if number(p["d"]) > 0.35 else 0.0)
    assert next(iter(items)) == "d"
    assert items["d"].resolved


def test_the_same_seed_gives_the_same_interval_and_it_holds_the_share() -> None:
    def loss(p: Params) -> float:
        return (number(p["a"]) - 0.5) ** 2 + 0.3 * number(p["b"])

    assert found(CUBE, loss) == found(CUBE, loss)
    for seed in range(10):
        for item in found(CUBE, loss, seed=seed).values():
            assert 0 <= item.low <= item.high <= 1
        assert item.to_dict()["share"] == item.share
        json.dumps(item.to_dict(), allow_nan=False)
    first = next(iter(found(CUBE, loss).values()))
    assert first.low < first.share < first.high


def test_few_trials_and_fixed_values_tell_nothing() -> None:
    assert found(CUBE, lambda p: number(p["a"]), count=8) == {}
    assert len(found(CUBE, lambda p: number(p["a"]), count=9)) == 4
    space = Space({"a": uniform(0.0, 1.0), "b": fixed(3)})
    assert list(found(space, lambda p: number(p["a"]))) == ["a"]
    assert found(Space({"b": fixed(3)}), lambda p: 0.0) == {}


def test_when_nothing_is_told_apart_no_share_is_claimed() -> None:
    space = Space({"a": choice("u", "v"), "b": choice("x", "y")})
    trials = [Trial(k, 0, {"a": "u", "b": "x"}, {1.0: float(k)}) for k in range(12)]
    for item in importances(space, trials):
        assert item.share == 0.0
        assert not item.resolved


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("lr", "high"),
        ("optimizer.learning_rate", "high"),
        ("lr_schedule", "high"),
        ("hidden_units", "high"),
        ("weight_decay", "medium"),
        ("model.dropout", "medium"),
        ("num_layers", "medium"),
        ("initialisation", "medium"),
        ("batch_size", "low"),
        ("optimizer", "low"),
        ("activation", "low"),
        ("momentum", "low"),
        ("colour", None),
    ],
)
def test_what_practitioners_expect_by_the_name(name: str, level: str | None) -> None:
    assert expected(name) == level
