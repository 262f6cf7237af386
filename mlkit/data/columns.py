"""The columns of a table that was read as text: which hold numbers and which names, and their values as tensors.

Not here: reading the file (`mlkit.data.reading`) and the data sets (`mlkit.data.tables`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlkit.data.reading import MISSING, Table, junk_problem, parse_numbers
from mlkit.errors import DataError, Problem, did_you_mean

# A numeric target of whole numbers with no more distinct values than this is taken for class labels.
_MOST_NUMBERED_CLASSES = 20
_WITH_COMMAS = re.compile(r"[+-]?\d+(,\d+)+(\.\d+)?")


@dataclass(frozen=True)
class Roles:
    """Which column is what."""

    target: str
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]


def find_roles(
    table: Table, *, target: str, categorical: Sequence[str] | None, excluded: Collection[str], missing: Sequence[str]
) -> Roles:
    """Decide for each column whether it holds numbers or names; all complaints together."""
    inputs = [column for column in table.columns if column != target and column not in excluded]
    if not inputs:
        raise DataError(f"{table.path}: no input columns are left", received=", ".join(table.columns))
    numeric, names, problems = [], [], []
    for column in inputs:
        values, bad = parse_numbers(table, column, missing=missing)
        known = len(values) - int(np.isnan(values).sum())  # numbers
        if known + len(bad) == 0:
            what = f"{table.path}: the column '{column}' has no values"
            problems.append(Problem(what, todo=f"leave it out with drop=['{column}']"))
        elif categorical is None and bad and all(_WITH_COMMAS.fullmatch(table.columns[column][row]) for row in bad):
            problems.append(_commas_problem(table, column, bad[0]))
        elif column in categorical if categorical is not None else len(bad) >= known:
            names.append(column)
        else:
            numeric.append(column)
            if bad:
                todo = f"correct it, add it to missing=[…], or give '{column}' in categorical=[…]"
                problems.append(junk_problem(table, column, bad, todo=todo))
    if problems:
        raise DataError(problems)
    return Roles(target, tuple(numeric), tuple(names))


def _commas_problem(table: Table, column: str, row: int) -> Problem:
    """Amounts such as 3,14 or 1,000 would be taken for names, each a category of its own."""
    return Problem(
        f"{table.place(row, column)}: a number with a comma",
        received=repr(table.columns[column][row]),
        allowed="numbers with a decimal point and no separators, such as 3.14 or 1000",
        todo=f"rewrite the column; or, if these are names, give '{column}' in categorical=[…]",
    )


def numeric_columns(table: Table, columns: Sequence[str], missing: Collection[str]) -> Tensor:
    """Float32 ``(N, F)``, NaN where missing."""
    values, problems = [], []
    for column in columns:
        numbers, bad = parse_numbers(table, column, missing=missing)
        values.append(numbers)
        if bad:
            problems.append(junk_problem(table, column, bad, todo="correct it, or add it to missing=[…]"))
    if problems:
        raise DataError(problems)
    return torch.from_numpy(np.stack(values, axis=1) if values else np.empty((len(table), 0))).float()


def category_codes(
    parts: Sequence[Table], columns: Sequence[str], missing: Collection[str]
) -> tuple[list[Tensor], tuple[int, ...]]:
    """Int64 ``(N, K)`` for each part: 0 = missing, then 1, 2, … in sorted order, and the number of codes a column."""
    code = {column: _numbering([part.columns[column] for part in parts], missing) for column in columns}
    coded = [
        torch.tensor([[code[column].get(cell, 0) for cell in part.columns[column]] for column in columns]).T
        if columns
        else torch.empty(len(part), 0, dtype=torch.int64)
        for part in parts
    ]
    return [codes.contiguous() for codes in coded], tuple(len(code[column]) + 1 for column in columns)


def _numbering(cells: Sequence[Sequence[str]], missing: Collection[str]) -> dict[str, int]:
    distinct = {cell for part in cells for cell in part}.difference(missing)
    return {value: number for number, value in enumerate(_sorted_names(distinct), start=1)}


def _sorted_names(names: Collection[str]) -> list[str]:
    """Sorted as numbers where all are numbers, so that "10" comes after "9"."""
    try:
        return sorted(names, key=lambda name: (float(name), name))
    except ValueError:
        return sorted(names)


def task_kind(table: Table, target: str, missing: Collection[str]) -> Literal["classification", "regression"]:
    """What a target calls for: text, or few distinct whole numbers, are classes; other numbers are amounts."""
    values, bad = parse_numbers(table, target, missing=missing)
    values = values[~np.isnan(values)]
    is_whole = bool((values == np.round(values)).all())
    few = len(np.unique(values)) <= min(_MOST_NUMBERED_CLASSES, len(values) // 2)
    # A few words among numbers are damage, to be complained of, not names of classes.
    return "classification" if len(bad) > len(values) or (not bad and is_whole and few) else "regression"


def class_targets(
    parts: Sequence[Table], target: str, missing: Collection[str]
) -> tuple[list[Tensor], tuple[str, ...]]:
    """Int64 class of each example, and the names of the classes, sorted."""
    for part in parts:
        _refuse_missing_targets(part, target, [cell in missing for cell in part.columns[target]])
    names = _sorted_names(set(parts[0].columns[target]))
    if len(names) < 2 or len(names) > max(len(parts[0]) // 2, 2):
        raise DataError(
            f"{parts[0].path}: the column '{target}' does not hold classes",
            received=f"{len(names):,} distinct values in {len(parts[0]):,} rows, such as {names[0]!r}",
            allowed="two classes or more, with two examples each or more on average",
            todo="choose another target, or task='regression' if it is an amount",
        )
    code = {name: number for number, name in enumerate(names)}
    for part in parts[1:]:
        unknown = [row for row, cell in enumerate(part.columns[target]) if cell not in code]
        if unknown:
            raise DataError(
                f"{part.place(unknown[0], target)}: a class that is not in the training file",
                received=f"{part.columns[target][unknown[0]]!r}, {len(unknown):,} rows in all",
                allowed=", ".join(names),
                todo=did_you_mean(part.columns[target][unknown[0]], names) or "correct the labels",
            )
    return [torch.tensor([code[cell] for cell in part.columns[target]]) for part in parts], tuple(names)


def amount_targets(table: Table, target: str, missing: Collection[str]) -> Tensor:
    """Float32 ``(N, 1)``."""
    values, bad = parse_numbers(table, target, missing=missing)
    if bad:
        raise DataError([junk_problem(table, target, bad, todo="correct it, or use task='classification'")])
    _refuse_missing_targets(table, target, np.isnan(values).tolist())
    return torch.from_numpy(values).float()[:, None]


def _refuse_missing_targets(table: Table, target: str, is_missing: Sequence[bool]) -> None:
    if any(is_missing):
        raise DataError(
            f"{table.place(is_missing.index(True), target)}: the target is missing",
            received=f"{sum(is_missing):,} rows without a target",
            allowed="a target in every row",
            todo="fill these in, or take these rows out of the file",
        )


def parse_times(table: Table, column: str, *, missing: Collection[str] = MISSING) -> NDArray[np.float64]:
    """A column of numbers or ISO dates as numbers (seconds since 1970 for dates).

    Raises:
        DataError: a cell is neither, or is missing; other date formats would be sorted wrongly without a word.
    """
    values, bad = parse_numbers(table, column, missing=missing)
    if not bad and not np.isnan(values).any():
        return values
    cells = table.columns[column]
    seconds = [_seconds(cell) for cell in cells]
    if None not in seconds:
        return np.array(seconds, dtype=np.float64)
    row = seconds.index(None)
    raise DataError(
        f"{table.place(row, column)}: not a time",
        received=repr(cells[row]),
        allowed="a number, or an ISO date such as 2016-07-01 or 2016-07-01 13:00:00",
        todo="rewrite the column in one of these forms",
    )


def _seconds(cell: str) -> float | None:
    """Seconds since 1970 of an ISO date, month or time; None for anything else, time zones included."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy only warns of a time zone, and then shifts the time
        try:
            time = np.datetime64(cell.removesuffix("Z"), "s")
        except (ValueError, UserWarning, DeprecationWarning):
            return None
    return None if np.isnat(time) else float(time.astype(np.int64))
