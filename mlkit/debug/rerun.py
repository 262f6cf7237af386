"""Run the model again in a forked child with other inputs, and compare what every op gave, op by op.

Not here: what is changed in the inputs, and what a difference means.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from mlkit.debug.scene import Scene
from mlkit.debug.trace import Op, Trace, replay, tensors_in

Steps = list[tuple[Op, list[Tensor]]]
"""Ops in order, each with the tensors that it gave."""


def recorded(scene: Scene, values: Mapping[int, Tensor], *, training: bool = False, remembers: bool = False) -> Steps:
    """Call the main model with some inputs replaced, then replay the ops up to where prediction meets target.

    Without modules, all ops up to there are replayed instead. The seed is the same in every run.

    Args:
        scene: in a forked child.
        values: id of an input tensor -> what to give in its place.
        training: mode of the model.
        remembers: whether what the model keeps of this call in its attributes stays; else every run is a first one.
    """
    with torch.no_grad():
        if scene.call is None:
            return _replayed(scene, values)
        session = scene.session
        session.trace = Trace()
        session.record_in_child()
        kept = contextlib.nullcontext() if remembers else attributes_kept(scene.call.module)
        with kept:
            output = scene.forward(values, training=training)
        session.is_recording = session.is_tracing = False
        steps = [(op, op.outputs) for op in session.trace.ops]
        exchange = {id(old): new for old, new in zip(scene.outputs, tensors_in(output), strict=False)}
        known = replay(after_model(scene), exchange)
        steps += [(op, [_known(known, one) for one in op.outputs]) for op in after_model(scene)]
    return steps


@contextlib.contextmanager
def attributes_kept(root: nn.Module) -> Iterator[None]:
    """Give a model's attributes their values back at the end: a state that it keeps from call to call."""
    saved = [(part, dict(vars(part)), dict(part._buffers)) for part in root.modules()]
    try:
        yield
    finally:
        for part, attributes, buffers in saved:
            training = part.training
            vars(part).update(attributes)
            part._buffers.clear()
            part._buffers.update(buffers)
            part.training = training


def after_model(scene: Scene) -> list[Op]:
    """The ops between the main model's output and the first place where it meets a target."""
    assert scene.call is not None
    if not scene.heads:
        return []
    head = scene.heads[0]
    ops = scene.trace.behind([head.prediction], stop=scene.outputs)
    return [op for op in ops if scene.call.stop <= op.index < head.op.index]


def _replayed(scene: Scene, values: Mapping[int, Tensor]) -> Steps:
    if not scene.heads:
        return []
    ops = scene.trace.behind([scene.heads[0].prediction])
    known = replay(ops, values)
    return [(op, [_known(known, one) for one in op.outputs]) for op in ops]


def _known(known: Mapping[int, object], tensor: Tensor) -> Tensor:
    value = known.get(id(tensor), tensor)
    return value if isinstance(value, Tensor) else tensor


def batch_axes(scene: Scene) -> tuple[int, dict[int, int]] | None:
    """The size of the batch, and the batch axis of each input that has one: ``(B, {id: axis})``; None if unknown.

    The target's first axis tells the size where an input has an axis of that size; else the inputs' own first axis.
    """
    inputs = [one for one in scene.inputs if one.dim()]
    if not inputs:
        return None
    wanted = [head.target.shape[0] for head in scene.heads if head.target is not None and head.target.dim()]
    wanted += [one.shape[0] for one in scene.outputs if one.dim()]
    for size in (*wanted, inputs[0].shape[0]):
        axes = {}
        for one in inputs:
            axis = next((axis for axis in (0, 1) if one.dim() > axis and one.shape[axis] == size), None)
            if axis is not None:
                axes[id(one)] = axis
        if axes and size > 1:
            return size, axes
    return None


def sample_views(tensor: Tensor, size: int, index: int) -> list[Tensor]:
    """Every way in which a sample of the batch may lie in a tensor: along an axis of its size, or in flattened rows."""
    views = [tensor.select(axis, index) for axis in range(min(tensor.dim(), 3)) if tensor.shape[axis] == size]
    if tensor.dim() and tensor.shape[0] > size and tensor.shape[0] % size == 0:
        each = tensor.shape[0] // size
        views += [tensor[index * each : (index + 1) * each], tensor[index::size]]
    return views


def moved(first: Tensor, second: Tensor, *, tolerance: float = 1e-4) -> bool:
    """Whether two versions of a tensor differ by more than rounding, relative to the first's own size."""
    if first.shape != second.shape:
        return True
    if not first.numel():
        return False
    if not first.is_floating_point():
        return not torch.equal(first, second)
    first, second = first.float(), second.float()
    both = torch.isfinite(first) & torch.isfinite(second)
    if not bool(both.any()):
        return False
    scale = float(first[both].abs().max()) + 1e-12
    return float((first[both] - second[both]).abs().max()) > tolerance * scale
