"""`mlkit.check`: a pre-flight of a model, data, loss and optimiser, before anything is trained.

A few steps are taken in a copy of the process, under the doctor. Not here: what the doctor looks at.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from mlkit.data.batches import SplitBatches
from mlkit.data.bundle import DataBundle
from mlkit.data.splits import Batch, Inputs
from mlkit.debug import experiment
from mlkit.debug.findings import Finding, Report
from mlkit.debug.watching import Watch
from mlkit.engine.step import forward
from mlkit.errors import DataError
from mlkit.runtime.rng import capture, restore

STEPS = 4
ROWS = 64
Pair = tuple[Inputs, Tensor]


def check(
    model: nn.Module,
    data: DataBundle | Iterable[object] | tuple[Tensor, Tensor],
    *,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer | None = None,
    steps: int = STEPS,
    seconds: float = 20.0,
) -> Report:
    """Look at the parts of a training before it starts; nothing that is given is changed.

    Args:
        model: called as ``model(inputs)``, as ``model(*inputs)`` for a tuple, as ``model(**inputs)`` for a mapping.
        data: ``(inputs, targets)``, an iterable of such pairs (a DataLoader, batches of ours), or a bundle, of which
            ``train`` is taken; of a pair of tensors, the first rows.
        loss_fn: called as ``loss_fn(output, targets)``; returns one number.
        optimizer: of this model; Adam at 3e-4, if none.
        steps: training steps that are tried.
        seconds: for experiments, as for `Watch`.

    Returns:
        The report; `Report.worst` tells whether there was an error.

    Raises:
        DataError: the data has no pairs of inputs and targets.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
        >>> x, y = torch.randn(64, 4), torch.randint(3, (64,))
        >>> report = check(model, (x, y), loss_fn=nn.CrossEntropyLoss())
        >>> report.findings[0].code
        'loss.probabilities-into-cross-entropy'
    """
    pairs = list(itertools.islice(_pairs(data), steps))
    if not pairs:
        raise DataError("the data has no batches", received=type(data).__name__, todo="pass (inputs, targets) tensors")
    # Made here and not in the child: the first optimiser of a process imports compilers, which write caches.
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=3e-4)
    obstacle = experiment.obstacle()
    begin = time.perf_counter()
    if obstacle is None:
        outcome = experiment.measure(
            lambda: _steps(model, pairs, loss_fn, optimizer, steps, seconds), seconds=2 * seconds
        )
        if isinstance(outcome.value, Report):
            return outcome.value
        spent = time.perf_counter() - begin
        return Report((), skipped=(("pre-flight", outcome.problem or "no answer"),), seconds=spent)
    streams = capture()
    try:
        twin = copy.deepcopy((model, optimizer))
        return _steps(twin[0], pairs, loss_fn, twin[1], steps, seconds)
    finally:
        restore(streams)


def _pairs(data: object) -> Iterator[Pair]:
    if isinstance(data, DataBundle):
        yield from SplitBatches(data.train, ROWS, shuffle=True).epoch(0)
        return
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], Tensor):
        inputs, targets = data
        for start in range(0, len(targets), ROWS):
            yield (inputs[start : start + ROWS],), targets[start : start + ROWS]
        return
    for batch in cast("Iterable[object]", data):
        if isinstance(batch, Mapping) or not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise DataError(
                "a batch is not a pair of inputs and targets",
                received=type(batch).__name__,
                allowed="(inputs, targets)",
                todo="wrap the loop itself instead: with mlkit.Watch(): …",
            )
        inputs = batch[0]
        yield inputs if isinstance(inputs, (tuple, Mapping)) else (inputs,), batch[1]


def _steps(
    model: nn.Module,
    pairs: list[Pair],
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    steps: int,
    seconds: float,
) -> Report:
    watch = Watch(budget=seconds)
    error: Exception | None = None
    try:
        with watch:
            for inputs, targets in itertools.islice(itertools.cycle(pairs), steps):
                loss = loss_fn(forward(model, Batch(inputs, targets)), targets)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
            model.eval()
            with torch.no_grad():
                forward(model, Batch(*pairs[0]))
    except Exception as raised:
        error = raised
    report = watch.report
    if error is not None and not report.findings:
        found = Finding("shape.mismatch", f"the first step fails: {type(error).__name__}: {error}", confidence=0.5)
        return Report((found,), steps=report.steps, seconds=report.seconds, overhead=report.overhead)
    return report
