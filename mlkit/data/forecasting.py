"""Forecasting: windows of a series measured at regular times, from any CSV file and from the sets of the catalogue.

Splits are contiguous, in time order, and no window reaches over the border of its split. Not here: classification of
whole series (`mlkit.data.series`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mlkit.data.bundle import DataBundle
from mlkit.data.columns import parse_times
from mlkit.data.fingerprint import hash_splits
from mlkit.data.reading import Table, catalogue_file, junk_problem, parse_numbers, read_table, unknown_column
from mlkit.data.standardize import moments
from mlkit.data.windows import Windowing, borders_of, check_borders, check_windowing, window_splits
from mlkit.errors import ConfigError, DataError, Problem
from mlkit.task import Task


@dataclass(frozen=True)
class _Series:
    """The columns in use, in time order."""

    columns: tuple[str, ...]
    values: NDArray[np.float64]  # (L, C)
    notes: dict[str, str]


def forecast_csv(
    path: Path | str,
    *,
    target: str | Sequence[str],
    context: int,
    horizon: int = 1,
    columns: Sequence[str] | None = None,
    time_column: str | None = None,
    borders: Sequence[int] | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.2,
    borrow_context: bool = False,
    stride: int = 1,
    log: bool = False,
    limit: int | None = None,
    seed: int = 0,
    delimiter: str | None = None,
    name: str | None = None,
) -> DataBundle:
    """Windows of a series: from the last ``context`` rows of the columns, the next ``horizon`` rows of the target.

    Args:
        path: a delimited text file with a header line, one row a time step, the oldest first.
        target: the column, or columns, to forecast; their past is always among the inputs.
        context: rows of input.
        horizon: rows to forecast.
        columns: further columns to read; None: all columns of numbers.
        time_column: column of numbers or ISO dates, checked to be ascending. None: the first column, where it is text.
        borders: rows at which train, val and test end; instead of the two fractions.
        val_fraction: share of the rows that is held out for ``val``, after those of ``train``.
        test_fraction: share at the end that is held out for ``test``; 0 makes none.
        borrow_context: let windows of ``val`` and ``test`` take their input from rows before their split, as most
            published figures do; every row of the split is then forecast. Without it a window lies within its split.
        stride: rows between the starts of training windows; every window of ``val`` and ``test`` is used.
        log: take the natural logarithm of the target columns first, for what grows by per cent; errors then are of
            the logarithm.
        limit: training windows to keep, chosen at random.
        seed: key of that choice.
        delimiter: what separates cells; None finds out.
        name: what the data set is called; the file's name without its suffix when left out.

    Returns:
        Inputs ``(N, context, C)`` and targets ``(N, horizon * targets)``, step by step, standardised with mean and
        deviation of the rows of ``train``; ``task.target_mean`` and ``target_std`` lead back to the original unit.

    Raises:
        DataError: the file cannot be read, a column is not there, a cell is missing or not a number, time runs
            backwards, or a split is too short; with file, line and column.
        ConfigError: a size or a share that cannot be right.
    """
    windowing = Windowing(context=context, horizon=horizon, stride=stride, borrow_context=borrow_context)
    check_windowing(windowing, least_horizon=1, limit=limit)
    targets = [target] if isinstance(target, str) else list(dict.fromkeys(target))
    if not targets:
        raise ConfigError("data.target names no column", received="[]", allowed="a column, or several")
    table = read_table(path, delimiter=delimiter)
    series = _read_series(table, targets=targets, columns=columns, time_column=time_column, log=log)
    return _bundle(
        name or Path(path).expanduser().stem,
        series,
        targets=targets,
        borders=borders or borders_of(len(table), val_fraction=val_fraction, test_fraction=test_fraction),
        windowing=windowing,
        limit=limit,
        seed=seed,
    )


def etth1(
    *,
    root: Path | str | None = None,
    target: str | Sequence[str] = "OT",
    columns: Sequence[str] | None = None,
    context: int = 96,
    horizon: int = 24,
    borrow_context: bool = False,
    stride: int = 1,
    limit: int | None = None,
    seed: int = 0,
) -> DataBundle:
    """ETTh1: oil temperature and 6 loads of a power transformer, every hour from July 2016 on.

    The official borders: 12 months (8,640 rows) for training, 4 (2,880) for validation, 4 for the test; the last 3,020
    rows are not used. For the other arguments see `forecast_csv`; published figures use ``borrow_context=True``.

    Source: Zhou et al. 2021, "Informer", arXiv:2012.07436.
    """
    return forecast_csv(
        catalogue_file(root, "timeseries", "ETTh1.csv"),
        target=target,
        columns=columns,
        context=context,
        horizon=horizon,
        time_column="date",
        borders=(8640, 11520, 14400),
        borrow_context=borrow_context,
        stride=stride,
        limit=limit,
        seed=seed,
        name="etth1",
    )


def air_passengers(
    *,
    root: Path | str | None = None,
    context: int = 12,
    horizon: int = 1,
    borrow_context: bool = False,
    log: bool = False,
    limit: int | None = None,
    seed: int = 0,
) -> DataBundle:
    """International airline passengers a month in thousands, 1949 to 1960: 8 years of training, then 2 and 2.

    For the arguments see `forecast_csv`. Numbers grow by per cent, which ``log=True`` turns into a straight line.

    Source: Box and Jenkins 1976, "Time Series Analysis: Forecasting and Control", series G.
    """
    return forecast_csv(
        catalogue_file(root, "timeseries", "airline-passengers.csv"),
        target="Passengers",
        context=context,
        horizon=horizon,
        time_column="Month",
        borders=(96, 120, 144),
        borrow_context=borrow_context,
        log=log,
        limit=limit,
        seed=seed,
        name="air_passengers",
    )


def daily_temperatures(
    *,
    root: Path | str | None = None,
    context: int = 30,
    horizon: int = 7,
    borrow_context: bool = False,
    limit: int | None = None,
    seed: int = 0,
) -> DataBundle:
    """Lowest temperature of each day in Melbourne in °C, 1981 to 1990: 8 years of training, then 1 and 1.

    For the arguments see `forecast_csv`. The last days of the leap years 1984 and 1988 are not in the file.

    Source: Australian Bureau of Meteorology.
    """
    return forecast_csv(
        catalogue_file(root, "timeseries", "daily-min-temperatures.csv"),
        target="Temp",
        context=context,
        horizon=horizon,
        time_column="Date",
        borders=(2920, 3285, 3650),
        borrow_context=borrow_context,
        limit=limit,
        seed=seed,
        name="daily_temperatures",
    )


def sunspots(
    *,
    root: Path | str | None = None,
    context: int = 132,
    horizon: int = 12,
    borrow_context: bool = False,
    limit: int | None = None,
    seed: int = 0,
) -> DataBundle:
    """Sunspots a month from 1749 to 1983, 2,820 rows: 70 % for training, then 10 % and 20 %.

    For the arguments see `forecast_csv`. The default context is one solar cycle, 11 years.

    Source: Sunspot Index Data Center, Brussels.
    """
    return forecast_csv(
        catalogue_file(root, "timeseries", "monthly-sunspots.csv"),
        target="Sunspots",
        context=context,
        horizon=horizon,
        time_column="Month",
        borrow_context=borrow_context,
        limit=limit,
        seed=seed,
        name="sunspots",
    )


def _read_series(
    table: Table, *, targets: Sequence[str], columns: Sequence[str] | None, time_column: str | None, log: bool
) -> _Series:
    wanted = [("target", column) for column in targets] + [("input", column) for column in columns or ()]
    wanted += [] if time_column is None else [("time", time_column)]
    problems = [unknown_column(table, role, column) for role, column in wanted if column not in table.columns]
    if problems:
        raise DataError(problems)
    notes = _check_time(table, time_column)
    time_column = time_column or notes.get("time column")
    if time_column in (*targets, *(columns or ())):
        raise DataError(
            f"{table.path}: the time column is not a value that can be seen or forecast",
            received=repr(time_column),
            allowed=", ".join(column for column in table.columns if column != time_column),
            todo="choose other columns",
        )
    parsed = {column: parse_numbers(table, column) for column in table.columns if column != time_column}
    if columns is None:
        columns = [column for column, (_, bad) in parsed.items() if len(bad) * 2 < len(table)]
        left_out = [column for column in parsed if column not in columns]
        if left_out:
            notes["left out"] = f"{', '.join(left_out)}: not numbers"
    used = list(dict.fromkeys([*columns, *targets]))
    _check_cells(table, {column: parsed[column] for column in used if column in parsed}, targets=targets, log=log)
    values = np.stack([parsed[column][0] for column in used], axis=1)
    if log:
        indices = [used.index(column) for column in targets]
        values[:, indices] = np.log(values[:, indices])
        notes["log"] = f"natural logarithm of {', '.join(targets)}; errors are of the logarithm"
    return _Series(tuple(used), values, notes)


def _check_time(table: Table, time_column: str | None) -> dict[str, str]:
    """Refuse time that does not run forwards; note gaps, and which column holds the time."""
    column = time_column or next(iter(table.columns))
    if time_column is None and len(parse_numbers(table, column)[1]) < len(table):
        return {}  # numbers: a value like any other
    try:
        times = parse_times(table, column)
    except DataError:
        if time_column is not None:
            raise
        return {"time column": column, "time": f"{column} is not understood; rows are taken in the order of the file"}
    steps = np.diff(times)
    if (steps <= 0).any():
        row = int(np.argmax(steps <= 0)) + 1
        raise DataError(
            f"{table.place(row, column)}: time does not run forwards",
            received=f"{table.columns[column][row]!r} after {table.columns[column][row - 1]!r}",
            allowed="each row later than the one before",
            todo="sort the file by time, the oldest row first, and leave out repeated rows",
        )
    # Months differ by 3 days in 28; what is longer than one and a half steps is a gap.
    gaps = np.flatnonzero(steps > 1.5 * np.median(steps)) if len(steps) else np.array([], dtype=int)
    notes = {"time column": column}
    if len(gaps):
        notes["gaps"] = f"{len(gaps):,} gaps in time, the first before {table.columns[column][int(gaps[0]) + 1]}"
    return notes


def _check_cells(
    table: Table,
    parsed: dict[str, tuple[NDArray[np.float64], list[int]]],
    *,
    targets: Sequence[str],
    log: bool,
) -> None:
    """Refuse cells that are missing or not numbers, and with ``log`` targets that have no logarithm."""
    problems = []
    for column, (values, bad) in parsed.items():
        if bad:
            problems.append(junk_problem(table, column, bad, todo="correct it, or leave the column out"))
            continue
        missing = np.flatnonzero(np.isnan(values))
        if len(missing):
            what = f"{table.place(int(missing[0]), column)}: a missing value"
            todo = "fill it in, such as by the value before, or leave the column out"
            problems.append(Problem(what, f"{len(missing):,} missing in this column", "a number at every step", todo))
        low = np.flatnonzero(values <= 0)
        if log and column in targets and len(low):
            what = f"{table.place(int(low[0]), column)}: no logarithm"
            problems.append(Problem(what, str(values[low[0]]), "values above 0", "leave log=True out"))
    if problems:
        raise DataError(problems)


def _bundle(
    name: str,
    series: _Series,
    *,
    targets: Sequence[str],
    borders: Sequence[int],
    windowing: Windowing,
    limit: int | None,
    seed: int,
) -> DataBundle:
    """Standardise by the rows of train, cut into windows, describe."""
    values = torch.from_numpy(series.values)
    check_borders(name, borders, len(values))
    mean, std = moments(values[: borders[0]], (0,))
    std = torch.where(std > 0, std, torch.ones_like(std))
    columns = tuple(series.columns.index(column) for column in targets)
    windowing = replace(windowing, target_columns=columns)
    splits = window_splits(name, ((values - mean) / std).float(), borders, windowing, limit=limit, seed=seed)
    task = Task(
        "regression",
        "series",
        input_shape=(windowing.context, len(series.columns)),
        num_outputs=windowing.horizon * len(columns),
        target_mean=tuple(mean[0, list(columns)].tolist()) * windowing.horizon,
        target_std=tuple(std[0, list(columns)].tolist()) * windowing.horizon,
    )
    ends = ", ".join(f"{split} to row {end:,}" for split, end in zip(("train", "val", "test"), borders, strict=False))
    reach = "inputs may come from the rows before a split" if windowing.borrow_context else "windows lie within a split"
    notes = {
        "forecast": f"{', '.join(targets)}, {windowing.horizon} steps from {windowing.context}",
        "inputs": ", ".join(series.columns),
        "split": f"in time order: {ends}; {reach}",
        **series.notes,
    }
    return DataBundle(
        name=name,
        task=task,
        train=splits["train"],
        val=splits["val"],
        test=splits.get("test"),
        fingerprint=hash_splits(task, splits.items()),
        notes=notes,
    )
