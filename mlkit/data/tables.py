"""Tables: any CSV file with numeric and categorical columns, and the tabular sets of the catalogue.

Not here: filling in missing values, standardising and splitting, which need the training part
(`mlkit.data.pipeline`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from mlkit.data.columns import (
    Roles,
    amount_targets,
    category_codes,
    class_targets,
    find_roles,
    numeric_columns,
    parse_times,
    task_kind,
)
from mlkit.data.reading import MISSING, Table, catalogue_file, read_table, read_text, unknown_column
from mlkit.data.source import Source
from mlkit.errors import ConfigError, DataError, Problem, did_you_mean
from mlkit.task import Task

TableTask = Literal["auto", "classification", "regression"]
WineColor = Literal["red", "white", "both"]


def csv(
    path: Path | str,
    *,
    target: str,
    categorical: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    task: TableTask = "auto",
    missing: Sequence[str] = MISSING,
    test_path: Path | str | None = None,
    group: str | None = None,
    time: str | None = None,
    delimiter: str | None = None,
    names: Sequence[str] | None = None,
    encoding: str = "utf-8",
    name: str | None = None,
) -> Source:
    r"""A table from a delimited text file, one example a line.

    Args:
        path: the file; the first line names the columns.
        target: the column to predict.
        categorical: columns whose values are names, not amounts. None finds out: those in which at least half of the
            values are not numbers. Name them where codes look like numbers (postcodes, product numbers).
        drop: columns to leave out, such as identifiers.
        task: ``"auto"`` takes text, or at most 20 distinct whole numbers, as classes and other numbers as a regression.
        missing: what stands for a missing value; the pipeline replaces missing numbers by the training mean and adds a
            column that says so, a missing category is a category.
        test_path: a file of the same columns that is the test part; None: a part of ``path`` becomes the test part.
        group: column that says which examples belong together (a patient, a household); a group is never split up,
            and may not stand in both files. It is not an input.
        time: column of numbers or ISO dates by which the examples are ordered; later ones become val, then test. It is
            not an input.
        delimiter: what separates cells; None finds out.
        names: names of the columns where the file has no header line.
        encoding: of the file; ``"latin-1"`` for many older ones.
        name: what the data set is called; the file's name without its suffix when left out.

    Returns:
        Numeric columns as float32 ``(N, F)`` with NaN where missing, then, where there are any, categorical ones as
        int64 codes ``(N, K)`` with 0 where missing. ``notes`` say what each column was taken for.

    Raises:
        DataError: the file cannot be read, a column is not there, or cells do not fit (with file, line and column), or
            a group is in both files.
        ConfigError: ``task`` is unknown, or both ``group`` and ``time`` are given.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "fruit.csv")
    ...     _ = file.write_text("weight,colour,fruit\n150,red,apple\n?,yellow,banana\n170,green,apple\n")
    ...     source = csv(file, target="fruit")
    >>> source.task.class_names, source.inputs[0].tolist(), source.inputs[1].tolist()
    (('apple', 'banana'), [[150.0], [nan], [170.0]], [[2], [3], [1]])
    """
    if task not in get_args(TableTask):
        todo = did_you_mean(task, get_args(TableTask))
        raise ConfigError("unknown task", received=repr(task), allowed=", ".join(get_args(TableTask)), todo=todo)
    if group is not None and time is not None:
        raise ConfigError(
            "group and time cannot both decide the split",
            received=f"group={group!r}, time={time!r}",
            allowed="one of the two",
            todo="keep the one whose leak would be worse",
        )
    path = Path(path).expanduser()
    table = read_table(path, delimiter=delimiter, names=names, encoding=encoding)
    test = None
    if test_path is not None:
        test = read_table(test_path, delimiter=delimiter, names=names, encoding=encoding)
    categorical, drop, missing = _several(categorical), _several(drop) or (), _several(missing) or ()
    keys = [column for column in (group, time) if column is not None]
    _check_columns(table, test, target=target, keys=keys, categorical=categorical or (), drop=drop)
    if group is not None and test is not None:
        _check_groups_apart(table, test, group, missing)
    if time is not None:
        table = table.select(_time_order(table, time, missing))
    roles = find_roles(table, target=target, categorical=categorical, excluded={*keys, *drop}, missing=missing)
    source = table_source(name or path.stem, table, roles, test=test, task=task, missing=missing, origin=str(path))
    groups = None if group is None else torch.from_numpy(np.unique(list(table.columns[group]), return_inverse=True)[1])
    return replace(source, groups=groups, ordered=time is not None)


def table_source(
    name: str,
    table: Table,
    roles: Roles,
    *,
    test: Table | None = None,
    task: TableTask,
    missing: Collection[str] = MISSING,
    origin: str,
) -> Source:
    """Numbers, codes and targets of a table whose columns' roles are known."""
    parts = [table] if test is None else [table, test]
    numeric = [numeric_columns(part, roles.numeric, missing) for part in parts]
    codes, cardinalities = category_codes(parts, roles.categorical, missing)
    kind = task_kind(table, roles.target, missing) if task == "auto" else task
    if kind == "classification":
        targets, class_names = class_targets(parts, roles.target, missing)
    else:
        targets, class_names = [amount_targets(part, roles.target, missing) for part in parts], ()
    inputs = [(x, c) if roles.categorical else (x,) for x, c in zip(numeric, codes, strict=True)]
    return Source(
        name=name,
        task=Task(
            kind,
            "table" if roles.categorical else "vector",
            input_shape=(len(roles.numeric),),
            num_outputs=len(class_names) or 1,
            class_names=class_names,
            cardinalities=cardinalities,
        ),
        inputs=inputs[0],
        targets=targets[0],
        test_inputs=None if test is None else inputs[1],
        test_targets=None if test is None else targets[1],
        standardize="feature",
        notes={
            "source": origin,
            "target": f"{roles.target}, {kind}{' (decided by its values)' if task == 'auto' else ''}",
            **_notes(table, roles, missing=int(numeric[0].isnan().sum() + (codes[0] == 0).sum())),
        },
    )


