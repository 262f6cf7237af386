"""`describe`: which task examples of given shapes and dtypes belong to, and what of it only all examples can tell.

Not here: where the examples come from (`mlkit.data.adapt`) and whether their values are sound (`mlkit.data.checks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset

from mlkit.data.checks import IGNORED
from mlkit.data.splits import Inputs
from mlkit.errors import DataError
from mlkit.task import InputKind, Task


def describe(
    inputs: Inputs, targets: Tensor, *, others: Sequence[Tensor] = (), class_names: tuple[str, ...] = ()
) -> Task:
    """The task that examples of these shapes and dtypes belong to.

    Args:
        inputs: inputs of some examples.
        targets: targets of some examples. Floats are a regression; whole numbers are classes, one an example, or
            tokens (classes of a step), one a step of the first input.
        others: further targets; the number of classes covers them all.
        class_names: where they are known.

    Raises:
        DataError: the targets are of no kind that is known.

    >>> describe((torch.randn(4, 2),), torch.tensor([0, 1, 2, 1])).num_outputs
    3
    """
    tensors = tuple(inputs.values()) if isinstance(inputs, Mapping) else inputs
    first = tensors[0]
    if first.ndim == 0 or targets.ndim == 0:
        raise _unknown_kind(first, targets)
    kind, has_lengths = input_kind(tensors)
    shape = tuple(first.shape[1:])
    vocabulary = _highest(first) + 1 if kind == "tokens" or _whole_numbers(first) else None
    cardinalities = tuple((tensors[1].amax(dim=0) + 1).tolist()) if kind == "table" and len(first) else ()

    def task(outputs: int) -> Task:
        return Task(
            "classification",
            kind,
            shape,
            outputs,
            cardinalities=cardinalities,
            vocab_size=vocabulary,
            has_lengths=has_lengths,
        )

    if targets.is_floating_point():
        return replace(task(1 if targets.ndim == 1 else targets.shape[-1]), kind="regression")
    classes = max(1, len(class_names), *(_highest(y) + 1 for y in (targets, *others)))
    a_step = targets.ndim == 2 and targets.shape == first.shape[:2] and kind in ("tokens", "series", "other")
    if targets.ndim == 1 or (targets.ndim == 2 and targets.shape[1] == 1 and not a_step):
        return replace(task(classes), class_names=class_names if len(class_names) == classes else ())
    if not a_step:
        raise _unknown_kind(first, targets)
    outputs = max(classes, vocabulary or 0)
    return replace(task(outputs), kind="next_token", vocab_size=None if vocabulary is None else outputs)


def check_labels(targets: Tensor) -> None:
    """Refuse classes below 0, which `describe` cannot count.

    Raises:
        DataError: with the row.
    """
    if targets.is_floating_point():
        return
    bad = (targets < 0) & (targets != IGNORED)
    if bool(bad.any()):
        spot = bad.nonzero()[0].tolist()
        raise DataError(
            "label out of range",
            received=f"{int(targets[tuple(spot)])} in row {spot[0]}",
            allowed="0 or more",
            todo="number the classes from 0, or correct the label",
        )


def covering(tasks: Iterable[Task]) -> Task:
    """One task from those of many batches: as many classes, tokens and categories as any of them has.

    >>> covering([Task("classification", "vector", (2,), 2), Task("classification", "vector", (2,), 5)]).num_outputs
    5
    """
    return reduce(_larger, tasks)


def known_labels(dataset: object) -> tuple[Tensor | None, tuple[str, ...]]:
    """Labels that cover the classes of a data set, and their names, as far as it tells without being read.

    Data sets say so by ``classes``, ``targets`` or ``labels``; of a ``Subset`` only its own rows count. Where labels
    are transformed when read, what is stored says nothing.
    """
    rows: Tensor | None = None
    while isinstance(dataset, Subset):
        index = torch.as_tensor(list(dataset.indices), dtype=torch.int64)
        rows, dataset = index if rows is None else index[rows], dataset.dataset
    if getattr(dataset, "target_transform", None) is not None:
        return None, ()
    classes = getattr(dataset, "classes", None)
    if rows is None and isinstance(classes, (list, tuple)) and classes:
        names = tuple(classes) if all(isinstance(name, str) for name in classes) else ()
        return torch.tensor([len(classes) - 1]), names
    labels = _stored_labels(dataset)
    return (labels if rows is None or labels is None else labels[rows]), ()


def _stored_labels(dataset: object) -> Tensor | None:
    for attribute in ("targets", "labels"):
        stored = getattr(dataset, attribute, None)
        if isinstance(stored, (Tensor, np.ndarray, list)) and len(stored):
            try:
                array = np.asarray(stored.detach().cpu() if isinstance(stored, Tensor) else stored)
            except ValueError:  # ragged: boxes of objects, for example
                continue
            if array.ndim == 1 and array.dtype.kind in "iub":
                return torch.from_numpy(array.astype(np.int64))
    return None


def _larger(a: Task, b: Task) -> Task:
    pairs = zip(a.cardinalities, b.cardinalities, strict=True)
    return replace(
        a,
        num_outputs=max(a.num_outputs, b.num_outputs),
        vocab_size=None if a.vocab_size is None else max(a.vocab_size, b.vocab_size or 0),
        cardinalities=tuple(max(pair) for pair in pairs),
    )


def input_kind(tensors: tuple[Tensor, ...]) -> tuple[InputKind, bool]:
    """The kind of input, and whether the last input holds lengths."""
    first, rest = tensors[0], tensors[1:]
    single: InputKind = "other"
    if first.ndim == 2:
        single = "tokens" if _whole_numbers(first) else "vector"
    elif first.ndim == 3:
        single = "image" if first.dtype == torch.uint8 else "series"
    elif first.ndim == 4:
        single = "image"
    if not rest:
        return single, False
    whole = len(rest) == 1 and not rest[0].is_floating_point()
    if whole and rest[0].ndim == 1 and single in ("series", "tokens"):
        return single, True
    if whole and rest[0].ndim == 2 and single == "vector":
        return "table", False
    return "other", False


def _whole_numbers(first: Tensor) -> bool:
    """Whether an input can be tokens: two axes of int32 or int64, where bytes are pixels."""
    return first.ndim == 2 and first.dtype in (torch.int32, torch.int64)


def _highest(values: Tensor) -> int:
    return int(values.max()) if values.numel() else -1


def _unknown_kind(first: Tensor, targets: Tensor) -> DataError:
    several = not targets.is_floating_point() and targets.ndim == 2
    return DataError(
        "the targets are of no known kind",
        received=f"targets of {targets.dtype} and shape {tuple(targets.shape)}, inputs of shape {tuple(first.shape)}",
        allowed="one target an example: whole numbers (N,) for classes or, for tokens (N, T), whole numbers (N, T); "
        "floats (N,) or (N, K) for a regression",
        todo="give them as floats, and a loss for several labels an example"
        if several
        else "change their shape, or give task=mlkit.Task(…)",
    )
