from __future__ import annotations

import math

import numpy as np
import pytest

from mlkit.errors import ConfigError
from mlkit.search.dimensions import (
    Choice,
    Dimension,
    Fixed,
    Integer,
    Log,
    Uniform,
    choice,
    fixed,
    has_range,
    integer,
    is_ordered,
    log,
    uniform,
)
from mlkit.search.text import parse

KINDS: list[Dimension] = [
    log(1e-5, 1e-1),
    log(3e-4, 7e-4),
    uniform(0.0, 0.6),
    uniform(-3.0, 1e6),
    integer(1, 8),
    integer(-4, 4),
    integer(16, 256, log=True),
    integer(16, 256, log=True, multiple=16),
    integer(0, 100, multiple=25),
    choice("relu", "tanh", None, True, 1),
    choice(16, 32, 64),
    fixed(0.9),
]
names = pytest.mark.parametrize("dimension", KINDS, ids=str)
UNITS = np.linspace(0.0, 1.0, 257).tolist()


@names
def test_a_value_lies_in_its_range_and_comes_back_from_its_point(dimension: Dimension) -> None:
    for unit in UNITS:
        value = dimension.value(unit)
        again = dimension.value(dimension.unit(value))
        assert again == value
        assert type(again) is type(value)
        if isinstance(dimension, (Log, Uniform, Integer)):
            assert dimension.low <= value <= dimension.high  # type: ignore[operator]


@names
def test_points_beyond_the_cube_give_the_ends(dimension: Dimension) -> None:
    assert dimension.value(-0.5) == dimension.value(0.0)
    assert dimension.value(1.5) == dimension.value(1.0)


@names
def test_the_text_form_is_read_back_as_the_same(dimension: Dimension) -> None:
    assert parse(str(dimension)) == dimension


@pytest.mark.parametrize(
    "dimension",
    [
        log(1e-5, 0.1, limits=(1.2345678e-9, 1.0)),
        uniform(0.0, 0.123456789),
        integer(16, 1024, limits=(1, 1_048_577)),
        integer(1, 3, grow=False, limits=(1, 12)),
        choice(3, 1, 2),
        choice("a", "b", ordered=True),
        choice(1, 2, 3, ordered=False),
        fixed("it's"),
    ],
    ids=str,
)
def test_no_digit_and_no_option_is_lost_in_the_text(dimension: Dimension) -> None:
    assert parse(str(dimension)) == dimension


def test_equal_parts_of_the_cube_are_equal_factors_on_a_log_scale() -> None:
    dimension = log(1e-6, 1.0)
    values = [dimension.value(k / 6) for k in range(7)]
    np.testing.assert_allclose(values, [10.0**k for k in range(-6, 1)], rtol=1e-3)
    assert dimension.unit(1e-9) == pytest.approx(-0.5)
    assert dimension.unit(1e3) == pytest.approx(1.5)


