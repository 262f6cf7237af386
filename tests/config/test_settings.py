from __future__ import annotations

from typing import Any, Literal

import pytest

from mlkit.config.settings import RefusedError, Setting, convert, describe, inside


def _convert(value: object, kind: Any, within: str | None = None) -> Any:
    return convert(value, Setting("s", kind, None, within=within))


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3, float, 3.0),
        (1e3, int, 1000),
        (2024, str, "2024"),
        (None, int | None, None),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([0.9, 0.99], tuple[float, float], (0.9, 0.99)),
        ("90s", float | str, "90s"),
        (90, float | str, 90.0),
        (False, Literal["auto", "off"], "off"),
        (["a", 1], list[int | str], ["a", 1]),
        ({"name": "crop"}, object, {"name": "crop"}),
        (True, bool | None, True),
    ],
)
def test_values_that_are_meant_are_taken(value: object, kind: Any, expected: object) -> None:
    converted = _convert(value, kind)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1.5, int),
        (True, int),
        (True, float),
        (1, bool),
        ("yes", bool),
        ("3", int),
        (None, int),
        (float("nan"), float),
        ("adma", Literal["adam"]),
        ("64", list[int]),
        ([1], tuple[float, float]),
        (["a"], list[int]),
    ],
)
def test_values_of_another_type_are_refused(value: object, kind: Any) -> None:
    with pytest.raises(RefusedError):
        _convert(value, kind)


@pytest.mark.parametrize(
    ("within", "fine", "wrong"),
    [
        ("> 0", (1e-9, 5.0), (0.0, -1.0)),
        (">= 1", (1, 9), (0, -3)),
        ("[0, 1)", (0.0, 0.999), (1.0, -0.1)),
        ("(0, 1]", (1.0,), (0.0,)),
    ],
)
def test_ranges_hold_at_their_ends(within: str, fine: tuple[float, ...], wrong: tuple[float, ...]) -> None:
    assert all(inside(value, within) for value in fine)
    assert not any(inside(value, within) for value in wrong)


def test_a_range_holds_for_every_number_of_a_list() -> None:
    with pytest.raises(RefusedError):
        _convert([0.9, 1.0], tuple[float, float], "[0, 1)")


def test_types_in_words() -> None:
    assert describe(bool) == "true or false"
    assert describe(list[str] | None) == "a list of texts, or null"
    assert describe(tuple[float, float], "[0, 1)") == "a list of 2 numbers in [0, 1)"
