"""Whether a sample's output changes when its batch is padded further, or cut to what its short half needs.

Not here: whether padding enters the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mlkit.debug.layers import line_of_layer, rerunnable, tolerant, weights_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.rerun import attributes_kept, batch_axes
from mlkit.debug.scene import Scene
from mlkit.debug.sequences import Padding, padding_of, told_padding
from mlkit.debug.trace import Call, Op, Trace, replay, tensors_in


@probe("padding", seconds=4.0)
@tolerant
def measure(scene: Scene) -> Measurement:
    """``change`` of the outputs, in units of their spread over the batch; ``how`` it was brought about; first op."""
    found = batch_axes(scene)
    if scene.call is None or found is None or any(one.requires_grad for one in scene.inputs):
        return _of_pieces(scene)
    rows = found[0]
    padding = next((pad for one in scene.inputs if (pad := padding_of(one, rows)) is not None), None)
    if padding is None or not _is_looked_up(scene, padding):
        padding = told_padding(scene.inputs, rows)
    if padding is None:
        return {}
    base_ops, base = _run(scene, scene.call, lambda value: value)
    for how, change, keep in _changes(padding, rows):
        try:
            ops, outputs = _run(scene, scene.call, change)
        except Exception:  # a model of one fixed length takes no other
            continue
        told = _compared(base, outputs, padding, keep, rows)
        if told is None:
            continue
        shift, per_step = told
        result: Measurement = {
            "change": shift,
            "how": how,
            "per_step": per_step,
            "pad": padding.pad,
            "shortest": min(padding.lengths),
            "longest": max(padding.lengths),
            "steps": padding.steps,
            "filled": max(padding.lengths) == padding.steps,
            "has_lengths": _has_lengths(scene, padding, rows),
            "kinds": sorted({op.name for op in base_ops} & _KINDS),
        }
        if shift > 1e-3:
            result.update(_first(scene, base_ops, ops, padding, keep, rows))
            return result
        return result if not per_step else _of_pieces(scene) or result
    return {}


def _of_pieces(scene: Scene) -> Measurement:
    """The same for a prediction that is made outside of one model's call: the ops replayed on more padding."""
    if not scene.heads or scene.head is None or scene.head.target is None or not scene.heads[0].prediction.dim():
        return {}
    prediction, rows = scene.heads[0].prediction, int(scene.heads[0].prediction.shape[0])
    ops = rerunnable(scene.trace.behind([prediction]), weights_of(scene))
    given = [one for op in ops if op.name == "embedding" for one in op.inputs if not one.is_floating_point()]
    padding = next((pad for one in given if (pad := padding_of(one, rows)) is not None), None)
    if padding is None or any("batch_norm" in op.name for op in ops):
        return {}
    longer = _longer(padding, padding.steps)(padding.tensor)
    try:
        with torch.no_grad():
            base, after = (replay(ops, {id(padding.tensor): one}) for one in (padding.tensor, longer))
    except Exception:  # an op whose arguments know the length
        return {}
    one, two = base.get(id(prediction)), after.get(id(prediction))
    if not isinstance(one, Tensor) or not isinstance(two, Tensor) or one.shape != two.shape:
        return {}
    result: Measurement = {
        "change": _shift(one.reshape(rows, -1), two.reshape(rows, -1), one.reshape(rows, -1)),
        "how": "more padding",
        "per_step": False,
        "pad": padding.pad,
        "shortest": min(padding.lengths),
        "longest": max(padding.lengths),
        "steps": padding.steps,
        "filled": max(padding.lengths) == padding.steps,
        "has_lengths": False,
        "kinds": sorted({op.name for op in ops} & _KINDS),
    }
    every = list(range(rows))
    for op in ops:
        for old in op.outputs:
            left, right = base.get(id(old)), after.get(id(old))
            is_used = any(old is used for other in ops for used in other.inputs) or old is prediction
            is_pair = isinstance(left, Tensor) and isinstance(right, Tensor) and is_used
            if is_pair and _own_moved(left, right, padding, every, rows):  # type: ignore[arg-type]
                return {**result, "op": op.name, "site": op.site, "module": ""}
    return result


