from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

import mlkit.search as search
from mlkit.search.dimensions import Dimension, Value, choice, integer, log, uniform
from mlkit.search.edges import edges, widened
from mlkit.search.space import Space
from mlkit.search.trials import Trial

LR = log(1e-4, 1e-2)


def ranked(values: Sequence[Value], failed: Sequence[Value] = (), name: str = "x") -> list[Trial]:
    """Trials in the order of their scores, then those that failed."""
    good = [Trial(number, 0, {name: value}, {1.0: float(number)}) for number, value in enumerate(values)]
    return good + [Trial(len(good) + k, 0, {name: value}, reason="NaN") for k, value in enumerate(failed)]


def found(dimension: Dimension, values: Sequence[Value], failed: Sequence[Value] = ()) -> list[tuple[str, bool]]:
    """Sides, and whether they were widened."""
    seen = edges(Space({"x": dimension}), ranked(values, failed), round_number=0)
    return [(edge.side, edge.why is None) for edge in seen]


def test_the_best_in_the_outer_tenth_is_an_edge() -> None:
    middle = [1e-3] * 28
    assert found(LR, [9e-3, 8e-3, 7e-3, 9.5e-3, *middle]) == [("high", True)]
    assert found(LR, [1.1e-4, 1.2e-4, 1e-4, 1e-4, *middle]) == [("low", True)]
    assert found(LR, [1e-3, 2e-3, 5e-4, 1e-3, *middle]) == []


def test_the_elite_is_weighted_by_rank() -> None:
    # Weights of the four are 0.4, 0.3, 0.2 and 0.1.
    middle = [1e-3] * 28
    assert found(LR, [9e-3, 1e-3, 9e-3, 1e-3, *middle]) == [("high", True)]
    assert found(LR, [1e-3, 9e-3, 1e-3, 9e-3, *middle]) == []
    # What is not of the elite does not count.
    assert found(LR, [1e-3] * 4 + [9e-3] * 28) == []


def test_half_a_range_is_added_on_that_side() -> None:
    space = Space({"x": LR, "kind": choice("a", "b")})
    trials = [Trial(k, 0, {"x": 9e-3, "kind": "a"}, {1.0: 0.0}) for k in range(8)]
    (edge,) = edges(space, trials, round_number=3)
    assert edge.before == LR
    assert edge.after == log(1e-4, 1e-1)
    assert edge.round == 3
    assert widened(space, [edge]).dimensions == {"x": edge.after, "kind": choice("a", "b")}
    assert str(edge) == "x: best trials at the high end, widened from log(0.0001, 0.01) to log(0.0001, 0.1)"


def test_both_ends_of_one_range_grow_each_by_itself() -> None:
    space = Space({"x": uniform(10.0, 20.0)})
    both = edges(space, ranked([10.0, 20.0, 20.0, 10.0, 10.0, 20.0, 20.0, 10.0]), round_number=0)
    assert {edge.side for edge in both} == {"low", "high"}
    grown = widened(space, both).dimensions["x"]
    assert grown in (uniform(5.0, 27.5), uniform(2.5, 25.0), uniform(5.0, 25.0))


def test_a_range_does_not_grow_towards_where_training_fails() -> None:
    best = [9e-3] * 8
    assert found(LR, best, failed=[8e-3] * 7) == [("high", True)]
    assert found(LR, best, failed=[8e-3] * 8) == [("high", False)]
    # The best may crowd right before a cliff: two that failed beyond them tell.
    assert found(LR, best, failed=[9.9e-3] * 2) == [("high", False)]
    assert found(LR, [*best, 9.8e-3, 9.8e-3, 9.8e-3], failed=[9.9e-3] * 2) == [("high", True)]
    # Failures elsewhere do not matter, nor does a single one.
    assert found(LR, best, failed=[1e-4] * 20) == [("high", True)]
    assert found(LR, [9e-3, 1e-3], failed=[9.9e-3]) == [("high", True)]


def test_why_a_range_did_not_grow() -> None:
    def why(
        dimension: Dimension, values: list[Value], failed: Sequence[Value] = (), *, grow: bool = True
    ) -> str | None:
        (edge,) = edges(Space({"x": dimension}), ranked(values, failed), round_number=0, grow=grow)
        assert edge.after == edge.before
        assert widened(Space({"x": dimension}), [edge]).dimensions["x"] == dimension
        assert str(edge).endswith(edge.why or "-")
        return edge.why

    assert why(uniform(0.0, 0.6), [0.0] * 8) == "at its limit"
    assert why(log(1e-4, 1e-2, limits=(1e-5, 1e-2)), [1e-2] * 8) == "at its limit"
    assert why(log(1e-4, 1e-2, grow=False), [1e-2] * 8) == "not widened, as grow=False says"
    assert why(LR, [1e-2] * 8, [1e-2] * 8) == "not widened, since half of the trials failed there"
    assert why(LR, [1e-2] * 8, grow=False) == "widen it to log(0.0001, 0.1) next time"