def adult(*, root: Path | str | None = None) -> Source:
    """Adult: is a yearly income above 50,000 dollars? Census of 1994, 32,561 training and 16,281 test rows.

    6 numeric and 8 categorical columns, three of them with missing values; the official test part.

    Source: Kohavi 1996, "Scaling up the accuracy of naive-Bayes classifiers"; UCI repository.
    """
    data, test_data, description = (
        catalogue_file(root, "tabular", f"adult.{part}") for part in ("data", "test", "names")
    )
    described = re.findall(r"^([a-z-]+): (continuous)?", read_text(description), flags=re.MULTILINE)
    if len(described) != 14:
        raise DataError(
            f"{description}: not the description of the Adult columns",
            received=f"{len(described)} columns",
            allowed="14 lines such as 'age: continuous.'",
            todo="compare the file with the original",
        )
    names = [*(column for column, _ in described), "income"]
    train = read_table(data, delimiter=",", names=names)
    test = read_table(test_data, delimiter=",", names=names, comment="|")
    # The labels of the test file end in a full stop, those of the training file do not.
    test = replace(test, columns={**test.columns, "income": [label.rstrip(".") for label in test.columns["income"]]})
    roles = Roles(
        "income",
        numeric=tuple(column for column, continuous in described if continuous),
        categorical=tuple(column for column, continuous in described if not continuous),
    )
    origin = "UCI, Kohavi and Becker 1996; exact copy"
    return table_source("adult", train, roles, test=test, task="classification", origin=origin)


