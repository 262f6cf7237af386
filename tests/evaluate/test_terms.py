from __future__ import annotations

import math

import pytest

from mlkit.evaluate.terms import WIDTH, Term, decimals_of, dominant, estimated, interval, lines_of, note, table_html


def _term(name: str, value: float, half: float, *, rows: int | None = None) -> Term:
    return estimated(name, value, (value - half, value + half), method="test", rows_to_resolve=rows)


@pytest.mark.parametrize(
    ("ends", "resolved"),
    [((0.1, 0.3), True), ((-0.3, -0.1), True), ((-0.1, 0.3), False), ((0.0, 0.3), False), ((-0.3, 0.0), False)],
)
def test_a_term_is_resolved_where_its_interval_leaves_out_0(ends: tuple[float, float], resolved: bool) -> None:
    term = estimated("gap", sum(ends) / 2, ends, method="test", rows_to_resolve=100)
    assert term.resolved is resolved
    assert term.rows_to_resolve == (None if resolved else 100)


@pytest.mark.parametrize("ends", [None, (math.nan, 1.0), (0.0, math.inf)])
def test_an_interval_that_is_none_is_not_resolved_and_says_why(ends: tuple[float, float] | None) -> None:
    term = estimated("gap", 0.2, ends, method="welch")
    assert (term.low, term.high, term.resolved) == (None, None, False)
    assert term.method.startswith("none: ")
    assert note(term) == term.method.removeprefix("none: ")


def test_the_dominant_term_is_the_largest_that_is_resolved() -> None:
    large_but_vague = _term("shift", 0.5, 0.6)
    clear = _term("bias", 0.3, 0.05)
    assert dominant([large_but_vague, clear]).startswith(
        "bias is the largest resolved term, 0.3000, but which is larger"
    )
    assert dominant([clear, _term("variance", 0.1, 0.05)]).startswith("bias dominates: 0.3000")


def test_a_negative_term_does_not_dominate() -> None:
    assert dominant([_term("shift", -0.5, 0.1), _term("bias", 0.1, 0.05)]).startswith("bias dominates")


def test_nothing_resolved_tells_the_rows_of_the_cheapest() -> None:
    told = dominant([_term("a", 0.1, 0.2, rows=900), _term("b", 0.1, 0.2, rows=1200)], unit="loss")
    assert told == "no term of the loss is resolved; 900 rows in each set would resolve the first"
    assert dominant([_term("a", 0.0, 0.2)]) == "no term of the error is resolved"


@pytest.mark.parametrize(
    ("value", "half", "decimals"), [(0.2, 0.05, 4), (0.2, 0.4, 3), (12.0, 3.0, 2), (0.0003, 0.00002, 7), (5e8, 1e7, 2)]
)
def test_decimals_show_two_digits_of_the_interval(value: float, half: float, decimals: int) -> None:
    assert decimals_of([_term("x", value, half)]) == decimals


def test_lines_fit_the_terminal_however_long_the_names_and_numbers() -> None:
    terms = [
        _term("irreducible error + avoidable bias", -123456.7, 200000.0, rows=123_456_789),
        Term("validation overfitting", 0.1, method="none: both are given as exact"),
        _term("variance", 3e9, 1e8),
    ]
    lines = lines_of(terms)
    assert max(map(len, lines)) <= WIDTH
    assert "both are given as exact" in "\n".join(lines)


def test_parts_stand_further_in() -> None:
    lines = lines_of([_term("variance", 1, 0.1), _term("seed part", 0.4, 0.1)], parts_of={"seed part": "variance"})
    assert lines[0].startswith("  variance")
    assert lines[1].startswith("    seed part")


def test_plain_values_and_html_hold_the_same_numbers() -> None:
    term = _term("a < b", 0.25, 0.5, rows=40)
    assert term.to_dict()["rows_to_resolve"] == 40
    page = table_html([term], title="t & u", notes=["x > y"])
    for words in ("a &lt; b", "t &amp; u", "x &gt; y", interval(term, decimals_of([term])), "needs 40 rows"):
        assert words in page
