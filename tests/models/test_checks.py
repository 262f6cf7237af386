from __future__ import annotations

import numpy as np
import pytest

from mlkit.errors import ConfigError
from mlkit.models.checks import choice, count, counts, positive, probability, refuse, sides


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.uint8(1)])
def test_counts_are_whole_numbers_of_any_make(value: object) -> None:
    assert count("units", value) is None


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3", None, np.int64(0), [3]])
def test_what_is_not_a_count(value: object) -> None:
    problem = count("units", value)
    assert problem is not None
    assert problem.what == "'units' is not a usable number"
    assert problem.received == repr(value)
    assert problem.allowed == "a whole number from 1 up"


def test_a_count_may_start_at_zero() -> None:
    assert count("numbers", 0, least=0) is None
    assert count("numbers", -1, least=0) is not None


@pytest.mark.parametrize(("value", "wrong"), [((), 0), ([3, 4], 0), ([3, 0, -1], 2), (5, 1), ("34", 1), (None, 1)])
def test_lists_of_counts(value: object, wrong: int) -> None:
    assert sum(problem is not None for problem in counts("hidden", value)) == wrong


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (28, 0),
        (np.int64(28), 0),
        ((8, 16), 0),
        ([8, 16], 0),
        (0, 1),
        ((0, 0), 2),
        ((8,), 1),
        ((), 1),
        (28.0, 1),
        ("28", 1),
    ],
)
def test_sizes_of_images(value: object, wrong: int) -> None:
    assert sum(problem is not None for problem in sides("image_size", value)) == wrong


@pytest.mark.parametrize(("value", "usable"), [(0, True), (0.999, True), (1, False), (-0.1, False), ("0", False)])
def test_probabilities(value: object, usable: bool) -> None:
    assert (probability("dropout", value) is None) == usable


def test_nan_is_neither_a_probability_nor_a_factor() -> None:
    assert probability("dropout", float("nan")) is not None
    assert positive("width", float("nan")) is not None


@pytest.mark.parametrize(
    ("value", "usable"), [(0.25, True), (2, True), (0, False), (-1.0, False), (float("inf"), False), ("2", False)]
)
def test_factors(value: object, usable: bool) -> None:
    assert (positive("width", value) is None) == usable


def test_a_choice_guesses_what_was_meant() -> None:
    problem = choice("activation", "rleu", ("relu", "tanh"))
    assert problem is not None
    assert problem.allowed == "'relu', 'tanh'"
    assert problem.todo == "did you mean 'relu'?"


def test_a_list_is_no_choice() -> None:
    assert choice("activation", ["relu"], {"relu": 1}) is not None


def test_all_problems_are_raised_together() -> None:
    with pytest.raises(ConfigError) as caught:
        refuse(count("a", 0), None, probability("b", 2))
    assert str(caught.value) == (
        "'a' is not a usable number\n  received: 0\n  allowed:  a whole number from 1 up\n"
        "'b' is not a usable probability\n  received: 2\n  allowed:  from 0 to below 1"
    )
    refuse(None, None)
