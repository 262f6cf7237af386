"""Where two tensors of one value a sample are joined to a table of every sample with every other.

Not here: tables that are meant (distances between all pairs, contrastive scores), told apart by how they are made.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mlkit.debug.origin import root
from mlkit.debug.probes import Measurement
from mlkit.debug.scene import Scene
from mlkit.debug.trace import Op

_JOINING = frozenset(
    [
        "sub",
        "add",
        "mul",
        "div",
        "__sub__",
        "__add__",
        "__mul__",
        "__truediv__",
        "__rsub__",
        "__radd__",
        "__rmul__",
        "__rtruediv__",
        "rsub",
        "true_divide",
        "subtract",
        "multiply",
        "divide",
        "pow",
        "__pow__",
        "maximum",
        "minimum",
        "max",
        "min",
        "where",
        "eq",
        "ne",
        "__eq__",
        "__ne__",
        "square_difference",
        "__isub__",
        "__iadd__",
        "__imul__",
        "sub_",
        "add_",
        "mul_",
        "div_",
        "dist",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "poisson_nll_loss",
        "soft_margin_loss",
        "logaddexp",
        "gt",
        "lt",
        "ge",
        "le",
        "__gt__",
        "__lt__",
        "__and__",
        "__or__",
        "logical_and",
        "logical_or",
        "atan2",
        "hypot",
        "lerp",
        "addcmul",
        "xlogy",
        "kl_div",
    ]
)
_RISING = frozenset(["unsqueeze", "__getitem__", "view", "reshape", "unsqueeze_", "expand_dims"])


def measure(scene: Scene) -> Measurement:
    """The first op on the way to the loss that makes such a table, and whether the loss is another one without."""
    if scene.loss is None:
        return {}
    for op in scene.path:
        pair = outer(scene, op)
        if pair is None or not any(one.requires_grad for one in pair):
            continue
        if is_of_model(scene, op):
            continue
        tall, flat = pair
        aligned = _aligned(scene, tall, flat)
        value = float(scene.loss.detach())
        if aligned is not None and abs(aligned - value) <= 1e-5 * (abs(value) + 1e-6):
            continue
        return {
            "op": op.name,
            "site": op.site,
            "shapes": [str(tuple(tall.shape)), str(tuple(flat.shape))],
            "table": str(_table(tall, flat)),
            "loss": value,
            "aligned": aligned,
            "axis": tall.dim() - flat.dim(),
            "is_weight": not any(head.op is op for head in scene.heads) and not all(one.requires_grad for one in pair),
        }
    return {}


def is_of_model(scene: Scene, op: Op) -> bool:
    """Whether an op is of a model's own computing, before any prediction met its target."""
    first = min((head.op.index for head in scene.heads), default=len(scene.trace.ops))
    return op.index < first and any(call.start <= op.index < call.stop for call in scene.model_calls)


def outer(scene: Scene, op: Op) -> tuple[Tensor, Tensor] | None:
    """The taller and the flatter of two tensors that an op joins to a table of samples, unasked; else None."""
    if op.name not in _JOINING or op.error is not None:
        return None
    given = [one for one in op.inputs if one.dim() and one.numel() > 1]
    if len(given) == 3:  # where(condition, a, b)
        given = given[1:]
    if len(given) != 2 or given[0] is given[1]:
        return None
    tall, flat = sorted(given, key=lambda one: -one.dim())
    size = tall.shape[0]
    if size < 2:
        return None
    if tall.dim() == flat.dim():
        if not _is_row_and_column(tall, flat):
            return None
    else:
        # (N, 1, …) and (N, …): the flat one is taken for one sample, its samples for the axis that is 1 in the
        # tall one.
        place = tall.dim() - flat.dim()
        if flat.shape[0] != size or tall.shape[place] != 1:
            return None
    table = _table(tall, flat)
    if table is None or math.prod(table) <= max(tall.numel(), flat.numel()):
        return None
    return None if _is_meant(scene, op, tall, flat) else (tall, flat)


def _table(one: Tensor, other: Tensor) -> tuple[int, ...] | None:
    """The shape that two tensors broadcast to, or None where they do not."""
    width = max(one.dim(), other.dim())
    sizes = [(1,) * (width - given.dim()) + tuple(given.shape) for given in (one, other)]
    if any(a != b and 1 not in (a, b) for a, b in zip(*sizes, strict=True)):
        return None
    return tuple(b if a == 1 else a for a, b in zip(*sizes, strict=True))


def _is_row_and_column(one: Tensor, other: Tensor) -> bool:
    shapes = sorted([tuple(one.shape), tuple(other.shape)])
    return one.dim() == 2 and shapes == [(1, one.numel()), (one.numel(), 1)]


def _is_meant(scene: Scene, op: Op, tall: Tensor, flat: Tensor) -> bool:
    """Whether all pairs were asked for: of one tensor with itself, or by an axis that the same expression adds."""
    if root(scene, tall) is root(scene, flat):
        return True
    producers = scene.trace.producers()
    raised = [
        made
        for one in (tall, flat)
        if (made := producers.get(id(one))) is not None and made.name in _RISING and made.inputs[0].dim() < one.dim()
    ]
    if tall.dim() == flat.dim():
        return len(raised) == 2 or all(one.requires_grad for one in (tall, flat))
    return any(made.site == op.site for made in raised) and not op.name.endswith("_loss")


def _aligned(scene: Scene, tall: Tensor, flat: Tensor) -> float | None:
    """What the loss would be with the two aligned, sample by sample; None where it cannot be computed."""
    assert scene.loss is not None
    shape = flat.shape if tall.numel() == flat.numel() else tall.squeeze(tall.dim() - flat.dim()).shape
    if tall.dim() == flat.dim():
        shape = flat.shape
    try:
        with torch.no_grad():
            return float(scene.loss_of({id(tall): tall.detach().reshape(shape)}))
    except Exception:  # what follows needs the other shape
        return None
