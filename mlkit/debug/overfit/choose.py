"""The one batch that is overfitted: balanced over classes, not augmented, from whatever holds examples.

Not here: training on it (`mlkit.debug.overfit.course`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from mlkit.data.adapt import as_batches, infer_task
from mlkit.data.batches import SplitBatches
from mlkit.data.bundle import DataBundle
from mlkit.data.describe import describe
from mlkit.data.splits import Batch, Inputs
from mlkit.errors import DataError
from mlkit.runtime.keys import generator
from mlkit.task import Task

EXAMPLES = 64
TARGETS = 1024
"""Targets of a batch, at most, where an example has many, as the tokens of a text: a person would take fewer lines."""
_FEWEST = 8


def batch_of(data: object, *, seed: int, examples: int = EXAMPLES) -> tuple[Batch, Callable[[], Task]]:
    """One batch, and what tells its task.

    Args:
        data: a `Batch`; ``(inputs, targets)`` with tensors, a tuple or a mapping of tensors; a bundle, a split, a data
            set or a loader (of which the first batch is taken as it is).
        seed: of the choice.
        examples: most that are chosen; of a bundle or split fewer where each has many classes to tell.

    Raises:
        DataError: there are no pairs of inputs and targets in it, or no examples.

    >>> batch, task = batch_of((torch.randn(500, 3), torch.arange(500) % 5), seed=0, examples=10)
    >>> batch.targets.bincount().tolist(), task().num_outputs
    ([2, 2, 2, 2, 2], 5)
    """
    if isinstance(data, DataBundle):
        return _of_split(SplitBatches(data.train, examples), seed, examples), lambda: data.task
    given = _given(data)
    if given is not None:
        if not len(given.targets):
            raise DataError("there are no examples", received="an empty batch", allowed="one example or more")
        index = balanced(given.targets, examples, seed=seed)
        chosen = given if len(given.targets) <= examples or isinstance(data, Batch) else rows_of(given, index)
        return chosen, lambda: describe(given.inputs, given.targets)
    batches = as_batches(cast("Any", data), batch_size=examples)
    if isinstance(batches, SplitBatches):
        return _of_split(batches, seed, examples), lambda: infer_task(batches)
    first = next(iter(batches.epoch(0)), None)
    if first is None:
        raise DataError("the data have no batches", received=type(data).__name__, allowed="one batch or more")
    return first, lambda: infer_task(batches)


def balanced(targets: Tensor, count: int, *, seed: int) -> Tensor:
    """At most ``count`` rows at random, as many of each class as there are, where targets are classes."""
    order = torch.randperm(len(targets), generator=generator(seed, "one batch"))
    if targets.ndim != 1 or targets.is_floating_point():
        return order[:count]
    labels = targets.cpu()[order]
    # How often each label has occurred before: the first of every class come first, then the second of every class.
    places = torch.empty_like(order)
    for label in torch.unique(labels):
        where = (labels == label).nonzero().flatten()
        places[where] = torch.arange(len(where))
    return order[places.argsort(stable=True)[:count]]


def _given(data: object) -> Batch | None:
    if isinstance(data, Batch):
        return data
    if not isinstance(data, (tuple, list)) or len(data) != 2 or not isinstance(data[1], Tensor):
        return None
    inputs, targets = data
    if isinstance(inputs, Tensor):
        return Batch((inputs,), targets)
    if isinstance(inputs, (tuple, Mapping)):
        return Batch(cast("Inputs", inputs), targets)
    return None


def rows_of(batch: Batch, index: Tensor) -> Batch:
    """Some examples of a batch."""
    inputs, where = batch.inputs, index.to(batch.targets.device)
    if isinstance(inputs, Mapping):
        return Batch({name: x[where] for name, x in inputs.items()}, batch.targets[where])
    return Batch(tuple(x[where] for x in inputs), batch.targets[where])


def _of_split(batches: SplitBatches, seed: int, examples: int) -> Batch:
    split = batches.split
    each = math.prod(split.targets.shape[1:]) if not split.targets.is_floating_point() else 1
    count = min(examples, max(_FEWEST, TARGETS // max(each, 1)))
    return split.gather(balanced(split.targets, count, seed=seed).to(split.device))
