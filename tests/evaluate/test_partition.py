from __future__ import annotations

import numpy as np
import pytest

import mlkit.evaluate as ev
from mlkit.errors import ConfigError, DataError
from mlkit.evaluate.partition import halves


@pytest.mark.parametrize("n", [4, 5, 100, 101])
def test_halves_are_disjoint_and_of_one_size(n: int) -> None:
    first, second = halves(n, seed=0, number=0)
    assert len(first) == len(second) == n // 2
    assert not np.intersect1d(first, second).size
    assert (np.diff(first) > 0).all()
    assert set(first) | set(second) <= set(range(n))


def test_they_are_a_function_of_seed_and_number() -> None:
    assert all((a == b).all() for a, b in zip(halves(50, seed=3, number=1), halves(50, seed=3, number=1), strict=True))
    others = {tuple(halves(50, seed=seed, number=number)[0]) for seed in range(3) for number in range(4)}
    assert len(others) == 12


def test_every_row_is_as_often_in_either_half_and_of_an_odd_number_left_out() -> None:
    counts = np.zeros((2, 9))
    times = 1800
    for number in range(times):
        for side, rows in enumerate(halves(9, seed=1, number=number)):
            counts[side, rows] += 1
    # 4 standard errors of a binomial share of 4/9
    assert np.abs(counts / times - 4 / 9).max() < 4 * np.sqrt(4 / 9 * 5 / 9 / times)


def test_a_rare_class_is_in_both_halves() -> None:
    labels = np.zeros(40, dtype=np.int64)
    labels[[5, 6]] = 1
    for number in range(30):
        first, second = halves(40, seed=0, number=number, labels=labels)
        assert (labels[first].sum(), labels[second].sum()) == (1, 1)
        assert not np.intersect1d(first, second).size
        assert len(first) == len(second) == 20


def test_a_class_of_one_row_is_left_where_it_is() -> None:
    labels = np.zeros(10, dtype=np.int64)
    labels[3] = 1
    sides = {int(labels[halves(10, seed=0, number=number, labels=labels)[0]].sum()) for number in range(20)}
    assert sides == {0, 1}


def test_strata_are_shared_equally_and_groups_stay_together() -> None:
    codes = np.repeat(np.arange(6), [4, 6, 2, 8, 10, 4])
    first, second = halves(len(codes), seed=0, number=0, strata=codes)
    assert (np.bincount(codes[first]) == np.bincount(codes[second])).all()
    first, second = halves(len(codes), seed=0, number=0, groups=codes)
    assert not np.intersect1d(codes[first], codes[second]).size
    assert len(first) + len(second) == len(codes)


def test_what_is_left_over_of_odd_strata_is_shared_too() -> None:
    codes = np.repeat(np.arange(4), 3)
    first, second = halves(12, seed=0, number=0, strata=codes)
    assert len(first) == len(second) == 6


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"n": 3}, DataError, "too few training rows to halve"),
        ({"n": 6, "strata": np.zeros(6), "groups": np.zeros(6)}, ConfigError, "cannot both be kept"),
        ({"n": 6, "strata": np.zeros(5)}, DataError, "strata do not fit the rows"),
        ({"n": 6, "groups": np.zeros(6)}, DataError, "too few groups"),
    ],
)
def test_bad_input_is_refused(given: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        halves(seed=0, number=0, **given)  # type: ignore[arg-type]


def test_halves_of_equal_class_counts_would_miss_what_varies_with_the_counts() -> None:
    """The share of a class, estimated from half of 40 rows: its variance is p (1 - p) / 20."""

    def share(x: np.ndarray, y: np.ndarray, seed: int) -> object:
        return lambda rows: np.full((len(rows), 1), y.mean())

    rng = np.random.default_rng(0)
    plain, equal = [], []
    for number in range(200):
        y = (rng.random(40) < 0.3).astype(float)
        for found, strata in ((plain, None), (equal, y)):
            result = ev.decompose(
                share,  # type: ignore[arg-type]
                (np.zeros((40, 1)), y),
                test=(np.zeros((2, 1)), np.zeros(2)),
                loss="squared",
                size=(4, 1),
                strata=strata,
                seed=number,
            )
            found.append(result.term("variance").value)
    error = np.std(plain, ddof=1) / np.sqrt(len(plain))
    assert abs(np.mean(plain) - 0.3 * 0.7 / 20) < 4 * error
    assert np.mean(equal) < 0.1 * np.mean(plain)