def test_equal_parts_are_equal_steps_on_a_linear_scale() -> None:
    dimension = uniform(-1.0, 3.0)
    assert [dimension.value(k / 4) for k in range(5)] == [-1.0, 0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("dimension", [integer(1, 8), integer(0, 100, multiple=25), integer(-2, 2)], ids=str)
def test_each_whole_number_has_the_same_share_of_the_cube(dimension: Integer) -> None:
    units = (np.arange(10_000) + 0.5) / 10_000
    values, counts = np.unique([dimension.value(unit) for unit in units], return_counts=True)
    assert values.tolist() == list(range(dimension.low, dimension.high + 1, dimension.multiple))
    assert counts.max() - counts.min() <= 1


def test_whole_numbers_on_a_log_scale_have_their_share_by_the_logarithm() -> None:
    dimension = integer(1, 20, log=True)
    units = (np.arange(20_000) + 0.5) / 20_000
    _, counts = np.unique([dimension.value(unit) for unit in units], return_counts=True)
    wanted = [math.log((k + 0.5) / (k - 0.5)) / math.log(20.5 / 0.5) for k in range(1, 21)]
    np.testing.assert_allclose(counts / 20_000, wanted, atol=1e-4)


def test_each_choice_has_the_same_share() -> None:
    dimension = choice("a", "b", "c")
    units = (np.arange(999) + 0.5) / 999
    assert [sum(dimension.value(u) == value for u in units) for value in "abc"] == [333, 333, 333]
    assert [dimension.unit(value) for value in "abc"] == pytest.approx([1 / 6, 3 / 6, 5 / 6])


def test_alike_values_of_other_types_are_kept_apart() -> None:
    dimension = choice(True, 1, 1.0, "1")
    assert [dimension.unit(value) for value in (True, 1, 1.0, "1")] == [0.125, 0.375, 0.625, 0.875]


def test_what_is_printed_is_what_was_tried() -> None:
    for unit in UNITS:
        value = log(1e-5, 1e-1).value(unit)
        assert float(f"{value:.4g}") == value


@pytest.mark.parametrize(
    ("before", "below", "above", "after"),
    [
        (log(1e-4, 1e-2), 0.0, 0.5, (1e-4, 1e-1)),
        (log(1e-4, 1e-2), 0.5, 0.0, (1e-5, 1e-2)),
        (log(1e-4, 1e-2, limits=(5e-5, 2e-2)), 0.5, 0.5, (5e-5, 2e-2)),
        (uniform(0.0, 0.6), 0.5, 0.5, (0.0, 0.9)),
        (uniform(0.2, 0.8), 0.5, 0.5, (0.0, 1.0)),
        (uniform(1.0, 3.0), 1.0, 0.5, (0.0, 4.0)),
        (uniform(-1.0, 1.0), 0.5, 0.5, (-2.0, 2.0)),
        (integer(1, 4), 0.5, 0.5, (1, 6)),
        (integer(1, 2), 0.0, 0.5, (1, 3)),
        (integer(0, 4), 0.5, 0.0, (0, 4)),
        (integer(-1, 3), 0.5, 0.0, (-3, 3)),
        (integer(16, 256, log=True), 0.5, 0.5, (4, 1024)),
        (integer(32, 256, log=True, multiple=32), 0.5, 0.5, (32, 704)),
        (integer(64, 512, log=True, multiple=64), 0.0, 0.5, (64, 1408)),
        (integer(1, 2, log=True), 0.0, 0.5, (1, 3)),
        (integer(16, 32, multiple=16), 0.0, 0.5, (16, 48)),
        (integer(32, 48, multiple=16), 0.5, 0.0, (16, 48)),
        (integer(16, 64, limits=(8, 70)), 0.5, 0.5, (8, 70)),
    ],
    ids=lambda part: str(part),
)
def test_ranges_grow_by_shares_of_their_length(
    before: Log | Uniform | Integer, below: float, above: float, after: tuple[float, float]
) -> None:
    grown = before.grown(below, above)
    assert (grown.low, grown.high) == pytest.approx(after)
    assert grown.limits == before.limits


@pytest.mark.parametrize(
    "dimension",
    [log(1e-4, 1e-2, grow=False), uniform(0, 1, grow=False), integer(1, 4, grow=False), choice(1, 2), fixed(3)],
    ids=str,
)
def test_what_may_not_grow_stays(dimension: Dimension) -> None:
    assert dimension.grown(0.5, 0.5) == dimension


@pytest.mark.parametrize("dimension", [d for d in KINDS if has_range(d)], ids=str)
def test_growth_never_loses_a_value_nor_a_multiple(dimension: Integer) -> None:
    for below, above in ((0.0, 0.5), (0.5, 0.0), (0.5, 0.5), (0.0, 0.0)):
        now = dimension
        for _ in range(4):
            later = now.grown(below, above)
            assert later.low <= now.low < now.high <= later.high
            now = later
        if not below:
            assert now.low == dimension.low
        if not above:
            assert now.high == dimension.high


def test_which_have_neighbours() -> None:
    assert [is_ordered(d) for d in (choice(1, 2, 4), choice(4, 2, 1), choice(1, 4, 2), choice(1, 2))] == [
        True,
        True,
        False,
        False,
    ]
    assert not is_ordered(choice("a", "b", "c"))
    assert not is_ordered(choice(True, False, None))
    assert is_ordered(choice("small", "medium", "large", ordered=True))
    assert [has_range(d) for d in (log(1, 2), uniform(0, 1), integer(1, 2), choice(1, 2, 3), fixed(1))] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: log(1e-1, 1e-5), ("range is empty", "low=0.1, high=1e-05", "low < high", "swap them")),
        (lambda: uniform(0.5, 0.5), ("range is empty", "fixed(")),
        (lambda: log(0.0, 1.0), ("no logarithm", "low=0.0", "0 < low", "1e-6")),
        (lambda: uniform(0.0, math.nan), ("not a number", "nan", "finite")),
        (lambda: uniform(0.0, math.inf), ("not a number", "inf")),
        (lambda: uniform("0", 1.0), ("not a number", "'0'")),  # type: ignore[arg-type]
        (lambda: integer(1, 2.5), ("high is not a whole number", "2.5")),  # type: ignore[arg-type]
        (lambda: integer(0, 8, log=True), ("log=True", "1 or more", "leave log=True out")),
        (lambda: integer(1, 64, multiple=16), ("no multiple", "low=1, high=64, multiple=16")),
        (lambda: integer(0, 64, multiple=0), ("no multiple",)),
        (lambda: log(1e-4, 1e-1, limits=(1e-3, 1.0)), ("not within its limits", "limits[0] <= low")),
        (lambda: log(1e-4, 1e-1, limits=(0.0, 1.0)), ("no logarithm", "a positive lower limit")),
        (lambda: choice(), ("without values", "one value or more")),
        (lambda: choice("a", "a"), ("a value twice",)),
        (lambda: choice([1, 2]), ("cannot keep", "[1, 2]", "look a name up")),  # type: ignore[arg-type]
        (lambda: choice(1.0, math.nan), ("cannot keep", "nan")),
        (lambda: fixed(math.inf), ("cannot keep", "inf")),
        (lambda: choice("a", "b").unit("c"), ("not one of the choices", "'c'", "'a', 'b'")),
        (lambda: log(1e-4, 1.0).unit("small"), ("not a number", "'small'")),
    ],
)
def test_what_cannot_be_right_is_told_in_parts(make: object, parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        make()  # type: ignore[operator]
    for part in parts:
        assert part in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Integer(1, 2.5, multiple=1.5, limits=(2, 3))  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3


def test_a_fixed_value_is_at_the_middle_and_nowhere_else() -> None:
    assert Fixed("adam").unit("sgd") == 0.5
    assert {Fixed("adam").value(unit) for unit in UNITS} == {"adam"}
    assert Choice(("adam",)).value(0.3) == "adam"
