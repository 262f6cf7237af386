"""Whether the prediction depends on the model's inputs at all, now and after this copy was trained for a few steps.

Not here: how well it uses them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.debug.layers import nudged, rerunnable, tolerant, weights_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.rerun import batch_axes
from mlkit.debug.scene import Scene
from mlkit.debug.trace import Op, replay

STEPS = 3


@probe("input_use")
@tolerant
def measure(scene: Scene) -> Measurement:
    """``depends``: whether exchanged inputs change the prediction; ``constant``: whether all input rows are equal."""
    if scene.loss is None or not scene.heads or scene.head is None:
        return {}
    if scene.call is not None and not any(scene.heads[0].output is one for one in scene.outputs):
        return {}  # several calls: the prediction came from another than the one that is looked at
    axes = batch_axes(scene)
    if axes is None or axes[0] < 4:
        return {}
    size, along = axes
    prediction, target = scene.heads[0].prediction, scene.head.target
    if target is None or target.requires_grad or not _varies(target) or prediction.numel() < 2:
        return {}
    given = dict(along)
    inputs = [one for one in scene.inputs if id(one) in given]
    if any(one.requires_grad for one in inputs):
        return {}
    upstream = {id(one) for op in scene.path for one in op.inputs}
    site = scene.call.site if scene.call is not None else scene.heads[0].site
    if not any(id(one) in upstream for one in inputs) and scene.call is not None and _draws(scene):
        return {}
    result: Measurement = {"rows": size, "site": site, "made_at": _last(scene), "lost_at": None}
    result["constant"] = all(_rows_equal(one, given[id(one)]) for one in inputs)
    before = _depends(scene, inputs, given)
    if before is None:
        return {}
    result["depends"] = before
    if not before:
        steps = sum(1 for _ in nudged(scene, STEPS))
        after = _depends(scene, inputs, given)
        result["depends"], result["steps"] = bool(after), steps
        result["known"] = after is not None and steps > 0
        lost_at, is_sudden = _lost(scene, inputs, given)
        result["lost_at"] = lost_at
        result["known"] = result["known"] and is_sudden
    elif len(inputs) > 1 and (idle := _idle(scene, inputs, given)) is not None:
        result["idle"] = idle
    return result


def _varies(target: Tensor) -> bool:
    rows = target.detach().float().reshape(target.shape[0], -1) if target.dim() else target.reshape(1, 1)
    return rows.shape[0] > 1 and bool((rows != rows[:1]).any())


def _rows_equal(value: Tensor, axis: int) -> bool:
    return bool((value == value.select(axis, 0).unsqueeze(axis)).all())


def _draws(scene: Scene) -> bool:
    return any(op.name in ("randn", "rand", "randn_like", "rand_like", "normal_", "multinomial") for op in scene.path)


def _last(scene: Scene) -> object:
    """The line of the last op that made the prediction within the model."""
    ops = scene.trace.behind([scene.heads[0].prediction])
    inside = [op for op in ops if op.modules]
    return (inside or ops)[-1].site if ops else None


def _depends(scene: Scene, inputs: list[Tensor], axes: dict[int, int]) -> bool | None:
    prediction = scene.heads[0].prediction
    pair = _both(scene, scene.trace.behind([prediction]), inputs, axes)
    first, second = (one.get(id(prediction), prediction) for one in pair)
    if not isinstance(first, Tensor) or not isinstance(second, Tensor) or first.shape != second.shape:
        return None
    if not bool(torch.isfinite(first).all() and torch.isfinite(second).all()):
        return None
    return _moved(first, second)


def _moved(first: Tensor, second: Tensor, least: float = 1e-6) -> bool:
    if first.shape != second.shape or not first.numel():
        return first.shape != second.shape
    first, second = first.detach().float(), second.detach().float()
    return float((first - second).abs().max()) > least * float(first.abs().max())


def _both(
    scene: Scene, ops: list[Op], inputs: list[Tensor], axes: dict[int, int]
) -> tuple[dict[int, object], dict[int, object]]:
    """The ops computed again, on the inputs as they are, and with rows exchanged and numbers moved."""
    generator = torch.Generator().manual_seed(0)
    other = {}
    for one in inputs:
        rolled = one.detach().roll(1, axes[id(one)])
        if one.is_floating_point():
            spread = float(one.detach().float().std()) if one.numel() > 1 else 1.0
            noise = torch.randn(one.shape, generator=generator).to(one)
            rolled = rolled * 1.3 + noise * (spread + 1e-2)
        other[id(one)] = rolled
    ops = rerunnable(ops, weights_of(scene))
    # Everything that depends on a weight or an input is computed again, so that trained weights count.
    fixed = {id(one): one for op in ops for one in op.inputs if one.is_leaf and one.requires_grad}
    found = []
    with torch.no_grad():
        for inserted in ({id(one): one.detach() for one in inputs}, other):
            torch.manual_seed(0)
            found.append(replay(ops, {**fixed, **inserted}))
    return found[0], found[1]


def _idle(scene: Scene, inputs: list[Tensor], axes: dict[int, int]) -> dict[str, object] | None:
    """An input that weights are applied to, and that the loss does not depend on for all that; also after training."""
    assert scene.loss is not None
    weights = {id(one) for one in weights_of(scene)}

    def last_use(given: Tensor) -> Op | None:
        ops = scene.trace.after([given])
        used = [op for op in ops if any(id(one) in weights for one in op.inputs)]
        return used[-1] if used else None

    def is_idle(given: Tensor) -> bool:
        first, second = (one.get(id(scene.loss)) for one in _both(scene, scene.path, [given], axes))
        return isinstance(first, Tensor) and isinstance(second, Tensor) and not _moved(first, second)

    upstream = {id(one) for op in scene.path for one in op.inputs}
    inputs = [one for one in inputs if one.dim() > 1 or one.is_floating_point()]  # lengths and offsets lead elsewhere
    found = [one for one in inputs if last_use(one) is not None and id(one) not in upstream]
    found += [one for one in inputs if last_use(one) is not None and id(one) in upstream and is_idle(one)]
    if not found or not sum(1 for _ in nudged(scene, STEPS)):
        return None
    for one in found:
        op = last_use(one)
        if is_idle(one) or id(one) not in upstream:
            return {"shape": str(tuple(one.shape)), "site": op.site if op is not None else None}
    return None


def _lost(scene: Scene, inputs: list[Tensor], axes: dict[int, int]) -> tuple[object, bool]:
    """The line of the last op on the way to the prediction that is given what depends on the input, and drops it.

    And whether that is sudden: a value that layer by layer depends less on the input ends below rounding, not lost.
    """
    ops = scene.trace.behind([scene.heads[0].prediction])
    first, second = _both(scene, ops, inputs, axes)

    def is_moved(one: Tensor, least: float = 1e-6) -> bool:
        pair = first.get(id(one), one), second.get(id(one), one)
        return isinstance(pair[0], Tensor) and isinstance(pair[1], Tensor) and _moved(pair[0], pair[1], least)

    for op in reversed(ops):
        if any(is_moved(one) for one in op.inputs) and not any(is_moved(one) for one in op.outputs):
            return op.site, any(is_moved(one, 1e-2) for one in op.inputs)
    return None, True
