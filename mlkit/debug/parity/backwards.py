"""Which module hands back another gradient, when it gets the same input and the same gradient of its output.

Not here: gradients of weights in the whole model (`mlkit.debug.parity.compare`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlkit.debug.parity.events import Recording
from mlkit.debug.parity.hypotheses import explain
from mlkit.debug.parity.measure import distance
from mlkit.debug.parity.report import Departure
from mlkit.engine.nonfinite import tensors_in
from mlkit.runtime import rng
from mlkit.runtime.keys import generator


@dataclass(frozen=True)
class _Back:
    """What came back through a module: the gradients of its floating inputs, None where there is none."""

    inputs: list[Tensor | None]
    given: list[Tensor]


def culprit(
    mine: nn.Module, reference: nn.Module, named: Mapping[str, str], run: Recording, allowed: float
) -> Departure | None:
    """The innermost module whose backward pass departs by itself; None where each agrees.

    Args:
        mine: in training mode.
        reference: likewise.
        named: modules of mine to those of the reference.
        run: of the reference, in training mode; the arguments of its calls are taken.
        allowed: relative distance that rounding explains.
    """
    found: list[Departure] = []
    for name, there in named.items():
        call = run.calls.get((there, 0))
        if call is None:
            continue
        try:
            a, b = mine.get_submodule(name), reference.get_submodule(there)
        except AttributeError:
            continue
        one, other = _back(a, call), _back(b, call)
        if one is None or other is None:
            continue
        told = _difference(one, other, allowed)
        if told is not None:
            gap, how = told
            kind = type(a).__name__
            where = "the gradient that it hands back to its input"
            found.append(Departure("gradients", name, kind, there, where, gap, allowed, how, proven=how is not None))
    inner = [one for one in found if not any(_holds(one.module, other.module) for other in found)]
    return inner[0] if inner else None


def _back(module: nn.Module, call: tuple[tuple[Any, ...], dict[str, Any]]) -> _Back | None:
    """The gradients of the inputs for a fixed random gradient of the outputs; None where there are no inputs."""
    twin = copy.deepcopy(module)
    args, kwargs = copy.deepcopy(call)
    inputs = [tensor for tensor in tensors_in([*args, *kwargs.values()]) if tensor.is_floating_point()]
    if not inputs:
        return None
    for tensor in inputs:
        tensor.requires_grad_()
    try:
        with rng.preserved(), torch.enable_grad():
            rng.seed_everything(0)
            # A copy, since a module may write into what it gets, which a leaf refuses.
            output = twin(*_through(args), **_through(kwargs))
            outputs = [one for one in tensors_in(output) if one.is_floating_point() and one.requires_grad]
            given = [torch.randn(one.shape, generator=generator(0, "back"), dtype=one.dtype) for one in outputs]
            found = (
                torch.autograd.grad(outputs, inputs, given, allow_unused=True) if outputs else [None for _ in inputs]
            )
    except RuntimeError:  # a module that cannot be run by itself is judged in the whole
        return None
    return _Back(list(found), given)


def _through(value: Any) -> Any:
    """The same values behind a copy that gradients pass through."""
    if isinstance(value, Tensor):
        return value.clone() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: _through(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_through(item) for item in value)
    return value


def _difference(one: _Back, other: _Back, allowed: float) -> tuple[float, str | None] | None:
    for a, b in zip(one.inputs, other.inputs, strict=False):
        if a is None and b is None:
            continue
        if a is None or (b is not None and not bool(a.any()) and bool(b.any())):
            return math.inf, "no gradient comes back through it: the graph is cut in it"
        if b is None:
            return math.inf, "a gradient comes back through it, and none through the reference's"
        gap = distance([a], [b])
        if gap > allowed:
            return gap, _way(a, b, other.given, allowed)
    return None


def _way(a: Tensor, b: Tensor, given: list[Tensor], allowed: float) -> str | None:
    missing = b - a
    for gradient in given:
        if gradient.shape == missing.shape:
            # Where the gap is not zero it is the gradient of the output, behind an activation perhaps.
            is_part = missing.abs() > 1e-9 * float(missing.abs().max())
            if bool(is_part.any()) and distance([missing], [torch.where(is_part, gradient, 0.0)]) <= max(allowed, 1e-9):
                return "the gradient of the residual path is missing: it is detached"
    return explain(a, b, [], close=max(allowed, 1e-11))


def _holds(outer: str, inner: str) -> bool:
    return outer != inner and (not outer or inner.startswith(f"{outer}."))