def california_housing(
    *, root: Path | str | None = None, features: Literal["derived", "raw"] = "derived", missing: bool = False
) -> Source:
    """California housing: the median house value in dollars of 20,640 districts, census of 1990; regression.

    Args:
        root: folder of the data sets.
        features: ``"derived"`` gives scikit-learn's 8 columns, in which rooms, bedrooms and population are averages a
            household; ``"raw"`` the 8 columns of the file, with totals a district.
        missing: take the version with 207 missing ``total_bedrooms`` and a categorical ``ocean_proximity``.

    There is no official split; districts next to each other are alike, and a random split puts them on both sides. The
    value is capped at 500,001 in 965 rows.

    Source: Pace and Barry 1997, "Sparse spatial autoregressions".
    """
    if features not in ("derived", "raw"):
        raise ConfigError("unknown features of california_housing", received=repr(features), allowed="derived, raw")
    table = read_table(catalogue_file(root, "tabular", f"california_housing{'_missing' if missing else ''}.csv"))
    # The two files spell their columns differently but keep one order.
    target = list(table.columns)[8]
    numeric = tuple(list(table.columns)[:8])
    roles = Roles(target, numeric, ("ocean_proximity",) if missing else ())
    origin = "StatLib, Pace and Barry 1997; values capped at 500,001 dollars"
    source = table_source("california_housing", table, roles, task="regression", origin=origin)
    if features == "raw":
        return source
    longitude, latitude, age, rooms, bedrooms, population, households, income = source.inputs[0].unbind(1)
    averages = (rooms / households, bedrooms / households, population, population / households)
    derived = torch.stack([income, age, *averages, latitude, longitude], dim=1)
    columns = "MedInc, HouseAge, AveRooms, AveBedrms, Population, AveOccup, Latitude, Longitude"
    return replace(source, inputs=(derived, *source.inputs[1:]), notes={**source.notes, "numeric columns": columns})


def wine_quality(
    *,
    root: Path | str | None = None,
    color: WineColor = "both",
    task: Literal["regression", "classification"] = "regression",
) -> Source:
    """Wine quality: a taster's mark, 3 to 9, from 11 measurements of 1,599 red and 4,898 white Portuguese wines.

    Args:
        root: folder of the data sets.
        color: ``"red"``, ``"white"``, or ``"both"`` with the colour as a categorical column.
        task: ``"regression"`` of the mark, or ``"classification"`` into the marks that occur.

    One row in six is an exact copy of another; copies are one group, so that none stands in two splits.

    Source: Cortez et al. 2009, "Modeling wine preferences by data mining from physicochemical properties".
    """
    if color not in get_args(WineColor):
        raise ConfigError("unknown color of wine_quality", received=repr(color), allowed="red, white, both")
    if task not in ("regression", "classification"):
        raise ConfigError("unknown task of wine_quality", received=repr(task), allowed="regression, classification")
    colors = ("red", "white") if color == "both" else (color,)
    files = [catalogue_file(root, "tabular", f"winequality-{shade}.csv") for shade in colors]
    tables = [read_table(file) for file in files]  # semicolons as distributed, commas in some copies
    columns = {column: [cell for table in tables for cell in table.columns[column]] for column in tables[0].columns}
    columns["color"] = [shade for shade, table in zip(colors, tables, strict=True) for _ in range(len(table))]
    table = Table(files[0], columns, [line for table in tables for line in table.lines])
    numeric = tuple(column for column in columns if column not in ("quality", "color"))
    roles = Roles("quality", numeric, ("color",) if color == "both" else ())
    source = table_source("wine_quality", table, roles, task=task, origin="UCI, Cortez et al. 2009")
    return _group_copies(source)


def protein(*, root: Path | str | None = None) -> Source:
    """Protein structure (CASP): deviation from the true structure in ångström, from 9 measures of 45,730 predictions.

    Copies of a row are one group, so that none stands in two splits.

    Source: Rana 2013, "Physicochemical properties of protein tertiary structure", UCI repository.
    """
    numeric = tuple(f"F{number}" for number in range(1, 10))
    table = read_table(catalogue_file(root, "tabular", "protein.txt"), delimiter=" ", names=[*numeric, "RMSD"])
    origin = "UCI, Rana 2013; last column is the target"
    return _group_copies(table_source("protein", table, Roles("RMSD", numeric, ()), task="regression", origin=origin))


