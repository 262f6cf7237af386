"""Settings in which two modules differ, and whether setting them makes the outputs agree.

Not here: relations between values (`mlkit.debug.parity.hypotheses`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mlkit.debug.parity.measure import distance
from mlkit.engine.nonfinite import tensors_in

_SIMPLE = (int, float, bool, str, tuple, list, type(None))
_OF_NO_EFFECT = frozenset(["inplace", "call_super_init", "training"])
Call = tuple[tuple[Any, ...], dict[str, Any]]


def differences(mine: nn.Module, reference: nn.Module) -> dict[str, tuple[Any, Any]]:
    """Settings by name, with the value of mine and of the reference.

    >>> differences(nn.BatchNorm2d(3, eps=1e-3), nn.BatchNorm2d(3))
    {'eps': (0.001, 1e-05)}
    """
    one, other = _settings(mine), _settings(reference)
    found = {name: (one[name], other[name]) for name in one if name in other and one[name] != other[name]}
    for name, value in reference._parameters.items():
        if value is not None and mine._parameters.get(name) is None:
            found[name] = (None, "a parameter")
    for name, value in mine._parameters.items():
        if value is not None and reference._parameters.get(name) is None:
            found[name] = ("a parameter", None)
    if mine.training != reference.training:
        found["training"] = (mine.training, reference.training)
    return found


def told(found: Mapping[str, tuple[Any, Any]]) -> str:
    """Differences in words."""
    parts = []
    for name, (one, other) in found.items():
        if other == "a parameter":
            parts.append(f"it has no {name}, and the reference has one")
        elif one == "a parameter":
            parts.append(f"it has a {name}, and the reference has none")
        else:
            parts.append(f"{name} is {one!r} in place of {other!r}")
    return "; ".join(parts)


def prove(
    mine: nn.Module, reference: nn.Module, call: Call, wanted: list[Tensor], *, close: float
) -> tuple[dict[str, tuple[Any, Any]], bool]:
    """The fewest differences that, once mended in a copy of mine, give what the reference gave; and whether they do.

    Args:
        mine: the module.
        reference: its counterpart.
        call: arguments of the call that departs.
        wanted: what the reference returned.
        close: relative distance up to which values count as equal.
    """
    found = differences(mine, reference)
    for names in [*([name] for name in found), list(found)]:
        twin = copy.deepcopy(mine)
        for name in names:
            _mend(twin, reference, name)
        if names and _gives(twin, call, wanted, close):
            return {name: found[name] for name in names}, True
    return found, False


def other_use(mine: nn.Module, reference: nn.Module, call: Call, made: list[Tensor], *, close: float) -> str | None:
    """What would make the reference's module give what mine did: its other mode, or an input turned round."""
    modes = ("in evaluation mode", "in training mode")
    here, there = modes if not reference.training else modes[::-1]
    ours, theirs = copy.deepcopy(mine), copy.deepcopy(reference)
    ours.train(not mine.training)
    theirs.train(not reference.training)
    # Of a batch's statistics the reference is in the way: its buffers have moved. Mine, then: its mode is no matter.
    if _gives(theirs, call, made, close) or (_gives(ours, call, made, close) and _has_modes(theirs, reference, call)):
        return f"it computes {here} what it should {there}"
    args, kwargs = call
    if not args or not isinstance(args[0], Tensor):
        return None
    x = args[0]
    for axis in range(1, x.ndim):
        if _gives(copy.deepcopy(reference), ((x.flip(axis), *args[1:]), kwargs), made, close):
            return f"its input is reversed along axis {axis}"
    for axis in range(1, x.ndim - 1):
        turned = x.transpose(axis, axis + 1)
        if turned.shape == x.shape and _gives(copy.deepcopy(reference), ((turned, *args[1:]), kwargs), made, close):
            return f"axes {axis} and {axis + 1} of its input are exchanged"
    weight = reference._parameters.get("weight")
    if weight is not None and weight.ndim >= 2 and weight.shape[0] == weight.shape[1]:
        turned_module = copy.deepcopy(reference)
        turned_module._parameters["weight"] = nn.Parameter(weight.detach().transpose(0, 1).contiguous())
        if _gives(turned_module, call, made, close):
            return "its weight is transposed"
    return None


def _has_modes(other: nn.Module, module: nn.Module, call: Call) -> bool:
    """Whether a module and its twin in the other mode give different values."""
    args, kwargs = copy.deepcopy(call)
    with torch.no_grad():
        made = [t for t in tensors_in(copy.deepcopy(module)(*args, **kwargs)) if t.is_floating_point()]
    return not _gives(other, call, made, close=1e-9)


def _mend(twin: nn.Module, reference: nn.Module, name: str) -> None:
    if name in reference._parameters or name in twin._parameters:
        twin._parameters[name] = copy.deepcopy(reference._parameters.get(name))
        return
    if name == "training":
        twin.train(reference.training)
        return
    value = copy.deepcopy(getattr(reference, name))
    setattr(twin, name, value)
    if name in ("padding", "kernel_size", "dilation") and hasattr(twin, "_reversed_padding_repeated_twice"):
        twin._reversed_padding_repeated_twice = copy.deepcopy(reference._reversed_padding_repeated_twice)


def _gives(module: nn.Module, call: Call, wanted: list[Tensor], close: float) -> bool:
    args, kwargs = copy.deepcopy(call)
    try:
        with torch.no_grad():
            output = [tensor for tensor in tensors_in(module(*args, **kwargs)) if tensor.is_floating_point()]
    except Exception:  # a change that does not fit proves nothing
        return False
    return distance(output, wanted) <= close


def _settings(module: nn.Module) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in _OF_NO_EFFECT and isinstance(value, _SIMPLE)
    }
