"""Whether the output of one sample depends on the other samples of its batch, and which op mixes them first.

Not here: dependence on padding or on later time steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.debug.probes import Measurement, probe
from mlkit.debug.rerun import Steps, batch_axes, moved, recorded, sample_views
from mlkit.debug.scene import Scene
from mlkit.debug.trace import Op, modules_by_name


@probe("independence", seconds=4.0)
def independence(scene: Scene) -> Measurement:
    """Replace all samples but one by copies of a neighbour: the output of the one that stayed must stay too."""
    found = batch_axes(scene)
    if found is None:
        return {}
    size, axes = found
    if size < 3 or _is_graph(scene, size):
        return {}
    index = size // 2  # in the middle: a batch that is taken for time leaks from earlier rows only
    values = {id(one): _others_replaced(one, axes[id(one)], index) for one in scene.inputs if id(one) in axes}
    base, changed = recorded(scene, {}), recorded(scene, values)
    if not base or [op.name for op, _ in base] != [op.name for op, _ in changed]:
        return {}
    dirty = _first_dirty(base, changed, size, index)
    result: Measurement = {"batch_size": size, "ops": len(base), "is_mixed": _ends_dirty(base, changed, size, index)}
    if dirty is None or not result["is_mixed"] or _is_one_sequence(dirty, size):
        return {**result, "is_mixed": False}
    return {**result, **_described(scene, dirty, size)}


def _others_replaced(tensor: Tensor, axis: int, index: int) -> Tensor:
    size = tensor.shape[axis]
    rows = torch.full((size,), (index + 1) % size, device=tensor.device)
    rows[index] = index
    return tensor.detach().index_select(axis, rows)


def _is_graph(scene: Scene, size: int) -> bool:
    """Nodes of one graph depend on each other by design: an adjacency, sparse tensor or list of edges is at hand."""
    buffers = [one for call in scene.model_calls for one in call.module.buffers()]
    for one in (*scene.inputs, *buffers):
        is_edges = one.dim() == 2 and one.shape[0] == 2 and not one.is_floating_point()
        if one.layout != torch.strided or is_edges or (one.dim() == 2 and one.shape[0] == one.shape[1] == size):
            return True
    return False


def _first_dirty(base: Steps, changed: Steps, size: int, index: int) -> Op | None:
    """The first op whose output moves for the sample that stayed, in every way in which it may lie there."""
    for (op, before), (_, after) in zip(base, changed, strict=True):
        for one, other in zip(before, after, strict=False):
            if _is_square(one, size) and not any(_is_square(given, size) for given in op.inputs):
                return None  # every sample against every other: a contrastive model
            if one.shape == other.shape and _is_dirty(one, other, size, index):
                return op
    return None


def _is_square(tensor: Tensor, size: int) -> bool:
    return tensor.dim() >= 2 and tensor.shape[0] == tensor.shape[1] == size


def _is_dirty(one: Tensor, other: Tensor, size: int, index: int) -> bool:
    views = zip(sample_views(one, size, index), sample_views(other, size, index), strict=True)
    states = [moved(first, second) for first, second in views]
    return bool(states) and all(states)


def _ends_dirty(base: Steps, changed: Steps, size: int, index: int) -> bool:
    """Whether the last op that still has samples gives another result for the one that stayed."""
    for (_, before), (_, after) in zip(reversed(base), reversed(changed), strict=True):
        pairs = [(one, other) for one, other in zip(before, after, strict=False) if sample_views(one, size, index)]
        floats = [(one, other) for one, other in pairs if one.is_floating_point() and one.shape == other.shape]
        if floats:
            return all(_is_dirty(one, other, size, index) for one, other in floats)
    return False


def _is_one_sequence(op: Op, size: int) -> bool:
    """Whether the axis taken for the batch is the time of one sequence: the layer has a batch of 1, or none."""
    if op.name not in (
        "lstm",
        "gru",
        "rnn_tanh",
        "rnn_relu",
        "scaled_dot_product_attention",
        "softmax",
        "bmm",
        "matmul",
    ):
        return False
    shape = list(op.inputs[0].shape) if op.inputs else []
    if op.name in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        return len(shape) == 2 or 1 in shape[:2]
    return len(shape) >= 2 and shape[-2] == size and shape[0] != size


def _described(scene: Scene, op: Op, size: int) -> Measurement:
    owner = None
    for call in scene.model_calls:
        for name, module in modules_by_name(call.module):
            if op.modules and name == op.modules[-1]:
                owner = module
    axis = op.argument(1, "dim") if "softm" in op.name else None
    shape = tuple(op.inputs[0].shape) if op.inputs else ()
    return {
        "op": op.name,
        "site": op.site,
        "module": op.modules[-1] if op.modules else "",
        "module_kind": type(owner).__name__ if owner is not None else "",
        "module_site": scene.session.modules.made_at(owner) if owner is not None else None,
        "batch_first": getattr(owner, "batch_first", None),
        "shape": str(shape),
        "output_shape": str(tuple(op.outputs[0].shape)) if op.outputs else "",
        "over_batch": isinstance(axis, int) and bool(shape) and shape[axis] == size and axis in (0, -len(shape)),
    }