_KINDS = frozenset(
    [
        "lstm",
        "gru",
        "rnn_tanh",
        "rnn_relu",
        "conv1d",
        "conv2d",
        "max",
        "amax",
        "max_pool1d",
        "adaptive_max_pool1d",
        "mean",
        "sum",
    ]
)
Change = Callable[[Any], Any]


def _is_looked_up(scene: Scene, padding: Padding) -> bool:
    """Whether the numbers are looked up in a table, as tokens are."""
    return any(
        op.name in ("embedding", "embedding_bag", "one_hot")
        and any(one.numel() == padding.tensor.numel() and not one.is_floating_point() for one in op.inputs)
        for op in scene.trace.ops
    )


def _run(scene: Scene, call: Call, change: Change) -> tuple[list[Op], list[Tensor]]:
    """The model in evaluation mode on changed arguments; its ops, and what it returned."""
    session = scene.session
    args = tuple(_mapped(one, change) for one in call.args)
    kwargs = {name: _mapped(one, change) for name, one in call.kwargs.items()}
    call.module.eval()
    torch.manual_seed(0)
    with torch.no_grad():
        session.trace = Trace()
        session.record_in_child()
        try:
            with attributes_kept(call.module):
                output = call.module(*args, **kwargs)
        finally:
            session.is_recording = session.is_tracing = False
    return session.trace.ops, tensors_in(output)


def _mapped(value: Any, change: Change) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_mapped(item, change) for item in value))
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and not all(isinstance(item, int) for item in value):
        return type(value)(_mapped(item, change) for item in value)
    return change(value)


