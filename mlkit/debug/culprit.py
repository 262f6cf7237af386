"""Where numbers stopped being finite: the first op of a segment that made NaN or infinity out of finite numbers.

Works on a live trace, forwards on values and backwards on gradients. Not here: when to look (`mlkit.debug.locate`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.debug.trace import Op, Trace

HALF = (torch.float16, torch.bfloat16)
# Constants that masks are made of: an infinity that is meant.
_MASKING = (
    "masked_fill",
    "masked_fill_",
    "where",
    "full",
    "full_like",
    "fill_",
    "triu",
    "tril",
    "zeros",
    "__setitem__",
)


def of_loss(trace: Trace, loss: Tensor) -> dict[str, object]:
    """The op that first made a value on the way to a non-finite loss not finite; empty if the loss is finite."""
    if bool(torch.isfinite(loss.detach()).all()):
        return {}
    path = [op for op in trace.behind([loss]) if op.outputs]
    first = next((op for op in path if _has_nan(op.outputs) and not _has_nan(op.inputs)), None)
    if first is None or _has_infinity(first.inputs):
        # NaN came out of an infinity (0 * inf, inf - inf), or there is no NaN at all: who made the infinity?
        until = first.index if first is not None else len(trace.ops)
        wanted = {id(one) for one in first.inputs} if first is not None else set()
        made = [op for op in path if op.index < until and _makes_infinity(op)]
        direct = [op for op in made if any(id(one) in wanted for one in op.outputs)]
        first = next(iter(direct or made), first)
    return {"direction": "forward", **_described(first, path)} if first is not None else {}


def of_gradient(trace: Trace, loss: Tensor) -> dict[str, object]:
    """The op whose backward first made a gradient not finite; empty if all gradients are finite."""
    if not loss.requires_grad or not bool(torch.isfinite(loss.detach()).all()):
        return {}
    path = [op for op in trace.behind([loss]) if op.grad_enabled]
    tensors = {id(one): one for op in path for one in (*op.inputs, *op.outputs) if _can_have_gradient(one)}
    found = _gradients(loss, list(tensors.values()))
    gradients = dict(zip(tensors, found, strict=True))
    leaves = [one for number, one in gradients.items() if one is not None and tensors[number].is_leaf]
    if all(bool(torch.isfinite(one).all()) for one in leaves):
        return {}
    for op in reversed(path):
        after = [gradients.get(id(one)) for one in op.outputs]
        before = [gradients.get(id(one)) for one in op.inputs]
        came_in = [one for one in after if one is not None]
        went_out = [one for one in before if one is not None]
        if came_in and all(_is_finite(one) for one in came_in) and not all(_is_finite(one) for one in went_out):
            return {"direction": "backward", **_described(op, path)}
    return {}


def _can_have_gradient(tensor: Tensor) -> bool:
    return tensor.requires_grad and tensor.is_floating_point()


def _gradients(loss: Tensor, tensors: list[Tensor]) -> list[Tensor | None]:
    try:
        return list(torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True))
    except RuntimeError:  # one of them was written into: take them one by one
        found: list[Tensor | None] = []
        for tensor in tensors:
            try:
                found += torch.autograd.grad(loss, [tensor], retain_graph=True, allow_unused=True)
            except RuntimeError:
                found.append(None)
        return found


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def _has_nan(tensors: list[Tensor]) -> bool:
    return any(one.is_floating_point() and bool(torch.isnan(one.detach()).any()) for one in tensors)


def _has_infinity(tensors: list[Tensor]) -> bool:
    return any(one.is_floating_point() and bool(torch.isinf(one.detach()).any()) for one in tensors)


def _makes_infinity(op: Op) -> bool:
    return op.name not in _MASKING and _has_infinity(op.outputs) and not _has_infinity(op.inputs)


def _described(op: Op, path: list[Op]) -> dict[str, object]:
    floats = [one.detach().float() for one in op.inputs if one.is_floating_point() and one.numel()]
    finite = [one[torch.isfinite(one)] for one in floats]
    finite = [one for one in finite if one.numel()]
    makers = [before for before in path if before.index < op.index and _feeds(before, op)]
    return {
        "op": op.name,
        "site": op.site,
        "module": op.modules[-1] if op.modules else "",
        "input_min": min((float(one.min()) for one in finite), default=None),
        "input_max": max((float(one.max()) for one in finite), default=None),
        "zeros": sum(int((one == 0).sum()) for one in floats),
        # No weight had a part in it: this happened to the data, before they met the model.
        "is_data": not op.modules and not any(one.requires_grad for one in (*op.inputs, *op.outputs)),
        "is_half": any(one.dtype in HALF for one in op.inputs),
        # A value that half precision rounded on its way (1 - 1e-6 is 1 in bfloat16) is at fault though the op is exact.
        "from_half": any(one.dtype in HALF for before in makers for one in (*before.inputs, *before.outputs)),
    }


def _feeds(before: Op, op: Op) -> bool:
    made = {id(one) for one in before.outputs}
    return any(id(one) in made for one in op.inputs)
