from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest

import mlkit.search as search
from mlkit.errors import ConfigError
from mlkit.search.bayesian import (
    Bayesian,
    decoded,
    dimension_of_distribution,
    distribution,
    distributions,
    encoded,
    quiet,
)
from mlkit.search.dimensions import Dimension, Value, choice, fixed, integer, log, uniform
from mlkit.search.space import Space

optuna = pytest.importorskip("optuna")

KINDS: list[Dimension] = [
    log(1e-5, 1e-1),
    uniform(-1.0, 2.0),
    integer(1, 8),
    integer(16, 256, multiple=16),
    integer(1, 1024, log=True),
    choice("a", None, True, 1.5),
    choice(16, 32, 64),
]


@pytest.mark.parametrize("dimension", KINDS, ids=str)
def test_values_are_allowed_by_the_distribution_and_come_back(dimension: Dimension) -> None:
    made = distribution(dimension)
    for unit in np.linspace(0, 1, 41).tolist():
        value = dimension.value(unit)
        told = encoded(dimension, value)
        assert made._contains(made.to_internal_repr(told))
        assert decoded(dimension, told) == value


@pytest.mark.parametrize("dimension", KINDS[:5], ids=str)
def test_a_range_comes_back_from_its_distribution(dimension: search.Log | search.Uniform | search.Integer) -> None:
    again = dimension_of_distribution(distribution(dimension))
    assert type(again) is type(dimension)
    assert (again.low, again.high, again.grow) == (dimension.low, dimension.high, False)  # type: ignore[union-attr]


def test_what_optuna_asks_for_on_a_log_scale_is_rounded_to_the_multiple() -> None:
    dimension = integer(16, 256, log=True, multiple=16)
    made = distribution(dimension)
    assert (made.low, made.high, made.log) == (16, 256, True)  # type: ignore[attr-defined]
    assert {decoded(dimension, value) for value in range(16, 257)} == set(range(16, 257, 16))


def test_steps_and_single_values_of_optunas() -> None:
    made = optuna.distributions
    assert dimension_of_distribution(made.FloatDistribution(0.0, 1.0, step=0.25)) == choice(
        0.0, 0.25, 0.5, 0.75, 1.0, ordered=True
    )
    assert dimension_of_distribution(made.IntDistribution(3, 13, step=5)) == choice(3, 8, 13, ordered=True)
    assert dimension_of_distribution(made.IntDistribution(10, 30, step=10)) == integer(10, 30, multiple=10, grow=False)
    assert dimension_of_distribution(made.IntDistribution(4, 4)) == fixed(4)
    assert dimension_of_distribution(made.FloatDistribution(0.5, 0.5)) == fixed(0.5)
    assert dimension_of_distribution(made.CategoricalDistribution([1, 2, 4])) == choice(1, 2, 4, ordered=False)


def test_fixed_values_are_not_asked_for() -> None:
    space = Space({"lr": log(1e-5, 1.0), "momentum": fixed(0.9)})
    assert list(distributions(space)) == ["lr"]
    (params,) = Bayesian(0).propose(space, [], 1, round_number=0)
    assert params["momentum"] == 0.9


@pytest.mark.parametrize("number", [None, 1, 4, 100])
def test_batches_spend_the_budget(number: int | None) -> None:
    counts = Bayesian(0, "tpe", number).rounds(10)
    assert sum(counts) == 10
    assert len(counts) == min(number or 10, 10)
    assert max(counts) - min(counts) <= 1


def loss(params: dict[str, Value]) -> float:
    if params["width"] == 256:
        return math.nan
    width = math.log2(float(params["width"]) / 64)  # type: ignore[arg-type]
    return (math.log10(float(params["lr"])) + 2) ** 2 + 0.1 * width**2 + (params["kind"] == "b")  # type: ignore[arg-type]


SPACE = {
    "lr": search.log(1e-5, 1.0),
    "width": search.integer(16, 256, log=True, multiple=16),
    "kind": search.choice("a", "b"),
    "size": search.choice(1, 2, 4),
}


def test_it_searches_and_the_same_seed_finds_the_same() -> None:
    runs = [search.run(loss, SPACE, method="bayesian", budget=40, seed=seed) for seed in (1, 1, 2)]
    assert [t.params for t in runs[0].trials] == [t.params for t in runs[1].trials]
    assert [t.params for t in runs[0].trials] != [t.params for t in runs[2].trials]
    chance = [search.run(loss, SPACE, method="random", budget=40, seed=seed).best.score for seed in range(5)]
    assert max(run.best.score or 0.0 for run in runs) < np.median(np.array(chance, dtype=float))
    widths = {trial.params["width"] for run in runs for trial in run.trials}
    assert widths <= set(range(16, 257, 16))


def test_batches_and_the_gaussian_process(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("scipy")
    result = search.run(loss, SPACE, method="bayesian", budget=24, rounds=3)
    assert [part.count for part in result.rounds] == [8, 8, 8]
    found = search.run(lambda p: (float(p["x"]) - 0.3) ** 2, {"x": search.uniform(0, 1)}, method="gp", budget=14)
    assert abs(float(found.params["x"]) - 0.3) < 0.05  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")


def test_optuna_is_as_loud_afterwards_as_before() -> None:
    for level in (optuna.logging.DEBUG, optuna.logging.WARNING):
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(level)
        with quiet(optuna):
            assert optuna.logging.get_verbosity() == optuna.logging.ERROR
        assert optuna.logging.get_verbosity() == level
        with contextlib.suppress(ConfigError), quiet(optuna):
            raise ConfigError("x")
        assert optuna.logging.get_verbosity() == level
        optuna.logging.set_verbosity(before)


def test_words_that_look_alike_are_not_mixed_up() -> None:
    dimension = choice(1, 1.0, 2, ordered=True)
    for value in dimension.values:
        again = decoded(dimension, encoded(dimension, value))
        assert type(again) is type(value)
        assert again == value
    assert len({encoded(dimension, value) for value in dimension.values}) == 3
