"""How the losses of single samples are joined to the number on which backward is called: a mean, a sum, by what factor.

Measured as the gradient of the loss by what each reduction returned, so a factor written anywhere on the way counts.
Not here: whether the step size fits (`loss.reduction-scale`), or the window (`step.accumulation-unscaled`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.debug.graph import leaves_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import LOSSES, Scene
from mlkit.debug.trace import Op, tensors_in

_SUMS, _MEANS = ("sum", "nansum", "logsumexp"), ("mean", "nanmean", "median")


@probe("reduction")
def measure(scene: Scene) -> Measurement:
    """``weight``: what all samples of the batch count together: 1 for their mean, the batch size for their sum."""
    loss = scene.loss
    if loss is None or loss.numel() != 1:
        return {}
    found: list[tuple[Op, str, Tensor, int]] = []
    for op in scene.path:
        kind = _kind(op)
        output = next((one for one in op.outputs if one.requires_grad), None)
        if kind is None or output is None or output.numel() != 1:
            continue
        wide = max((one.numel() for one in op.inputs if one.requires_grad), default=1)
        if wide > 1 and _is_of_data(scene, op):
            found.append((op, kind, output, wide))
    if not found:
        return {}
    outputs = [output for _, _, output, _ in found]
    factors = torch.autograd.grad(loss, outputs, retain_graph=True, allow_unused=True)
    rows = scene.batch_size or 1
    joined = []
    for (op, kind, _, wide), factor in zip(found, factors, strict=True):
        if factor is None:  # torch's stubs do not know allow_unused
            continue  # type: ignore[unreachable]
        weight = float(factor.sum())
        joined.append((op, kind, weight * rows if kind == "sum" else weight, wide))
    if not joined:
        return {}
    op, kind, weight, wide = max(joined, key=lambda one: abs(one[2]))
    return {"kind": kind, "weight": weight, "rows": rows, "elements": wide, "site": op.site, "count": len(joined)}


def _kind(op: Op) -> str | None:
    if op.error is not None:
        return None
    if op.name in LOSSES:
        return str(op.kwargs.get("reduction", "mean"))
    return "sum" if op.name in _SUMS else "mean" if op.name in _MEANS else None


def _is_of_data(scene: Scene, op: Op) -> bool:
    """Whether what is reduced comes from the model's calls (or, without modules, from what the batch entered)."""
    assert scene.loss is not None
    loss_is_inside = any(one is scene.loss for call in scene.model_calls for one in tensors_in(call.output))
    if not loss_is_inside and any(call.start <= op.index < call.stop for call in scene.model_calls):
        return False
    reached = {id(one) for call in scene.model_calls for one in _made(scene, call.start, call.stop)}
    if not reached or loss_is_inside:
        behind = [op, *scene.trace.behind([one for one in op.inputs if one.requires_grad], stop=leaves_of(scene.loss))]
        return any(not one.requires_grad and one.dim() and one.numel() > 1 for o in behind for one in o.inputs)
    behind = scene.trace.behind([one for one in op.inputs if one.requires_grad])
    return any(id(one) in reached for one in op.inputs) or any(id(one) in reached for o in behind for one in o.inputs)


def _made(scene: Scene, start: int, stop: int) -> list[Tensor]:
    return [one for op in scene.trace.ops[start:stop] for one in op.outputs]
