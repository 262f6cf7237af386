"""In a next-step task: whether the prediction at one time depends on later inputs, and which op lets them in.

Not here: encoders that may see the whole sequence; the task is told by targets that are the inputs, one step on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.debug.layers import tolerant
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.rerun import Steps, moved, recorded
from mlkit.debug.scene import Scene
from mlkit.debug.sequences import NextStep, by_time, next_step
from mlkit.debug.sites import Site
from mlkit.debug.trace import Op, modules_by_name, replay

_MASKING = frozenset(
    [
        "masked_fill",
        "masked_fill_",
        "where",
        "add",
        "__add__",
        "__radd__",
        "__iadd__",
        "mul",
        "__mul__",
        "__rmul__",
        "sub",
        "__sub__",
    ]
)
_MAKING = frozenset(["triu", "tril", "ones", "zeros", "full", "triu_", "tril_", "ones_like", "eye"])


@probe("causality", seconds=4.0)
@tolerant
def measure(scene: Scene) -> Measurement:
    """``leaks``: by how much the past's prediction moves when the future of the input is exchanged, and ``site``."""
    head = scene.head
    if head is None or head.target is None or any(one.requires_grad for one in scene.inputs):
        return {}
    base = recorded(scene, {})
    entries, task = _task(scene, base, head.target)
    if task is None:
        return {}
    time_first = task.time_axis == 0
    cut = max(1, task.predicted // 2)
    changed = _with_other_future(task, cut)
    if entries:
        with torch.no_grad():
            ops = [op for op, _ in base]
            known = replay(ops, {id(task.tensor): changed})
        after: Steps = [(op, [_value(known, one) for one in outs]) for op, outs in base]
    else:
        after = recorded(scene, {id(task.tensor): changed})
    if [op.name for op, _ in base] != [op.name for op, _ in after]:
        return {}
    found = _first_leak(base, after, task, cut)
    last = next((pair for pair in _pairs(reversed(base), reversed(after)) if _past(pair, task, cut) is not None), None)
    leaks = last is not None and _past(last, task, cut) is True
    result: Measurement = {"leaks": bool(leaks), "steps": task.steps, "cut": cut, "time_first": time_first}
    if not leaks or found is None:
        return {**result, "leaks": False}
    mask = _mask_of(base, found)
    return {
        **result,
        "op": found.name,
        "module": found.modules[-1] if found.modules else "",
        "site": _mask_made(scene, mask) or _line(scene, found),
        "masked": mask is not None,
    }


def _task(scene: Scene, base: Steps, target: Tensor) -> tuple[bool, NextStep | None]:
    """The next-step input: one of the model's own, or token numbers that are looked up within it."""
    task = next_step(scene, scene.inputs, target)
    if task is not None:
        return False, task
    inside = [
        one for op, _ in base if op.name in ("embedding", "one_hot") for one in op.inputs if not one.is_floating_point()
    ]
    return True, next_step(scene, inside, target)


def _value(known: dict[int, object], tensor: Tensor) -> Tensor:
    value = known.get(id(tensor), tensor)
    return value if isinstance(value, Tensor) else tensor


def _with_other_future(task: NextStep, cut: int) -> Tensor:
    """The input with everything after step ``cut`` exchanged for other values that occur in it."""
    values = task.tensor.detach().clone().movedim(task.time_axis, 0)
    future = values[cut + 1 :]
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(future.numel(), generator=generator)
    values[cut + 1 :] = future.reshape(-1)[order].reshape(future.shape)
    if values.is_floating_point():
        values[cut + 1 :] += torch.randn(future.shape, generator=generator).to(values) * values.std()
    return values.movedim(0, task.time_axis)


def _pairs(base: object, after: object) -> list[tuple[Op, Tensor, Tensor]]:
    found = []
    for (op, before), (_, now) in zip(base, after, strict=True):  # type: ignore[call-overload]
        found += [(op, one, two) for one, two in zip(before, now, strict=False)]
    return found


def _past(pair: tuple[Op, Tensor, Tensor], task: NextStep, cut: int) -> bool | None:
    """Whether the steps up to ``cut`` moved, in every way in which time may lie there; None where there is no time."""
    _, one, two = pair
    if one.shape != two.shape or not one.is_floating_point():
        return None
    states = []
    for steps in {task.steps, task.predicted}:
        axes = [axis for axis in range(one.dim()) if one.shape[axis] == steps]
        if task.rows == steps and len(axes) > 1:
            axes.remove(task.batch_axis if task.batch_axis in axes else axes[0])
        if len(axes) > 1:
            continue  # every step against every other: the mask may be still to come
        for axis in axes:
            states.append(moved(one.narrow(axis, 0, cut + 1), two.narrow(axis, 0, cut + 1)))
        first, second = (by_time(each, task.rows, steps, time_first=task.time_axis == 0) for each in (one, two))
        if first is not None and second is not None:
            states.append(moved(first[:, : cut + 1], second[:, : cut + 1]))
    return all(states) if states else None


def _first_leak(base: Steps, after: Steps, task: NextStep, cut: int) -> Op | None:
    for pair in _pairs(base, after):
        if _past(pair, task, cut):
            return pair[0]
    return None


def _mask_of(base: Steps, leak: Op) -> Tensor | None:
    """The mask that went into the attention whose output leaks."""
    given = leak.argument(3, "attn_mask") if leak.name == "scaled_dot_product_attention" else None
    if isinstance(given, Tensor):
        return given
    if leak.name.startswith("multi_head") or leak.name.startswith("_"):
        square = [
            one for one in leak.inputs if one.dim() >= 2 and one.shape[-1] == one.shape[-2] and not one.requires_grad
        ]
        return next((one for one in square if one.dtype == torch.bool or bool(torch.isinf(one.float()).any())), None)
    made = {id(out): op for op, outs in base for out in outs if op.index < leak.index}
    todo, seen = list(leak.inputs), 0
    while todo and seen < 12:
        one = todo.pop(0)
        seen += 1
        op = made.get(id(one))
        if op is None or one.dim() < 2 or one.shape[-1] != one.shape[-2]:
            continue
        if op.name in _MASKING:
            for other in op.inputs[1:]:
                is_square = other.dim() >= 2 and other.shape[-1] == other.shape[-2]
                is_given = not other.requires_grad and other.numel() <= one.numel()
                if is_square and is_given and _is_masklike(other):
                    return other
        todo += op.inputs
    return None


def _is_masklike(value: Tensor) -> bool:
    return value.dtype == torch.bool or len(set(value.detach().flatten()[:4096].tolist())) <= 2


def _mask_made(scene: Scene, mask: Tensor | None) -> Site | None:
    """The line that built a mask, found in the segment by its memory or its maker."""
    if mask is None:
        return None
    pointer = mask.untyped_storage().data_ptr()
    makers = [op for op in scene.trace.ops if op.name in _MAKING and op.site is not None]
    for op in makers:
        for out in op.outputs:
            if out is mask or (out.numel() and out.untyped_storage().data_ptr() == pointer):
                return op.site
    shaped = [op for op in makers if op.name.startswith(("triu", "tril")) and op.outputs]
    shaped = [op for op in shaped if op.outputs[0].shape[-1] >= mask.shape[-1]]
    return shaped[-1].site if shaped else None


def _line(scene: Scene, op: Op) -> Site | None:
    """Where a layer that looks both ways was built; else where it is called."""
    parts = {name: module for call in scene.model_calls for name, module in modules_by_name(call.module)}
    module = parts.get(op.modules[-1]) if op.modules else None
    pads = getattr(module, "padding", 0) not in (0, (0,), "valid")
    if module is not None and (pads or getattr(module, "bidirectional", False)):
        return scene.session.modules.made_at(module) or op.site
    return op.site