@pytest.mark.parametrize(
    "dimension",
    [
        integer(2, 9),
        integer(2, 64, log=True),
        integer(2, 4, log=True),
        integer(64, 512, log=True, multiple=64),
        integer(100, 200),
    ],
    ids=str,
)
def test_whole_numbers_have_both_edges(dimension: search.Integer) -> None:
    middle = dimension.value(0.5)
    assert found(dimension, [dimension.high] * 4 + [middle] * 28) == [("high", True)]
    low = found(dimension, [dimension.low] * 4 + [middle] * 28)
    assert low == [("low", dimension.low > dimension.multiple)]


def test_two_whole_numbers_are_no_edge_by_chance() -> None:
    # Each of the two holds half of the range: a best half there is what chance gives.
    assert found(integer(2, 3), [2, 3, 2, 3, 2, 3, 2, 3]) == []
    assert found(integer(2, 3), [3] * 8) == [("high", True)]


@pytest.mark.parametrize(
    ("dimension", "low", "high"),
    [
        (LR, 0.1, 0.1),
        (integer(1, 8), 1 / 8, 1 / 8),
        (integer(2, 64, log=True), math.log(2.5 / 1.5) / math.log(64.5 / 1.5), 0.1),
        (integer(64, 512, log=True, multiple=64), math.log(96 / 32) / math.log(544 / 32), 0.1),
    ],
    ids=str,
)
def test_how_often_chance_makes_an_edge(dimension: Dimension, low: float, high: float) -> None:
    # Each of the elite of four is at an end with the end's share; enough of them by weight must be.
    def chance(share: float) -> float:
        needed = max(0.5, min(2 * share, 0.9)) - 1e-9
        subsets = itertools.product((0, 1), repeat=4)
        ways = [(sum(np.multiply(at, (0.4, 0.3, 0.2, 0.1))), sum(at)) for at in subsets]
        return sum(share**count * (1 - share) ** (4 - count) for weight, count in ways if weight >= needed)

    seen = []
    for seed in range(1000):
        units = np.random.default_rng(seed).random(32).tolist()
        seen += [side for side, _ in found(dimension, [dimension.value(unit) for unit in units])]
    for side, share in (("low", low), ("high", high)):
        wanted = chance(share)
        assert wanted < 0.1
        assert seen.count(side) / 1000 == pytest.approx(wanted, abs=4 * math.sqrt(wanted / 1000))


def test_lists_have_no_edges_and_few_trials_no_elite() -> None:
    assert found(choice(1, 2, 4), [4] * 8) == []
    assert found(LR, [1e-2]) == []
    assert found(LR, [], failed=[1e-2] * 9) == []


@pytest.mark.parametrize("optimum", [1e-6, 1e-5, 3e-3, 0.1, 1.0])
def test_an_optimum_outside_the_first_box_is_reached(optimum: float) -> None:
    # C23: a quadratic in log lr, noise-free; as far outside as the first range is long.
    def loss(params: dict[str, float]) -> float:
        return float(np.log10(params["lr"] / optimum) ** 2)

    distances = []
    for seed in range(3):
        result = search.coarse_to_fine(loss, {"lr": LR}, budget=64, seed=seed)
        distances.append(abs(np.log10(result.params["lr"] / optimum)))
        ranges = [part.space.dimensions["lr"] for part in result.rounds]
        assert all(b.low <= a.low < a.high <= b.high for a, b in itertools.pairwise(ranges))  # type: ignore[union-attr]
        grown = any(edge.why is None for edge in result.edges)
        assert grown or 1e-4 <= optimum <= 1e-2
        last = result.last_space.dimensions["lr"]
        assert isinstance(last, search.Log)
        assert last.low <= min(optimum, result.params["lr"]) <= max(optimum, result.params["lr"]) <= last.high
    assert np.median(distances) < 0.02
    assert max(distances) < 0.2


def test_the_range_does_not_grow_into_divergence() -> None:
    def loss(params: dict[str, float]) -> float:
        return float("nan") if params["lr"] > 0.5 else float(-np.log(params["lr"]))

    result = search.coarse_to_fine(loss, {"lr": search.log(1e-4, 1.0, limits=(1e-6, 1e6))}, budget=64)
    last = result.last_space.dimensions["lr"]
    assert isinstance(last, search.Log)
    assert last.high == 1.0
    assert 0.3 < result.params["lr"] <= 0.5
