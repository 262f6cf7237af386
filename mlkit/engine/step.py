"""One training step in named phases: the loss of a window of batches, its gradients, the update.

Not here: which batches come (`mlkit.data.batches`) and when to stop (`mlkit.engine.loop`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from mlkit.data.splits import Batch

LossFunction = Callable[[Tensor, Tensor], Tensor]
StepFunction = Callable[[nn.Module, Batch], Tensor]


def forward(model: nn.Module, batch: Batch) -> Tensor:
    """The model's output: ``model(*inputs)``, or ``model(**inputs)`` when the inputs are a mapping."""
    inputs = batch.inputs
    output: Tensor = model(**inputs) if isinstance(inputs, Mapping) else model(*inputs)
    return output


def supervised(
    loss_fn: LossFunction, precision: Callable[[], AbstractContextManager[object]] | None = None
) -> StepFunction:
    """The ordinary step function: the mean loss of a batch.

    Args:
        loss_fn: ``loss_fn(output, targets) -> scalar``, the mean over the batch.
        precision: makes the autocast context of one forward pass; None for float32.
    """
    if precision is None or isinstance(precision(), nullcontext):

        def step(model: nn.Module, batch: Batch) -> Tensor:
            inputs, targets = batch
            if type(inputs) is tuple:  # asked first: whether something is a mapping is slow to find out
                return loss_fn(model(*inputs), targets)
            return loss_fn(forward(model, batch), targets)

        return step

    def step_in_lower_precision(model: nn.Module, batch: Batch) -> Tensor:
        with precision():
            output = forward(model, batch)
        return loss_fn(output.float(), batch.targets)

    return step_in_lower_precision


def windows(batches: Iterable[Batch], size: int) -> Iterator[Sequence[Batch]]:
    """Group batches into accumulation windows of ``size``; the last may be shorter."""
    if size == 1:
        for batch in batches:
            yield (batch,)
        return
    window: list[Batch] = []
    for batch in batches:
        window.append(batch)
        if len(window) == size:
            yield window
            window = []
    if window:
        yield window


def backward(
    model: nn.Module, window: Sequence[Batch], step: StepFunction, *, clear: Callable[[], None] | None = None
) -> tuple[Tensor, int]:
    """Leave in ``.grad`` the gradient of the mean loss over all examples of ``window``.

    Each batch is weighted by its share of the examples, so a ragged window gives exactly the gradient of the joined
    batch where the loss is a mean over examples (not over tokens of which some are left out, nor with class weights).
    On a CPU, where looking is free, a non-finite loss is returned before a gradient is computed from it.

    Args:
        model: what is trained.
        window: the batches of one update.
        step: loss of a batch.
        clear: removes the gradients of the update before, once the first loss is known; None: they are gone already.

    Returns:
        The mean loss (detached, on the device) and the number of examples.
    """
    if len(window) == 1:
        loss = step(model, window[0])
        if not _is_known_bad(loss):
            if clear is not None:
                clear()
            loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), len(window[0].targets)
    total = sum(len(batch.targets) for batch in window)
    mean: Tensor | None = None
    for batch in window:
        part = step(model, batch) * (len(batch.targets) / total)
        if _is_known_bad(part):
            return part.detach(), total
        if clear is not None and mean is None:
            clear()
        part.backward()  # type: ignore[no-untyped-call]
        mean = part.detach() if mean is None else mean + part.detach()
    assert mean is not None
    return mean, total


def _is_known_bad(loss: Tensor) -> bool:
    return loss.device.type == "cpu" and not math.isfinite(loss.item())


def gradient_clearer(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """What `optimizer.zero_grad` does, without the profiling that makes up most of its time for a small model.

    An optimiser with a way of its own keeps it.
    """
    if type(optimizer).zero_grad is not torch.optim.Optimizer.zero_grad:
        return optimizer.zero_grad
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def clear() -> None:
        for parameter in parameters:
            parameter.grad = None

    return clear


def clip_gradients(model: nn.Module, max_norm: float) -> Tensor:
    """Scale all gradients so that their joint 2-norm is at most ``max_norm``; returns the norm before."""
    return torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
