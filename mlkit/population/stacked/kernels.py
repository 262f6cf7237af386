"""Picking the fastest of several ways to compute a layer, by timing them on a model's own shapes.

Not here: the ways (`mlkit.population.stacked.convolutions`, `mlkit.population.stacked.norms`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mlkit.population.stacked.fold import StackedLayer
from mlkit.population.stacked.stack import Inputs, Stack
from mlkit.population.stacked.trial import agree

_GAIN = 0.95  # a way must save this much of the default's time; less is within the noise of a few calls


@dataclass(frozen=True)
class KernelChoice:
    """What was measured for one layer.

    Args:
        layer: its name and class.
        kernel: the way that was taken.
        seconds: forward and backward by each way that is right; the least of several calls.
    """

    layer: str
    kernel: str
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"layer": self.layer, "kernel": self.kernel, "seconds": self.seconds}


def choose_kernels(stack: Stack, inputs: Inputs, *, shared: bool, calls: int = 3) -> list[KernelChoice]:
    """Time every way of every layer on a batch and set the fastest; weights, buffers and dropout stay as they were.

    A way is left out where it does not agree with the default, or where one member's NaN reaches its neighbours.

    Args:
        stack: its layers are set.
        inputs: a batch, as for `Stack.forward`.
        shared: as for `Stack.forward`.
        calls: of each way; the least counts.

    >>> from torch import nn
    >>> stack = Stack.of([nn.Conv1d(2, 3, 3), nn.Conv1d(2, 3, 3)], keys=[0, 1])
    >>> [choice.layer for choice in choose_kernels(stack, (torch.zeros(4, 2, 8),), shared=True)]
    [' (Conv1d)']
    """
    seen: dict[StackedLayer, tuple[Tensor, bool]] = {}
    with stack.restored():
        _watch(stack, inputs, shared, seen)
        choices = []
        for layer, (x, still_shared) in seen.items():
            stack.fold.shared = still_shared
            choices.append(_choose(layer, x, calls))
    return choices


def _watch(stack: Stack, inputs: Inputs, shared: bool, seen: dict[StackedLayer, tuple[Tensor, bool]]) -> None:
    """What each layer with several ways is given."""

    def note(layer: StackedLayer, args: tuple[Any, ...]) -> None:
        seen[layer] = (args[0].detach().clone(), stack.fold.shared)

    handles = [
        layer.register_forward_pre_hook(note)
        for layer in stack.model.modules()
        if isinstance(layer, StackedLayer) and len(layer.kernels) > 1
    ]
    try:
        with torch.no_grad():
            stack.forward(inputs, shared=shared)
    finally:
        for handle in handles:
            handle.remove()


def _choose(layer: StackedLayer, x: Tensor, calls: int) -> KernelChoice:
    default = layer.kernels[0]
    with torch.no_grad():
        expected = _output(layer, default, x)
        right = [
            kernel
            for kernel in layer.kernels
            if kernel == default or (agree(_output(layer, kernel, x), expected) and isolates(layer, kernel, x))
        ]
    seconds = dict.fromkeys(right, float("inf"))
    for _ in range(calls):
        for kernel in right:  # taking turns, so that a busy moment meets all
            seconds[kernel] = min(seconds[kernel], _time(partial(_step, layer, kernel, x), x))
    fastest = min(right, key=seconds.__getitem__)
    layer.kernel = fastest if seconds[fastest] < _GAIN * seconds[default] else default
    return KernelChoice(layer.label, layer.kernel, seconds)


def _output(layer: StackedLayer, kernel: str, x: Tensor) -> Tensor:
    layer.kernel = kernel
    output: Tensor | tuple[Tensor, object] = layer(x)
    return output if isinstance(output, Tensor) else output[0]


def _step(layer: StackedLayer, kernel: str, x: Tensor) -> None:
    # A batch that all share is the data, of which nobody wants the gradient.
    given = x.detach() if layer.fold.is_shared(x, dim=layer.axis) else x.detach().requires_grad_()
    wanted = [*(p for p in layer.parameters() if p.requires_grad), *([given] if given.requires_grad else [])]
    output = _output(layer, kernel, given)
    if wanted:
        torch.autograd.grad(output.sum(), wanted)


def isolates(layer: StackedLayer, kernel: str, x: Tensor) -> bool:
    """Whether the other members' outputs and gradients keep every bit when the first member turns to NaN."""
    size = layer.fold.size
    if size == 1:
        return True

    def results() -> list[Tensor]:
        with torch.enable_grad():
            given = layer.fold.own(x, dim=layer.axis).detach().clone()
            if poisoned:
                torch.unflatten(given, layer.axis, (size, -1)).select(layer.axis, 0).fill_(float("nan"))
            shared = layer.fold.is_shared(x, dim=layer.axis)
            given = x.detach() if shared else given.requires_grad_()
            wanted = [*(p for p in layer.parameters() if p.requires_grad), *([] if shared else [given])]
            output = _output(layer, kernel, given)
            found = torch.autograd.grad(output.square().sum(), wanted) if wanted else ()
        of_rows = {id(output), id(found[-1])} if found and not shared else {id(output)}
        return [
            torch.unflatten(t.detach(), axis, (size, -1)).narrow(axis, 1, size - 1)
            for t in (output, *found)
            for axis in [layer.axis if id(t) in of_rows else 0]
        ]

    kept = [p.detach().clone() for p in layer.parameters()]
    poisoned = False
    healthy = results()
    poisoned = True
    for parameter in layer.parameters():
        parameter.data[0] = float("nan")
    ill = results()
    for parameter, value in zip(layer.parameters(), kept, strict=True):
        parameter.data.copy_(value)
    return all(torch.equal(a, b) for a, b in zip(healthy, ill, strict=True))


def _time(work: Callable[[], None], x: Tensor) -> float:
    _wait(x)
    begin = time.perf_counter()
    work()
    _wait(x)
    return time.perf_counter() - begin


def _wait(x: Tensor) -> None:
    if x.device.type == "cuda":
        torch.cuda.synchronize()
