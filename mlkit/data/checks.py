"""Checks of what was read, before anything is computed from it: every complaint names the row and the column.

Not here: repairs. Data that is wrong is refused, never silently mended; only a missing value of a table has a meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mlkit.data.source import Source
from mlkit.errors import ConfigError, DataError, Problem, did_you_mean
from mlkit.task import Task

IGNORED = -100  # target of a token that does not count; the default of torch.nn.functional.cross_entropy
_AXES = {
    "image": ("image", "channel", "row", "column"),
    "series": ("series", "step", "channel"),
    "tokens": ("row", "position"),
}


def check_settings(
    task: Task, *, limit: int | None, image_size: int | None, val_fraction: float, test_fraction: float = 0.0
) -> None:
    """Refuse a limit, an image size or a share that cannot be meant.

    Raises:
        ConfigError: all that is wrong, together.
    """
    problems = []
    if not 0.0 < val_fraction < 1.0:
        allowed = "above 0 and below 1; a run is judged on val"
        problems.append(Problem("data.val_fraction is out of range", str(val_fraction), allowed, "try 0.1"))
    if not 0.0 <= test_fraction < 1.0:
        allowed = "0 (no test part) up to, not including, 1"
        problems.append(Problem("data.test_fraction is out of range", str(test_fraction), allowed, "try 0.2"))
    if limit is not None and limit < 2:
        problems.append(Problem("data.limit is too small", str(limit), "2 examples or more", "try data.limit=10000"))
    if image_size is not None and image_size < 1:
        problems.append(Problem("data.image_size is too small", str(image_size), "1 pixel or more"))
    if image_size is not None and task.input_kind != "image":
        problems.append(
            Problem(
                "data.image_size is for images",
                f"image_size={image_size} for data of kind '{task.input_kind}'",
                "a data set of images",
                "leave data.image_size out",
            )
        )
    if problems:
        raise ConfigError(problems)


def check_source(source: Source) -> None:
    """Refuse content that does not fit the task: shapes, dtypes, labels, values that are not finite.

    Raises:
        DataError: all that is wrong, together.
    """
    problems = _part_problems(source, source.inputs, source.targets, part="")
    official = {
        "validation part": (source.val_inputs, source.val_targets),
        "test part": (source.test_inputs, source.test_targets),
    }
    for part, (inputs, targets) in official.items():
        if (inputs is None) != (targets is None):
            problems.append(Problem(f"{source.name}: the {part} needs both inputs and targets"))
        if inputs is not None and targets is not None:
            problems += _alike(source, inputs, part) or _part_problems(source, inputs, targets, part=f"{part}, ")
    if source.groups is not None and source.groups.shape != source.targets.shape[:1]:
        problems.append(
            Problem(
                f"{source.name}: one group is needed for every example",
                f"groups of shape {tuple(source.groups.shape)}",
                f"({len(source.targets)},)",
            )
        )
    if problems:
        raise DataError(problems)


def _alike(source: Source, inputs: tuple[Tensor, ...], part: str) -> list[Problem]:
    """The examples of an official part have the shapes of the others, and count in the same unit: bytes or floats."""
    shapes = [tuple(x.shape[1:]) for x in inputs]
    expected = [tuple(x.shape[1:]) for x in source.inputs]
    if shapes != expected:
        what = f"{source.name}: the {part} has other shapes than the training part"
        return [Problem(what, str(shapes), str(expected), "prepare all parts in one way")]
    return [
        Problem(
            f"{source.name}: the {part} has another dtype than the training part",
            f"input {number} of {x.dtype}",
            str(like.dtype),
            "convert one of the two; bytes are divided by 255 and floats are not",
        )
        for number, (x, like) in enumerate(zip(inputs, source.inputs, strict=True))
        if (torch.uint8 in (x.dtype, like.dtype) and x.dtype != like.dtype)
        or x.is_floating_point() != like.is_floating_point()
    ]


def check_train(name: str, task: Task, targets: Tensor) -> None:
    """Refuse a training split that nothing can be learned from.

    Raises:
        DataError: fewer than two examples, or a single class.
    """
    if len(targets) < 2:
        raise DataError(
            f"{name}: too few training examples",
            received=f"{len(targets)} after the split",
            allowed="2 or more",
            todo="give more examples, or raise data.limit",
        )
    if task.kind == "classification" and bool((targets == targets[0]).all()):
        raise DataError(
            f"{name}: all training examples are of one class",
            received=f"class {int(targets[0])} only",
            allowed="two classes or more",
            todo="check the labels, or which column is the target",
        )


def class_indices(task: Task, classes: Sequence[int | str]) -> list[int]:
    """The indices of the classes asked for, by index or name.

    Raises:
        ConfigError: not a classification, fewer than two classes, one named twice, or one that does not exist.

    >>> class_indices(Task("classification", "vector", (2,), 3, class_names=("ant", "bee", "cat")), ["bee", 0])
    [1, 0]
    """
    if task.kind != "classification":
        raise ConfigError(
            "data.classes is for classification", received=f"a task of kind '{task.kind}'", todo="leave it out"
        )
    names = task.class_names or tuple(map(str, range(task.num_outputs)))
    problems, chosen = [], []
    for wanted in classes:
        index = _class_index(wanted, names)
        if index is None:
            hint = did_you_mean(str(wanted), names)
            problems.append(Problem("unknown class in data.classes", repr(wanted), ", ".join(names), hint))
        elif index in chosen:
            problems.append(Problem("a class is named twice in data.classes", repr(wanted)))
        else:
            chosen.append(index)
    if not problems and len(chosen) < 2:
        problems.append(Problem("data.classes needs two classes or more", str(list(classes)), ", ".join(names)))
    if problems:
        raise ConfigError(problems)
    return chosen


def _class_index(wanted: int | str, names: Sequence[str]) -> int | None:
    if isinstance(wanted, str) and wanted in names:
        return names.index(wanted)
    if isinstance(wanted, str) and not wanted.isdecimal():
        return None
    index = int(wanted)
    return index if 0 <= index < len(names) else None


def _part_problems(source: Source, inputs: tuple[Tensor, ...], targets: Tensor, *, part: str) -> list[Problem]:
    where = f"{source.name}: {part}"
    if not inputs or len(targets) == 0:
        return [Problem(f"{where}there are no examples", todo="check the file, or data.classes")]
    problems = []
    for number, x in enumerate(inputs):
        if x.ndim == 0 or len(x) != len(targets):
            received = f"{len(x) if x.ndim else 0} rows in input {number}, {len(targets)} targets"
            problems.append(Problem(f"{where}inputs and targets differ in length", received, "one target a row"))
    problems += _shape_problems(source, inputs, where)
    if not problems:
        problems += _value_problems(source, inputs, where)
    return problems + _target_problems(source.task, inputs[0], targets, where)


def _shape_problems(source: Source, inputs: tuple[Tensor, ...], where: str) -> list[Problem]:
    task, first = source.task, inputs[0]
    axes = {"image": 4, "vector": 2, "table": 2, "series": 3, "tokens": 2}.get(task.input_kind)
    if axes is not None and first.ndim != axes:
        wanted = {4: "(N, C, H, W)", 3: "(N, T, C)", 2: "(N, T)" if task.input_kind == "tokens" else "(N, F)"}[axes]
        return [Problem(f"{where}wrong shape for {task.input_kind} data", str(tuple(first.shape)), wanted)]
    if first.dtype in (torch.complex64, torch.complex128, torch.bool) or (
        task.input_kind == "tokens" and first.is_floating_point()
    ):
        allowed = "whole numbers" if task.input_kind == "tokens" else "floats or whole numbers"
        return [Problem(f"{where}wrong dtype for {task.input_kind} data", str(first.dtype), allowed)]
    if task.has_lengths:
        if len(inputs) < 2:
            return [Problem(f"{where}lengths are missing", "one input", "the lengths as the last input")]
        if inputs[-1].ndim != 1 or inputs[-1].is_floating_point():
            received = f"{inputs[-1].dtype} of shape {tuple(inputs[-1].shape)}"
            return [Problem(f"{where}lengths must be whole numbers", received, "int64 of shape (N,)")]
    if task.input_kind == "table" and len(inputs) > 1 and (inputs[1].ndim != 2 or inputs[1].is_floating_point()):
        received = f"{inputs[1].dtype} of shape {tuple(inputs[1].shape)}"
        return [Problem(f"{where}category codes must be whole numbers", received, "int64 of shape (N, columns)")]
    return []


def _value_problems(source: Source, inputs: tuple[Tensor, ...], where: str) -> list[Problem]:
    task, problems = source.task, []
    missing_allowed = source.standardize == "feature" and task.input_kind in ("table", "vector")
    if task.has_lengths:
        steps, lengths = inputs[0].shape[1], inputs[-1]
        bad = (lengths < 1) | (lengths > steps)
        if bad.any():
            row = int(bad.nonzero()[0])
            problems.append(Problem(f"{where}wrong length in row {row}", str(int(lengths[row])), f"1 to {steps}"))
    if task.input_kind == "tokens" and task.vocab_size is not None:
        problems += _range_problem(inputs[0], task.vocab_size, f"{where}unknown token", task)
    for number, x in enumerate(inputs):
        if x.is_floating_point():
            bad = x.isinf() if missing_allowed else ~x.isfinite()
            if task.has_lengths and number == 0:
                steps_within = torch.arange(x.shape[1])[None, :] < inputs[-1][:, None]
                bad = bad & steps_within.reshape(*steps_within.shape, *(1,) * (x.ndim - 2))
            problems += _finite_problem(x, bad, where, task, missing_allowed=missing_allowed)
    if task.input_kind == "table" and len(inputs) > 1 and bool((inputs[1] < 0).any()):
        row, column = (inputs[1] < 0).nonzero()[0].tolist()
        problems.append(Problem(f"{where}negative category code in row {row}, column {column}", allowed="0 or more"))
    return problems


def _finite_problem(x: Tensor, bad: Tensor, where: str, task: Task, *, missing_allowed: bool) -> list[Problem]:
    if not bool(bad.any()):
        return []
    spot = bad.nonzero()[0].tolist()
    others = f" and {int(bad.sum()) - 1} more" if int(bad.sum()) > 1 else ""
    return [
        Problem(
            f"{where}a value is not finite",
            f"{float(x[tuple(spot)])} at {_place(spot, task)}{others}",
            "finite numbers" + (" (NaN marks a missing value)" if missing_allowed else ""),
            "repair or leave out these examples",
        )
    ]


def _range_problem(values: Tensor, limit: int, what: str, task: Task) -> list[Problem]:
    bad = (values < 0) | (values >= limit)
    if not bool(bad.any()):
        return []
    spot = bad.nonzero()[0].tolist()
    return [Problem(what, f"{int(values[tuple(spot)])} at {_place(spot, task)}", f"0 to {limit - 1}")]


def _place(spot: Sequence[int], task: Task) -> str:
    names = _AXES.get(task.input_kind, ("row", "column"))
    return ", ".join(f"{names[axis] if axis < len(names) else f'axis {axis}'} {i}" for axis, i in enumerate(spot))


def _target_problems(task: Task, first: Tensor, targets: Tensor, where: str) -> list[Problem]:
    if task.kind == "regression":
        if targets.ndim != 2 or targets.shape[1] != task.num_outputs:
            return [Problem(f"{where}wrong shape of targets", str(tuple(targets.shape)), f"(N, {task.num_outputs})")]
        bad = ~targets.isfinite()
        if not bool(bad.any()):
            return []
        row, column = bad.nonzero()[0].tolist()
        received = f"{float(targets[row, column])} at row {row}, column {column}"
        return [Problem(f"{where}a target is not finite", received, "finite numbers", "leave out these examples")]
    if targets.is_floating_point():
        return [Problem(f"{where}classes must be whole numbers", str(targets.dtype), "int64")]
    axes = 1 if task.kind == "classification" else 2
    if targets.ndim != axes:
        wanted = "(N,)" if axes == 1 else "(N, T)"
        return [Problem(f"{where}wrong shape of targets", str(tuple(targets.shape)), wanted)]
    if axes == 2 and targets.shape != first.shape[:2]:
        return [Problem(f"{where}one target a token is needed", str(tuple(targets.shape)), str(tuple(first.shape[:2])))]
    bad = (targets < 0) | (targets >= task.num_outputs)
    if task.kind == "next_token":
        bad &= targets != IGNORED
    if not bool(bad.any()):
        return []
    spot = bad.nonzero()[0].tolist()
    received = f"{int(targets[tuple(spot)])} in row {spot[0]}" + (f", position {spot[1]}" if axes == 2 else "")
    todo = "number the classes from 0, or correct the label"
    return [Problem(f"{where}label out of range", received, f"0 to {task.num_outputs - 1}", todo)]
