from __future__ import annotations

import numpy as np
import pytest

from mlkit.errors import ConfigError, DataError
from mlkit.evaluate.slices import slices


def table(seed: int, n: int = 1000) -> tuple[np.random.Generator, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng, np.c_[rng.normal(size=(n, 3)), rng.integers(0, 4, (n, 2))]


def test_a_planted_slice_of_one_feature_is_named_first() -> None:
    for seed in range(20):
        rng, x = table(seed)
        errors = rng.random(1000) < np.where(x[:, 3] == 2, 0.35, 0.1)
        found = slices(x, errors, features=["a", "b", "c", "d", "e"])
        assert found.found[0].name == "d = 2"
        assert (found.found[0].rows == np.flatnonzero(x[:, 3] == 2)).all()


def test_a_planted_slice_of_two_features_is_named_first() -> None:
    hits = 0
    for seed in range(20):
        rng, x = table(seed)
        errors = rng.random(1000) < np.where((x[:, 3] == 2) & (x[:, 4] == 1), 0.6, 0.1)
        hits += slices(x, errors).found[0].name == "column 3 = 2 and column 4 = 1"
    assert hits >= 19


def test_without_slices_one_in_twenty_is_found() -> None:
    alarms = 0
    for seed in range(60):
        rng, x = table(seed, 400)
        alarms += bool(slices(x, rng.random(400) < 0.2, seed=seed).found)
    assert alarms <= 8  # P(more than 8 of 60 at 5 %) = 0.003


def test_a_planted_range_of_numbers() -> None:
    rng, x = table(1)
    loss = rng.exponential(size=1000) * np.where(x[:, 0] > 0.7, 3.0, 1.0)
    first = slices(x, loss).found[0]
    assert first.name.endswith("< column 0")
    assert first.low > first.rest
    assert first.excess == pytest.approx((first.error - first.rest) * first.count / loss.sum())


def test_missing_values_are_a_slice() -> None:
    rng, x = table(2)
    x[:150, 1] = np.nan
    errors = rng.random(1000) < np.where(np.isnan(x[:, 1]), 0.5, 0.1)
    assert slices(x, errors).found[0].name == "column 1 is missing"


def test_many_categories_are_gathered() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 30, (2000, 1))
    assert slices(x, rng.random(2000) < 0.2, categorical=[0]).looked_at == 9


def test_nothing_varies() -> None:
    _, x = table(4)
    assert slices(x, np.zeros(1000)).found == ()
    assert slices(np.zeros((50, 1)), np.arange(50) % 2).looked_at == 0


def test_slices_that_are_the_same_are_named_once() -> None:
    rng, x = table(5)
    x = np.c_[x, x[:, 3]]
    errors = rng.random(1000) < np.where(x[:, 3] == 2, 0.5, 0.1)
    assert len(slices(x, errors).found) == 1


def test_two_planted_slices_are_both_named() -> None:
    rng, x = table(8)
    rates = np.where(x[:, 3] == 2, 0.4, 0.08) + np.where(x[:, 4] == 0, 0.3, 0.0)
    names = [one.name for one in slices(x, rng.random(1000) < rates).found]
    assert set(names) == {"column 3 = 2", "column 4 = 0"}


def test_bad_input_is_refused() -> None:
    _, x = table(6)
    with pytest.raises(DataError, match="not of the same rows"):
        slices(x, np.zeros(10))
    with pytest.raises(DataError, match="one name a column"):
        slices(x, np.zeros(1000), features=["a"])
    with pytest.raises(ConfigError, match="too many features for pairs"):
        slices(np.zeros((100, 30)), np.zeros(100))


def test_form() -> None:
    rng, x = table(7)
    found = slices(x, rng.random(1000) < np.where(x[:, 3] == 2, 0.5, 0.1))
    assert max(map(len, str(found).splitlines())) <= 80
    assert "rows" not in found.to_dict()["found"][0]