def _group_copies(source: Source) -> Source:
    """Examples with the same inputs become one group."""
    rows = np.concatenate([x.numpy().astype(np.float64) for x in source.inputs], axis=1)
    order = np.lexsort(rows.T)  # equal rows become neighbours
    is_new = (np.diff(rows[order], axis=0) != 0).any(axis=1)
    groups = np.empty(len(rows), dtype=np.int64)
    groups[order] = np.concatenate([[0], np.cumsum(is_new)])
    copies = len(groups) - int(groups.max()) - 1
    notes = {**source.notes, "copies": f"{copies:,} rows repeat the inputs of another, and stand in the same split"}
    return replace(source, groups=torch.from_numpy(groups), notes=notes)


def _check_columns(
    table: Table,
    test: Table | None,
    *,
    target: str,
    keys: Sequence[str],
    categorical: Sequence[str],
    drop: Sequence[str],
) -> None:
    """Refuse columns that are not in the file, or that are asked to be two things; all complaints together."""
    roles = {"target": [target], "group or time": keys, "categorical": categorical, "dropped": drop}
    wanted = [(role, column) for role, columns in roles.items() for column in columns]
    problems = [unknown_column(table, role, column) for role, column in wanted if column not in table.columns]
    if target in (*keys, *drop):
        problems.append(Problem("the target column cannot also be dropped, or be a group or time", repr(target)))
    if test is not None and set(test.columns) != set(table.columns):
        lacking = [column for column in table.columns if column not in test.columns]
        excess = [column for column in test.columns if column not in table.columns]
        received = "; ".join(
            f"{what} {', '.join(columns)}" for what, columns in (("lacks", lacking), ("also has", excess)) if columns
        )
        problems.append(Problem(f"{test.path}: other columns than {table.path}", received, ", ".join(table.columns)))
    if problems:
        raise DataError(problems)


def _check_groups_apart(table: Table, test: Table, column: str, missing: Collection[str]) -> None:
    """Refuse a test file that shares a group with the training file: what is known of it would leak."""
    shared = sorted((set(table.columns[column]) & set(test.columns[column])).difference(missing))
    if shared:
        raise DataError(
            f"{test.path}: groups that are in the training file too",
            received=f"{len(shared):,} values of '{column}', such as {shared[0]!r}",
            allowed="each group in one of the two files",
            todo="move their rows into one of the files, or leave group out",
        )


def _several(given: Sequence[str] | None) -> Sequence[str] | None:
    """One name where several could stand, as a list of one."""
    return [given] if isinstance(given, str) else given


def _time_order(table: Table, column: str, missing: Collection[str]) -> list[int]:
    """Rows in the order of their time; rows of one time keep the order of the file."""
    order: list[int] = np.argsort(parse_times(table, column, missing=missing), kind="stable").tolist()
    return order


def _notes(table: Table, roles: Roles, *, missing: int) -> dict[str, str]:
    """What was decided, and what a careful reader of the table would ask about."""
    used = (*roles.numeric, *roles.categorical)
    notes = {
        "numeric columns": ", ".join(roles.numeric) or "none",
        "categorical columns": ", ".join(roles.categorical) or "none",
    }
    if missing:
        notes["missing"] = f"{missing:,} cells"
    copies = len(table) - len(set(zip(*(table.columns[column] for column in used), strict=True)))
    if copies:
        notes["copies"] = f"{copies:,} rows repeat the inputs of another, and may stand in two splits"
    many = [column for column in roles.categorical if len(set(table.columns[column])) > max(len(table) // 2, 20)]
    if many:
        notes["identifiers?"] = f"nearly every row has a value of its own in {', '.join(many)}: consider drop=[…]"
    return notes
