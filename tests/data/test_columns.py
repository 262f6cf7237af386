from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
import torch

from mlkit.data.columns import (
    amount_targets,
    category_codes,
    class_targets,
    find_roles,
    numeric_columns,
    parse_times,
    task_kind,
)
from mlkit.data.reading import MISSING, Table
from mlkit.errors import DataError


def _table(**columns: list[str]) -> Table:
    rows = len(next(iter(columns.values())))
    return Table(Path("t.csv"), columns, list(range(2, rows + 2)))


def test_columns_of_numbers_and_of_names_are_told_apart() -> None:
    table = _table(
        y=["1", "0"] * 2, age=["1", "2.5", "?", "4"], city=["Rome", "Oslo", "", "7"], size=["S", "M", "L", "S"]
    )
    roles = find_roles(table, target="y", categorical=None, excluded=(), missing=MISSING)
    assert (roles.numeric, roles.categorical) == (("age",), ("city", "size"))


def test_what_is_named_categorical_is_so_and_nothing_else() -> None:
    table = _table(y=["1", "0"], code=["10", "20"], age=["1", "2"])
    roles = find_roles(table, target="y", categorical=["code"], excluded=(), missing=MISSING)
    assert (roles.numeric, roles.categorical) == (("age",), ("code",))


def test_a_few_words_among_numbers_are_damage_not_categories() -> None:
    table = _table(y=["1", "0", "1"], age=["1", "2", "forty"], size=["1", "x", "3"])
    with pytest.raises(DataError) as caught:
        find_roles(table, target="y", categorical=None, excluded=(), missing=MISSING)
    message = str(caught.value)
    assert "t.csv, line 4, column 'age': not a number" in message
    assert "t.csv, line 3, column 'size': not a number" in message
    assert "categorical=[…]" in message


@pytest.mark.parametrize("cells", [["1,5", "2,5", "3"], ["1,000", "2,000.5", "-3,000"]])
def test_numbers_with_commas_are_refused_rather_than_taken_for_names(cells: list[str]) -> None:
    table = _table(y=["1", "0", "1"], price=cells)
    with pytest.raises(DataError) as caught:
        find_roles(table, target="y", categorical=None, excluded=(), missing=MISSING)
    assert "column 'price': a number with a comma" in str(caught.value)
    assert repr(cells[0]) in str(caught.value)
    roles = find_roles(table, target="y", categorical=["price"], excluded=(), missing=MISSING)
    assert roles.categorical == ("price",)


def test_an_empty_column_and_a_table_without_inputs_are_refused() -> None:
    with pytest.raises(DataError, match="the column 'x' has no values") as caught:
        find_roles(_table(y=["1", "0"], x=["", "NA"]), target="y", categorical=None, excluded=(), missing=MISSING)
    assert "drop=['x']" in str(caught.value)
    with pytest.raises(DataError, match="no input columns are left"):
        find_roles(_table(y=["1", "0"]), target="y", categorical=None, excluded=(), missing=MISSING)


def test_numbers_are_float32_with_nan_where_missing() -> None:
    x = numeric_columns(_table(a=["1", "?"], b=["-2", "0.5"]), ["a", "b"], MISSING)
    assert x.dtype == torch.float32
    torch.testing.assert_close(x, torch.tensor([[1.0, -2.0], [float("nan"), 0.5]]), equal_nan=True)


def test_codes_agree_between_parts_and_zero_is_missing() -> None:
    train, test = _table(c=["b", "a", "?"]), _table(c=["c", "b", ""])
    (first, second), cardinalities = category_codes([train, test], ["c"], MISSING)
    assert first[:, 0].tolist() == [2, 1, 0]
    assert second[:, 0].tolist() == [3, 2, 0]
    assert cardinalities == (4,)


def test_codes_that_are_numbers_are_sorted_as_numbers() -> None:
    (codes,), _ = category_codes([_table(c=["10", "9", "2"])], ["c"], MISSING)
    assert codes[:, 0].tolist() == [3, 2, 1]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["yes", "no"] * 3, "classification"),
        (["0", "1"] * 3, "classification"),
        (["1.0", "2.0"] * 3, "classification"),
        (["0.5", "1.5"] * 3, "regression"),
        ([str(number) for number in range(30)], "regression"),
        ([str(number % 21) for number in range(200)], "regression"),
        ([str(number % 20) for number in range(200)], "classification"),
        (["1.5", "2.5", "3.5", "broken"], "regression"),
    ],
)
def test_the_task_follows_the_values_of_the_target(cells: list[str], kind: str) -> None:
    assert task_kind(_table(y=cells), "y", MISSING) == kind


def test_classes_are_numbered_in_sorted_order() -> None:
    (y,), names = class_targets([_table(y=["10", "9", "10", "9"])], "y", MISSING)
    assert (y.tolist(), names) == ([1, 0, 1, 0], ("9", "10"))


def test_a_class_that_only_the_test_file_has_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        class_targets([_table(y=["cat", "dog"] * 2), _table(y=["dog", "cats"])], "y", MISSING)
    message = str(caught.value)
    assert "line 3, column 'y': a class that is not in the training file" in message
    assert "'cats', 1 rows in all" in message
    assert "did you mean 'cat'?" in message


@pytest.mark.parametrize("cells", [["a"] * 4, ["a", "b", "c", "d", "e"]])
def test_one_class_or_a_class_a_row_is_no_classification(cells: list[str]) -> None:
    with pytest.raises(DataError, match="does not hold classes") as caught:
        class_targets([_table(y=cells)], "y", MISSING)
    assert "choose another target" in str(caught.value)


def test_missing_targets_are_refused_with_the_line() -> None:
    table = _table(y=["1", "?", "3", ""])
    for read in (lambda: amount_targets(table, "y", MISSING), lambda: class_targets([table], "y", MISSING)):
        with pytest.raises(DataError, match="line 3, column 'y': the target is missing") as caught:
            read()
        assert "2 rows without a target" in str(caught.value)


def test_amounts_are_one_column() -> None:
    assert amount_targets(_table(y=["1", "2.5"]), "y", MISSING).tolist() == [[1.0], [2.5]]
    with pytest.raises(DataError, match="not a number") as caught:
        amount_targets(_table(y=["1", "two"]), "y", MISSING)
    assert "task='classification'" in str(caught.value)


@pytest.mark.parametrize(
    "cells",
    [["2016-07-01 00:00:00", "2016-07-01 13:30:00"], ["2016-07", "2016-08"], ["2016-07-01T00:00:00Z", "2017-01-01"]],
)
def test_iso_dates_are_seconds_since_1970(cells: list[str]) -> None:
    seconds = parse_times(_table(t=cells), "t")
    for cell, second in zip(cells, seconds, strict=True):
        full = cell.removesuffix("Z") + ("-01" if len(cell) == 7 else "")
        assert second == datetime.fromisoformat(full).replace(tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize("cell", ["01/02/2016", "yesterday", "", "2016-07-01T00:00:00+02:00", "NaT"])
def test_other_forms_of_time_are_refused(cell: str) -> None:
    with pytest.raises(DataError, match="line 3, column 't': not a time") as caught:
        parse_times(_table(t=["2016-01-01", cell]), "t")
    assert "ISO date" in str(caught.value)
    assert repr(cell) in str(caught.value)


def test_numbers_are_times_too() -> None:
    assert parse_times(_table(t=["3", "-1.5"]), "t").tolist() == [3.0, -1.5]