def _changes(padding: Padding, rows: int) -> list[tuple[str, Change, list[int]]]:
    """Ways to change the padding only: more columns of it, or fewer around the short samples."""
    every = list(range(rows))
    order = sorted(every, key=lambda row: padding.lengths[row])
    short = sorted(order[: max(2, rows // 2)])
    width = max(padding.lengths[row] for row in short) + 1
    # As much again, so that a mean shows it; a few only where positions are limited.
    found: list[tuple[str, Change, list[int]]] = [
        ("more padding", _longer(padding, more), every) for more in (padding.steps, 3)
    ]
    if width < padding.steps:
        found.append(("shorter neighbours", _cut(padding, rows, short, width), short))
    return found


def _longer(padding: Padding, more: int) -> Change:
    def change(value: Any) -> Any:
        if value is padding.tensor:
            shape = list(value.shape)
            shape[padding.time_axis] = more
            return torch.cat([value, value.new_full(shape, padding.pad)], padding.time_axis)
        if not isinstance(value, Tensor) or value.dim() < 2 or value.shape[:2] != padding.tensor.shape[:2]:
            return value
        last = value.select(padding.time_axis, padding.steps - 1)
        row = min(range(len(padding.lengths)), key=lambda one: padding.lengths[one])
        filler = last.select(0, row)  # what stands there where the padding is: a mask's "no", a type's number
        shape = list(value.shape)
        shape[padding.time_axis] = more
        return torch.cat(
            [value, filler.expand(shape) if filler.dim() == 0 else value.new_zeros(shape)], padding.time_axis
        )

    return change


def _cut(padding: Padding, rows: int, short: list[int], width: int) -> Change:
    def change(value: Any) -> Any:
        if isinstance(value, (list, tuple)) and len(value) == rows:
            return type(value)(value[row] for row in short)
        if not isinstance(value, Tensor) or value.dim() == 0:
            return value
        index = torch.tensor(short, device=value.device)
        if value.dim() >= 2 and value.shape[:2] == padding.tensor.shape[:2]:
            return value.index_select(padding.batch_axis, index).narrow(padding.time_axis, 0, width)
        if value.shape[0] == rows:
            return value.index_select(0, index)
        if value.dim() == 2 and value.shape[0] == value.shape[1] == padding.steps:
            return value[:width, :width]
        return value

    return change


def _compared(
    base: list[Tensor], outputs: list[Tensor], padding: Padding, keep: list[int], rows: int
) -> tuple[float, bool] | None:
    """The change of the first output with a sample an entry, and whether it has one for each step."""
    for one, two in zip(base, outputs, strict=False):
        if not one.is_floating_point() or one.dim() < 1:
            continue
        if one.shape[0] == rows and two.shape[0] == len(keep) and one.shape[1:] == two.shape[1:] and rows > 1:
            if one.dim() > 1 and one.shape[1] == padding.steps and padding.steps != two.shape[1]:
                continue
            return _shift(one[keep].reshape(len(keep), -1), two.reshape(len(keep), -1), one.reshape(rows, -1)), False
        if one.dim() >= 2 and tuple(one.shape[:2]) == tuple(padding.tensor.shape):
            first, second = (each.movedim(padding.batch_axis, 0) for each in (one, two))
            if second.shape[0] != len(keep):
                continue
            valid = [(row, place, step) for place, row in enumerate(keep) for step in range(padding.lengths[row])]
            left = torch.stack([first[row, step].reshape(-1) for row, _, step in valid])
            right = torch.stack([second[place, step].reshape(-1) for _, place, step in valid])
            return _shift(left, right, left), True
    return None


def _shift(one: Tensor, two: Tensor, every: Tensor) -> float:
    spread = float(every.float().std(0).mean()) + 1e-4 * float(every.abs().max()) + 1e-12
    return float((one.float() - two.float()).abs().mean()) / spread


def _has_lengths(scene: Scene, padding: Padding, rows: int) -> bool:
    """Whether the model is told where the padding begins: lengths or a mask among its arguments."""
    assert scene.call is not None
    wanted = padding.lengths
    for one in scene.inputs:
        if one is padding.tensor:
            continue
        if one.dim() == 1 and one.shape[0] == rows and [int(value) for value in one] == wanted:
            return True
        if one.dim() == 2 and one.shape == padding.tensor.shape:
            counts = (one != 0).movedim(padding.batch_axis, 0).sum(1).tolist()
            if counts in (wanted, [padding.steps - length for length in wanted]):
                return True
    return any(
        isinstance(one, (list, tuple)) and list(one) == wanted
        for one in (*scene.call.args, *scene.call.kwargs.values())
    )


def _first(
    scene: Scene, base: list[Op], after: list[Op], padding: Padding, keep: list[int], rows: int
) -> dict[str, object]:
    """The first op that is used further on, in which a sample's own values moved."""
    if [op.name for op in base] != [op.name for op in after]:
        return {"op": "", "site": scene.call.site if scene.call is not None else None}
    used = {id(one) for op in base for one in op.inputs} | {id(one) for op in base[-1:] for one in op.outputs}
    for op, other in zip(base, after, strict=True):
        for one, two in zip(op.outputs, other.outputs, strict=False):
            if id(one) in used and _own_moved(one, two, padding, keep, rows):
                kinds = ("lstm", "gru", "rnn", "conv")
                site = line_of_layer(scene, op) if op.name.startswith(kinds) and not op.modules else op.site
                return {"op": op.name, "site": site, "module": op.modules[-1] if op.modules else ""}
    return {"op": "", "site": scene.call.site if scene.call is not None else None}


def _own_moved(one: Tensor, two: Tensor, padding: Padding, keep: list[int], rows: int) -> bool:
    if not one.is_floating_point() or one.dim() != two.dim() or one.dim() < 2 or one.shape[-1] != two.shape[-1]:
        return False
    grown = [
        axis for axis in range(one.dim()) if one.shape[axis] != two.shape[axis] and one.shape[axis] == padding.steps
    ]
    axes = [axis for axis in range(min(2, one.dim())) if one.shape[axis] == rows and axis not in grown]
    if not axes or len(grown) > 1:
        return False
    batch = axes[0]
    if len(keep) == two.shape[batch]:
        left, right = one.movedim(batch, 0)[keep], two.movedim(batch, 0)
    else:
        return False
    if not grown:
        return left.shape == right.shape and _shift(left.flatten(1), right.flatten(1), left.flatten(1)) > 1e-4
    time = grown[0] if grown[0] > batch else grown[0] + 1
    left, right = left.movedim(time, 1), right.movedim(time, 1)
    pairs = [
        (place, step) for place, row in enumerate(keep) for step in range(min(padding.lengths[row], right.shape[1]))
    ]
    first = torch.stack([left[place, step].reshape(-1) for place, step in pairs])
    second = torch.stack([right[place, step].reshape(-1) for place, step in pairs])
    return first.shape == second.shape and _shift(first, second, first) > 1e-4
